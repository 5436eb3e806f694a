//! How often a caller may ask.

use crate::{
    stream::Socket,
    world::{Plan, World},
};
use api::{ApiSettings, Counting, Proxies, RateLimiter};
use serde_json::json;
use std::{num::NonZeroU32, sync::Arc};

async fn world(per_minute: u32, trusted: &[&str]) -> World {
    let quota = |requests| NonZeroU32::new(requests).unwrap();
    let limiter = RateLimiter::new(quota(per_minute), quota(10_000), Counting::Alone);
    let trusted = trusted.iter().map(|network| network.parse().unwrap()).collect();
    let proxies = Proxies { trusted, ..Proxies::default() };
    let settings = ApiSettings { proxies, ..ApiSettings::default() };
    World::of(Plan { limiter: Some(Arc::new(limiter)), settings, ..Plan::default() }).await
}

#[actix_web::test]
async fn each_caller_is_let_through_so_often_and_told_how_much_is_left() {
    let world = world(6, &[]).await;
    for left in ["5", "4", "3", "2", "1", "0"] {
        let answer = world.alice.get("/api/v1/auth/me").await;
        assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, left));
        assert_eq!(answer.header("ratelimit-limit"), "6");
        assert_eq!(answer.header("ratelimit-policy"), "\"minute\";q=6;w=60, \"hour\";q=10000;w=3600");
        assert!(answer.header("ratelimit").starts_with(&format!("\"minute\";r={left};t=")));
    }
    let refused = world.alice.get("/api/v1/auth/me").await;
    assert_eq!((refused.status, refused.error_code().as_str()), (429, "RATE_LIMITED"));
    assert_eq!(refused.header("content-type"), "application/problem+json");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit-remaining"), "0");

    assert_eq!(world.bob.get("/api/v1/auth/me").await.status, 200, "others have their own");
    for probe in ["/health/live", "/health/ready", "/api/v1/monitoring/health", "/metrics"] {
        let answer = world.alice.get(probe).await;
        assert_ne!(answer.status, 429, "{probe}");
        assert_eq!(answer.header("ratelimit"), "", "{probe}");
    }
}

#[actix_web::test]
async fn what_is_said_over_a_websocket_is_counted_too() {
    let world = world(6, &[]).await;
    let session = world.session().await;
    let mut socket = Socket::open(&world, &world.alice, &session, "").await;
    assert_eq!(socket.hear().await["type"], "connected");
    // One more is let through every ten seconds, and these take milliseconds.
    let mut refused = json!(null);
    for number in 0..30 {
        socket.say(json!({"type": "ping", "request_id": number.to_string()})).await;
        let answer = socket.hear().await;
        assert_eq!(answer["request_id"], number.to_string());
        if answer["type"] != "pong" {
            refused = answer;
            break;
        }
    }
    assert_eq!((&refused["type"], &refused["error_code"]), (&json!("error"), &json!("RATE_LIMITED")));
}

#[actix_web::test]
async fn keys_have_counts_of_their_own_and_strangers_are_counted_by_address() {
    let world = world(8, &["127.0.0.0/8"]).await;
    let made = world.alice.post("/api/v1/auth/api-keys", json!({"name": "ci"})).await.json();
    let key = world.anonymous.with_token(made["key"].as_str().unwrap());
    assert_eq!(key.get("/api/v1/auth/me").await.header("ratelimit-remaining"), "7");

    let from = async |address: &str| {
        let request =
            world.anonymous.with_token("stw_wrong").request(reqwest::Method::GET, "/api/v1/auth/me");
        world.anonymous.send(request.header("x-forwarded-for", address)).await
    };
    for left in (0..8).rev() {
        let answer = from("203.0.113.1").await;
        assert_eq!((answer.status, answer.header("ratelimit-remaining")), (401, left.to_string().as_str()));
    }
    assert_eq!(from("203.0.113.1").await.status, 429);
    assert_eq!(
        from("198.51.100.7, 203.0.113.1").await.status,
        429,
        "what a client writes itself counts for nothing"
    );
    assert_eq!(from("203.0.113.2").await.status, 401);
}
