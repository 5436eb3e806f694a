//! `rmcp` services: the same promises hold for them.

use std::{future::pending, sync::Arc, time::Duration};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
        PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use sdk_runtime::{AgentOptions, mcp::McpServer, testing::ScriptedLauncher};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::bench::{Bench, acknowledged, call, cancelled};

/// A service with tools that behave in the ways their names say.
struct Odd {
    lists_within: Duration,
    seen: mpsc::UnboundedSender<&'static str>,
}

impl ServerHandler for Odd {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
        ServerConfig::new(capabilities)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        tokio::time::sleep(self.lists_within).await;
        let schema = json!({ "type": "object", "properties": {} });
        let Value::Object(schema) = schema else { panic!("an object") };
        let tool = Tool::new("echo", "Says its input", Arc::new(schema));
        Ok(ListToolsResult::with_all_items(vec![tool]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match &*request.name {
            "echo" => {
                let arguments = Value::Object(request.arguments.unwrap_or_default());
                let id = context.meta.get("claudecode/toolUseId").cloned();
                let text = format!("{arguments} {}", id.unwrap_or_default());
                Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
            }
            "panics" => panic!("on purpose"),
            "reports" => {
                let token = context.meta.get_progress_token().unwrap();
                let report = ProgressNotificationParam::new(token, 0.5);
                context.peer.notify_progress(report).await.unwrap();
                context.peer.notify_tool_list_changed().await.unwrap();
                Ok(CallToolResult::success(vec![]).into())
            }
            "endless" => {
                let _ = self.seen.send("started");
                context.ct.cancelled().await;
                let _ = self.seen.send("cancelled");
                pending().await
            }
            name => Err(ErrorData::invalid_params(format!("no {name}"), None)),
        }
    }
}

fn odd() -> (Odd, mpsc::UnboundedReceiver<&'static str>) {
    let (seen, signs) = mpsc::unbounded_channel();
    (Odd { lists_within: Duration::ZERO, seen }, signs)
}

#[tokio::test(start_paused = true)]
async fn a_service_shakes_hands_beforehand_and_answers_calls() {
    let (service, _) = odd();
    let bench = Bench::new(McpServer::from_service(service)).await;
    let manifest = &bench.initialize()["sdkMcpServerManifests"]["s"];
    assert_eq!(manifest["initializeResult"]["protocolVersion"], "2025-11-25");
    assert_eq!(manifest["toolsListResult"]["tools"][0]["name"], "echo");
    let answer = bench.ask("1", call(2, "echo", json!({ "a": 1 }))).await;
    assert_eq!(answer["id"], 2, "the agent's own number");
    assert_eq!(answer["result"]["content"][0]["text"], r#"{"a":1} "toolu_1""#);
    let answer = bench.ask("2", call("three", "nothing", json!({}))).await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("three"), &json!(-32602)));
    let answer = bench.ask("3", call(4, "panics", json!({}))).await;
    assert_eq!(answer["error"]["code"], -32603);
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_can_be_greeted_again() {
    let (service, _) = odd();
    let bench = Bench::new(McpServer::from_service(service)).await;
    for round in 0..2 {
        let hello = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": { "name": "claude-code", "version": "2" },
            },
        });
        let answer = bench.ask(&format!("h{round}"), hello).await;
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(bench.ask(&format!("i{round}"), initialized).await, acknowledged());
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        let answer = bench.ask(&format!("l{round}"), list).await;
        assert_eq!(answer["result"]["tools"][0]["name"], "echo");
    }
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_slow_to_list_does_not_hold_up_the_start() {
    let (mut service, _) = odd();
    service.lists_within = Duration::from_secs(10);
    let mut options = AgentOptions::default().with_mcp_server("s", McpServer::from_service(service));
    options.limits.mcp_manifest_timeout = Duration::from_millis(40);
    let begun = tokio::time::Instant::now();
    let bench = Bench::with(ScriptedLauncher::new(), options).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(40));
    let manifest = &bench.initialize()["sdkMcpServerManifests"]["s"];
    assert!(manifest["initializeResult"].is_object(), "what is known goes ahead");
    assert!(manifest.get("toolsListResult").is_none());
    let answer = bench.ask("1", json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await;
    assert_eq!(answer["result"]["tools"][0]["name"], "echo", "the agent's own question is answered");
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_hears_of_a_withdrawal_in_either_form() {
    let (service, mut signs) = odd();
    let bench = Bench::new(McpServer::from_service(service)).await;
    bench.send("1", "s", call(4, "endless", json!({})));
    assert_eq!(signs.recv().await, Some("started"));
    assert_eq!(bench.ask("c", cancelled(4)).await, acknowledged());
    assert_eq!(signs.recv().await, Some("cancelled"));
    let answer = bench.answer("1").await;
    assert_eq!(answer["response"]["mcp_response"]["error"]["code"], -32800);

    bench.send("2", "s", call(4, "endless", json!({})));
    assert_eq!(signs.recv().await, Some("started"));
    bench.cancel("2");
    assert_eq!(signs.recv().await, Some("cancelled"));
    assert!(!bench.is_answered("2"));

    bench.send("3", "s", call(4, "endless", json!({})));
    assert_eq!(signs.recv().await, Some("started"));
    bench.scripted.die();
    assert_eq!(signs.recv().await, Some("cancelled"));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_takes_too_long_is_told_and_answered_for() {
    let (service, mut signs) = odd();
    let bench = Bench::new(McpServer::from_service(service).with_timeout(Duration::from_secs(3))).await;
    let answer = bench.ask("1", call(4, "endless", json!({}))).await;
    assert_eq!(answer["error"]["message"], "the server did not answer within 3s");
    assert_eq!([signs.recv().await, signs.recv().await], [Some("started"), Some("cancelled")]);
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_service_says_of_its_own_accord_reaches_the_agent_before_its_answer() {
    let (service, _) = odd();
    let bench = Bench::new(McpServer::from_service(service)).await;
    bench.ask("1", call(1, "reports", json!({}))).await;
    let received = bench.scripted.received();
    let methods: Vec<_> =
        received.iter().map(|frame| frame["request"]["message"]["method"].clone()).collect();
    let methods: Vec<_> = methods.iter().filter_map(Value::as_str).collect();
    assert_eq!(methods, ["notifications/progress", "notifications/tools/list_changed"]);
    let progress = bench.said("notifications/progress").await;
    assert_eq!(progress["params"]["progressToken"], 9);
    assert_eq!(received.last().unwrap()["response"]["request_id"], "1");
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn garbage_for_a_service_is_answered() {
    let (service, _) = odd();
    let bench = Bench::new(McpServer::from_service(service)).await;
    let answer =
        bench.ask("1", json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": 3 })).await;
    assert!(answer["error"]["code"].is_i64(), "{answer}");
    let answer = bench.ask("2", json!({ "jsonrpc": "2.0", "id": 2, "method": "no/such" })).await;
    assert_eq!(answer["error"]["code"], -32601);
    let strange = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": "x" });
    assert_eq!(bench.ask("3", strange).await, acknowledged());
    assert_eq!(bench.ask("4", call(4, "echo", json!({}))).await["id"], 4);
    bench.agent.close().await;
}
