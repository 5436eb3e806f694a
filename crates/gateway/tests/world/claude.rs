//! The real CLI speaks through the gateway, and both reckon the same cost.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use domain::MicroUsd;
use serde_json::Value;

use crate::{REAL_KEY, World, offline_model};

const PINNED: &str = "steward/claude-2.1.330/node_modules/@anthropic-ai/claude-code-linux-x64/claude";

#[expect(clippy::disallowed_methods, reason = "a test has no settings but its environment")]
fn claude() -> PathBuf {
    use std::env::var;
    let cached = || {
        let cache = var("XDG_CACHE_HOME").map(PathBuf::from);
        cache.unwrap_or_else(|_| PathBuf::from(var("HOME").unwrap()).join(".cache")).join(PINNED)
    };
    let path = var("CLAUDE_CLI_PATH").map_or_else(|_| cached(), PathBuf::from);
    assert!(
        path.is_file(),
        "no claude CLI at {}: set CLAUDE_CLI_PATH or run `cargo xtask test`",
        path.display()
    );
    path
}

#[expect(clippy::disallowed_methods, reason = "this crate knows no other that could start a process for it")]
fn ask(base_url: &str, token: &str, model: &str, prompt: &str) -> Value {
    let home = std::env::temp_dir().join(format!("gateway-{token}"));
    std::fs::create_dir_all(&home).unwrap();
    let output = Command::new(claude())
        .args(["-p", prompt, "--output-format", "json", "--setting-sources=", "--model", model])
        .current_dir(&home)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", &home)
        .env("CLAUDE_CONFIG_DIR", home.join("config"))
        .env("ANTHROPIC_BASE_URL", base_url)
        .env("ANTHROPIC_API_KEY", token)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cli_works_through_the_gateway_and_reckons_the_same_cost() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let prompt = "[[usage:in=1000,out=200,cr=3000,cw=400,cw1h=500]][[tool:Bash {\"command\":\"echo hi\"}]]\
                  [[next]][[usage:in=10,out=20,cr=30]][[text:finished]]";
    let endpoint = world.agent.clone();
    let asking = tokio::task::spawn_blocking(move || {
        ask(&endpoint.base_url, &endpoint.token, "claude-sonnet-5-5", prompt)
    });
    let result = asking.await.unwrap();
    assert_eq!((&result["result"], &result["is_error"]), (&"finished".into(), &false.into()), "{result}");

    world.settled().await;
    let booked = world.budgets.booked();
    assert!(
        booked.len() >= 2 && booked.iter().all(|usage| usage.is_complete && usage.is_priced),
        "{booked:?}"
    );
    let ours: MicroUsd = booked.iter().map(|usage| usage.cost).sum();
    let theirs = result["total_cost_usd"].as_f64().unwrap() * 1e6;
    // We round each request up to a micro-dollar, the CLI rounds nothing.
    let rounding = booked.len() as f64;
    assert!((ours.0 as f64 - theirs) >= -1e-3 && (ours.0 as f64 - theirs) <= rounding, "{ours} {theirs}");
    assert!(model.requests().iter().all(|request| request.credential.as_deref() == Some(REAL_KEY)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cli_ends_at_once_when_the_budget_is_used_up_and_says_why() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    world.budgets.limit(MicroUsd(1));
    let prompt = "[[usage:in=10,out=20]][[tool:Bash {\"command\":\"echo hi\"}]][[next]][[text:never]]";
    let endpoint = world.agent.clone();
    let before = std::time::Instant::now();
    let asking = tokio::task::spawn_blocking(move || {
        ask(&endpoint.base_url, &endpoint.token, "claude-sonnet-5-5", prompt)
    });
    let result = asking.await.unwrap();
    assert_eq!(result["is_error"], true, "{result}");
    let words = result["result"].as_str().unwrap();
    assert!(words.contains("the user's monthly budget is used up"), "{result}");
    assert!(before.elapsed() < std::time::Duration::from_secs(60), "it asked again and again");
    world.settled().await;
    assert_eq!(world.budgets.booked().len(), 1, "{result}");
}
