//! Which budgets are counted.

use crate::{CostSettings, CostStores, CostTracker, MetricsCollector};
use domain::{
    Budget, BudgetPeriod, Expected, MicroUsd, NewUser, Origin, RequestUsage, RequestUsageId, Role, ServerId,
    SessionId, Spender, TokenUsage, User, UserId, WhenExhausted,
    budget::{Account, NewHold},
    ports::{Accounts, Budgets},
};
use jiff::Timestamp;
use std::sync::Arc;
use testkit::{MemoryStore, TestClock};

const BUDGET: Budget = Budget { limit: MicroUsd(100), when_exhausted: WhenExhausted::Block };

async fn person(store: &MemoryStore, name: &str, time_zone: &str) -> UserId {
    let user = User {
        id: UserId::new(),
        email: format!("{name}@example.com"),
        username: name.into(),
        full_name: None,
        role: Role::Member,
        is_active: true,
        team: None,
        time_zone: time_zone.into(),
        created_at: Timestamp::UNIX_EPOCH,
        last_login_at: None,
    };
    let id = user.id;
    store.create_user(&NewUser { user, password_hash: String::new() }, &Origin::system()).await.unwrap();
    id
}

async fn spend(store: &MemoryStore, user: UserId, period: &str, cost: i64) {
    let id = RequestUsageId::new();
    let (session_id, model, price_version) = (SessionId::new(), "m".to_owned(), "1".to_owned());
    let hold = NewHold {
        id,
        session_id,
        user_id: user,
        turn_id: None,
        accounts: vec![account(user, period)],
        amount: MicroUsd(cost),
        server_id: ServerId::new(),
        model: model.clone(),
        price_version: price_version.clone(),
        started_at: Timestamp::UNIX_EPOCH,
    };
    store.hold(&hold).await.unwrap();
    let usage = RequestUsage {
        id,
        session_id,
        user_id: user,
        turn_id: None,
        model,
        tokens: TokenUsage::default(),
        thinking_tokens: 0,
        tools: vec![],
        cost: MicroUsd(cost),
        price_version,
        is_priced: true,
        is_complete: true,
        is_estimated: false,
        http_status: 200,
        stop_reason: None,
        started_at: Timestamp::UNIX_EPOCH,
        duration_ms: 1,
    };
    store.settle(&usage).await.unwrap();
}

fn account(user: UserId, period: &str) -> Account {
    Account { spender: Spender::User(user), period: BudgetPeriod(period.into()), default: Some(BUDGET) }
}

#[tokio::test]
async fn users_on_the_default_budget_are_counted_in_the_month_of_their_own_clock() {
    let (store, clock) = (MemoryStore::default(), TestClock::at("2026-11-15T12:00:00Z".parse().unwrap()));
    let metrics = Arc::new(MetricsCollector::local("1.2.3").unwrap());
    let stores = CostStores {
        budgets: Arc::new(store.clone()),
        costs: Arc::new(store.clone()),
        accounts: Arc::new(store.clone()),
    };
    let settings = CostSettings { is_enabled: true, server: ServerId::new(), user_budget: Some(BUDGET) };
    let tracker = CostTracker::new(stores, Arc::new(clock.clone()), settings).counted_by(metrics.clone());
    let exhausted = async || {
        tracker.note_levels().await.unwrap();
        let scraped = metrics.scrape().unwrap().text().unwrap();
        let count = |used: &str| {
            let series = format!(r#"steward_budget_spenders{{kind="user",used="{used}"}} "#);
            let value = scraped.lines().find_map(|line| line.strip_prefix(&series)).unwrap();
            value.parse::<f64>().unwrap()
        };
        (count("below_50"), count("exhausted"))
    };
    assert_eq!(exhausted().await, (0.0, 0.0));

    let early = person(&store, "ada", "Pacific/Auckland").await;
    let late = person(&store, "bob", "America/Los_Angeles").await;
    let own = person(&store, "eve", "UTC").await;
    for user in [early, late, own] {
        spend(&store, user, "2026-11", 100).await;
        spend(&store, user, "2026-12", 1).await;
    }
    let larger = Some(Budget { limit: MicroUsd(1_000), ..BUDGET });
    let its = account(own, "2026-11");
    store.set_budget(&its, larger, &Expected::ANY, Timestamp::UNIX_EPOCH, &Origin::system()).await.unwrap();
    assert_eq!(
        exhausted().await,
        (1.0, 2.0),
        "one has a larger budget of their own, and is not counted twice"
    );

    clock.set("2026-12-01T01:00:00Z".parse().unwrap());
    assert_eq!(exhausted().await, (2.0, 1.0), "it is still November in Los Angeles");
    clock.set("2026-12-15T12:00:00Z".parse().unwrap());
    assert_eq!(exhausted().await, (3.0, 0.0));
}
