//! Every control request that works without a network, once each.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use sdk_runtime::{
    DebugLog, Error, PermissionMode, SettingSource,
    control::{FileEncoding, McpCall, McpServerState, PluginReload, SettingsFile, UsageDetail},
};
use serde_json::{Map, json};
use uuid::Uuid;

use crate::bench::{Bench, result_of, say};

/// An MCP server in one file, for what only an external server can do.
pub(crate) const SERVER: &str = r#"
import json, sys
def send(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
calls, number = {}, 0
for line in sys.stdin:
    message = json.loads(line)
    method, ident = message.get("method"), message.get("id")
    if method == "initialize":
        send(id=ident, result={"protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}}, "serverInfo": {"name": "asks", "version": "1.0"}})
    elif method == "tools/list":
        send(id=ident, result={"tools": [
            {"name": name, "description": name, "inputSchema": SCHEMA} for name in ("hello", "ask")]})
    elif method == "tools/call" and message["params"]["name"] == "hello":
        send(id=ident, result={"content": [{"type": "text", "text": "hello"}]})
    elif method == "tools/call":
        number += 1
        calls[f"e{number}"] = ident
        send(id=f"e{number}", method="elicitation/create",
            params={"message": "What is your name?", "requestedSchema": SCHEMA})
    elif method is None and ident in calls:
        text = json.dumps(message.get("result", message.get("error")))
        send(id=calls.pop(ident), result={"content": [{"type": "text", "text": text}]})
    elif ident is not None:
        send(id=ident, result={})
"#;

#[tokio::test]
async fn each_request_is_done_and_its_answer_is_a_type() {
    let bench = Bench::new().await;
    fs::write(bench.path("work/f.txt"), "original\n").unwrap();
    fs::create_dir(bench.path("work/sub")).unwrap();
    let heard: Arc<Mutex<String>> = Arc::default();
    let options = bench
        .options()
        .with_mcp_servers(json!({ "asks": { "command": "python3", "args": ["-c", SERVER] } }))
        .with_setting_sources(vec![SettingSource::Local])
        .with_file_checkpointing(true)
        .with_debug(DebugLog::default())
        .with_on_stderr({
            let heard = Arc::clone(&heard);
            move |text| heard.lock().unwrap().push_str(text)
        })
        .with_permission_mode(PermissionMode::AcceptEdits);
    let (agent, mut events) = bench.start(options).await;
    let file = bench.path("work/f.txt");
    let path = json!(file).to_string();
    let prompt = format!(
        "first [[tool:Read {{\"file_path\":{path}}}]][[next]]\
         [[tool:Write {{\"file_path\":{path},\"content\":\"changed\\n\"}}]][[next]][[text:done]]"
    );
    let first = say(&agent, &prompt).await;
    result_of(&mut events, first).await;
    assert_eq!(fs::read_to_string(&file).unwrap(), "changed\n");

    let dry = agent.rewind_files(first, true).await.unwrap();
    assert!(dry.can_rewind && dry.files_changed.len() == 1 && dry.insertions == Some(1), "{dry:?}");
    assert!(agent.rewind_files(first, false).await.unwrap().can_rewind);
    assert_eq!(fs::read_to_string(&file).unwrap(), "original\n");
    let unknown = agent.rewind_files(Uuid::new_v4(), false).await.unwrap_err();
    assert!(matches!(unknown, Error::Control { .. }), "{unknown:?}");
    let read = agent.read_file(Path::new("f.txt"), None, FileEncoding::Utf8).await.unwrap();
    assert_eq!((read.contents.as_str(), Path::new(&read.abs_path).is_absolute()), ("original\n", true));
    let read = agent.read_file(Path::new("f.txt"), Some(4), FileEncoding::Base64).await.unwrap();
    assert_eq!((read.contents.as_str(), read.truncated), ("b3JpZw==", true));
    agent.file_suggestions("f").await.unwrap();
    agent.seed_read_state(&file, 1_795_357_258_516).await.unwrap();
    agent.register_repo_root(&bench.path("work/sub")).await.unwrap();

    for mode in [PermissionMode::Plan, PermissionMode::DontAsk, PermissionMode::Default] {
        assert_eq!(agent.set_permission_mode(mode.clone()).await.unwrap(), mode);
    }
    let refused = agent.set_permission_mode(PermissionMode::BypassPermissions).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Control { code: Some(code), .. } if code == "bypass_not_launched"),
        "{refused:?}"
    );
    let refused = agent.set_permission_mode("nonsense").await.unwrap_err();
    assert!(matches!(&refused, Error::Control { code: Some(code), .. } if code == "invalid_mode"));
    assert_eq!(agent.set_model(Some("claude-sonnet-5")).await.unwrap().unwrap(), "claude-sonnet-5");
    assert!(agent.set_model(None).await.unwrap().is_some());
    agent.set_max_thinking_tokens(Some(2000), None).await.unwrap();
    agent.set_max_thinking_tokens(None, None).await.unwrap();

    let servers = agent.mcp_status().await.unwrap();
    assert_eq!(servers[0].status, McpServerState::Connected, "{servers:?}");
    assert_eq!(servers[0].tools.len(), 2);
    let call = McpCall::new("mcp__asks__hello", Map::new()).without_permission_check();
    assert_eq!(agent.mcp_call(call).await.unwrap().content[0]["text"], "hello");
    agent.mcp_toggle("asks", false).await.unwrap();
    assert_eq!(agent.mcp_status().await.unwrap()[0].status, McpServerState::Disabled);
    agent.mcp_toggle("asks", true).await.unwrap();
    agent.mcp_reconnect("asks").await.unwrap();
    let broken = Map::from_iter([("broken".to_owned(), json!({ "command": "/does/not/exist" }))]);
    let set = agent.mcp_set_servers(broken).await.unwrap();
    assert!(set.added.contains(&"broken".to_owned()) || set.errors.contains_key("broken"), "{set:?}");

    let usage = agent.context_usage(UsageDetail::Summary).await.unwrap();
    assert!(usage.total_tokens > 0 && usage.max_tokens > usage.total_tokens, "{usage:?}");
    assert!(agent.session_cost().await.unwrap().text.contains('$'));
    assert!(agent.usage(false).await.unwrap().session.total_cost_usd > 0.0);
    assert!(!agent.list_models().await.unwrap().is_empty());
    let version = agent.binary_version().await.unwrap().version;
    assert_eq!(version, agent.initialized().version.to_string());

    agent.apply_flag_settings(json!({ "permissions": { "allow": ["Bash(touch:*)"] } })).await.unwrap();
    let rules = serde_json::to_string(&agent.permission_rules().await.unwrap()).unwrap();
    assert!(rules.contains("touch"), "{rules}");
    agent.update_settings(SettingsFile::Local, json!({ "outputStyle": "Concise" })).await.unwrap();
    assert!(fs::read_to_string(bench.path("work/.claude/settings.local.json")).unwrap().contains("Concise"));
    assert!(agent.settings().await.unwrap().applied.model.is_some());
    let catalog = agent.hooks_listing().await.unwrap().event_catalog;
    for event in &catalog {
        assert!(sdk_runtime::HookEvent::KNOWN.contains(&event.name.as_str()), "{} is new", event.name);
    }
    assert!(agent.reload_plugins(PluginReload::default()).await.unwrap().error_count == 0);
    agent.reload_skills().await.unwrap();
    assert!(agent.reload_output_styles().await.unwrap().contains(&"Concise".to_owned()));

    agent.rename_session("a new name").await.unwrap();
    agent.generate_title("about rewinding", false).await.unwrap();
    let side = agent.side_question("what [[text:side answer]]").await.unwrap();
    assert_eq!(side.response.as_deref(), Some("side answer"));
    assert!(!agent.plan().await.unwrap().exists);
    let status = serde_json::to_string(&agent.status().await.unwrap()).unwrap();
    assert!(status.contains("a new name"), "{status}");
    assert!(agent.export_conversation().await.unwrap().contains("first"));
    agent.set_has_subscribers(Some(true)).await.unwrap();

    agent.stop_task("nope").await.unwrap();
    agent.background_tasks(None).await.unwrap();
    assert!(matches!(agent.task_output("nope").await, Err(Error::Control { .. })));
    assert!(!agent.cancel_prompt(Uuid::new_v4()).await.unwrap());
    let again = agent.reinitialize().await.unwrap();
    assert_eq!(again.models(), agent.supported_models());
    assert_eq!(agent.account().api_provider.as_deref(), Some("firstParty"));
    let unsupported = agent.control("set_color", json!({ "color": "red" })).await.unwrap_err();
    assert!(matches!(&unsupported, Error::Unsupported { subtype, .. } if subtype == "set_color"));
    agent.end_session().await.unwrap();
    assert_eq!(agent.close().await.code, Some(0));
    assert!(!heard.lock().unwrap().is_empty(), "the debug log goes to stderr, and the host hears it");
    bench.assert_nothing_left().await;
}
