//! The frames a scripted agent says, in the shape of the real ones.

use serde_json::{Value, json};
use uuid::Uuid;

/// Model name of scripted agents.
const MODEL: &str = "claude-scripted";
/// What one scripted turn costs, in US dollars.
const COST_USD: f64 = 0.001;

pub(super) fn init(session_id: &str, prompt: &Value) -> Value {
    json!({
        "type": "system", "subtype": "init", "session_id": session_id, "uuid": Uuid::new_v4(),
        "model": MODEL, "cwd": "/", "tools": ["Bash", "Read"], "permissionMode": "default",
        "user_message_uuids": [prompt],
    })
}

pub(super) fn lifecycle(prompt: &Value, state: &str) -> Value {
    json!({
        "type": "command_lifecycle", "command_uuid": prompt, "state": state,
        "uuid": Uuid::new_v4(),
    })
}

pub(super) fn assistant(session_id: &str, message_id: &str, block: Value) -> Value {
    json!({
        "type": "assistant", "session_id": session_id, "uuid": Uuid::new_v4(),
        "parent_tool_use_id": null,
        "message": {
            "id": message_id, "type": "message", "role": "assistant", "model": MODEL,
            "content": [block], "stop_reason": null, "usage": { "output_tokens": 1 },
        },
    })
}

pub(super) fn tool_result(session_id: &str, id: &str, content: &str, is_error: bool) -> Value {
    json!({
        "type": "user", "session_id": session_id, "uuid": Uuid::new_v4(),
        "parent_tool_use_id": null,
        "message": { "role": "user", "content": [{
            "type": "tool_result", "tool_use_id": id, "content": content, "is_error": is_error,
        }] },
    })
}

pub(super) fn interrupted(session_id: &str) -> Value {
    let text = "[Request interrupted by user]";
    json!({
        "type": "user", "session_id": session_id, "uuid": Uuid::new_v4(),
        "parent_tool_use_id": null,
        "message": { "role": "user", "content": [{ "type": "text", "text": text }] },
    })
}

pub(super) fn delta(session_id: &str, kind: &str, field: &str, text: &str) -> Value {
    json!({
        "type": "stream_event", "session_id": session_id, "uuid": Uuid::new_v4(),
        "parent_tool_use_id": null,
        "event": {
            "type": "content_block_delta", "index": 0,
            "delta": { "type": kind, field: text },
        },
    })
}

/// A successful result; `index` counts results of the process from zero.
pub(super) fn result(session_id: &str, prompt: &Value, index: u64, text: &str) -> Value {
    let usage = json!({ "input_tokens": 10, "output_tokens": 5 });
    let results = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
    json!({
        "type": "result", "subtype": "success", "is_error": false, "result": text,
        "session_id": session_id, "uuid": Uuid::new_v4(), "terminal_reason": "completed",
        "stop_reason": "end_turn", "duration_ms": 5, "duration_api_ms": 3, "num_turns": 1,
        "usage": usage, "total_cost_usd": COST_USD * f64::from(results),
        "model_usage_since_last_result": { MODEL: {
            "inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 0,
            "cacheCreationInputTokens": 0, "costUSD": COST_USD,
        } },
        "permission_denials": [], "api_error_status": null, "queued_turn_count": 0,
        "result_index": index, "user_message_uuid": prompt, "user_message_uuids": [prompt],
    })
}

/// The fields in which an interrupted result differs.
pub(super) fn interruption() -> Value {
    json!({
        "subtype": "error_during_execution", "is_error": true, "result": null,
        "terminal_reason": "aborted_streaming", "errors": ["the turn was interrupted"],
    })
}

/// Lays the fields of `over` over `under`.
pub(super) fn overlay(under: &mut Value, over: Value) {
    if let (Value::Object(under), Value::Object(over)) = (under, over) {
        under.extend(over);
    }
}
