//! Every frame of every recording, and arbitrary JSON, as typed messages: nothing is lost, nothing fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to fail")]

use std::{fs, path::Path};

use proptest::prelude::*;
use sdk_runtime::{
    Frame, Message, TurnResult,
    message::{
        Content, ContentBlock, Delta, LifecycleState, OriginKind, SessionState, StreamEvent, SystemMessage,
        TaskStatus,
    },
};
use serde_json::{Map, Value, json};

/// What an absent field, null, `false` and an empty list have in common is that they say nothing; numbers
/// are compared by value.
fn normal(value: Value) -> Value {
    let says_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    };
    match value {
        Value::Object(map) => {
            let map = map.into_iter().map(|(key, value)| (key, normal(value)));
            Value::Object(map.filter(|(_, value)| !says_nothing(value)).collect())
        }
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other,
    }
}

/// Every frame the agent said in the recordings, with the name of its recording.
fn recorded() -> Vec<(String, Value)> {
    let folder = Path::new("tests/recordings");
    let mut frames = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            if entry["dir"] == "out" && entry["msg"].is_object() {
                frames.push((name.clone(), entry["msg"].clone()));
            }
        }
    }
    frames
}

fn is_control(frame: &Value) -> bool {
    frame["type"].as_str().is_some_and(|kind| kind.starts_with("control_"))
}

#[test]
fn every_recorded_frame_is_known_and_comes_back_whole() {
    let (mut count, mut names) = (0, std::collections::HashSet::new());
    for (name, frame) in recorded() {
        let message = Message::read(frame.clone());
        assert_eq!(message.is_known(), !is_control(&frame), "{name}: {frame}");
        assert_eq!(normal(message.into_value()), normal(frame.clone()), "{name}");
        assert_eq!(Frame::read(frame.clone()).message(), Message::read(frame.clone()), "{name}");
        count += 1;
        names.insert(name);
    }
    assert!(count > 900, "{count} frames");
    assert_eq!(names.len(), 78, "four recordings hold nothing of the agent");
}

#[test]
fn every_recorded_block_and_event_is_known() {
    for (name, frame) in recorded() {
        let message = Message::read(frame);
        let content = match &message {
            Message::Assistant(said) => &said.message.content,
            Message::User(said) => &said.message.content,
            Message::Stream(stream) => {
                assert!(!matches!(stream.event, StreamEvent::Other(_)), "{name}: {stream:?}");
                continue;
            }
            _ => continue,
        };
        for block in content.blocks() {
            assert!(!matches!(block, ContentBlock::Other(_)), "{name}: {block:?}");
        }
    }
}

#[test]
fn the_numbers_of_every_recorded_result_are_typed() {
    let mut with_models = 0;
    for (name, frame) in recorded() {
        let Message::Result(result) = Message::read(frame) else {
            continue;
        };
        assert!(result.tokens().is_some(), "{name}");
        let models = result.model_usage();
        assert_eq!(models.len(), result.raw["modelUsage"].as_object().unwrap().len(), "{name}");
        for usage in models.values() {
            assert!(usage.cost_usd.is_some() && usage.extra.is_empty(), "{name}: {usage:?}");
            with_models += 1;
        }
        let denials = result.raw["permission_denials"].as_array().unwrap();
        assert_eq!(result.denials().len(), denials.len(), "{name}");
        assert_eq!(result.origin().is_some(), result.raw["origin"].is_object(), "{name}");
        if result.raw["deferred_tool_use"].is_object() {
            assert_eq!(result.deferred_tool_use().unwrap().name, "Bash", "{name}");
        }
    }
    assert!(with_models > 50);
}

