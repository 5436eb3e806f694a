//! MCP servers of an agent: external ones that the CLI runs or dials, and ones inside this process.
//!
//! **External servers** are described by [`McpStdioServer`] and [`McpRemoteServer`]. What they carry travels
//! inside `initialize`, never on the command line, and `Debug` shows no header, no variable and no query.
//! A server that cannot be started is reported by `mcp_status` as `failed`; the session goes on without it.
//!
//! ```no_run
//! # use sdk_runtime::{AgentOptions, mcp::{McpPermission, McpRemoteServer, McpStdioServer}};
//! # fn token() -> String { String::new() }
//! let options = AgentOptions::default()
//!     .with_mcp_server("files", McpStdioServer::new("mcp-files").with_args(["--root", "/srv"]))
//!     .with_mcp_server(
//!         "tickets",
//!         McpRemoteServer::http("https://mcp.example.com/")
//!             .with_header("Authorization", format!("Bearer {}", token()))
//!             .with_tool_permission("delete", McpPermission::AlwaysDeny),
//!     );
//! ```
//!
//! **In-process servers** (cargo feature `mcp`) are `McpServer`s: tools made of async functions, or any `rmcp`
//! service. The agent calls them through its own pipe. Their handshake is held beforehand and sent along with
//! `initialize`, so nothing but calls crosses the pipe later.
#![cfg_attr(
    feature = "mcp",
    doc = r##"
```no_run
use rmcp::schemars::{self, JsonSchema};
use sdk_runtime::{
    AgentOptions,
    mcp::{McpServer, Tool, ToolCall, ToolError, ToolOutput},
};

#[derive(serde::Deserialize, JsonSchema)]
struct Divide {
    /// What is divided.
    a: f64,
    b: f64,
}

let server = McpServer::new("calc").with_tool(
    Tool::new("divide", "Divides a by b", |input: Divide, _call: ToolCall| async move {
        if input.b == 0.0 {
            return Err(ToolError::new("b must not be zero"));
        }
        Ok(ToolOutput::text((input.a / input.b).to_string()))
    })
    .read_only(),
);
let options = AgentOptions::default()
    .with_mcp_server("calc", server)
    .with_allowed_tools(vec!["mcp__calc__divide".to_owned()]);
```

A handler runs on a task of its own, so a slow one holds up nobody. It is dropped, where it awaits, when the
agent withdraws the call, when the time-out passes and when the agent ends; work it started elsewhere can
watch [`ToolCall::cancelled`]. A handler that panics is answered for with an error.
"##
)]

mod config;
mod external;
mod policies;

#[cfg(not(feature = "mcp"))]
mod absent;
#[cfg(feature = "mcp")]
mod call;
#[cfg(feature = "mcp")]
mod calls;
#[cfg(feature = "mcp")]
mod jsonrpc;
#[cfg(feature = "mcp")]
mod output;
#[cfg(feature = "mcp")]
mod server;
#[cfg(feature = "mcp")]
mod service;
#[cfg(feature = "mcp")]
mod sessions;
#[cfg(feature = "mcp")]
mod tool;
#[cfg(feature = "mcp")]
mod toolbox;
#[cfg(feature = "mcp")]
mod transport;
#[cfg(feature = "mcp")]
mod upstream;

#[cfg(not(feature = "mcp"))]
pub(crate) use self::absent::Sessions;
#[cfg(feature = "mcp")]
pub(crate) use self::sessions::Sessions;
#[cfg(feature = "mcp")]
pub use self::{
    call::ToolCall,
    output::{Structured, ToolError, ToolOutput},
    server::McpServer,
    tool::Tool,
};
pub(crate) use self::{
    config::external_servers,
    policies::{apply as apply_policies, name_in_tools},
};
pub use self::{
    config::{McpServerConfig, McpSetServers},
    external::{McpPermission, McpRemoteServer, McpStdioServer},
};
