//! Money as a user sees it go: held before each request, never more than the budget and one request, booked once whatever
//! happens. The model keeps books of its own, and ours must agree.

use crate::{
    client::Client,
    world::{World, eventually},
};
use domain::TokenUsage;
use futures::future::join_all;
use gateway::{PriceTable, Reading};
use offline_model::Charge;
use serde_json::{Value, json};
use testkit::PostgresDatabase;

/// One request of 18,000 micro-dollars that calls a tool, and one of as much that ends the turn.
const TWO_REQUESTS: &str = r#"[[usage:in=1000,out=1000]][[tool:Bash {"command":"echo hi"}]][[next]][[usage:in=1000,out=1000]][[text:done]]"#;
const EACH: i64 = 18_000;

/// What the model has charged for answers that it sent to their end, in micro-dollars.
fn charged(world: &World) -> i64 {
    world.model.charged().iter().filter(|charge| charge.is_complete).map(price).sum()
}

fn price(charge: &Charge) -> i64 {
    let tokens = TokenUsage {
        input: charge.input,
        output: charge.output,
        cache_read: charge.cache_read,
        cache_write_5m: charge.cache_write_5m,
        cache_write_1h: charge.cache_write_1h,
    };
    let reading = Reading { tokens, web_searches: charge.web_searches, ..Reading::default() };
    PriceTable::embedded().unwrap().quote(&charge.model, &reading).cost.0
}

/// What all sessions have cost according to the ledger, in micro-dollars.
async fn booked(user: &Client) -> i64 {
    let sessions = user.get("/sessions?limit=100").await.ok();
    sessions["items"].as_array().unwrap().iter().map(cost).sum()
}

fn cost(session: &Value) -> i64 {
    (session["total_cost_usd"].as_f64().unwrap() * 1e6).round() as i64
}

