//! Handshakes with real servers: the protocol's own reference over every transport, in a sandbox and without one, and
//! with what is no server at all.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use domain::McpTransport;
use hooks::webhook::Outbound;
use mcp::{Found, Prober, Recipe, Surroundings};
use sdk_runtime::{Containment, Jail, Network, Outside, ProcessLauncher};
use secrecy::SecretString;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a server may take to listen where machines are busy.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The program of the reference server.
fn program() -> PathBuf {
    let path = std::env::var_os("STEWARD_TEST_MCP_SERVER").map(PathBuf::from);
    path.filter(|path| path.is_file()).unwrap_or_else(|| panic!("run `cargo xtask test`, which installs it"))
}

/// The folder in which it is installed.
fn install() -> PathBuf {
    program().ancestors().nth(5).unwrap().to_owned()
}

fn stdio(command: &str, args: &[&str], env: &[(&str, &str)]) -> Recipe {
    Recipe {
        transport: McpTransport::Stdio,
        command: Some(command.to_owned()),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect(),
        url: None,
        headers: BTreeMap::new(),
    }
}

fn remote(transport: McpTransport, url: &str, headers: &[(&str, &str)]) -> Recipe {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)));
    let (url, headers) = (Some(url.to_owned()), headers.collect());
    Recipe { transport, command: None, url, headers, ..stdio("", &[], &[("KEY", "s3cret-key")]) }
}

/// Asks a server, from a folder of its own, of which nothing may be left running.
async fn probe(recipe: &Recipe, jail: Option<Jail>) -> Result<Found, String> {
    probe_by(&prober(true), recipe, jail).await
}

fn prober(allows_private: bool) -> Prober {
    Prober::new(Arc::new(ProcessLauncher), Outbound::new(allows_private).unwrap())
}

async fn probe_by(prober: &Prober, recipe: &Recipe, jail: Option<Jail>) -> Result<Found, String> {
    let folder = TempDir::new_in("/tmp").unwrap();
    let marker = folder.path().display().to_string();
    let path = std::env::var_os("PATH").unwrap().into_string().unwrap();
    let surroundings = Surroundings {
        folder: folder.path().to_owned(),
        env: [("PATH".to_owned(), path)].into(),
        containment: Containment::default().with_jail(jail),
        host_marker: marker.clone(),
    };
    let found = prober.probe(recipe, &surroundings).await;
    let left = tokio::task::spawn_blocking(move || sdk_runtime::sweep_host(&marker)).await.unwrap().unwrap();
    assert_eq!(left, 0, "nothing of it runs any more");
    found
}

/// The sandbox of agents, in which this can be read.
fn jail(readable: &Path) -> Jail {
    Jail::default()
        .with_outside(Outside::Hidden)
        .with_network(Network::Off)
        .with_readable(vec![readable.to_owned()])
}

