//! Every message that the real CLI sent to in-process servers in the recordings, and what it was answered.

use std::{fs, path::Path};

use sdk_runtime::{
    AgentOptions,
    mcp::{McpServer, Tool, ToolError, ToolOutput},
    testing::ScriptedLauncher,
};
use serde_json::{Value, json};

use crate::bench::Bench;

/// The server of the recordings, which was written in Python.
fn calc() -> McpServer {
    let numbers = json!({ "type": "object", "properties": { "a": { "type": "number" }, "b": { "type": "number" } }, "required": ["a", "b"] });
    let nothing = json!({ "type": "object", "properties": {} });
    let add = Tool::with_schema("add", "Add two numbers", numbers, |input: Value, _| async move {
        let sum = input["a"].as_i64().zip(input["b"].as_i64()).map(|(a, b)| a + b);
        let sum = sum.ok_or_else(|| ToolError::new("no numbers"))?;
        Ok(ToolOutput::text(sum.to_string()).with_structured(json!({ "sum": sum })))
    });
    let boom = Tool::with_schema("boom", "fails", nothing.clone(), |_, _| async {
        Err::<(), _>(ToolError::protocol(-32000, "kaboom"))
    });
    let slow = Tool::with_schema("slow", "slow", nothing, |_, _| async {
        std::future::pending::<()>().await;
        Ok(())
    });
    McpServer::new("calc").with_version("1.0.0").with_tool(add.read_only()).with_tool(boom).with_tool(slow)
}

fn recording(name: &str) -> Vec<Value> {
    let folder = Path::new("tests/recordings");
    let lines = fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What was answered then, and what may differ now without harm taken out.
fn comparable(mut answer: Value) -> Value {
    let result = &mut answer["mcp_response"]["result"];
    if result["capabilities"].is_object() {
        // Ours can announce changes of its list.
        result["capabilities"] = json!({ "tools": {} });
    }
    if let Some(tools) = result["tools"].as_array_mut() {
        tools.iter_mut().for_each(|tool| tool["inputSchema"] = Value::Null);
    }
    answer
}

/// Replays what the CLI sent; every answer must be the recorded one. How many messages there were.
async fn replay(name: &str) -> usize {
    let options = AgentOptions::default().with_mcp_server("calc", calc());
    let bench = Bench::with(ScriptedLauncher::new(), options).await;
    let entries = recording(name);
    let mut count = 0;
    let messages = entries.iter().filter(|entry| entry["msg"]["request"]["subtype"] == "mcp_message");
    for frame in messages.filter(|entry| entry["dir"] == "out").map(|entry| &entry["msg"]) {
        count += 1;
        bench.scripted.say(frame);
        let request_id = frame["request_id"].as_str().unwrap();
        let recorded = entries.iter().find(|entry| entry["msg"]["response"]["request_id"] == request_id);
        let Some(recorded) = recorded else {
            // Withdrawn, or meant for a server that is silent on purpose.
            continue;
        };
        let recorded = &recorded["msg"]["response"]["response"];
        let answer = bench.answer(request_id).await;
        let (ours, theirs) = (comparable(answer["response"].clone()), comparable(recorded.clone()));
        if name == "sdk_mcp_manifests" {
            assert_eq!(
                ours["mcp_response"]["result"]["content"],
                theirs["mcp_response"]["result"]["content"]
            );
        } else {
            assert_eq!(ours, theirs, "{name}: {frame}");
        }
    }
    bench.agent.close().await;
    count
}

#[tokio::test(start_paused = true)]
async fn the_conversations_of_other_hosts_are_answered_as_they_were() {
    assert_eq!(replay("sdk_mcp").await, 10);
    assert_eq!(replay("sdk_mcp_ts").await, 4);
    assert_eq!(replay("sdk_mcp_manifests").await, 1);
    assert_eq!(replay("sdk_mcp_silent").await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_for_a_server_of_which_nobody_knows_is_refused() {
    // The external server's recording ends with one for a server that was added at run time.
    let entries = recording("external_mcp");
    let frame = entries.iter().find(|entry| entry["msg"]["request"]["subtype"] == "mcp_message").unwrap();
    let bench = Bench::with(ScriptedLauncher::new(), AgentOptions::default()).await;
    bench.scripted.say(&frame["msg"]);
    let answer = bench.answer(frame["msg"]["request_id"].as_str().unwrap()).await;
    assert_eq!(answer["subtype"], "error");
    bench.agent.close().await;
}
