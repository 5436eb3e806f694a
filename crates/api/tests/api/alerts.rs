//! Alerts, to those whom they concern.

use crate::{costs::alice, world::World};
use domain::{Alert, AlertId, AlertTopic, Severity, ports::Alerts as _};
use insta::assert_snapshot;
use serde_json::json;

const ALERTS: &str = "/api/v1/monitoring/alerts";

#[actix_web::test]
async fn everybody_sees_what_concerns_them_and_admins_see_all() {
    let world = World::new().await;
    let me = world.id(&world.alice).await;
    let path = format!("/api/v1/monitoring/costs/budget/{me}");
    assert_eq!(world.admin.put(&path, json!({"monthly_budget_usd": 1})).await.status, 200);
    alice(&world).await.spend("2026-01-01T00:00:00Z", 500_000, |_| {}).await;
    let at = "2026-01-01T12:00:00Z".parse().unwrap();
    let health = Alert {
        id: AlertId::new(),
        topic: AlertTopic::Health { check: "database".into(), since: at },
        severity: Severity::Critical,
        message: "database fails: it does not answer".into(),
        user_id: None,
        raised_at: at,
    };
    assert!(world.store.raise(&health).await.unwrap());
    assert_snapshot!("alerts", world.admin.get(ALERTS).await.shown());

    let mine = world.alice.get(ALERTS).await.json();
    let items = mine["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["topic"]["threshold_percent"]), (1, &json!(50)));
    assert_eq!(world.bob.get(ALERTS).await.json()["total"], 0);
    let first = world.admin.get(&format!("{ALERTS}?limit=1")).await.json();
    let next = world.admin.get(first["links"]["next"].as_str().unwrap()).await.json();
    assert_eq!(next["items"][0], items[0]);
}