#[track_caller]
fn is_the_reference(found: &Found) {
    assert!(!found.server_name.is_empty() && !found.server_version.is_empty(), "{found:?}");
    assert!(found.protocol_version.starts_with("20"), "{found:?}");
    let echo = found.tools.iter().find(|tool| tool.name == "echo");
    assert!(echo.is_some_and(|tool| tool.description.is_some()), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_pipes_in_the_sandbox_and_without_one() {
    let program = program();
    let recipe = stdio("node", &[program.to_str().unwrap(), "stdio"], &[]);
    is_the_reference(&probe(&recipe, None).await.unwrap());
    is_the_reference(&probe(&recipe, Some(jail(&install()))).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_sees_no_more_than_an_agent_would() {
    let secret = TempDir::new_in("/var/tmp").unwrap();
    let path = secret.path().join("server.sh");
    std::fs::write(&path, "#!/bin/sh\necho told >&2\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let recipe = stdio(path.to_str().unwrap(), &[], &[]);
    let told = probe(&recipe, None).await.unwrap_err();
    assert!(told.contains("told"), "{told}");
    // What is started is looked up inside, and is not shown to the sandbox because somebody named it.
    let told = probe(&recipe, Some(jail(Path::new("/usr")))).await.unwrap_err();
    assert!(told.contains("No such file") && !told.contains("told"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_has_its_own_variables_and_none_of_the_servers() {
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "one that tests have");
    let script = "env | cut -d= -f1 | tr '\\n' ' ' >&2; exit 3";
    let why = probe(&stdio("sh", &["-c", script], &[("TOKEN", "s3cret-token")]), None).await.unwrap_err();
    let names: Vec<&str> = why.split_whitespace().collect();
    assert!(names.contains(&"TOKEN") && names.contains(&"PATH") && names.contains(&"HOME"), "{why}");
    assert!(!why.contains("CARGO"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_and_over_an_event_stream() {
    for (transport, word, path) in
        [(McpTransport::Http, "streamableHttp", "mcp"), (McpTransport::Sse, "sse", "sse")]
    {
        let server = Server::start(word);
        let url = format!("http://127.0.0.1:{}/{path}?key=${{KEY}}", server.port);
        let recipe = remote(transport, &url, &[("authorization", "Bearer ${KEY}")]);
        is_the_reference(&probe(&recipe, None).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_server_is_told_why_and_without_secrets() {
    let told = async |recipe: Recipe| probe(&recipe, None).await.unwrap_err();
    let why = told(stdio("no-such-program", &[], &[])).await;
    assert!(why.contains("no-such-program") && why.contains("No such file"), "{why}");
    let script = "echo bad token $TOKEN >&2; exit 3";
    let why = told(stdio("sh", &["-c", script], &[("TOKEN", "s3cret-token")])).await;
    assert!(why.contains("bad token ***") && !why.contains("s3cret"), "{why}");
    // Whatever it says, it is not kept.
    let why = told(stdio("sh", &["-c", "yes | tr -d '\\n' | head -c 200000000"], &[])).await;
    assert!(why.len() < 2000, "{why}");

    let prober = prober(true).within(Duration::from_secs(1));
    let began = Instant::now();
    let why = probe_by(&prober, &stdio("sleep", &["600"], &[]), None).await.unwrap_err();
    assert!(why.contains("did not answer within") && began.elapsed() < Duration::from_secs(60), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_server_over_http_is_told_why_and_without_secrets() {
    let told = async |transport, answer: &'static str| {
        let url = format!("http://{}/x?key=${{KEY}}", answering(answer).await);
        let why = probe(&remote(transport, &url, &[("x-key", "${KEY}")]), None).await.unwrap_err();
        assert!(!why.contains("s3cret") && !why.contains("127.0.0.1"), "{why}");
        why
    };
    for transport in [McpTransport::Http, McpTransport::Sse] {
        let why =
            told(transport, "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n").await;
        assert!(why.contains("401"), "{transport:?}: {why}");
        let why = told(transport, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await;
        assert!(why.contains("500"), "{transport:?}: {why}");
        let moved = "HTTP/1.1 307 Go\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n";
        let why = told(transport, moved).await;
        assert!(!why.contains("could not be reached"), "it was not followed: {why}");
        told(transport, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi").await;
        told(transport, "garbage").await;

        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let recipe = remote(transport, &format!("http://{nobody}/"), &[]);
        let why = probe(&recipe, None).await.unwrap_err();
        assert!(why.contains("could not be reached"), "{transport:?}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_public_are_not_called() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for transport in [McpTransport::Http, McpTransport::Sse] {
        for host in ["127.0.0.1", "localhost"] {
            let recipe = remote(transport, &format!("https://{host}:{port}/"), &[]);
            let why = probe_by(&prober(false), &recipe, None).await.unwrap_err();
            assert!(why.contains("public"), "{host}: {why}");
        }
    }
    assert!(listener.accept().is_err(), "nobody has connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_not_send_secrets_elsewhere() {
    let elsewhere = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: endpoint\ndata: http://192.0.2.1/\n\n";
    let url = format!("http://{}/", answering(elsewhere).await);
    let why = probe(&remote(McpTransport::Sse, &url, &[]), None).await.unwrap_err();
    assert!(why.contains("another server"), "{why}");
}

/// Something that answers every request with this, and where it listens.
async fn answering(answer: &'static str) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with its test")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = vec![0; 65536];
            // Whoever hangs up early gets nothing.
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

/// The reference server over HTTP, until this is dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "this is the other side, which nobody else starts")]
    fn start(transport: &str) -> Self {
        // Only bad luck gives the port to somebody else before it is used.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new("node")
            .arg(program())
            .arg(transport)
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, port };
        let deadline = Instant::now() + READY_TIMEOUT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "the server ended");
            assert!(Instant::now() < deadline, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
