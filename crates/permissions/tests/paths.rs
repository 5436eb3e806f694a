//! The table of paths: what each use gets, on a real file system with links, and why.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "checks/paths.rs"]
mod checks;

use checks::{World, check, input};
use domain::Verdict;
use proptest::prelude::*;
use serde_json::json;

const TABLES: [&str; 2] = [include_str!("tables/paths.txt"), include_str!("tables/path_commands.txt")];

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

proptest! {
    #[test]
    fn no_maze_leads_out(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "..", ".", "src", "lib", "link_ssh", "chain", "link_out", "link_in", "link_passwd", "hard", "other", "me",
                "u", "workspaces", "data", "home", ".ssh", "id_rsa", "etc", "passwd", "new", "dev", "null", "link_new",
                "proc", "self", "task", "net", "root",
            ]),
            1..12,
        ),
        absolute in any::<bool>(),
    ) {
        let world = World::new();
        let path = if absolute { format!("/{}", parts.join("/")) } else { parts.join("/") };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(check(&world, &path));
    }
}
