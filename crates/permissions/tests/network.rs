//! The table of hosts: what each call that names one gets, and why.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::{Opinion, SessionId, UserId, Verdict};
use permissions::{NetworkPolicy, NetworkSettings, Policy, Surroundings, ToolCall};
use serde_json::{Value, json};

async fn judge(settings: &NetworkSettings, tool: &str, input: Value) -> Opinion {
    let call = ToolCall {
        tool_name: tool.to_owned(),
        input,
        tool_use_id: None,
        agent_id: None,
        cwd: "/w".into(),
        permission_mode: None,
    };
    let surroundings = Surroundings {
        session_id: SessionId::new(),
        user_id: UserId::new(),
        generation: domain::Generation::FIRST,
        working_directory: "/w".into(),
        add_dirs: vec![],
        home: "/h".into(),
        temporary: "/t".into(),
    };
    NetworkPolicy::new(settings.clone()).judge(&call, &surroundings).await.unwrap()
}

fn settings(allowed: &[&str], blocked: &[&str]) -> NetworkSettings {
    let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
    NetworkSettings { allowed: parse(allowed), blocked: parse(blocked) }
}

#[tokio::test]
async fn each_host_gets_what_the_table_says() {
    let open = settings(&[], &["evil.example", "*.evil.example"]);
    let narrow = settings(&["github.com", "*.crates.io", "10.1.0.0/16"], &["gist.github.com"]);
    let mut wrong = vec![];
    for line in
        include_str!("tables/hosts.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [lists, verdict, tool, text, rule, why] = columns[..] else { panic!("not a row: {line}") };
        let settings = if lists == "open" { &open } else { &narrow };
        let input = match tool {
            "Bash" => json!({ "command": text }),
            "WebFetch" => json!({ "url": text, "prompt": "what is it?" }),
            _ => json!({ "argument": { "list": [text] } }),
        };
        let opinion = judge(settings, tool, input).await;
        if opinion.verdict.as_str() != verdict || opinion.rule != rule {
            wrong.push(format!("{line}: got {opinion:?} ({why})"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn everyday_commands_raise_no_alarm() {
    let open = settings(&[], &[]);
    for line in include_str!("tables/everyday.txt").lines().filter_map(|line| line.strip_prefix("$ ")) {
        // Those of several lines are open after the first.
        if permissions::shell::analyse(line).is_ok() {
            let opinion = judge(&open, "Bash", json!({ "command": line })).await;
            assert_eq!(opinion.verdict, Verdict::Abstain, "{line}: {opinion:?}");
        }
    }
}
