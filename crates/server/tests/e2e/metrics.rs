//! What a scraper sees of a server with the real CLI behind it.

use crate::world::{PATIENCE, World, eventually};
use serde_json::json;

async fn scrape(url: &str, token: Option<&str>) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let mut request = client.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The address on the listener of the API.
fn of_api(world: &World) -> String {
    format!("{}/metrics", world.stranger().url)
}

fn value(scraped: &str, series: &str) -> Option<f64> {
    scraped.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_with_a_tool_is_seen_by_a_scraper() {
    let token = "a-scrapers-token-of-this-test";
    let world = World::with(&[
        ("METRICS_PORT", "0"),
        ("METRICS_TOKEN", token),
        ("METRICS_SNAPSHOT_INTERVAL_SECONDS", "1"),
    ])
    .await;
    assert_eq!(scrape(&of_api(&world), None).await.0, 404, "it has a listener of its own");
    assert_eq!(scrape(world.metrics_url(), None).await.0, 401);

    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.query(&session, r#"go [[tool:Bash {"command":"sleep 0.2"}]][[next]][[text:done]]"#).await.ok();
    let at_least = [
        (r#"steward_turns_total{mode="interactive",outcome="completed"}"#, 1.0),
        (r#"steward_turn_duration_seconds_sum{mode="interactive",outcome="completed"}"#, 0.2),
        (r#"steward_agents{state="idle"}"#, 1.0),
        (r#"steward_agent_starts_total{outcome="started"}"#, 1.0),
        // The CLI is no small program.
        ("steward_agents_memory_bytes", 30e6),
        ("steward_agent_memory_max_bytes", 30e6),
        (r#"steward_tool_executions_total{outcome="completed",tool="Bash"}"#, 1.0),
        (r#"steward_tool_duration_seconds_sum{tool="Bash"}"#, 0.2),
        (r#"steward_hook_runs_total{event="PreToolUse",outcome="completed"}"#, 1.0),
        ("steward_permission_check_duration_seconds_count", 1.0),
        (r#"steward_sessions{mode="interactive",status="active"}"#, 1.0),
        (r#"steward_database_connections{pool="write",state="idle"}"#, 1.0),
        (r#"steward_database_connections_max{pool="read"}"#, 1.0),
        ("steward_snapshots_total", 1.0),
        ("process_resident_memory_bytes", 1e6),
    ];
    let scraped = eventually("everything is in a scrape", async || {
        let (status, scraped) = scrape(world.metrics_url(), Some(token)).await;
        assert_eq!(status, 200);
        let all =
            at_least.iter().all(|(series, least)| value(&scraped, series).is_some_and(|seen| seen >= *least));
        all.then_some(scraped)
    })
    .await;
    let id = session.rsplit('/').next().unwrap();
    assert!(!scraped.contains(id), "an id is in a label:\n{scraped}");

    let history = user.get(&format!("{session}/metrics/history")).await.ok();
    let current = user.get(&format!("{session}/metrics/current")).await.ok();
    assert_eq!(history[0]["total_tool_calls"], 1, "{history}");
    let mean = current["avg_tool_duration_ms"].as_f64().unwrap();
    assert!((200.0..60_000.0).contains(&mean), "{current}");
    let performance = user.get("/monitoring/performance").await.ok();
    assert_eq!(performance["tools"]["last_hour"]["count"], 1, "{performance}");
    assert_eq!(performance["queries"]["last_hour"]["count"], 1, "{performance}");
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_tools_survive_a_restart() {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.query(&session, r#"go [[tool:Bash {"command":"sleep 0.2"}]][[next]][[text:done]]"#).await.ok();
    let before = user.get(&format!("{session}/metrics/current")).await.ok();
    world.stop().await;
    world.launch().await;
    let user = world.admin().await;
    let after = user.get(&format!("{session}/metrics/current")).await.ok();
    assert!(before["avg_tool_duration_ms"].as_f64().unwrap() >= 200.0, "{before}");
    assert_eq!(after["avg_tool_duration_ms"], before["avg_tool_duration_ms"]);
    // The end of the server left one too.
    let history = user.get(&format!("{session}/metrics/history")).await.ok();
    assert_eq!(history[0]["total_tool_calls"], 1, "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_production_server_opens_its_metrics_to_nobody_by_itself() {
    let world = World::with(&[("ENVIRONMENT", "production")]).await;
    assert_eq!(scrape(&of_api(&world), None).await.0, 403);
    let world = World::with(&[]).await;
    assert_eq!(scrape(&of_api(&world), None).await.0, 200);
    let world = World::with(&[("ENABLE_METRICS_COLLECTION", "false"), ("METRICS_PORT", "0")]).await;
    assert_eq!(scrape(&of_api(&world), None).await.0, 404);
    assert_eq!(world.metrics_url(), "", "and no listener");
}
