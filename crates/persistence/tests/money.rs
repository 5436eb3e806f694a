//! Two servers, 32 sessions, one budget: what is spent is never more than the budget and one request; and what sums
//! over a large ledger cost.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking")]

use domain::{
    Budget, BudgetPeriod, MicroUsd, RequestUsage, RequestUsageId, Spender, TokenUsage, UserId, WhenExhausted,
    budget::{Account, Held, NewHold},
    cost::{CostKey, CostQuery, CostScope},
    ports::{Budgets, Costs},
};
use jiff::Timestamp;
use persistence::{Database, DatabaseOptions, Store};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::time::Instant;
use testkit::{PostgresDatabase, conformance::Fixture};

const TASKS: u64 = 32;
const LIMIT: MicroUsd = MicroUsd(4_000);
const MOST: i64 = 40;

async fn open(url: &str) -> Store {
    Database::open(&DatabaseOptions::new(url), migration::up).await.unwrap().store()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_file_spend_one_budget() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/steward.db", folder.path().display());
    spend_all(open(&url).await, open(&url).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_postgres_spend_one_budget() {
    let own = PostgresDatabase::create().await;
    spend_all(open(own.url()).await, open(own.url()).await).await;
}

/// Everybody goes on until the money is gone.
async fn spend_all(one: Store, other: Store) {
    let f = Fixture::new(one.clone()).await;
    let default = Some(Budget { limit: LIMIT, when_exhausted: WhenExhausted::Block });
    let month = |spender, default| Account { spender, period: BudgetPeriod("2026-11".into()), default };
    let account = month(Spender::User(f.user.id), default);
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let store = if task.is_multiple_of(2) { one.clone() } else { other.clone() };
        let session = f.session().await.id;
        let own =
            Account { spender: Spender::Session(session), period: BudgetPeriod::default(), default: None };
        let accounts = vec![account.clone(), month(Spender::Team("blue".into()), None), own];
        let blank = RequestUsage {
            id: RequestUsageId::new(),
            session_id: session,
            user_id: f.user.id,
            turn_id: None,
            model: "m".into(),
            tokens: TokenUsage::default(),
            thinking_tokens: 0,
            tools: vec![],
            cost: MicroUsd::ZERO,
            price_version: "1".into(),
            is_priced: true,
            is_complete: true,
            is_estimated: false,
            http_status: 200,
            stop_reason: None,
            started_at: f.tick(),
            duration_ms: 1,
        };
        let hold = NewHold {
            id: blank.id,
            session_id: session,
            user_id: f.user.id,
            turn_id: None,
            accounts,
            amount: MicroUsd(MOST),
            server_id: f.home,
            model: "m".into(),
            price_version: "1".into(),
            started_at: blank.started_at,
        };
        tasks.push(tokio::spawn(until_it_is_gone(store, hold, blank, task)));
    }
    let mut requests = 0;
    for task in tasks {
        requests += task.await.unwrap();
    }
    let status = one.statuses(std::slice::from_ref(&account)).await.unwrap().pop().unwrap();
    assert_eq!(status.held, MicroUsd::ZERO);
    assert!(status.spent >= LIMIT, "nobody is refused while there is money: {}", status.spent);
    assert!(status.spent.0 < LIMIT.0 + MOST, "{} of {LIMIT}", status.spent);
    let scope = CostScope::User(f.user.id);
    let all = CostQuery { scope, from: Timestamp::MIN, until: Timestamp::MAX };
    let sum = other.cost(&all).await.unwrap();
    assert_eq!((sum.requests, sum.cost), (requests, status.spent));
    assert_eq!(one.holds().await.unwrap(), (0, MicroUsd::ZERO));
}

/// Makes requests until a budget is exhausted, and answers how many those were.
async fn until_it_is_gone(store: Store, hold: NewHold, blank: RequestUsage, task: u64) -> u64 {
    let mut made = 0;
    loop {
        let hold = NewHold { id: RequestUsageId::new(), ..hold.clone() };
        match store.hold(&hold).await.unwrap() {
            Held::Wait(_) => tokio::task::yield_now().await,
            Held::Exhausted(_) => return made,
            Held::Admitted => {
                let before = store.statuses(&hold.accounts[..1]).await.unwrap().pop().unwrap();
                assert!((before.spent + before.held).0 < LIMIT.0 + MOST, "{before:?}");
                // Seldom all that was held, and all that was held now and then.
                let cost = (task + 7 * made) % 41;
                let cost = MicroUsd(i64::try_from(cost).unwrap().min(MOST));
                store.settle(&RequestUsage { id: hold.id, cost, ..blank.clone() }).await.unwrap();
                made += 1;
            }
        }
    }
}

/// The ledger of a month, as the database makes it by itself.
const MILLION: &str = "
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999),
        s AS MATERIALIZED (SELECT id AS session_id, row_number() OVER (ORDER BY id) - 1 AS place FROM sessions)
    INSERT INTO request_usage (id, session_id, user_id, turn_id, model, input_tokens, output_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, cost_micro_usd, price_version, is_priced,
        is_complete, http_status, stop_reason, started_at, duration_ms, thinking_tokens, tools, is_estimated)
    SELECT randomblob(16), session_id, USER, NULL,
        'claude-model-' || (i % 5), i % 3000, i % 700, 0, i % 90, i % 20000, 1 + i % 50000, '2026-11', 1, 1, 200,
        'tool_use', 1793491200000000 + i * 2592000, 900 + i % 5000, i % 200,
        CASE i % 4 WHEN 0 THEN '[]' WHEN 1 THEN '[\"Bash\"]' WHEN 2 THEN '[\"Read\",\"Grep\"]'
            ELSE '[\"mcp__house__tool' || (i % 40) || '\"]' END, 0
    FROM n JOIN s ON s.place = i % 100";

#[tokio::test]
#[ignore = "a measurement: a million rows take a while to make"]
async fn sums_over_a_million_requests() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/steward.db", folder.path().display());
    let f = Fixture::new(open(&url).await).await;
    for _ in 0..100 {
        f.session().await;
    }
    let mut db = SqliteConnection::connect(&url).await.unwrap();
    let user = format!("x'{}'", f.user.id.0.simple());
    sqlx::query(AssertSqlSafe(MILLION.replace("USER", &user))).execute(&mut db).await.unwrap();
    let size = std::fs::metadata(folder.path().join("steward.db")).unwrap().len();
    let mut figures = vec![format!("file: {} MiB", size >> 20)];
    for (name, scope) in [
        ("user", CostScope::User(f.user.id)),
        ("all", CostScope::All),
        ("nobody", CostScope::User(UserId::new())),
    ] {
        let query = CostQuery { scope, from: Timestamp::MIN, until: Timestamp::MAX };
        let begun = Instant::now();
        let sum = f.store.cost(&query).await.unwrap();
        figures.push(format!("{name}: {} requests {:?}", sum.requests, begun.elapsed()));
        for key in [CostKey::Model, CostKey::Session, CostKey::Tool, CostKey::QuarterHour] {
            let begun = Instant::now();
            let keys = f.store.costs_by(&query, key, 50).await.unwrap().len();
            figures.push(format!("{name} by {key:?}: {keys} keys {:?}", begun.elapsed()));
        }
        let begun = Instant::now();
        f.store.activity(&query).await.unwrap();
        figures.push(format!("{name}, activity: {:?}", begun.elapsed()));
    }
    // Shown by `--no-capture`.
    std::io::Write::write_all(&mut std::io::stdout(), (figures.join("\n") + "\n").as_bytes()).unwrap();
}