/// A figure out of the database.
fn figure(world: &World, sql: &str) -> i64 {
    world.database().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Gives the only user so much, behind the server's back.
fn allow(world: &World, micro_usd: i64) {
    world.sql(&format!(
        "INSERT INTO budgets (spender_kind, spender_key, limit_micro_usd, when_exhausted)
         SELECT DISTINCT spender_kind, spender_key, {micro_usd}, 'pause' FROM spend WHERE spender_kind = 'user'
         ON CONFLICT (spender_kind, spender_key) DO UPDATE SET limit_micro_usd = excluded.limit_micro_usd"
    ));
}

async fn many_at_once(settings: &[(&str, &str)]) {
    // Whoever comes first, 41 requests are made: a first one of every session, and a second one of some but never of all.
    const SESSIONS: usize = 32;
    const CAP: i64 = 40 * EACH + 1;
    let cap = format!("0.{CAP:06}");
    let mut all =
        vec![("USER_MONTHLY_BUDGET_USD", cap.as_str()), ("MAX_CONCURRENT_INTERACTIVE_SESSIONS", "32")];
    all.extend(settings);
    let world = World::with(&all).await;
    let user = world.admin().await;
    let mut sessions = vec![];
    for _ in 0..SESSIONS {
        sessions.push(user.session(json!({ "allowed_tools": ["Bash"] })).await);
    }
    let turns = join_all(sessions.iter().map(|session| begun(&user, session))).await;
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    for turn in turns {
        let over = eventually_over(&user, &turn).await;
        let status = over["status"].as_str().unwrap();
        assert!(["completed", "budget_exhausted"].contains(&status), "{over}");
        *ends.entry(status.to_owned()).or_default() += 1;
    }
    let spent = booked(&user).await;
    assert_eq!(spent, charged(&world), "the ledger is what the model charged");
    assert!(spent >= CAP, "nobody is refused while there is money: {spent} {ends:?}");
    assert!(spent <= CAP + EACH, "no more than the cap and one request: {spent} {ends:?}");
    assert!(ends.len() == 2, "{ends:?}");

    let refused = user.query(&sessions[0], "and more").await;
    let problem = refused.problem(402, "BUDGET_EXHAUSTED");
    assert_eq!(problem["spender"]["kind"], "user", "{problem}");
    assert_eq!(problem["spent_usd"].as_f64().map(|spent| (spent * 1e6).round() as i64), Some(spent));
    let draft = json!({ "mode": "background", "initial_message": "and more" });
    user.post("/sessions", draft).await.problem(402, "BUDGET_EXHAUSTED");
    let fork = json!({ "message": "and more", "fork": true });
    user.post(&format!("{}/query", sessions[0]), fork).await.problem(402, "BUDGET_EXHAUSTED");
    assert_eq!(booked(&user).await, spent);
}

/// A turn that has begun or waits. So many at once make a busy machine say that it is to be asked again.
async fn begun(user: &Client, session: &str) -> String {
    eventually("the prompt is taken", async || {
        let request = user.request(reqwest::Method::POST, &format!("{session}/query"));
        let request = request.header("Prefer", "respond-async").json(&json!({ "message": TWO_REQUESTS }));
        let answer = crate::client::send(request).await;
        assert!([202, 503].contains(&answer.status), "{answer:?}");
        let turn = answer.body["turn_id"].as_str()?;
        Some(format!("{session}/turns/{turn}"))
    })
    .await
}

/// Longer than other turns take: many agents start on few cores.
async fn eventually_over(user: &Client, turn: &str) -> Value {
    for _ in 0..3_000 {
        let over = user.get(turn).await.ok();
        if !["queued", "running"].contains(&over["status"].as_str().unwrap()) {
            return over;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("never over: {turn}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_at_once_spend_no_more_than_their_budget_and_one_request() {
    many_at_once(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_many_sessions_at_once_spend_no_more_than_their_budget_and_one_request() {
    let own = PostgresDatabase::create().await;
    many_at_once(&[("DATABASE_URL", own.url())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forks_resumes_and_retries_are_booked_once() {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.ask(&session, TWO_REQUESTS).await;
    assert_eq!((booked(&user).await, charged(&world)), (2 * EACH, 2 * EACH));

    // The CLI asks again by itself; what was refused is free.
    user.ask(&session, "[[error:529 times=2 retry_after=0]][[usage:in=1000,out=1000]][[text:at last]]").await;
    assert_eq!((booked(&user).await, charged(&world)), (3 * EACH, 3 * EACH));
    assert_eq!(figure(&world, "SELECT count(*) FROM request_usage WHERE http_status = 529"), 2);

    let fork = user.post(&format!("{session}/fork"), json!({})).await.ok();
    let fork = format!("/sessions/{}", fork["id"].as_str().unwrap());
    user.ask(&fork, "[[usage:in=1000,out=1000]][[text:in the fork]]").await;
    assert_eq!(cost(&user.get(&fork).await.ok()), EACH, "a fork does not inherit costs");
    assert_eq!((booked(&user).await, charged(&world)), (4 * EACH, 4 * EACH));

    world.stop().await;
    world.launch().await;
    let user = world.admin().await;
    user.ask(&session, "[[usage:in=1000,out=1000]][[text:resumed]]").await;
    assert_eq!((booked(&user).await, charged(&world)), (5 * EACH, 5 * EACH));
    let spent = figure(&world, "SELECT spent_micro_usd FROM spend WHERE spender_kind = 'user'");
    assert_eq!((spent, figure(&world, "SELECT count(*) FROM holds")), (5 * EACH, 0));
    assert_eq!(figure(&world, "SELECT count(*) FROM request_usage WHERE is_estimated"), 0);
}

/// Kills the server while it waits for what the model has to say to this, and gives what is booked for that.
async fn killed_in_the_middle(prompt: &str) -> i64 {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    user.ask(&session, "[[usage:in=1000,out=1000]][[text:before]]").await;
    let turn = user.query_async(&session, prompt).await;
    eventually("what was seen is noted", async || {
        (figure(&world, "SELECT count(*) FROM holds WHERE seen IS NOT NULL") == 1).then_some(())
    })
    .await;
    world.kill().await;
    world.launch().await;

    let user = world.admin().await;
    assert_eq!(user.get(&turn).await.ok()["status"], "interrupted");
    assert_eq!(figure(&world, "SELECT count(*) FROM holds WHERE NOT is_lost"), 0, "nothing stays held");
    let estimated = "SELECT cost_micro_usd FROM request_usage WHERE is_estimated AND NOT is_complete";
    let lost = figure(&world, estimated);
    assert_eq!(booked(&user).await, EACH + lost);
    user.ask(&session, "[[usage:in=1000,out=1000]][[text:after]]").await;
    assert_eq!(booked(&user).await, 2 * EACH + lost, "and nothing twice");
    let spent = figure(&world, "SELECT spent_micro_usd FROM spend WHERE spender_kind = 'user'");
    assert_eq!(spent, 2 * EACH + lost);
    lost
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_of_an_answer_books_what_it_saw() {
    let lost = killed_in_the_middle("[[usage:in=5000]][[chunk_delay:50]][[endless]]").await;
    assert!(lost > 5_000 * 3, "its prompt at least is booked: {lost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_before_an_answer_books_what_it_asked() {
    let lost = killed_in_the_middle("[[hang]]").await;
    assert!(lost > 0, "it was asked, so it is not free");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_told_is_estimated_and_flagged() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "max_retries": 0 })).await;
    user.query(&session, "[[no_usage]][[text:how much was that]]").await;
    let rows = "SELECT count(*) FROM request_usage WHERE is_estimated AND cost_micro_usd > 0";
    assert!(figure(&world, rows) >= 1);
    let before = figure(&world, rows);
    user.query(&session, "[[usage:in=1000]][[cut:3]][[deltas:9]]").await;
    assert!(figure(&world, rows) > before);
    let sums = "SELECT sum(cost_micro_usd) FROM request_usage";
    assert_eq!(figure(&world, sums), booked(&user).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ran_out_is_paused_and_goes_on_when_the_budget_is_raised() {
    let settings = [("USER_MONTHLY_BUDGET_USD", "0.02"), ("BUDGET_WHEN_EXHAUSTED", "pause")];
    let world = World::with(&settings).await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.ask(&session, "remember the windmill [[usage:in=1000,out=1000]][[text:yes]]").await;
    let answer = user.query(&session, TWO_REQUESTS).await.ok();
    assert_eq!(
        (&answer["status"], &answer["error_code"]),
        (&json!("budget_exhausted"), &json!("BUDGET_EXHAUSTED"))
    );
    let words = answer["error_message"].as_str().unwrap();
    assert!(words.contains("the user's monthly budget is used up: $0.036000 of $0.020000"), "{answer}");
    let paused = user.get(&session).await.ok();
    assert_eq!(paused["status"], "paused", "{paused}");
    assert!(paused["budget_paused_at"].is_string(), "{paused}");
    assert_eq!(booked(&user).await, charged(&world));
    user.query(&session, "hello").await.problem(402, "BUDGET_EXHAUSTED");
    // The agent was told in words, and did not ask again and again.
    let refused = world.log().matches("this request was not sent").count();
    assert_eq!(refused, 0, "words for agents are not for the log");

    allow(&world, 1_000_000);
    let turns = eventually("it goes on by itself", async || {
        let turns = user.get(&format!("{session}/turns")).await.ok();
        let newest = turns[0].clone();
        (turns.as_array().unwrap().len() == 3 && newest["status"] == "completed").then_some(turns)
    })
    .await;
    assert!(turns[0]["answer"].to_string().contains("There is money again"), "{turns}");
    let active = user.get(&session).await.ok();
    assert_eq!((&active["status"], &active["budget_paused_at"]), (&json!("active"), &Value::Null));
    let answer = user.ask(&session, "[[recall]]").await;
    assert!(answer.contains("windmill"), "{answer}");
    assert_eq!(booked(&user).await, charged(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_changed_in_the_middle_of_a_turn_applies_to_its_next_request() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.ask(&session, "[[usage:in=1000,out=1000]][[text:before]]").await;
    let wait = r#"[[usage:in=1000,out=1000]][[tool:Bash {"command":"until test -e go; do sleep 0.05; done"}]][[next]][[text:no]]"#;
    let turn = user.query_async(&session, wait).await;
    eventually("the tool runs", async || {
        (figure(&world, "SELECT count(*) FROM request_usage") == 2).then_some(())
    })
    .await;
    allow(&world, 1);
    std::fs::write(world.workspace(&session).join("go"), "").unwrap();
    let over = user.turn_over(&turn).await;
    assert_eq!(over["status"], "budget_exhausted", "{over}");
    assert_eq!(booked(&user).await, 2 * EACH);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_price_file_keeps_the_server_from_starting_and_says_why() {
    let mut world = World::start().await;
    world.stop().await;
    let file = world.data_dir().join("prices.toml");
    std::fs::write(&file, "version = \"1\"\nweb_search = -1\n").unwrap();
    world.set("PRICE_FILE", file.to_str().unwrap());
    #[expect(clippy::disallowed_methods, reason = "waited for at once")]
    let started = tokio::task::spawn(async move {
        let mut world = world;
        world.launch().await;
    });
    let panicked = started.await.unwrap_err().into_panic();
    let said = panicked.downcast_ref::<String>().unwrap();
    assert!(said.contains("prices.toml") && said.contains("line 2"), "{said}");
}
