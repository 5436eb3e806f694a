//! Tools of this process for the model: `cargo run --features mcp --example in_process_mcp -- "What is 6 / 4?"`
//!
//! No server is started. The agent calls the functions through its own pipe, and what they can do went ahead
//! with the handshake.

#![expect(clippy::print_stdout, reason = "an example speaks to a terminal")]

use std::{env, time::Duration};

use futures::StreamExt as _;
use schemars::JsonSchema;
use sdk_runtime::{
    AgentOptions, EnvMode, Message, find_cli,
    mcp::{McpServer, Structured, Tool, ToolCall, ToolError, ToolOutput},
    query,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What the model has to pass. The schema comes from the type, descriptions from its comments.
#[derive(Deserialize, JsonSchema)]
struct Divide {
    /// What is divided.
    a: f64,
    /// What it is divided by, not zero.
    b: f64,
}

/// What the model gets back, as JSON instead of text.
#[derive(Serialize)]
struct Quotient {
    quotient: f64,
}

#[derive(Deserialize, JsonSchema)]
struct Countdown {
    /// Where to begin.
    from: u32,
}

async fn divide(input: Divide, _call: ToolCall) -> Result<Structured<Quotient>, ToolError> {
    if input.b == 0.0 {
        // The model reads this and can try again. Any error type will do as well, by `?`.
        return Err(ToolError::new("b must not be zero"));
    }
    Ok(Structured(Quotient { quotient: input.a / input.b }))
}

/// Takes its time, tells how far it is, and is dropped at an `await` when the turn is interrupted.
async fn countdown(input: Countdown, call: ToolCall) -> Result<ToolOutput, ToolError> {
    for left in (1..=input.from).rev() {
        let done = f64::from(input.from - left);
        call.progress(done, Some(f64::from(input.from)), Some("counting")).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(ToolOutput::text("lift-off").with_meta("seconds", json!(input.from)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prompt = env::args().nth(1).unwrap_or_else(|| "Use divide to work out 355 / 113.".to_owned());
    let server = McpServer::new("calc")
        .with_tool(Tool::new("divide", "Divides a by b", divide).read_only())
        .with_tool(Tool::new("countdown", "Counts down to zero", countdown))
        .with_timeout(Duration::from_secs(30));

    // A tool can be tested without an agent.
    let answer = server.call_tool("divide", json!({ "a": 1, "b": 8 })).await;
    println!("without an agent: {}", answer.map_err(|error| format!("{error:?}"))?["structuredContent"]);

    let options = AgentOptions::default()
        .with_cli(find_cli(None)?)
        .with_cwd(env::current_dir()?)
        .with_inherit_env(EnvMode::Merge)
        .with_mcp_server("calc", server)
        // Nobody is asked about these; without it a gate would be.
        .with_allowed_tools(vec!["mcp__calc".to_owned()]);
    let mut answer = query(prompt, options);
    while let Some(message) = answer.next().await {
        match message? {
            Message::Assistant(said) => {
                for call in said.tool_uses() {
                    println!("calls {} with {}", call.name, call.input);
                }
            }
            Message::User(told) => {
                for result in told.blocks().iter().filter_map(|block| block.as_tool_result()) {
                    let content = result.content.as_ref();
                    println!("is told {}", content.map(|content| content.text()).unwrap_or_default());
                }
            }
            Message::Result(result) => {
                println!("{:?}: {}", result.outcome(), result.text.unwrap_or_default())
            }
            _ => {}
        }
    }
    Ok(())
}
