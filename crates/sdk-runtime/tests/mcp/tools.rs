//! Servers made of functions: answers, failures, withdrawals, limits.

use std::{future::pending, sync::Arc, time::Duration};

use sdk_runtime::{
    AgentOptions, Error, PromptContent,
    mcp::{McpPermission, McpServer, Structured, Tool, ToolCall, ToolError, ToolOutput},
    testing::ScriptedLauncher,
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::bench::{Bench, acknowledged, call, cancelled};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(serde::Serialize)]
struct Sum {
    sum: i64,
}

#[derive(Debug, thiserror::Error)]
#[error("open the ledger")]
struct LedgerClosed(#[source] std::io::Error);

fn calc() -> McpServer {
    McpServer::new("calc")
        .with_tool(Tool::new("add", "Adds", |input: Add, _| async move {
            Ok(Structured(Sum { sum: input.a + input.b }))
        }))
        .with_tool(Tool::new("fails", "Fails", |(): (), _| async {
            Err::<(), _>(LedgerClosed(std::io::Error::other("locked")).into())
        }))
        .with_tool(Tool::new("refuses", "Refuses", |(): (), _| async {
            Err::<(), _>(ToolError::protocol(-32050, "not here"))
        }))
        .with_tool(Tool::new("panics", "Panics", |(): (), _| async {
            if true {
                panic!("on purpose");
            }
            Ok(())
        }))
        .with_tool(Tool::new("echo", "Says what it knows", |(): (), call: ToolCall| async move {
            Ok(format!("{} {} {:?}", call.server(), call.tool(), call.tool_use_id()))
        }))
}

/// A tool that says when it starts and when it is dropped, and never ends.
#[expect(clippy::disallowed_methods, reason = "the task stands for work that a tool starts elsewhere")]
fn endless(seen: mpsc::UnboundedSender<&'static str>) -> Tool {
    struct Dropped(mpsc::UnboundedSender<&'static str>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    Tool::new("endless", "Never ends", move |(): (), call: ToolCall| {
        let seen = seen.clone();
        async move {
            let elsewhere = seen.clone();
            tokio::task::spawn(async move {
                call.cancelled().await;
                let _ = elsewhere.send("cancelled");
            });
            let _dropped = Dropped(seen.clone());
            let _ = seen.send("started");
            pending::<()>().await;
            Ok(())
        }
    })
}

/// Waits for both signs of a call's end.
async fn assert_ended(seen: &mut mpsc::UnboundedReceiver<&'static str>) {
    let mut signs = [seen.recv().await.unwrap(), seen.recv().await.unwrap()];
    signs.sort_unstable();
    assert_eq!(signs, ["cancelled", "dropped"]);
}

