//! What was spent, as people ask for it.

use crate::{client::Client, world::World};
use domain::{
    MicroUsd, RequestUsage, RequestUsageId, ServerId, SessionId, Spender, TokenUsage, UserId,
    budget::{Account, BudgetPeriod, Held, NewHold},
    ports::Budgets as _,
};
use insta::assert_snapshot;
use jiff::Timestamp;
use monitoring::costs::month_of;
use serde_json::{Value, json};

const COSTS: &str = "/api/v1/monitoring/costs";

/// A request of a session, held and settled as the gateway does it.
pub struct Spending<'a> {
    pub world: &'a World,
    pub client: &'a Client,
    pub session: String,
}

impl Spending<'_> {
    pub async fn spend(&self, at: &str, micro_usd: i64, change: impl FnOnce(&mut RequestUsage)) {
        let me = self.client.get("/api/v1/auth/me").await.json();
        let user_id: UserId = me["id"].as_str().unwrap().parse().unwrap();
        let session_id: SessionId = self.session.parse().unwrap();
        let started_at: Timestamp = at.parse().unwrap();
        let zone = me["time_zone"].as_str().unwrap();
        let account = |spender, period| Account { spender, period, default: None };
        let mut accounts = vec![
            account(Spender::User(user_id), month_of(started_at, zone).unwrap()),
            account(Spender::Session(session_id), BudgetPeriod::default()),
        ];
        if let Some(team) = me["team"].as_str() {
            accounts.push(account(Spender::Team(team.to_owned()), month_of(started_at, "UTC").unwrap()));
        }
        let mut usage = RequestUsage {
            id: RequestUsageId::new(),
            session_id,
            user_id,
            turn_id: None,
            model: "claude-sonnet-4-5".to_owned(),
            tokens: TokenUsage {
                input: 1,
                output: 20,
                cache_write_5m: 300,
                cache_write_1h: 4000,
                cache_read: 50_000,
            },
            thinking_tokens: 7,
            tools: vec![],
            cost: MicroUsd(micro_usd),
            price_version: "2026-11".to_owned(),
            is_priced: true,
            is_complete: true,
            is_estimated: false,
            http_status: 200,
            stop_reason: None,
            started_at,
            duration_ms: 1000,
        };
        change(&mut usage);
        let hold = NewHold {
            id: usage.id,
            session_id,
            user_id,
            turn_id: None,
            accounts,
            amount: usage.cost,
            server_id: ServerId::new(),
            model: usage.model.clone(),
            price_version: usage.price_version.clone(),
            started_at,
        };
        assert_eq!(self.world.store.hold(&hold).await.unwrap(), Held::Admitted);
        self.world.store.settle(&usage).await.unwrap();
    }
}

/// Alice in a session of hers.
pub async fn alice(world: &World) -> Spending<'_> {
    Spending { world, client: &world.alice, session: world.session().await }
}

fn nothing(_: &mut RequestUsage) {}

#[actix_web::test]
async fn a_month_is_told_in_every_way_it_can_be_asked_for() {
    let world = World::new().await;
    world.alice.patch("/api/v1/auth/me", json!({"time_zone": "Europe/Berlin"})).await;
    let first = alice(&world).await;
    first.spend("2025-12-31T22:59:59.999999Z", 1, nothing).await;
    first
        .spend("2025-12-31T23:00:00Z", 1_000_000, |usage| usage.tools = vec!["Bash".into(), "Read".into()])
        .await;
    let second = alice(&world).await;
    second
        .spend("2026-01-31T22:59:59Z", 500_001, |usage| {
            usage.model = "claude-new".into();
            usage.is_priced = false;
            usage.is_estimated = true;
        })
        .await;
    second.spend("2026-01-31T23:00:00Z", 8, nothing).await;

    let me = world.id(&world.alice).await;
    let query = "period=monthly&at=2026-01-10T12:00:00Z&by_session=true&by_tool=true&by_day=true";
    let told = world.alice.get(&format!("{COSTS}/user/{me}?{query}")).await;
    assert_snapshot!("user_costs", told.shown());
    assert_eq!(told.json(), world.admin.get(&format!("{COSTS}/user/{me}?{query}")).await.json());

    let session =
        world.alice.get(&format!("{COSTS}/session/{}?by_day=true&by_tool=true", second.session)).await;
    assert_snapshot!("session_costs", session.shown());
    let total = world.admin.get(&format!("{COSTS}/total?at=2026-01-10T12:00:00Z")).await.json();
    assert_eq!(total["total_cost_usd"], 0.500_009, "by the clocks of UTC");
}

