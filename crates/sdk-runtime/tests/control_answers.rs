//! The recorded answers to control requests, through the types of this crate: nothing is lost.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

use std::{collections::HashMap, fs, path::Path};

use sdk_runtime::control as c;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, from_value, to_value};

/// The answer through its type and back.
fn through<T: DeserializeOwned + Serialize>(answer: &Value) -> Value {
    to_value(from_value::<T>(answer.clone()).unwrap()).unwrap()
}

/// Says where `back` lacks something of `raw`. Null and absent are the same.
fn lost(raw: &Value, back: &Value, path: &str) -> Vec<String> {
    match (raw, back) {
        (Value::Object(raw), Value::Object(back)) => raw
            .iter()
            .filter(|(_, value)| !value.is_null())
            .flat_map(|(key, value)| lost(value, &back[key], &format!("{path}.{key}")))
            .collect(),
        (Value::Array(raw), Value::Array(back)) if raw.len() == back.len() => raw
            .iter()
            .zip(back)
            .enumerate()
            .flat_map(|(index, (raw, back))| lost(raw, back, &format!("{path}[{index}]")))
            .collect(),
        // A whole number is the same as a float.
        (Value::Number(raw), Value::Number(back)) if raw.as_f64() == back.as_f64() => Vec::new(),
        (raw, back) if raw == back => Vec::new(),
        (raw, back) => vec![format!("{path}: {raw} became {back}")],
    }
}

fn typed(subtype: &str, answer: &Value) -> Option<Value> {
    Some(match subtype {
        "rewind_files" => through::<c::RewoundFiles>(answer),
        "set_permission_mode" => through::<c::PermissionModeSet>(answer),
        "set_model" => through::<c::ModelSet>(answer),
        "mcp_status" => through::<c::McpServerList>(answer),
        "get_context_usage" => through::<c::ContextUsage>(answer),
        "get_session_cost" => through::<c::SessionCost>(answer),
        "get_usage" => through::<c::Usage>(answer),
        "list_models" => through::<c::ModelList>(answer),
        "get_binary_version" => through::<c::BinaryVersion>(answer),
        "get_settings" => through::<c::SettingsInForce>(answer),
        "list_permission_rules" => through::<c::PermissionRulesAnswer>(answer),
        "get_hooks_listing" => through::<c::HooksListing>(answer),
        "file_suggestions" => through::<c::FileSuggestions>(answer),
        "read_file" => through::<c::FileContents>(answer),
        "reload_plugins" => through::<c::ReloadedPlugins>(answer),
        "reload_skills" => through::<c::SkillList>(answer),
        "reload_output_styles" => through::<c::OutputStyleList>(answer),
        "cancel_async_message" => through::<c::CancelledPrompt>(answer),
        "side_question" => through::<c::SideAnswer>(answer),
        "generate_session_title" => through::<c::SessionTitle>(answer),
        "get_status" => through::<c::SessionStatus>(answer),
        "get_plan" => through::<c::Plan>(answer),
        "export_conversation" => through::<c::ExportedConversation>(answer),
        "mcp_call" => through::<c::McpToolOutput>(answer),
        "mcp_set_servers" => through::<c::McpServersSet>(answer),
        "get_task_output" => through::<c::TaskOutput>(answer),
        // Their answers say nothing, or are read elsewhere.
        "initialize"
        | "interrupt"
        | "set_max_thinking_tokens"
        | "seed_read_state"
        | "rename_session"
        | "apply_flag_settings"
        | "update_settings"
        | "stop_task"
        | "background_tasks"
        | "set_has_subscribers"
        | "end_session"
        | "mcp_toggle"
        | "mcp_reconnect"
        | "claim_session" => {
            return None;
        }
        other => panic!("no type for {other}"),
    })
}

#[test]
fn recorded_answers_pass_through_their_types_without_loss() {
    let folder = Path::new("tests/recordings");
    let mut seen = HashMap::<String, usize>::new();
    for file in fs::read_dir(folder).unwrap() {
        let mut subtypes = HashMap::new();
        for line in fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let frame = &entry["msg"];
            if entry["dir"] == "in" && frame["type"] == "control_request" {
                subtypes.insert(frame["request_id"].to_string(), frame["request"]["subtype"].clone());
            }
            let response = &frame["response"];
            if entry["dir"] != "out" || response["subtype"] != "success" {
                continue;
            }
            let Some(subtype) = subtypes.get(&response["request_id"].to_string()).and_then(Value::as_str)
            else {
                continue;
            };
            if let Some(back) = typed(subtype, &response["response"]) {
                assert_eq!(lost(&response["response"], &back, subtype), Vec::<String>::new());
                *seen.entry(subtype.to_owned()).or_default() += 1;
            }
        }
    }
    assert!(seen.len() >= 22, "{seen:?}");
}

