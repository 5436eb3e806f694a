//! Changing the set of servers of a running agent.

use std::collections::BTreeMap;

use sdk_runtime::{
    AgentOptions,
    mcp::{McpRemoteServer, McpServer, McpServerConfig, Tool},
    testing::ScriptedLauncher,
};
use serde_json::json;

use crate::bench::{Bench, call};

fn named(text: &'static str) -> McpServer {
    McpServer::new("x").with_tool(Tool::new(
        "who",
        "Says who it is",
        move |(): (), _| async move { Ok(text) },
    ))
}

fn set(
    servers: impl IntoIterator<Item = (&'static str, McpServerConfig)>,
) -> BTreeMap<String, McpServerConfig> {
    servers.into_iter().map(|(name, server)| (name.to_owned(), server)).collect()
}

async fn who(bench: &Bench, request_id: &str, server: &str) -> String {
    bench.send(request_id, server, call(1, "who", json!({})));
    let answer = bench.answer(request_id).await;
    let text = answer["response"]["mcp_response"]["result"]["content"][0]["text"].as_str();
    text.unwrap_or(answer["error"].as_str().unwrap_or_default()).to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_new_set_replaces_the_servers_of_this_process() {
    let launcher = ScriptedLauncher::new().on_control("mcp_set_servers", |_| {
        Ok(json!({ "added": ["b", "web"], "removed": ["s"], "errors": { "web": "refused" } }))
    });
    let bench = Bench::with(launcher, AgentOptions::default().with_mcp_server("s", named("first"))).await;
    let web = McpRemoteServer::http("http://127.0.0.1:1/");
    let changed = bench.agent.set_mcp_servers(set([("b", named("second").into()), ("web", web.into())]));
    let changed = changed.await.unwrap();
    assert_eq!(
        (changed.added, changed.removed),
        (vec!["b".to_owned(), "web".to_owned()], vec!["s".to_owned()])
    );
    assert_eq!(changed.errors["web"], "refused");
    let asked = &bench.scripted.controls("mcp_set_servers")[0]["servers"];
    let wanted = json!({
        "b": { "type": "sdk", "name": "b" }, "web": { "type": "http", "url": "http://127.0.0.1:1/" },
    });
    assert_eq!(asked, &wanted);
    assert_eq!(who(&bench, "1", "b").await, "second");
    assert_eq!(who(&bench, "2", "s").await, "no MCP server s runs in this host");
    bench.agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_refused_changes_nothing() {
    let launcher = ScriptedLauncher::new().on_control("mcp_set_servers", |_| Err("no".to_owned()));
    let bench = Bench::with(launcher, AgentOptions::default().with_mcp_server("s", named("first"))).await;
    let refused = bench.agent.set_mcp_servers(set([("s", named("second").into()), ("b", named("b").into())]));
    assert!(refused.await.is_err());
    assert_eq!(who(&bench, "1", "s").await, "first");
    assert_eq!(who(&bench, "2", "b").await, "no MCP server b runs in this host");
    bench.agent.close().await;
}
