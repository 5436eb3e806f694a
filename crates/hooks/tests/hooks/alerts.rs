//! Alerts to an endpoint of the operator's, on a real socket.

use crate::{
    receiver::{Receiver, Reply},
    world::World,
};
use domain::{Alert, AlertId, AlertTopic, BudgetPeriod, Clock as _, Severity, Spender, UserId};
use hooks::webhook::{AlertWebhook, fresh_secret};
use monitoring::alerts::Teller as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::sync::Arc;

fn alert(world: &World) -> Alert {
    let user = UserId::new();
    Alert {
        id: AlertId::new(),
        topic: AlertTopic::Budget {
            spender: Spender::User(user),
            period: BudgetPeriod("2026-01".into()),
            threshold_percent: 100,
        },
        severity: Severity::Critical,
        message: "all of $10.00 is spent".to_owned(),
        user_id: Some(user),
        raised_at: world.clock.now(),
    }
}

fn webhook(world: &World, allows_private: bool, url: &str, secret: &SecretString) -> AlertWebhook {
    let client = world.client(allows_private);
    AlertWebhook::new(client, Arc::new(world.clock.clone()), url, secret.clone()).unwrap()
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the library that receivers use looks at the present time")]
async fn an_alert_is_signed_for_receivers_of_the_standard_and_keeps_its_id() {
    let world = World::new(&[]).await;
    world.clock.set(jiff::Timestamp::now());
    let receiver = Receiver::start(Reply::Status(503)).await;
    let secret = fresh_secret();
    let webhook = webhook(&world, true, &receiver.url, &secret);
    let alert = alert(&world);
    let error = webhook.tell(&alert).await.unwrap_err().to_string();
    assert_eq!(error, "was not taken: the endpoint answered with status 503");
    receiver.reply_with(Reply::Status(204));
    webhook.tell(&alert).await.unwrap();

    let received = receiver.until(2).await;
    let verifier = standardwebhooks::Webhook::new(secret.expose_secret()).unwrap();
    for one in &received {
        let mut headers = http::HeaderMap::new();
        for (name, value) in &one.headers {
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        verifier.verify(one.body.as_bytes(), &headers).unwrap();
        assert!(verifier.verify(b"{}", &headers).is_err());
        assert!(one.is_signed_with(secret.expose_secret()));
        assert_eq!(one.id(), alert.id.to_string());
        let expected = json!({
            "type": "alert.raised",
            "timestamp": alert.raised_at,
            "data": {
                "id": alert.id, "severity": "critical", "message": "all of $10.00 is spent",
                "topic": {
                    "kind": "budget", "spender_kind": "user", "spender": alert.user_id, "period": "2026-01",
                    "threshold_percent": 100
                },
                "user_id": alert.user_id, "raised_at": alert.raised_at
            }
        });
        assert_eq!(one.json(), expected);
    }
}

#[tokio::test]
async fn an_operators_endpoint_is_guarded_like_any_other() {
    let world = World::new(&[]).await;
    let receiver = Receiver::start(Reply::Status(204)).await;
    let secret = fresh_secret();
    for url in [receiver.url.as_str(), "https://127.0.0.1/alerts", "ftp://example.com", "example.com"] {
        let made = AlertWebhook::new(world.client(false), Arc::new(world.clock.clone()), url, secret.clone());
        assert!(made.is_err(), "{url}");
    }
    // A name that leads home.
    let webhook = webhook(&world, false, "https://localhost:1/alerts", &secret);
    let error = webhook.tell(&alert(&world)).await.unwrap_err().to_string();
    assert!(error.contains("not public"), "{error}");
    let elsewhere = Receiver::start(Reply::Redirect(receiver.url.clone())).await;
    let webhook = self::webhook(&world, true, &elsewhere.url, &secret);
    assert!(webhook.tell(&alert(&world)).await.is_err(), "a redirect is not followed");
    assert!(receiver.received().is_empty());
}
