//! The image: what hadolint says, and that it holds what the code expects.

use crate::{
    files::{json, repository},
    settings::is_setting,
    tools::{fed, said, tool},
};
use std::{collections::BTreeMap, fs};

const DOCKERFILE: &str = "deploy/docker/Dockerfile";

/// Instructions and their arguments, lines that go on put together.
fn instructions() -> Vec<(String, String)> {
    let text = fs::read_to_string(repository(DOCKERFILE)).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let whole = lines.join("\n").replace("\\\n", " ");
    let instructions = whole.lines().filter(|line| !line.trim().is_empty());
    instructions
        .map(|line| {
            let (word, rest) = line.split_once(char::is_whitespace).unwrap();
            (word.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// The last of a kind, which is the one that counts.
fn last(word: &str) -> String {
    let all = instructions();
    all.into_iter().rev().find(|(found, _)| found == word).unwrap_or_else(|| panic!("no {word}")).1
}

fn environment() -> BTreeMap<String, String> {
    let pairs = last("ENV");
    pairs.split(' ').map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect()
}

#[test]
fn hadolint_has_nothing_to_say() {
    let output = tool("hadolint").arg("--no-color").arg(repository(DOCKERFILE)).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let worse = "FROM debian:latest\nRUN cd /tmp && apt-get install curl\n";
    let output = fed(tool("hadolint").args(["--no-color", "-"]), worse);
    assert!(!output.status.success(), "this test would find nothing");
}

#[test]
fn it_is_built_with_the_toolchain_and_the_cli_that_this_workspace_names() {
    let manifest: toml::Table = fs::read_to_string(repository("Cargo.toml")).unwrap().parse().unwrap();
    let rust = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    let stages: Vec<String> =
        instructions().into_iter().filter(|(word, _)| word == "FROM").map(|(_, image)| image).collect();
    assert!(stages[0].starts_with(&format!("rust:{rust}-bookworm ")), "{stages:?}");
    assert_eq!(stages.last().unwrap(), "debian:bookworm-slim", "the C library must be the builder's");
    let pinned = fs::read_to_string(repository(".claude-cli-version")).unwrap();
    assert_eq!(last("ARG"), format!("CLAUDE_CLI_VERSION={}", pinned.trim()));
    let document = fs::read_to_string(repository("docs/deployment.md")).unwrap();
    let mut named = document.split("@anthropic-ai/claude-code@").skip(1);
    assert!(named.all(|rest| rest.starts_with(pinned.trim())), "docs/deployment.md installs another CLI");
}

#[test]
fn it_runs_as_nobody_in_particular_and_says_how_it_is() {
    assert_eq!(last("USER"), "10001:10001");
    assert_eq!(last("ENTRYPOINT"), r#"["/usr/bin/tini", "--", "/usr/local/bin/steward"]"#);
    assert_eq!(last("CMD"), r#"["serve"]"#);
    let environment = environment();
    assert!(last("HEALTHCHECK").contains("/health/live"));
    assert!(last("HEALTHCHECK").contains(&format!(":{}/", environment["API_PORT"])));
    assert_eq!(last("EXPOSE"), environment["API_PORT"]);
    assert_eq!(last("VOLUME"), environment["DATA_DIR"]);
    assert_eq!(environment["ENVIRONMENT"], "production");
    for name in environment.keys() {
        assert!(is_setting(name), "{name} is no setting");
    }
}

#[test]
fn what_is_secret_or_large_does_not_get_into_the_build() {
    let text = fs::read_to_string(repository(".dockerignore")).unwrap();
    let ignored: Vec<&str> = text.lines().collect();
    for wanted in [".env", ".git", "data", "**/target", "**/node_modules"] {
        assert!(ignored.contains(&wanted), "{wanted}");
    }
    assert!(
        !ignored.contains(&".cargo") && !ignored.contains(&".claude-cli-version"),
        "the build reads these"
    );
}

/// A profile that forgot one of these would have servers that do not start, or agents that are not contained.
#[test]
fn the_profile_of_system_calls_leaves_what_a_sandbox_is_made_of() {
    let profile = json(&repository("deploy/docker/seccomp.json"));
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ALLOW");
    let [rule] = profile["syscalls"].as_array().unwrap().as_slice() else { panic!("one rule is wanted") };
    assert_eq!(rule["action"], "SCMP_ACT_ERRNO");
    let names: Vec<&str> =
        rule["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.is_sorted(), "in their order, so that one is not there twice");
    for needed in
        ["clone", "clone3", "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "seccomp"]
    {
        assert!(!names.contains(&needed), "{needed}");
    }
    for dangerous in
        ["bpf", "init_module", "kexec_load", "keyctl", "open_by_handle_at", "ptrace", "userfaultfd"]
    {
        assert!(names.contains(&dangerous), "{dangerous}");
    }
}