#[actix_web::test]
async fn periods_are_the_present_ones_of_the_user() {
    let world = World::new().await;
    let me = world.id(&world.alice).await;
    world.alice.patch("/api/v1/auth/me", json!({"time_zone": "America/New_York"})).await;
    let told = async |period: &str| {
        let told = world.alice.get(&format!("{COSTS}/user/{me}?period={period}")).await.json();
        [&told["period"], &told["start_date"], &told["end_date"]]
            .map(|field| field.as_str().unwrap().to_owned())
    };
    // It is midnight at Greenwich, and the evening of the year's last day in New York.
    let at = ["hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"];
    assert_eq!(told("hourly").await, at);
    assert_eq!(told("daily").await, ["daily", "2025-12-31T05:00:00Z", "2026-01-01T05:00:00Z"]);
    assert_eq!(told("weekly").await, ["weekly", "2025-12-29T05:00:00Z", "2026-01-05T05:00:00Z"]);
    assert_eq!(told("monthly").await, ["monthly", "2025-12-01T05:00:00Z", "2026-01-01T05:00:00Z"]);
    let usual = world.alice.get(&format!("{COSTS}/user/{me}")).await.json();
    assert_eq!((&usual["period"], &usual["average_cost_per_session"]), (&json!("monthly"), &json!(0.0)));
    assert_eq!(usual.get("by_day"), None);
}

#[actix_web::test]
async fn a_team_is_who_is_in_it_now() {
    let world = World::new().await;
    let (me, bob) = (world.id(&world.alice).await, world.id(&world.bob).await);
    for user in [&me, &bob] {
        let path = format!("/api/v1/admin/users/{user}");
        assert_eq!(world.admin.patch(&path, json!({"team": "R&D / 1"})).await.status, 200);
    }
    alice(&world).await.spend("2026-01-01T00:00:00Z", 30, nothing).await;
    let made = world.bob.post("/api/v1/sessions", json!({})).await.json();
    let session = made["id"].as_str().unwrap().to_owned();
    Spending { world: &world, client: &world.bob, session }.spend("2026-01-01T00:00:00Z", 12, nothing).await;
    let team = async || world.admin.get(&format!("{COSTS}/team/R%26D%20%2F%201")).await.json();
    let told = team().await;
    assert_eq!((&told["team"], &told["total_cost_usd"]), (&json!("R&D / 1"), &json!(0.000_042)));
    assert_eq!((&told["total_sessions"], &told["average_cost_per_session"]), (&json!(2), &json!(0.000_021)));
    world.admin.patch(&format!("/api/v1/admin/users/{bob}"), json!({"team": null})).await;
    assert_eq!(team().await["total_cost_usd"], 0.000_03);
}

#[actix_web::test]
async fn questions_that_make_no_sense_are_refused_by_name() {
    let world = World::new().await;
    let me = world.id(&world.alice).await;
    for (query, violation) in [
        ("period=yearly", "?period"),
        ("at=yesterday", "?at"),
        ("at=9999-12-31T12:00:00Z&period=monthly", "?at"),
        ("by_day=maybe", "?by_day"),
        ("by_hour=true", "?by_hour"),
    ] {
        let refused = world.alice.get(&format!("{COSTS}/user/{me}?{query}")).await;
        let violations = refused.violations();
        assert_eq!(refused.status, 422, "{query}: {}", refused.text());
        assert!(violations.iter().any(|one| one.starts_with(violation)), "{query}: {violations:?}");
    }
    let unknown = world.admin.get(&format!("{COSTS}/user/{}", world.session().await)).await;
    assert_eq!((unknown.status, unknown.error_code().as_str()), (404, "USER_NOT_FOUND"));
    let told: Value = world.admin.get(&format!("{COSTS}/team/nobody")).await.json();
    assert_eq!(told["total_cost_usd"], 0.0);
}
