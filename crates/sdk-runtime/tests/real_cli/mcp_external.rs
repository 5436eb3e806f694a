//! External MCP servers: started or dialled by the real CLI, their secrets seen by nobody else.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use hyper::{Request, body::Incoming, service::Service as _};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use procfs::process::Process;
use rmcp::{
    ServerHandler, ServiceExt as _,
    handler::server::{router::tool::ToolRouter, wrapper::Parameters},
    tool, tool_handler, tool_router,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::local::LocalSessionManager,
    },
};
use sdk_runtime::mcp::{McpPermission, McpRemoteServer, McpStdioServer};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    bench::{Bench, marked, say, tool_results, variable},
    mcp::calc,
};

const SECRET: &str = "hush-4711";

/// Tells the test below that it is to be a server.
const ROLE: &str = "SDK_RUNTIME_TEST_ROLE";

/// This test binary as a server over pipes. What the test harness prints must not get between the messages,
/// so the server speaks on stderr, and the shell puts that where stdout was.
fn teller() -> McpStdioServer {
    let script =
        r#"exec "$0" --exact mcp_external::the_server_is_this_test --nocapture 3>&1 1>/dev/null 2>&3 3>&-"#;
    let test = std::env::current_exe().unwrap();
    McpStdioServer::new("/bin/sh")
        .with_args(["-c", script, &test.to_string_lossy()])
        .with_env(ROLE, "mcp server")
}

struct Teller {
    tool_router: ToolRouter<Self>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Tell {
    /// The name of a variable.
    name: String,
}

#[tool_router]
impl Teller {
    /// Tells a variable of the server's environment.
    #[tool]
    async fn tell(&self, Parameters(Tell { name }): Parameters<Tell>) -> String {
        variable(&name).unwrap_or_default()
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Teller {}

#[tokio::test]
async fn the_server_is_this_test() {
    if variable(ROLE).is_none() {
        return;
    }
    let server = Teller { tool_router: Teller::tool_router() };
    let serving = server.serve((tokio::io::stdin(), tokio::io::stderr())).await.unwrap();
    serving.waiting().await.unwrap();
}

struct Doubler {
    tool_router: ToolRouter<Self>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Number {
    n: i64,
}

#[tool_router]
impl Doubler {
    /// Doubles a number.
    #[tool]
    async fn double(&self, Parameters(Number { n }): Parameters<Number>) -> String {
        (n * 2).to_string()
    }

    /// Squares a number.
    #[tool]
    async fn square(&self, Parameters(Number { n }): Parameters<Number>) -> String {
        (n * n).to_string()
    }

    /// Halves a number.
    #[tool]
    async fn halve(&self, Parameters(Number { n }): Parameters<Number>) -> String {
        (n / 2).to_string()
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Doubler {}

/// An MCP server over HTTP, and the credentials it was shown.
struct HttpServer {
    url: String,
    shown: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl HttpServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let shown = Arc::new(Mutex::new(Vec::new()));
        let service = TowerToHyperService::new(StreamableHttpService::new(
            || Ok(Doubler { tool_router: Doubler::tool_router() }),
            Arc::<LocalSessionManager>::default(),
            StreamableHttpServerConfig::default(),
        ));
        let noted = Arc::clone(&shown);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (service, noted) = (service.clone(), Arc::clone(&noted));
                let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let credential = request.headers().get("authorization");
                    let credential = credential.and_then(|value| value.to_str().ok()).unwrap_or_default();
                    noted.lock().unwrap().push(credential.to_owned());
                    let answer = service.call(request);
                    async move { Ok::<_, Infallible>(answer.await.unwrap()) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                connections.spawn(http.serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { url, shown, _serving: serving }
    }
}

#[tokio::test]
async fn external_servers_serve_and_their_secrets_stay_off_every_command_line() {
    let bench = Bench::new().await;
    let http = HttpServer::start().await;
    let stdio = teller().with_env("SECRET", SECRET).always_load();
    let remote = McpRemoteServer::http(&http.url)
        .with_header("Authorization", format!("Bearer {SECRET}"))
        .with_tool_permission("halve", McpPermission::AlwaysDeny)
        .with_tool_permission("square", McpPermission::AlwaysAsk)
        .always_load();
    let later = remote.clone();
    let options = bench
        .options()
        .with_mcp_server("teller", stdio)
        .with_mcp_server("doubler", remote)
        .with_mcp_server("broken", McpStdioServer::new("/nowhere/mcp"))
        .with_mcp_server("calc", calc())
        .with_strict_mcp_config(true)
        .with_allowed_tools(["teller", "doubler", "calc"].map(|name| format!("mcp__{name}")).to_vec());
    assert!(!format!("{options:?}").contains(SECRET));
    let (agent, mut events) = bench.start(options).await;
    assert_eq!(agent.initialized().raw["mcp_servers_applied"], true);
    assert_eq!(agent.initialized().raw["sdk_mcp_manifests_parked"]["calc"], "parked");
    let id = say(
        &agent,
        r#"go [[tool!:mcp__teller__tell {"name":"SECRET"}]][[tool!:mcp__doubler__double {"n":21}]][[tool!:mcp__doubler__halve {"n":154}]][[tool!:mcp__doubler__square {"n":9}]][[tool!:mcp__calc__add {"a":1,"b":2}]][[next]][[text:end]]"#,
    )
    .await;
    let told = tool_results(&mut events, id).await;
    let all = told.join("\n");
    for wanted in [SECRET, "42", "sum"] {
        assert!(all.contains(wanted), "{wanted} is missing: {told:#?}");
    }
    assert!(!all.contains("\"77\""), "halving is denied: {told:#?}");
    assert!(
        !all.contains("\"81\"") && all.contains("nobody is here to approve"),
        "squaring is asked about: {told:#?}"
    );

    let status = agent.control("mcp_status", json!({})).await.unwrap();
    let status_of = |name: &str| {
        let servers = status["mcpServers"].as_array().unwrap();
        servers.iter().find(|server| server["name"] == name).map(|server| server["status"].clone())
    };
    for (name, wanted) in
        [("teller", "connected"), ("doubler", "connected"), ("calc", "connected"), ("broken", "failed")]
    {
        assert_eq!(status_of(name), Some(Value::from(wanted)), "{status:#}");
    }
    let shown = http.shown.lock().unwrap().clone();
    assert!(!shown.is_empty() && shown.iter().all(|shown| *shown == format!("Bearer {SECRET}")), "{shown:?}");

    // Servers that come later are bound by their permissions too.
    let set = agent.set_mcp_servers([("later".to_owned(), later.into())].into()).await.unwrap();
    assert_eq!((set.added, set.errors.len()), (vec!["later".to_owned()], 0));
    let prompt =
        r#"go [[tool!:mcp__later__halve {"n":154}]][[tool!:mcp__later__square {"n":9}]][[next]][[text:end]]"#;
    let id = say(&agent, prompt).await;
    let all = tool_results(&mut events, id).await.join("\n");
    assert!(!all.contains("\"77\"") && !all.contains("\"81\""), "{all}");

    let pids = marked(&bench.host_marker);
    assert!(pids.len() >= 2, "the CLI and the server");
    for pid in pids {
        let cmdline = Process::new(pid).unwrap().cmdline().unwrap().join(" ");
        assert!(!cmdline.contains(SECRET), "{cmdline}");
    }
    agent.close().await;
    bench.assert_nothing_left().await;
}
