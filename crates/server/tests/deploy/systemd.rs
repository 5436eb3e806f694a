//! The unit: systemd takes it, it is closed as far as a sandbox for agents lets it, and it fits the server.

use crate::{
    files::repository,
    settings::{default, is_setting},
    tools::{said, tool},
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

const UNIT: &str = "deploy/systemd/steward.service";
/// Of 100; what systemd calls OK. The unit without its hardening has 92.
const EXPOSURE_MAX: &str = "--threshold=30";

/// Names and all their values, in order.
fn unit() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(repository(UNIT)).unwrap();
    let mut unit = BTreeMap::<String, Vec<String>>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, value)) = line.split_once('=') {
            unit.entry(name.to_owned()).or_default().push(value.to_owned());
        }
    }
    unit
}

/// A system on which the program and the user of the unit are.
fn system(unit: &str) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = |path: &str| root.path().join(path);
    for folder in ["usr/bin", "etc/systemd/system", "usr/lib/systemd/system"] {
        fs::create_dir_all(path(folder)).unwrap();
    }
    fs::write(path("usr/bin/steward"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(path("usr/bin/steward"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(path("etc/passwd"), "root:x:0:0::/:/bin/sh\nsteward:x:990:990::/:/bin/sh\n").unwrap();
    fs::write(path("etc/group"), "root:x:0:\nsteward:x:990:\n").unwrap();
    fs::write(path("etc/systemd/system/steward.service"), unit).unwrap();
    root
}

fn analyze(root: &Path, arguments: &[&str]) -> Output {
    let mut command: Command = tool("systemd-analyze");
    command.args(arguments).arg(format!("--root={}", root.display())).output().unwrap()
}

fn verified(unit: &str) -> Output {
    let root = system(unit);
    analyze(root.path(), &["verify", "--man=no", "--recursive-errors=no", "steward.service"])
}

#[test]
fn systemd_takes_the_unit_and_says_nothing_about_it() {
    let text = fs::read_to_string(repository(UNIT)).unwrap();
    let output = verified(&text);
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
    let output = verified(&text.replace("KillMode=mixed", "KillMode=some"));
    assert!(said(&output).contains("kill mode"), "this test would find nothing: {}", said(&output));
}

#[test]
fn it_is_closed_as_far_as_agents_can_still_be_contained() {
    let text = fs::read_to_string(repository(UNIT)).unwrap();
    let exposure = |text: &str| {
        let root = system(text);
        analyze(root.path(), &["security", "--offline=true", "--no-pager", EXPOSURE_MAX, "steward.service"])
    };
    let output = exposure(&text);
    assert!(output.status.success(), "{}", said(&output));
    let open = text.split("# --- Hardening").next().unwrap();
    assert!(!exposure(open).status.success(), "this test would find nothing");

    // Each of these lies over a part of /proc, and then the kernel lets nobody have a /proc of their own.
    let unit = unit();
    for blind in ["ProtectKernelTunables", "ProtectKernelLogs", "ProtectHostname", "ProcSubset"] {
        assert!(!unit.contains_key(blind), "{blind} keeps bubblewrap from working");
    }
    for needed in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        assert!(unit["RestrictNamespaces"][0].split(' ').any(|one| one == needed), "{needed}");
    }
    assert!(unit["SystemCallFilter"][0].contains("@mount"));
}

#[test]
fn it_fits_the_server() {
    let unit = unit();
    let settings: Vec<(&str, &str)> = unit["Environment"]
        .iter()
        .flat_map(|line| line.split(' '))
        .map(|pair| pair.split_once('=').unwrap())
        .collect();
    for (name, _) in &settings {
        assert!(is_setting(name), "{name} is no setting");
    }
    let data = settings.iter().find(|(name, _)| *name == "DATA_DIR").unwrap().1;
    assert_eq!(data, format!("/var/lib/{}", unit["StateDirectory"][0]));
    assert_eq!(unit["KillMode"], ["mixed"], "agents are the server's to end");
    let stop: u64 = unit["TimeoutStopSec"][0].parse().unwrap();
    assert!(stop > default("SHUTDOWN_GRACE_SECONDS").parse().unwrap());
}

#[test]
fn its_user_and_its_folder_can_be_made() {
    let users = fs::read_to_string(repository("deploy/systemd/steward.sysusers")).unwrap();
    let folders = fs::read_to_string(repository("deploy/systemd/steward.tmpfiles")).unwrap();
    let lines = |text: &str| -> Vec<Vec<String>> {
        let kept = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        kept.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let unit = unit();
    assert_eq!(lines(&users)[0][..2], ["u", &unit["User"][0]]);
    assert_eq!(lines(&folders)[0][..4], ["d", "/etc/steward", "0700", "root"]);
    assert_eq!(unit["EnvironmentFile"], ["-/etc/steward/steward.env"]);
}
