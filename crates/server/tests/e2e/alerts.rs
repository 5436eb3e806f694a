//! What a real agent spends is told: in reports, against a budget, by mail and by webhook, and after a kill too.

use crate::{
    client::Client,
    receiver::{Receiver, Reply},
    world::{World, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::{MailReply, MailSink, MailSinkPlan};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const LOGIN: (&str, &str) = ("steward", "hush-hush-hush");

/// Thresholds of a budget, each of which is an alert.
const THRESHOLDS: usize = 3;

async fn put(user: &Client, path: &str, body: Value) -> Value {
    let sent = user.request(Method::PUT, path).json(&body).send().await.unwrap();
    let (status, body) = (sent.status().as_u16(), sent.text().await.unwrap());
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_costs_is_told_and_alerts_outlive_a_kill() {
    let sink = MailSink::start(MailSinkPlan { tls: true, login: Some(LOGIN), port: None }).unwrap();
    let receiver = Receiver::start(Reply::Status(503)).await;
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, sink.certificate.clone().unwrap()).unwrap();
    sink.reply_with(MailReply::Refuse(451));
    let mut world = World::with(&[
        ("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true"),
        ("ALERT_WEBHOOK_URL", &receiver.url),
        ("ALERT_WEBHOOK_SECRET", SECRET),
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", &sink.port.to_string()),
        ("SMTP_CA_FILE", &authority.display().to_string()),
        ("SMTP_USERNAME", LOGIN.0),
        ("SMTP_PASSWORD", LOGIN.1),
        ("SMTP_FROM_EMAIL", "Steward <steward@example.com>"),
        ("ALERT_EMAIL_TO", "Ops <ops@example.com>"),
    ])
    .await;
    let user = world.admin().await;
    let session = user.session(json!({ "name": "costly" })).await;
    user.ask(&session, "Say hello.").await;

    // What the session cost is what its owner spent, in every report.
    let shown = user.get(&session).await.ok();
    let cost = shown["total_cost_usd"].as_f64().unwrap();
    assert!(cost > 0.0, "{shown}");
    let me = user.get("/auth/me").await.ok()["id"].as_str().unwrap().to_owned();
    let costs = user.get(&format!("/monitoring/costs/user/{me}?by_session=true&by_day=true")).await.ok();
    assert_eq!((&costs["total_cost_usd"], &costs["total_sessions"]), (&json!(cost), &json!(1)), "{costs}");
    assert_eq!(costs["by_session"][0]["session_id"], shown["id"]);
    assert_eq!(costs["by_day"][0]["cost_usd"], json!(cost));
    let report = user.get(&format!("/monitoring/costs{}", session.replace("sessions", "session"))).await.ok();
    assert_eq!(report["total_cost_usd"], json!(cost));
    let budget = user.get(&format!("/monitoring/costs/budget/{me}")).await.ok();
    assert_eq!((&budget["current_month_cost_usd"], &budget["reserved_usd"]), (&json!(cost), &json!(0.0)));

    // A budget that is spent as it is set: three alerts, which nobody takes.
    let set =
        put(&user, &format!("/monitoring/costs/budget/{me}"), json!({ "monthly_budget_usd": cost })).await;
    assert_eq!((&set["is_over_budget"], &set["percent_used"]), (&json!(true), &json!(100.0)));
    let listed = user.get("/monitoring/alerts").await.ok();
    let ids: BTreeSet<String> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), THRESHOLDS, "{listed}");
    eventually("both channels failed with all of them", async || {
        let log = world.log();
        let failures = |channel: &str| {
            let of_channel = |line: &&str| line.contains("an alert was not told") && line.contains(channel);
            log.lines().filter(of_channel).count()
        };
        (failures("\"email\"") >= THRESHOLDS && failures("\"webhook\"") >= THRESHOLDS).then_some(())
    })
    .await;
    assert_eq!(sink.taken(), []);
    world.kill().await;
    sink.reply_with(MailReply::Take);
    receiver.reply_with(Reply::Status(204));
    let refused = receiver.received().len();
    world.launch().await;

    let recipients = ["admin@example.com", "ops@example.com"];
    let mails = eventually("all of them came by mail", async || {
        Some(sink.taken()).filter(|taken| taken.len() >= THRESHOLDS * recipients.len())
    })
    .await;
    for recipient in recipients {
        let told: Vec<&str> =
            mails.iter().filter(|mail| mail.to == [recipient]).map(|mail| mail.text.as_str()).collect();
        let of =
            |id: &&String| told.iter().filter(|text| text.contains(&format!("<{id}@example.com>"))).count();
        assert!(ids.iter().all(|id| of(&id) == 1), "each once to {recipient}: {told:#?}");
    }
    let posts = eventually("all of them came by webhook", async || {
        Some(receiver.received()).filter(|all| all.len() >= refused + THRESHOLDS)
    })
    .await;
    assert!(posts.iter().all(|post| post.is_signed_with(SECRET)));
    let told: BTreeSet<String> = posts[refused..].iter().map(|post| post.id().to_owned()).collect();
    assert_eq!(told, ids);
    assert!(!world.log().contains(LOGIN.1) && !world.log().contains(SECRET));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_that_goes_on_failing_is_an_alert_that_outlives_the_server() {
    // More than any disk has free.
    let settings = [
        ("HEALTH_FREE_DISK_MB", "1000000000"),
        ("HEALTH_INTERVAL_SECONDS", "1"),
        ("HEALTH_ALERT_ROUNDS", "2"),
    ];
    let mut world = World::with(&settings).await;
    let user = world.admin().await;
    let alert = eventually("it is an alert", async || {
        let listed = user.get("/monitoring/alerts").await.ok();
        listed["items"].as_array().unwrap().iter().find(|alert| alert["topic"]["kind"] == "health").cloned()
    })
    .await;
    assert!(alert["message"].as_str().unwrap().contains("The health check disk has failed"), "{alert}");
    world.kill().await;
    // The disk is well now, and what was is still known.
    world.set("HEALTH_FREE_DISK_MB", "0");
    world.launch().await;
    let user = world.admin().await;
    let listed = user.get("/monitoring/alerts").await.ok();
    let health: Vec<_> =
        listed["items"].as_array().unwrap().iter().filter(|one| one["topic"]["kind"] == "health").collect();
    assert_eq!(health.len(), 1, "once, however many rounds it failed: {listed}");
    assert_eq!(health[0]["id"], alert["id"]);
}