/// One frame of each kind that is declared and was never seen.
#[test]
fn kinds_that_were_never_recorded_are_known_too() {
    let frames = [
        json!({ "type": "auth_status", "isAuthenticating": true, "output": ["go to …"] }),
        json!({ "type": "prompt_suggestion", "suggestion": "run the tests" }),
        json!({ "type": "tool_use_summary", "summary": "read files", "preceding_tool_use_ids": ["a"] }),
        json!({ "type": "active_goal", "value": { "condition": "green", "iterations": 1, "set_at": 5.0,
                "tokens_at_start": 7, "last_reason": "red" } }),
        json!({ "type": "keep_alive", "startup_mark": "x" }),
        json!({ "type": "system", "subtype": "files_persisted", "files": [{ "filename": "a", "file_id": "b" }],
                "failed": [], "processed_at": "now" }),
        json!({ "type": "system", "subtype": "memory_recall", "mode": "select", "memories": [{ "path": "p" }] }),
        json!({ "type": "system", "subtype": "elicitation_complete", "mcp_server_name": "s",
                "elicitation_id": "e" }),
        json!({ "type": "system", "subtype": "plugin_install", "status": "failed", "name": "p", "error": "no" }),
        json!({ "type": "system", "subtype": "local_command_output", "content": "c" }),
        json!({ "type": "system", "subtype": "model_refusal_fallback", "trigger": "refusal",
                "direction": "retry", "original_model": "a", "fallback_model": "b", "content": "c" }),
        json!({ "type": "system", "subtype": "model_refusal_no_fallback", "original_model": "a",
                "content": "c" }),
        json!({ "type": "system", "subtype": "worker_shutting_down", "reason": "idle" }),
        json!({ "type": "system", "subtype": "session_writes_lost", "error_code": "ENOSPC",
                "lost": ["transcript"], "transcript_session_ids": ["s"] }),
        json!({ "type": "system", "subtype": "mirror_error", "error": "e",
                "key": { "projectKey": "p", "sessionId": "s" } }),
        json!({ "type": "system", "subtype": "commands_changed", "commands": [{ "name": "x" }] }),
        json!({ "type": "system", "subtype": "hook_progress", "hook_id": "h", "hook_name": "n",
                "hook_event": "Stop", "stdout": "o", "stderr": "", "output": "o" }),
    ];
    for frame in frames {
        let message = Message::read(frame.clone());
        assert!(message.is_known(), "{frame}");
        assert_eq!(normal(message.into_value()), normal(frame));
    }
}

#[test]
fn a_field_of_an_unexpected_type_stays_and_takes_nothing_else_along() {
    let frame = json!({
        "type": "assistant", "error": 7, "user_message_uuids": ["not an id"], "aborted": "yes",
        "message": { "id": "m", "usage": [], "content": [
            { "type": "text", "text": 5 }, { "type": "text", "text": "fine" }, 9,
            { "type": "web_search_tool_result", "tool_use_id": "t", "content": [] },
            { "type": "hologram", "depth": 3 },
        ] },
    });
    let message = Message::read(frame.clone());
    let Message::Assistant(said) = &message else { unreachable!() };
    assert_eq!((said.error.as_ref(), said.prompts.len(), said.is_aborted), (None, 0, false));
    assert_eq!(said.extra["error"], 7);
    assert_eq!(said.text(), "fine");
    let [odd, _, number, search, hologram] = said.blocks() else { unreachable!() };
    assert!(matches!(odd, ContentBlock::Other(_)));
    assert!(matches!(number, ContentBlock::Other(_)));
    assert!(matches!(search, ContentBlock::ServerToolResult(r) if r.kind == "web_search_tool_result"));
    assert!(matches!(hologram, ContentBlock::Other(raw) if raw["depth"] == 3));
    assert_eq!(message.into_value(), frame);

    // Without what it cannot be without, the frame is kept as it came.
    for odd in [
        json!({ "type": "assistant" }),
        json!({ "type": "system", "subtype": "status_of_things", "a": 1 }),
        json!({ "type": "system", "subtype": "task_started", "task_id": 5 }),
        json!({ "type": 5 }),
        json!([1]),
        json!(null),
    ] {
        let message = Message::read(odd.clone());
        assert!(!message.is_known(), "{odd}");
        assert_eq!(message.into_value(), odd);
    }
}

