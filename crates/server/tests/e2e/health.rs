//! Health as it is asked from outside: of a server whose CLI, database, disk or MCP servers hang, fail and come back.

use crate::{
    client::{Answer, Client},
    postgres::Cluster,
    world::{World, cli, eventually, signal},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long a probe that is answered from what is known may take here, where machines are busy.
const SOON: Duration = Duration::from_secs(10);

async fn health(client: &Client) -> Value {
    client.get("/monitoring/health").await.ok()
}

/// A CLI that does what this script says.
fn scripted(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("claude");
    // Another file in its place, as an update makes it; the old one may be running.
    let new = folder.join("claude.new");
    fs::write(&new, format!("#!/bin/sh\n{}", script.replace("$REAL", cli().to_str().unwrap()))).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, &path).unwrap();
    path
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("cli").tempdir_in("/tmp").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cli_is_shaken_hands_with_and_nothing_of_it_is_left() {
    for sandbox in ["bwrap", "off"] {
        let world = World::with(&[("SANDBOX", sandbox)]).await;
        let user = world.admin().await;
        let sdk = eventually("an agent has answered", async || {
            let sdk = user.get("/monitoring/health/sdk").await.ok();
            // Until then its version is enough.
            assert_eq!(sdk["available"], true, "{sdk}");
            sdk["detail"].as_str().unwrap().contains("answered within").then_some(sdk)
        })
        .await;
        let detail = sdk["detail"].as_str().unwrap();
        assert!(detail.starts_with(sdk["version"].as_str().unwrap()), "{sdk}");
        assert!(world.agent_processes().is_empty(), "{:?}", world.agent_processes());
        let left = fs::read_dir(world.data_dir().join("workspaces")).unwrap().flatten();
        let left: Vec<_> = left.map(|entry| entry.path()).filter(|path| !path.ends_with(".forks")).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(fs::read_dir(world.data_dir().join("agents")).unwrap().count(), 0);
        assert!(world.model.requests().is_empty(), "the model is asked nothing");
        assert_eq!(user.get("/sessions").await.ok()["total"], 0);
        // What strangers are told of it.
        let sdk = world.stranger().get("/monitoring/health/sdk").await.ok();
        assert_eq!(sdk, json!({ "available": true, "version": null, "detail": null }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cli_that_was_changed_is_tried_again_at_once() {
    let folder = folder();
    let path = scripted(folder.path(), "exec \"$REAL\" \"$@\"");
    let world = World::with(&[("SANDBOX", "off"), ("CLAUDE_CLI_PATH", path.to_str().unwrap())]).await;
    let user = world.admin().await;
    assert_eq!(user.get("/monitoring/health/sdk").await.ok()["available"], true);
    // Its version is right, and it starts no agent.
    let broken = "case \"$*\" in *--version*) exec \"$REAL\" \"$@\";; esac; echo broken >&2; exit 3";
    scripted(folder.path(), broken);
    let sdk = eventually("the new one is tried", async || {
        let sdk = user.get("/monitoring/health/sdk").await.ok();
        (sdk["available"] == false).then_some(sdk)
    })
    .await;
    let detail = sdk["detail"].as_str().unwrap();
    assert!(detail.contains("does not start") && detail.contains("broken"), "{sdk}");
    assert_eq!(world.stranger().get("/health/ready").await.status, 503);
    scripted(folder.path(), "exec \"$REAL\" \"$@\"");
    eventually("the old one is back", async || {
        (world.stranger().get("/health/ready").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cli_that_hangs_holds_up_nothing_else_and_is_started_once() {
    let folder = folder();
    let script = "case \"$*\" in *--version*) exec \"$REAL\" \"$@\";; esac; exec sleep 4321";
    let path = scripted(folder.path(), script);
    let world = World::with(&[("SANDBOX", "off"), ("CLAUDE_CLI_PATH", path.to_str().unwrap())]).await;
    let user = world.admin().await;
    let hanging = || world.agent_processes().into_iter().filter(|(_, line)| line.contains("4321")).count();
    let probes = futures::future::join_all((0..20).map(|_| user.get("/monitoring/health/sdk")));
    let others = async {
        eventually("it hangs", async || (hanging() == 1).then_some(())).await;
        for path in ["/health/live", "/monitoring/health/database", "/monitoring/health/storage"] {
            let asked = Instant::now();
            user.get(path).await.ok();
            assert!(asked.elapsed() < SOON, "{path} took {:?}", asked.elapsed());
        }
    };
    let (answers, ()) = tokio::join!(probes, others);
    let told: Vec<Value> = answers.into_iter().map(Answer::ok).collect();
    assert!(told.iter().all(|one| one["available"] == true), "its version counts until then: {told:?}");
    assert!(hanging() <= 1, "{} of them", hanging());
    // It is ended when its own time is up.
    eventually("the hanging agent is ended", async || {
        let asked = Instant::now();
        let sdk = user.get("/monitoring/health/sdk").await.ok();
        assert!(asked.elapsed() < SOON, "what hangs is not waited for: {:?}", asked.elapsed());
        sdk["detail"].as_str().unwrap().contains("does not start").then_some(())
    })
    .await;
    assert_eq!(user.get("/health/ready").await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stands_still_is_told_soon_and_only_of_it() {
    let cluster = Cluster::start().await;
    let settings = [("DATABASE_URL", cluster.url()), ("SERVER_LEASE_SECONDS", "600".to_owned())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let world = World::with(&settings).await;
    let stranger = world.stranger();
    assert_eq!(stranger.get("/monitoring/health/database").await.ok()["healthy"], true);
    assert_eq!(stranger.get("/health/ready").await.status, 200);

    let processes = cluster.processes();
    for pid in &processes {
        signal(*pid, "STOP");
    }
    eventually("the database is missed", async || {
        let asked = Instant::now();
        let told = stranger.get("/monitoring/health/database").await.ok();
        assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
        (told["healthy"] == false).then_some(())
    })
    .await;
    // Many ask, with a credential that cannot be checked, and none is held up.
    let asked = Instant::now();
    let mut user = world.stranger();
    user.token = Some("stw_whatever".to_owned());
    let told = futures::future::join_all((0..30).map(|_| health(&user))).await;
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    for one in &told {
        assert_eq!(one["status"], "unhealthy", "{one}");
        assert_eq!(one["checks"]["database"]["healthy"], false);
        assert_eq!(one["checks"]["claude_sdk"]["healthy"], true, "{one}");
    }
    assert_eq!(stranger.get("/health/ready").await.status, 503);
    assert_eq!(stranger.get("/health/live").await.status, 200);

    for pid in &processes {
        signal(*pid, "CONT");
    }
    eventually("it is back", async || (stranger.get("/health/ready").await.status == 200).then_some(()))
        .await;
}

/// A file system of a few MiB, if this machine lets us have one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(path: &Path) -> Result<Self, String> {
        fs::create_dir_all(path).map_err(|error| error.to_string())?;
        let mounted = run("mount", &["-t", "tmpfs", "-o", "size=24m", "tmpfs", path.to_str().unwrap()]);
        mounted.map(|()| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It may be busy for as long as the server takes to end.
        let _ = run("umount", &["--lazy", self.0.to_str().unwrap()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    #[expect(clippy::disallowed_methods, reason = "mount(8) spares the tests an unsafe block")]
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_runs_full_degrades_until_there_is_room() {
    let mut world = World::prepared(&[("HEALTH_FREE_DISK_MB", "12"), ("HEALTH_FREE_INODES", "0")]).await;
    let data = world.data_dir();
    let _disk = match SmallDisk::at(&data) {
        Ok(disk) => disk,
        // Visible in the output of the test.
        Err(why) => return eprintln!("SKIPPED: no small disk can be had here: {why}"),
    };
    world.launch().await;
    let user = world.admin().await;
    assert_eq!(health(&user).await["checks"]["disk"]["healthy"], true);
    let some = vec![0_u8; 13 << 20];
    fs::write(data.join("some"), &some).unwrap();
    eventually("it is degraded", async || {
        let told = health(&user).await;
        (told["status"] == "degraded" && told["checks"]["disk"]["healthy"] == false).then_some(())
    })
    .await;
    assert_eq!(user.get("/health/ready").await.status, 200);
    // As much as there is room for.
    let _ = fs::write(data.join("rest"), vec![0_u8; 32 << 20]);
    eventually("it is full", async || {
        let told = health(&user).await;
        let disk = told["checks"]["disk"]["detail"].as_str().unwrap();
        disk.contains("data: 0 MiB free").then(|| assert_ne!(told["status"], "healthy", "{told}"))
    })
    .await;
    for file in ["some", "rest"] {
        fs::remove_file(data.join(file)).unwrap();
    }
    eventually("all is well", async || {
        let told = health(&user).await;
        (told["checks"]["disk"]["healthy"] == true && told["checks"]["database"]["healthy"] == true)
            .then_some(())
    })
    .await;
}

/// The least that an MCP server has to say.
const MCP_SERVER: &str = r#"while read -r line; do
id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
case "$line" in
*'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"well","version":"1"}}}' ;;
*'"tools/list"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"tools":[]}}' ;;
esac
done"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_check_is_in_the_documentation() {
    let world = World::with(&[]).await;
    let report = health(&world.admin().await).await;
    let document = fs::read_to_string("../../docs/monitoring.md").unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let named: Vec<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    for check in report["checks"].as_object().unwrap().keys() {
        assert!(named.contains(&check.as_str()), "docs/monitoring.md has no row for {check}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_servers_of_live_sessions_are_asked_after_by_name() {
    let world = World::start().await;
    let user = world.admin().await;
    let server = |script: &str| json!({ "type": "stdio", "command": "/bin/sh", "args": ["-c", script] });
    let servers = json!({ "well": server(MCP_SERVER), "ill": server("exit 7") });
    let session = user.session(json!({ "sdk_options": { "mcp_servers": servers } })).await;
    user.ask(&session, "[[text:hi]]").await;
    let told = eventually("both are known", async || {
        let told = health(&user).await;
        let servers = told["checks"]["mcp_servers"].as_object().unwrap();
        (servers.len() == 2).then_some(told)
    })
    .await;
    let servers = &told["checks"]["mcp_servers"];
    assert_eq!(servers["well"]["healthy"], true, "{servers}");
    assert_eq!(servers["ill"]["healthy"], false, "{servers}");
    assert!(servers["ill"]["detail"].as_str().unwrap().contains("fails in 1 of 1"), "{servers}");
    assert_eq!(told["status"], "degraded", "{told}");
    let stranger = health(&world.stranger()).await;
    assert_eq!((&stranger["status"], &stranger["checks"]["mcp_servers"]), (&json!("degraded"), &json!({})));
    user.delete(&session).await;
    eventually("they are gone with their session", async || {
        (health(&user).await["status"] == "healthy").then_some(())
    })
    .await;
}
