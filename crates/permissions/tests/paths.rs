//! The table of paths: what each use gets, on a real file system with links, and why.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use domain::{Opinion, SessionId, UserId, Verdict};
use permissions::{PathPolicy, PathSettings, Policy, Surroundings, ToolCall};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

const TABLES: [&str; 2] = [include_str!("tables/paths.txt"), include_str!("tables/path_commands.txt")];

struct World {
    root: PathBuf,
    policy: PathPolicy,
    surroundings: Surroundings,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let at = |path: &str| root.join(path);
        for folder in [
            "home/.ssh",
            "home/.aws",
            "data/agents/me/projects/p/memory",
            "data/agents/other/projects/p",
            "data/workspaces/u/me/src",
            "data/workspaces/u/me/certs",
            "data/workspaces/u/me/lib",
            "data/workspaces/u/other",
            "data/tmp/me",
            "data/tmp/other",
            "shared/added",
            "outside",
        ] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in [
            "home/.ssh/id_rsa",
            "home/.aws/credentials",
            "home/.aws/config",
            "home/notes.txt",
            "data/steward.db",
            "data/workspaces/u/me/src/main.rs",
            "data/workspaces/u/me/certs/server.pem",
            "data/workspaces/u/me/lib/a.o",
            "outside/file",
        ] {
            fs::write(at(file), file).unwrap();
        }
        let here = at("data/workspaces/u/me");
        for (target, link) in [
            ("/etc/passwd".into(), "link_passwd"),
            (at("home/.ssh"), "link_ssh"),
            ("link_ssh".into(), "chain"),
            (at("outside"), "link_out"),
            (at("outside/new"), "link_new"),
            ("src".into(), "link_in"),
            ("loop".into(), "loop"),
            (at("outside/file"), "lib/out.o"),
        ] {
            symlink(target, here.join(link)).unwrap();
        }
        fs::hard_link(at("home/.ssh/id_rsa"), here.join("hard")).unwrap();
        let restricted = ["/etc/passwd", "/etc/shadow", "~/.ssh", "~/.aws/credentials", "**/*.pem"];
        let settings = PathSettings {
            restricted: restricted.iter().map(|path| path.parse().unwrap()).collect(),
            user_home: Some(at("home")),
            writable: vec![],
            hidden: vec![at("data")],
        };
        let surroundings = Surroundings {
            session_id: SessionId::new(),
            user_id: UserId::new(),
            working_directory: here,
            add_dirs: vec![at("shared/added")],
            home: at("data/agents/me"),
            temporary: at("data/tmp/me"),
        };
        Self { root, policy: PathPolicy::new(settings), surroundings, _dir: dir }
    }

    fn put_in(&self, text: &str) -> String {
        let path = |path: &Path| path.display().to_string();
        text.replace("{w}", &path(&self.surroundings.working_directory))
            .replace("{d}", &path(&self.surroundings.add_dirs[0]))
            .replace("{t}", &path(&self.surroundings.temporary))
            .replace("{h}", &path(&self.surroundings.home))
            .replace("{u}", &path(&self.root.join("home")))
            .replace("{s}", &path(&self.root.join("data")))
            .replace("{r}", &path(&self.root))
    }

    async fn judge(&self, tool: &str, input: Value) -> Opinion {
        let call = ToolCall {
            tool_name: tool.to_owned(),
            input,
            tool_use_id: None,
            agent_id: None,
            cwd: self.surroundings.working_directory.clone(),
            permission_mode: None,
        };
        self.policy
            .judge(&call, &self.surroundings)
            .await
            .unwrap_or_else(|error| Opinion::new(Verdict::Deny, "paths", "cannot_judge", error.to_string()))
    }
}

fn input(tool: &str, text: &str) -> Value {
    match tool {
        "Bash" => json!({ "command": text }),
        "Read" | "Write" | "Edit" => json!({ "file_path": text }),
        "NotebookEdit" => json!({ "notebook_path": text }),
        "LS" => json!({ "path": text }),
        "Grep" => json!({ "pattern": "x", "path": text }),
        "Glob" => json!({ "pattern": text }),
        _ => json!({ "some": { "argument": [text] } }),
    }
}

#[tokio::test]
async fn each_use_of_a_path_gets_what_the_table_says() {
    let world = World::new();
    let mut wrong = vec![];
    let mut rows = 0;
    for line in TABLES.iter().flat_map(|table| table.lines()) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        // A command line may have a bar of its own.
        let (head, tail) = (line.splitn(3, " | "), line.rsplitn(3, " | "));
        let (head, tail): (Vec<&str>, Vec<&str>) = (head.collect(), tail.collect());
        let ([verdict, tool, rest], [why, rule, _]) = (&head[..], &tail[..]) else {
            panic!("not a row: {line}")
        };
        let text = &rest[..rest.len() - why.len() - rule.len() - 6];
        let [verdict, tool, text, rule, why] =
            [verdict, tool, text, rule, why].map(|column| column.trim_matches(' '));
        rows += 1;
        let text = world.put_in(text).replace("\\n", "\n");
        let opinion = world.judge(tool, input(tool, &text)).await;
        if opinion.verdict.as_str() != verdict || opinion.rule != rule {
            let (got, by, reason) = (opinion.verdict.as_str(), &opinion.rule, &opinion.reason);
            wrong.push(format!(
                "{tool} {text}: {verdict} by {rule:?} ({why}), but got {got} by {by:?}: {reason}"
            ));
        }
    }
    assert!(rows >= 100, "only {rows} rows");
    assert!(wrong.is_empty(), "{} of {rows}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_file_tool_that_names_no_file_is_not_judged() {
    let world = World::new();
    for (tool, input) in [
        ("Read", json!({})),
        ("Write", json!({ "file_path": 7 })),
        ("Edit", json!({ "file_path": "" })),
        ("Bash", json!({ "command": ["ls"] })),
    ] {
        let opinion = world.judge(tool, input).await;
        assert_eq!((opinion.verdict, opinion.rule.as_str()), (Verdict::Deny, "cannot_judge"), "{tool}");
    }
}

/// These name places outside the working directory, which is what the policy is there to refuse.
const LEADING_OUT: [&str; 4] =
    ["git worktree add ../other", "rm -f /tmp/test.lock", "-C /tmp/tool", "git -C ../other"];

#[tokio::test]
async fn everyday_commands_raise_no_alarm() {
    let mut world = World::new();
    world.surroundings.working_directory = world.root.join("shared/added");
    let mut lines: Vec<String> = vec![];
    for line in include_str!("tables/everyday.txt").lines() {
        if let Some(line) = line.strip_prefix("$ ") {
            lines.push(line.to_owned());
        } else if let (Some(more), Some(last)) = (line.strip_prefix('>'), lines.last_mut()) {
            *last += "\n";
            *last += more.strip_prefix(' ').unwrap_or(more);
        }
    }
    assert!(lines.len() >= 200, "{}", lines.len());
    let mut alarms = vec![];
    for line in lines.iter().filter(|line| !LEADING_OUT.iter().any(|out| line.contains(out))) {
        let opinion = world.judge("Bash", json!({ "command": line })).await;
        if opinion.verdict != Verdict::Abstain {
            alarms.push(format!("{line}: {opinion:?}"));
        }
    }
    assert!(alarms.is_empty(), "{}", alarms.join("\n"));
}