#[test]
fn words_that_are_not_listed_are_kept() {
    let state = json!({ "type": "system", "subtype": "session_state_changed", "state": "dreaming" });
    let Message::System(SystemMessage::SessionStateChanged(changed)) = Message::read(state) else {
        unreachable!()
    };
    assert_eq!(changed.state, SessionState::Other("dreaming".into()));
    assert_eq!(changed.state.as_str(), "dreaming");
    assert_eq!(TaskStatus::from("killed"), TaskStatus::Killed);
    assert!(TaskStatus::Killed.is_over() && !TaskStatus::from("resting").is_over());
    assert_eq!(OriginKind::from("human").to_string(), "human");
    assert_eq!(LifecycleState::from("queued"), LifecycleState::Queued);
}

#[test]
fn a_delta_is_typed_and_its_text_at_hand() {
    let frame = json!({
        "type": "stream_event", "parent_tool_use_id": null,
        "event": { "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "hi" } },
    });
    let message = Message::read(frame);
    assert_eq!(message.text_delta(), Some("hi"));
    let Message::Stream(stream) = &message else { unreachable!() };
    let StreamEvent::BlockDelta(grown) = &stream.event else { unreachable!() };
    assert!(matches!(&grown.delta, Delta::Text(delta) if delta.text == "hi"));
    assert_eq!(Content::Blocks(vec![]).text(), "");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z_]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["assistant", "user", "system", "init", "text", "tool_use", "task_started"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Names that the shapes know, so that they are met with values of all types.
fn key() -> impl Strategy<Value = String> {
    let known = vec![
        "type",
        "subtype",
        "message",
        "content",
        "text",
        "id",
        "name",
        "input",
        "usage",
        "uuid",
        "event",
        "delta",
        "index",
        "tasks",
        "task_id",
        "status",
        "patch",
        "state",
        "error",
        "tools",
        "cwd",
        "model",
        "modelUsage",
        "permission_denials",
        "result",
        "origin",
        "kind",
        "user_message_uuids",
        "source",
    ];
    prop_oneof![
        8 => prop::sample::select(known).prop_map(str::to_owned),
        1 => "[a-z]{1,6}".prop_map(|key| key),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_json_is_read_and_comes_back_whole(value in any_json()) {
        let message = Message::read(value.clone());
        prop_assert_eq!(normal(message.into_value()), normal(value.clone()));
        let result = TurnResult::read(value);
        let _ = (result.tokens(), result.model_usage(), result.denials(), result.origin());
    }

    #[test]
    fn a_recorded_frame_with_one_odd_field_is_read_and_comes_back_whole(
        at in any::<prop::sample::Index>(), field in any::<prop::sample::Index>(), odd in any_json(),
    ) {
        thread_local! {
            static FRAMES: Vec<(String, Value)> = recorded();
        }
        let mut frame = FRAMES.with(|frames| at.get(frames).1.clone());
        let map = frame.as_object_mut().unwrap();
        let keys: Vec<String> = map.keys().cloned().collect();
        map.insert(field.get(&keys).clone(), odd);
        prop_assert_eq!(normal(Message::read(frame.clone()).into_value()), normal(frame));
    }
}

/// Typing is done once per frame, so it must stay far below the 5 µs a partial event may cost in all.
#[test]
fn typing_a_delta_costs_little() {
    let frame = recorded().into_iter().find(|(_, frame)| frame["event"]["type"] == "content_block_delta");
    let (_, frame) = frame.unwrap();
    let frames = vec![frame; 20_000];
    let started = std::time::Instant::now();
    let count =
        frames.into_iter().filter(|frame| Message::read(frame.clone()).text_delta().is_some()).count();
    let each = started.elapsed() / 20_000;
    assert!(count > 0);
    // A debug build of a busy machine; optimised it is under a microsecond.
    assert!(each < std::time::Duration::from_micros(200), "{each:?}");
}