#[test]
fn recorded_lists_of_the_start_are_read_whole() {
    let file = Path::new("tests/recordings/basic.jsonl");
    let lines = fs::read_to_string(file).unwrap();
    let answers = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let answer = answers.map(|entry| entry["msg"]["response"]["response"].clone());
    let answer = answer.into_iter().find(|answer| answer["models"].is_array()).unwrap();
    let models = through::<Vec<c::ModelInfo>>(&answer["models"]);
    assert_eq!(lost(&answer["models"], &models, "models"), Vec::<String>::new());
    let commands = through::<Vec<c::SlashCommand>>(&answer["commands"]);
    assert_eq!(lost(&answer["commands"], &commands, "commands"), Vec::<String>::new());
    let agents = through::<Vec<c::AgentInfo>>(&answer["agents"]);
    assert_eq!(lost(&answer["agents"], &agents, "agents"), Vec::<String>::new());
    let account = through::<c::AccountInfo>(&answer["account"]);
    assert_eq!(lost(&answer["account"], &account, "account"), Vec::<String>::new());
}

#[test]
fn recorded_hook_inputs_and_questions_pass_through_their_types_without_loss() {
    use sdk_runtime::{PermissionUpdate, hook as h};
    let folder = Path::new("tests/recordings");
    let mut events = HashMap::<String, usize>::new();
    let mut suggestions = 0;
    for file in fs::read_dir(folder).unwrap() {
        for line in fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let request = &entry["msg"]["request"];
            if entry["dir"] != "out" {
                continue;
            }
            if request["subtype"] == "can_use_tool" && request["permission_suggestions"].is_array() {
                let raw = &request["permission_suggestions"];
                let typed: Vec<PermissionUpdate> = from_value(raw.clone()).unwrap();
                assert!(!typed.iter().any(|update| matches!(update, PermissionUpdate::Other(_))), "{raw}");
                assert_eq!(&to_value(typed).unwrap(), raw);
                suggestions += 1;
            }
            if request["subtype"] != "hook_callback" {
                continue;
            }
            let raw = &request["input"];
            let event = raw["hook_event_name"].as_str().unwrap();
            let back = match event {
                "PreToolUse" => through::<h::PreToolUse>(raw),
                "PostToolUse" => through::<h::PostToolUse>(raw),
                "PostToolUseFailure" => through::<h::PostToolUseFailure>(raw),
                "PostToolBatch" => through::<h::PostToolBatch>(raw),
                "PermissionRequest" => through::<h::PermissionRequest>(raw),
                "UserPromptSubmit" => through::<h::UserPromptSubmit>(raw),
                "UserPromptExpansion" => through::<h::UserPromptExpansion>(raw),
                "SessionStart" => through::<h::SessionStart>(raw),
                "Stop" => through::<h::Stop>(raw),
                "StopFailure" => through::<h::StopFailure>(raw),
                "SubagentStart" => through::<h::SubagentStart>(raw),
                "SubagentStop" => through::<h::SubagentStop>(raw),
                "PreCompact" => through::<h::PreCompact>(raw),
                "PostCompact" => through::<h::PostCompact>(raw),
                "PreModelSwitch" => through::<h::PreModelSwitch>(raw),
                "PostModelSwitch" => through::<h::PostModelSwitch>(raw),
                "MessageDisplay" => through::<h::MessageDisplay>(raw),
                "InstructionsLoaded" => through::<h::InstructionsLoaded>(raw),
                "Notification" => through::<h::Notification>(raw),
                "CwdChanged" => through::<h::CwdChanged>(raw),
                "Elicitation" => through::<h::Elicitation>(raw),
                "ElicitationResult" => through::<h::ElicitationResult>(raw),
                other => panic!("no case for {other}"),
            };
            assert_eq!(lost(raw, &back, event), Vec::<String>::new());
            *events.entry(event.to_owned()).or_default() += 1;
        }
    }
    assert!(events.len() >= 14 && suggestions > 0, "{suggestions} {events:?}");
}
