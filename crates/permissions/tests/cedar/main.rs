//! Custom policies: which texts are refused and where, what each verdict is, and that no permit undoes a no.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod faults;
mod properties;
mod terms;
mod verdicts;

use domain::{Opinion, SessionId, UserId};
use jiff::Timestamp;
use permissions::{
    Surroundings, ToolCall,
    cedar::{CedarCall, CedarPolicy},
};
use serde_json::{Value, json};

/// Wednesday, in the afternoon.
const NOW: &str = "2026-11-25T15:30:00.250Z";

fn compiled(text: &str) -> CedarPolicy {
    CedarPolicy::compile("house", Some(3), text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
}

/// A call in the directory `/work/shop`, which does not exist.
fn call(tool: &str, input: Value) -> ToolCall {
    ToolCall {
        tool_name: tool.into(),
        input,
        tool_use_id: None,
        agent_id: None,
        cwd: "/work/shop".into(),
        permission_mode: None,
    }
}

fn bash(line: &str) -> ToolCall {
    call("Bash", json!({ "command": line }))
}

fn surroundings() -> Surroundings {
    Surroundings {
        session_id: SessionId::new(),
        user_id: UserId::new(),
        generation: domain::Generation::FIRST,
        working_directory: "/work/shop".into(),
        add_dirs: vec![],
        home: "/home/agent".into(),
        temporary: "/tmp/agent".into(),
    }
}

fn judge(policy: &CedarPolicy, call: &ToolCall) -> Opinion {
    judge_at(policy, call, &surroundings(), NOW)
}

fn judge_at(policy: &CedarPolicy, call: &ToolCall, surroundings: &Surroundings, at: &str) -> Opinion {
    let at: Timestamp = at.parse().unwrap();
    policy.judge(&CedarCall::new(call, surroundings, at))
}
