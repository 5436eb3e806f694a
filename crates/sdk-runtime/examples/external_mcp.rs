//! MCP servers of their own: `cargo run --example external_mcp -- "Greet Ferris." [https://mcp.example.com/]`
//!
//! The agent starts one server over pipes, which is this program again with `--serve`, and dials another over
//! HTTP when an address is given. What they need to know travels inside the handshake: no secret is on a
//! command line, and `Debug` shows none.

#![expect(clippy::print_stdout, reason = "an example speaks to a terminal")]
#![expect(clippy::disallowed_methods, reason = "a server is configured by its environment")]

use std::{env, time::Duration};

use rmcp::{
    ServerHandler, ServiceExt as _,
    handler::server::{router::tool::ToolRouter, wrapper::Parameters},
    tool, tool_handler, tool_router,
};
use sdk_runtime::{
    AgentOptions, Conversation, EnvMode, ProcessLauncher, find_cli,
    mcp::{McpPermission, McpRemoteServer, McpStdioServer},
};
use serde::Deserialize;

const SERVE: &str = "--serve";

/// The server: an ordinary one of the `rmcp` crate. Any program that speaks MCP will do.
struct Greeter {
    tool_router: ToolRouter<Self>,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Greet {
    /// Who is greeted.
    name: String,
}

#[tool_router]
impl Greeter {
    /// Greets somebody.
    #[tool]
    async fn greet(&self, Parameters(Greet { name }): Parameters<Greet>) -> String {
        format!("{}, {name}!", env::var("GREETING").unwrap_or_else(|_| "Hello".to_owned()))
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Greeter {}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let server = Greeter { tool_router: Greeter::tool_router() };
    let pipes = (tokio::io::stdin(), tokio::io::stdout());
    server.serve(pipes).await?.waiting().await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let prompt = args.next().unwrap_or_else(|| "Greet Ferris with the greet tool.".to_owned());
    if prompt == SERVE {
        return serve().await;
    }
    let this = env::current_exe()?;
    let greeter = McpStdioServer::new(this.to_string_lossy())
        .with_args([SERVE])
        .with_env("GREETING", "Good day")
        .with_timeout(Duration::from_secs(30))
        // Its tools are offered at once, not only after the model has searched for them.
        .always_load();
    let mut options = AgentOptions::default()
        .with_cli(find_cli(None)?)
        .with_cwd(env::current_dir()?)
        .with_inherit_env(EnvMode::Merge)
        .with_mcp_server("greeter", greeter)
        // A server that cannot be started is no reason not to work; see its status below.
        .with_mcp_server("missing", McpStdioServer::new("/no/such/server"))
        // Servers of the user and the project are left out.
        .with_strict_mcp_config(true)
        .with_allowed_tools(vec!["mcp__greeter__greet".to_owned()]);
    if let Some(url) = args.next() {
        let token = env::var("MCP_TOKEN").unwrap_or_default();
        let remote = McpRemoteServer::http(url)
            .with_header("Authorization", format!("Bearer {token}"))
            .with_tool_permission("delete", McpPermission::AlwaysDeny);
        options = options.with_mcp_server("remote", remote);
    }

    let (conversation, _) = Conversation::start(&ProcessLauncher, options).await?;
    let mut turn = conversation.send(prompt).await?;
    let result = turn.result().await?;
    println!("{:?}: {}", result.outcome(), result.text.unwrap_or_default());
    for server in conversation.agent().mcp_status().await? {
        println!("{} is {}: {} tool(s)", server.name, server.status, server.tools.len());
    }
    conversation.close().await;
    Ok(())
}
