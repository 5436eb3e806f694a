//! A server over SSE: the protocol's own reference, dialled by the real CLI.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Stdio,
};

use sdk_runtime::mcp::{McpPermission, McpRemoteServer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
    process::{Child, Command},
    task::JoinSet,
};

use crate::bench::{Bench, say, tool_results, variable, wait_until};

const SECRET: &str = "hush-4711";

/// The reference server, which knows no credentials.
struct Server {
    port: u16,
    _child: Child,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "this is the other side, which nobody else starts")]
    async fn start() -> Self {
        let program = variable("STEWARD_TEST_MCP_SERVER").map(PathBuf::from);
        let program = program.filter(|path| path.is_file());
        let program = program.unwrap_or_else(|| panic!("run `cargo xtask test`, which installs it"));
        // Only bad luck gives the port to somebody else before it is used.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut child = Command::new("node");
        child.arg(program).arg("sse").env("PORT", port.to_string()).kill_on_drop(true);
        let child = child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until(|| std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()).await;
        Self { port, _child: child }
    }
}

/// A door to the server that asks for a credential. Whoever dials keeps connections for later, so each has a door of
/// their own.
struct Door {
    url: String,
    _serving: JoinSet<()>,
}

impl Door {
    async fn open(Server { port, .. }: &Server) -> Self {
        let (listener, port) =
            (tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(), *port);
        let url = format!("http://{}/sse", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                connections.spawn(pass(near, port));
            }
        });
        Self { url, _serving: serving }
    }
}

/// Carries a connection whose first request has the credential; any other is closed.
async fn pass(mut near: TcpStream, port: u16) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if near.read_buf(&mut head).await.unwrap_or_default() == 0 {
            return;
        }
    }
    if !String::from_utf8_lossy(&head).contains(&format!("Bearer {SECRET}")) {
        return;
    }
    let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    far.write_all(&head).await.unwrap();
    // Whoever hangs up ends it.
    let _ = copy_bidirectional(&mut near, &mut far).await;
}

#[tokio::test]
async fn a_server_over_sse_serves_whom_it_knows() {
    let bench = Bench::new().await;
    let server = Server::start().await;
    let (door, other_door) = (Door::open(&server).await, Door::open(&server).await);
    let known = McpRemoteServer::sse(&door.url)
        .with_header("Authorization", format!("Bearer {SECRET}"))
        .with_tool_permission("get-env", McpPermission::AlwaysDeny)
        .always_load();
    let options = bench
        .options()
        .with_mcp_server("known", known)
        .with_mcp_server("stranger", McpRemoteServer::sse(&other_door.url))
        .with_strict_mcp_config(true)
        .with_allowed_tools(vec!["mcp__known".to_owned()]);
    let (agent, mut events) = bench.start(options).await;
    let prompt = r#"go [[tool!:mcp__known__echo {"message":"plum"}]][[tool!:mcp__known__get-sum {"a":40,"b":2}]][[tool!:mcp__known__get-env {}]][[next]][[text:end]]"#;
    let id = say(&agent, prompt).await;
    let told = tool_results(&mut events, id).await.join("\n");
    assert!(told.contains("Echo: plum") && told.contains("42"), "{told}");
    assert!(!told.contains("PORT"), "that tool is denied: {told}");
    let servers = agent.mcp_status().await.unwrap();
    let status = |name: &str| {
        servers.iter().find(|server| server.name == name).map(|server| server.status.to_string()).unwrap()
    };
    assert_eq!(status("known"), "connected");
    assert_ne!(status("stranger"), "connected");
    agent.close().await;
    bench.assert_nothing_left().await;
}