#[tokio::test(start_paused = true)]
async fn tools_answer_and_fail_in_the_shapes_of_mcp() {
    let bench = Bench::new(calc()).await;
    let answer = bench.ask("1", call(1, "add", json!({ "a": 1, "b": 2 }))).await;
    assert_eq!(answer["id"], 1);
    assert_eq!(answer["result"]["structuredContent"], json!({ "sum": 3 }));
    assert_eq!(answer["result"]["content"][0]["text"], r#"{"sum":3}"#);
    assert!(answer["result"].get("isError").is_none());
    let answer = bench.ask("2", call("two", "fails", json!({}))).await;
    assert_eq!(answer["id"], "two");
    let wanted =
        json!({ "content": [{ "type": "text", "text": "open the ledger: locked" }], "isError": true });
    assert_eq!(answer["result"], wanted);
    let answer = bench.ask("3", call(3, "refuses", json!({}))).await;
    assert_eq!(answer["error"], json!({ "code": -32050, "message": "not here" }));
    let answer = bench.ask("4", call(4, "panics", json!({}))).await;
    assert_eq!(answer["error"]["code"], -32603);
    let answer = bench.ask("5", call(5, "echo", json!({}))).await;
    assert_eq!(answer["result"]["content"][0]["text"], r#"s echo Some("toolu_1")"#);
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn input_that_does_not_fit_is_answered_so_that_the_model_can_mend_it() {
    let bench = Bench::new(calc()).await;
    let answer = bench.ask("1", call(1, "add", json!({ "a": 1 }))).await;
    assert_eq!(answer["result"]["isError"], true);
    assert_eq!(answer["result"]["content"][0]["text"], "invalid input: missing field `b`");
    let wrong = [
        (call(2, "nothing", json!({})), -32602),
        (call(2, "add", json!([1])), -32602),
        (json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call" }), -32602),
        (json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": 3 } }), -32602),
        (json!({ "jsonrpc": "2.0", "id": 2, "method": "resources/list" }), -32601),
    ];
    for (index, (message, code)) in wrong.into_iter().enumerate() {
        let answer = bench.ask(&format!("x{index}"), message.clone()).await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &json!(2)), "{message}");
    }
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn garbage_is_answered_and_harms_nobody() {
    let bench = Bench::new(calc()).await;
    let garbage = [json!(null), json!([]), json!("x"), json!({}), json!({ "id": {}, "method": "ping" })];
    for (index, message) in garbage.into_iter().enumerate() {
        let answer = bench.ask(&format!("g{index}"), message).await;
        assert_eq!(answer["error"]["code"], -32600);
    }
    for (index, notification) in [
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled" }),
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": [1] } }),
        json!({ "jsonrpc": "2.0", "id": 5, "result": { "late": true } }),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(bench.ask(&format!("n{index}"), notification).await, acknowledged());
    }
    bench.send("u", "elsewhere", call(1, "add", json!({})));
    let answer = bench.answer("u").await;
    assert_eq!(answer["subtype"], "error");
    assert_eq!(answer["error"], "no MCP server elsewhere runs in this host");
    let huge = "x".repeat(2 << 20);
    let answer = bench.ask("h", call(1, "add", json!({ "a": huge, "b": 1 }))).await;
    assert_eq!(answer["result"]["isError"], true);
    let answer = bench.ask("z", call(1, "add", json!({ "a": 1, "b": 1 }))).await;
    assert_eq!(answer["result"]["structuredContent"]["sum"], 2);
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_tool_holds_up_nobody() {
    let (release, released) = oneshot::channel::<()>();
    let released = Arc::new(tokio::sync::Mutex::new(Some(released)));
    let slow = Tool::new("slow", "Waits", move |(): (), _| {
        let released = Arc::clone(&released);
        async move {
            let released = released.lock().await.take();
            released.ok_or_else(|| ToolError::new("called twice"))?.await?;
            Ok("released")
        }
    });
    let bench = Bench::new(calc().with_tool(slow)).await;
    bench.send("slow", "s", call(1, "slow", json!({})));
    for id in 2..50 {
        let answer = bench.ask(&id.to_string(), call(id, "add", json!({ "a": id, "b": 0 }))).await;
        assert_eq!(answer["result"]["structuredContent"]["sum"], id);
    }
    assert!(!bench.is_answered("slow"));
    release.send(()).unwrap();
    let answer = bench.answer("slow").await;
    assert_eq!(answer["response"]["mcp_response"]["result"]["content"][0]["text"], "released");
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_is_withdrawn_by_a_notification_that_comes_right_behind_it() {
    let (seen, mut signs) = mpsc::unbounded_channel();
    let bench = Bench::new(McpServer::new("x").with_tool(endless(seen))).await;
    // Without a pause: the withdrawal must find the call although no task of it has run yet.
    bench.send("call", "s", call(4, "endless", json!({})));
    let answer = bench.ask("cancel", cancelled(4)).await;
    assert_eq!(answer, acknowledged());
    let answer = bench.answer("call").await;
    assert_eq!(answer["response"]["mcp_response"]["error"]["code"], -32800);
    assert!(signs.try_recv().is_err(), "it never began");

    bench.send("again", "s", call(5, "endless", json!({})));
    assert_eq!(signs.recv().await, Some("started"));
    bench.ask("other", cancelled(4)).await;
    assert!(!bench.is_answered("again"), "another id");
    bench.ask("this", cancelled(5)).await;
    assert_ended(&mut signs).await;
    bench.answer("again").await;
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_is_withdrawn_by_its_control_request() {
    let (seen, mut signs) = mpsc::unbounded_channel();
    let bench = Bench::new(calc().with_tool(endless(seen))).await;
    bench.send("call", "s", call(4, "endless", json!({})));
    assert_eq!(signs.recv().await, Some("started"));
    bench.cancel("call");
    assert_ended(&mut signs).await;
    bench.ask("next", call(5, "add", json!({ "a": 1, "b": 1 }))).await;
    assert!(!bench.is_answered("call"));
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_its_agent() {
    let (seen, mut signs) = mpsc::unbounded_channel();
    let bench = Bench::new(McpServer::new("x").with_tool(endless(seen))).await;
    bench.send("call", "s", call(4, "endless", json!({})));
    assert_eq!(signs.recv().await, Some("started"));
    bench.scripted.die();
    assert_ended(&mut signs).await;
    let late = bench.agent.prompt(PromptContent::Text("x".to_owned())).await;
    assert!(matches!(late, Err(Error::Exited { .. })));
    let set = bench.agent.set_mcp_servers([("s".to_owned(), calc().into())].into()).await;
    assert!(matches!(set, Err(Error::Exited { .. })), "{set:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_stopped_and_the_model_reads_why() {
    let (seen, mut signs) = mpsc::unbounded_channel();
    let server = McpServer::new("x").with_tool(endless(seen)).with_timeout(Duration::from_secs(7));
    let bench = Bench::new(server).await;
    // The agent's own clock is behind ours, so that ours gives the reason.
    assert_eq!(bench.initialize()["sdkMcpServerConfigs"]["s"]["timeout"], 12_000);
    let answer = bench.ask("1", call(1, "endless", json!({}))).await;
    assert_eq!(answer["result"]["isError"], true);
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(text, "the tool did not answer within 7s and was stopped");
    assert_eq!(signs.recv().await, Some("started"));
    assert_ended(&mut signs).await;
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_agreed_are_refused_until_one_ends() {
    let (seen, mut signs) = mpsc::unbounded_channel();
    let server = calc().with_tool(endless(seen)).with_calls_max(2);
    let bench = Bench::new(server).await;
    bench.send("1", "s", call(1, "endless", json!({})));
    bench.send("2", "s", call(2, "endless", json!({})));
    let answer = bench.ask("3", call(3, "add", json!({ "a": 1, "b": 1 }))).await;
    assert_eq!(answer["error"]["code"], -32000);
    assert_eq!([signs.recv().await, signs.recv().await], [Some("started"); 2]);
    bench.ask("c", cancelled(1)).await;
    bench.answer("1").await;
    let answer = bench.ask("4", call(4, "add", json!({ "a": 1, "b": 1 }))).await;
    assert_eq!(answer["result"]["structuredContent"]["sum"], 2);
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn progress_precedes_the_answer_and_names_its_token() {
    let tool = Tool::new("steps", "Reports", |(): (), call: ToolCall| async move {
        call.progress(1.0, Some(2.0), Some("half")).await;
        call.progress(2.0, None, None).await;
        Ok("done")
    });
    let bench = Bench::new(McpServer::new("x").with_tool(tool)).await;
    bench.ask("1", call(1, "steps", json!({}))).await;
    let received = bench.scripted.received();
    let told: Vec<_> = received.iter().filter(|frame| frame["request"]["subtype"] == "mcp_message").collect();
    assert_eq!(told[0]["request"]["server_name"], "s");
    let wanted = json!({
        "jsonrpc": "2.0", "method": "notifications/progress",
        "params": { "progressToken": 9, "progress": 1.0, "total": 2.0, "message": "half" },
    });
    assert_eq!(told[0]["request"]["message"], wanted);
    assert_eq!(told[1]["request"]["message"]["params"], json!({ "progressToken": 9, "progress": 2.0 }));
    assert_eq!(received.last().unwrap()["response"]["request_id"], "1", "the answer is last");
    let unasked = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "steps" } });
    bench.ask("2", unasked).await;
    assert_eq!(bench.scripted.controls("mcp_message").len(), 2, "nobody asked for more");
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_server_is_goes_ahead_with_initialize() {
    let server = calc()
        .with_version("1.2.3")
        .with_instructions("Count on it.")
        .with_tool(
            Tool::new("img", "d", |(): (), _| async { Ok(ToolOutput::image([1], "image/png")) }).read_only(),
        )
        .with_tool_permission("add", McpPermission::AlwaysAsk)
        .always_load();
    let bench = Bench::new(server).await;
    let body = bench.initialize();
    assert_eq!(body["sdkMcpServers"], json!(["s"]));
    let tools = json!([{ "name": "add", "permission_policy": "always_ask" }]);
    assert_eq!(body["sdkMcpServerConfigs"]["s"], json!({ "tools": tools }));
    let manifest = &body["sdkMcpServerManifests"]["s"];
    let wanted = json!({
        "protocolVersion": "2025-11-25", "capabilities": { "tools": { "listChanged": true } },
        "serverInfo": { "name": "calc", "version": "1.2.3" }, "instructions": "Count on it.",
    });
    assert_eq!(manifest["initializeResult"], wanted);
    let tools = manifest["toolsListResult"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["add", "fails", "refuses", "panics", "echo", "img"]);
    assert_eq!(tools[5]["annotations"], json!({ "readOnlyHint": true }));
    assert!(tools.iter().all(|tool| tool["_meta"]["anthropic/alwaysLoad"] == true));
    assert!(!bench.scripted.args().iter().any(|arg| arg == "--await-initialize"));
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_parks_nothing_gets_its_handshake() {
    let launcher =
        ScriptedLauncher::new().with_initialize("sdk_mcp_manifests_parked", json!({ "s": "malformed" }));
    let bench = Bench::with(launcher, AgentOptions::default().with_mcp_server("s", calc())).await;
    let hello = json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": { "protocolVersion": "2025-06-18" },
    });
    let answer = bench.ask("0", hello).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18", "the one that was asked for");
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(bench.ask("1", initialized).await, acknowledged());
    let answer = bench.ask("2", json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await;
    assert_eq!(answer["result"], bench.initialize()["sdkMcpServerManifests"]["s"]["toolsListResult"]);
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_tools_is_announced_to_running_agents() {
    let server = calc();
    let bench = Bench::new(server.clone()).await;
    server.put_tool(Tool::new("late", "d", |(): (), _| async { Ok("here") }));
    let said = bench.said("notifications/tools/list_changed").await;
    assert!(said.get("id").is_none());
    let list: Value = bench.ask("1", json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await;
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 6);
    assert_eq!(bench.ask("2", call(2, "late", json!({}))).await["result"]["content"][0]["text"], "here");
    assert!(server.remove_tool("late"));
    assert!(!server.remove_tool("late"));
    assert_eq!(bench.ask("3", call(3, "late", json!({}))).await["error"]["code"], -32602);
    bench.agent.close().await;
}

#[tokio::test]
async fn a_tool_is_tested_without_an_agent() {
    let server = calc();
    let result = server.call_tool("add", json!({ "a": 2, "b": 2 })).await.unwrap();
    assert_eq!(result["structuredContent"]["sum"], 4);
    let error = server.call_tool("fails", json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), "open the ledger: locked");
}
