//! Registered MCP servers with the real CLI and a real server: an agent calls its tools, its secrets are in no file, and
//! their key can be changed.

use crate::{
    client::Client,
    world::{World, eventually},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

const SECRET: &str = "s3cret-7d1f0a52";
const KEY: &str = "0123456789abcdef0123456789abcdef-one";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210-two";

/// The program of the reference server.
fn program() -> PathBuf {
    let path = std::env::var_os("STEWARD_TEST_MCP_SERVER").map(PathBuf::from);
    path.filter(|path| path.is_file()).unwrap_or_else(|| panic!("run `cargo xtask test`, which installs it"))
}

/// A world whose agents can read the reference server, in their sandbox.
async fn world(settings: &[(&str, &str)]) -> World {
    let install = program().ancestors().nth(5).unwrap().display().to_string();
    let mut all = vec![("SANDBOX", "bwrap"), ("SANDBOX_READABLE", install.as_str())];
    all.extend(settings);
    World::with(&all).await
}

fn everything() -> Value {
    let program = program().display().to_string();
    json!({
        "name": "everything", "server_type": "stdio", "command": "node", "args": [program, "stdio"],
        "env": { "TOKEN": SECRET },
    })
}

async fn registered(user: &Client) -> String {
    let made = user.post("/mcp-servers", everything()).await.ok();
    format!("/mcp-servers/{}", made["id"].as_str().unwrap())
}

async fn check(user: &Client, server: &str) -> Value {
    user.post(&format!("{server}/health-check"), json!({})).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_calls_a_tool_of_a_registered_server_whose_secrets_are_in_no_file() {
    let mut world = world(&[]).await;
    let user = world.admin().await;
    let server = registered(&user).await;
    let found = check(&user, &server).await;
    assert_eq!(found["status"], "healthy", "{found}");
    assert!(found["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "echo"), "{found}");
    assert!(world.agent_processes().is_empty(), "{:?}", world.agent_processes());

    let session = json!({
        "sdk_options": { "mcp_servers": ["everything"] }, "allowed_tools": ["mcp__everything__echo"],
    });
    let session = user.session(session).await;
    user.ask(&session, "[[text:hi]]").await;
    eventually("it is connected", async || {
        let health = user.get("/monitoring/health").await.ok();
        (health["checks"]["mcp_servers"]["everything"]["healthy"] == true).then_some(())
    })
    .await;
    let call = r#"[[tool!:mcp__everything__echo {"message":"hello there"}]][[next]][[text:done]]"#;
    assert_eq!(user.ask(&session, call).await, "done");
    let calls = user.get(&format!("{session}/tool-calls")).await.ok();
    assert_eq!(
        (&calls[0]["tool_name"], &calls[0]["is_error"]),
        (&json!("mcp__everything__echo"), &json!(false)),
        "{calls}"
    );
    assert!(calls[0]["tool_output"].to_string().contains("hello there"), "{calls}");

    let holds_no_secret = |world: &World| {
        let mut looked = 0;
        for entry in fs::read_dir(world.data_dir()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let bytes = fs::read(&path).unwrap();
                let found = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
                assert!(!found, "{}", path.display());
                looked += 1;
            }
        }
        assert!(!world.log().contains(SECRET), "the log");
        looked
    };
    assert!(holds_no_secret(&world) >= 3, "the database and what it has not put into its file yet");
    world.stop().await;
    holds_no_secret(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_and_a_wrong_one_is_told_and_loses_nothing() {
    let mut world = world(&[("ENCRYPTION_KEY", KEY)]).await;
    let user = world.admin().await;
    let server = registered(&user).await;
    assert_eq!(check(&user, &server).await["status"], "healthy");
    let session = user.session(json!({ "sdk_options": { "mcp_servers": ["everything"] } })).await;
    world.stop().await;

    world.set("ENCRYPTION_KEY", OTHER_KEY);
    world.launch().await;
    let user = world.admin().await;
    assert!(world.log().contains("cannot be read"), "{}", world.log());
    let refused = user.post(&format!("{server}/health-check"), json!({})).await;
    refused.problem(503, "SECRETS_UNREADABLE");
    let refused = user.query(&session, "hello").await;
    let detail = refused.problem(503, "AGENT_UNAVAILABLE")["detail"].to_string();
    assert!(detail.contains("ENCRYPTION_KEYS_OLD"), "{detail}");
    assert_eq!(user.get(&server).await.ok()["env"]["TOKEN"], "********", "it is all there");
    let output = world.steward(&["secrets", "rotate"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    world.stop().await;

    world.set("ENCRYPTION_KEYS_OLD", KEY);
    world.launch().await;
    let user = world.admin().await;
    assert_eq!(check(&user, &server).await["status"], "healthy");
    let output = world.steward(&["secrets", "check"]).await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 have an older key"), "{output:?}");
    let output = world.steward(&["secrets", "rotate"]).await;
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 were encrypted anew"),
        "{output:?}"
    );
    world.stop().await;

    world.unset("ENCRYPTION_KEYS_OLD");
    world.launch().await;
    let user = world.admin().await;
    assert_eq!(check(&user, &server).await["status"], "healthy");
    assert_eq!(user.ask(&session, "[[text:hi]]").await, "hi");
    assert!(world.audit(&["verify"]).await.status.success(), "the log is whole");
}
