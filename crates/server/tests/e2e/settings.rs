//! What operators set is what the server does: those settings that no other test here is about.

use crate::{
    client::{Client, send},
    world::{PASSWORD, World},
};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_logins_are_as_the_operator_says_where_nobody_says_otherwise() {
    let world = World::with(&[
        ("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "5"),
        ("CORS_ORIGINS", "https://app.example.com"),
        ("CLAUDE_SDK_DEFAULT_MODEL", "claude-haiku-4-5"),
        ("CLAUDE_SDK_MAX_RETRIES", "1"),
        ("CLAUDE_SDK_RETRY_DELAY", "0.5"),
        ("CLAUDE_SDK_TIMEOUT_SECONDS", "77"),
        ("CLAUDE_SDK_DEFAULT_PERMISSION_MODE", "acceptEdits"),
        ("DATABASE_POOL_SIZE", "3"),
        ("METRICS_PORT", "0"),
    ])
    .await;
    let login = json!({ "email": "admin@example.com", "password": PASSWORD });
    let login = world.stranger().post("/auth/login", login).await.ok();
    assert_eq!(login["expires_in"], 300);

    for (origin, allowed) in [("https://app.example.com", true), ("https://evil.example.com", false)] {
        let preflight = world.stranger().request(Method::OPTIONS, "/sessions");
        let preflight = preflight.header("Origin", origin).header("Access-Control-Request-Method", "GET");
        let answer = send(preflight).await;
        let named = answer.headers.get("access-control-allow-origin");
        assert_eq!(named.is_some_and(|named| named == origin), allowed, "{answer:?}");
    }

    let user = world.admin().await;
    let session = user.post("/sessions", json!({})).await.ok();
    let path = format!("/sessions/{}", session["id"].as_str().unwrap());
    user.ask(&path, "[[text:hello]]").await;
    let messages = user.get(&format!("{path}/messages")).await.ok();
    assert_eq!(messages[1]["model"], "claude-haiku-4-5", "{messages}");
    assert_eq!((&session["max_retries"], &session["retry_delay"]), (&json!(1), &json!(0.5)));
    assert_eq!(session["timeout_seconds"], 77);
    assert_eq!(session["permission_mode"], "acceptEdits");

    let scrape = reqwest::get(world.metrics_url()).await.unwrap().text().await.unwrap();
    let pools = scrape.lines().filter(|line| line.starts_with("steward_database_connections_max{"));
    let most: f64 = pools.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert!((most - 3.0).abs() < f64::EPSILON, "{scrape}");
}

/// A tool call that runs and one that is denied, and the session they were in.
async fn worked(user: &Client) -> String {
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    for command in ["echo hi", "rm -rf x"] {
        let input = json!({ "command": command });
        user.ask(&session, &format!("go [[tool:Bash {input}]][[next]][[text:done]]")).await;
    }
    session
}

/// What the built-in hooks leave behind: their runs on record, tools that were counted, lines for the log of audits.
async fn traces_of_hooks(world: &World, user: &Client, session: &str) -> (bool, bool, bool) {
    let runs = user.get(&format!("{session}/hooks")).await.ok();
    let scrape = reqwest::get(world.metrics_url()).await.unwrap().text().await.unwrap();
    let counted = scrape.lines().any(|line| {
        line.starts_with("steward_tool_executions_total{") && line.contains("Bash") && !line.ends_with(" 0")
    });
    (!runs.as_array().unwrap().is_empty(), counted, world.log().contains(r#""target":"audit""#))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_does_not_happen() {
    let metrics = ("METRICS_PORT", "0");
    let world = World::with(&[metrics]).await;
    let user = world.admin().await;
    let session = worked(&user).await;
    assert_eq!(traces_of_hooks(&world, &user, &session).await, (true, true, true), "{}", world.log());

    let world = World::with(&[
        metrics,
        ("ENABLE_AUDIT_HOOK", "false"),
        ("ENABLE_METRICS_HOOK", "false"),
        ("ENABLE_PERSISTENCE_HOOK", "false"),
        ("ENABLE_NOTIFICATION_HOOK", "false"),
        ("ENABLE_CUSTOM_HOOKS", "false"),
        ("ENABLE_CUSTOM_POLICIES", "false"),
        ("ENABLE_COST_TRACKING", "false"),
    ])
    .await;
    let user = world.admin().await;
    let session = worked(&user).await;
    assert_eq!(traces_of_hooks(&world, &user, &session).await, (false, false, false), "{}", world.log());

    for refused in [json!({ "hooks_enabled": ["mine"] }), json!({ "custom_policies": ["mine"] })] {
        let answer = user.post("/sessions", refused).await;
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    let hook = json!({
        "name": "mine", "url": "https://hooks.example.com/mine", "kind": "decision", "event_types": ["PreToolUse"],
    });
    assert_eq!(user.post("/hooks", hook).await.status, 403);
    // Without tracking nothing is asked before it is spent; it is on record in any case.
    let budget = user
        .request(Method::PUT, &format!("/monitoring/costs/budget{}", session.replace("sessions", "session")));
    send(budget.json(&json!({ "budget_usd": 0 }))).await.ok();
    assert_eq!(user.ask(&session, "[[text:for nothing]]").await, "for nothing");
    let costs = user.get(&format!("/monitoring/costs{}", session.replace("sessions", "session"))).await.ok();
    assert!(costs["total_cost_usd"].as_f64().unwrap() > 0.0, "{costs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_and_what_is_archived_is_as_the_operator_says() {
    let world = World::with(&[
        ("DEFAULT_BLOCKED_COMMANDS", "echo"),
        ("DEFAULT_RESTRICTED_PATHS", "**/*.secret"),
        ("ARCHIVE_COMPRESSION", "none"),
        ("ARCHIVE_AUTO_CLEANUP", "false"),
        ("MAX_CONCURRENT_BACKGROUND_SESSIONS", "1"),
    ])
    .await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    for command in ["echo hi", "cat my.secret"] {
        let input = json!({ "command": command });
        user.ask(&session, &format!("go [[tool:Bash {input}]][[next]][[text:done]]")).await;
    }
    let denied = user.get(&format!("{session}/permissions?decision=deny")).await.ok();
    let policies: Vec<&Value> = denied.as_array().unwrap().iter().map(|one| &one["policy"]).collect();
    assert_eq!(policies, ["paths", "commands"], "{denied}");

    let place = world.workspace(&session);
    user.post(&format!("{session}/archive"), json!({})).await.ok();
    let archive = crate::world::eventually("it is archived", async || {
        let archive = user.get(&format!("{session}/archive")).await.ok();
        (archive["status"] == "completed").then_some(archive)
    })
    .await;
    assert_eq!(archive["compression"], "none", "{archive}");
    assert!(place.is_dir(), "nobody wanted it removed");
}
