//! Two servers on one PostgreSQL: whatever both try at once happens once, and each hears where the other wrote.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking")]

use domain::{
    ApprovalAnswer, ApprovalDecision, ApprovalOutcome, AuditFilter, Entry, Expected, Generation, MicroUsd,
    Origin, RequestUsage, RequestUsageId, Scope, SessionId, SessionStatus, TokenUsage,
    audit::{Verifier, events},
    hook::{HookEndpointPatch, SecretRotation},
    mcp::McpServerPatch,
    ports::{Approvals, Audit, Budgets, Decided, HookEndpoints, Journal, McpServers, Turns, Wakeup, Wakeups},
    turn::Begin,
};
use futures::future::join_all;
use persistence::{Database, DatabaseOptions, Store};
use serde_json::json;
use std::time::Duration;
use testkit::{
    PostgresDatabase,
    conformance::{Fixture, endpoint, mcp_server},
};
use tokio::{sync::mpsc, time::timeout};

/// How long anything is waited for that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database and the store of each server on it, the first with a user.
async fn world() -> (PostgresDatabase, Fixture<Store>, Store) {
    let own = PostgresDatabase::create().await;
    let (one, other) = (open(&own).await, open(&own).await);
    let f = Fixture::new(one).await;
    (own, f, other)
}

async fn open(own: &PostgresDatabase) -> Store {
    Database::open(&DatabaseOptions::new(own.url()), migration::up).await.unwrap().store()
}

#[tokio::test]
async fn servers_that_start_at_once_bring_the_schema_up_to_date_once() {
    let own = PostgresDatabase::create().await;
    join_all((0..4).map(|_| open(&own))).await;
}

#[tokio::test]
async fn a_session_begins_one_of_the_turns_that_both_begin() {
    let (_own, f, other) = world().await;
    for _ in 0..10 {
        let session = f.session().await.id;
        let prompts: Vec<_> = (0..6).map(|_| f.prompt(session)).collect();
        let begin = |(n, prompt): (usize, _)| {
            let store = if n.is_multiple_of(2) { &f.store } else { &other };
            store.begin(prompt, SessionStatus::Processing, f.home)
        };
        let begun = join_all(prompts.iter().enumerate().map(begin)).await;
        let count = begun.iter().filter(|begun| matches!(begun, Ok(Begin::Begun(_)))).count();
        let refused = begun.iter().filter(|begun| matches!(begun, Ok(Begin::Refused(_)))).count();
        assert_eq!((count, refused), (1, 5), "{begun:?}");
        assert_eq!(f.journal(session).await.len(), 3);
    }
}

#[tokio::test]
async fn both_append_to_one_chain() {
    let (_own, f, other) = world().await;
    let before = f.store.head().await.unwrap().seq;
    let append = |n: u64| {
        let event = events::audit_exported(n, &Origin::system(), f.tick());
        let store = if n.is_multiple_of(2) { f.store.clone() } else { other.clone() };
        async move { store.append(&[event]).await }
    };
    for appended in join_all((0..40).map(append)).await {
        appended.unwrap();
    }
    let entries = other.entries_after(0, 100, &AuditFilter::default()).await.unwrap();
    assert_eq!(entries.len() as u64, before + 40);
    let mut verifier = Verifier::from(1);
    for entry in &entries {
        verifier.take(entry).unwrap();
    }
}

#[tokio::test]
async fn the_first_answer_stands_whoever_it_was_given_to() {
    let (_own, f, other) = world().await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let approval = f.question(session, turn);
    f.store.open(&approval, Generation::FIRST).await.unwrap();
    let answer = |n: usize| {
        let says = ApprovalAnswer {
            by: f.user.id,
            is_allowed: n.is_multiple_of(3),
            reason: None,
            updated_input: None,
            remember: false,
        };
        let decision = ApprovalDecision { outcome: ApprovalOutcome::Answered(says), at: f.tick() };
        let store = if n.is_multiple_of(2) { f.store.clone() } else { other.clone() };
        async move { store.decide(approval.id, &decision, &Origin::system()).await.unwrap().unwrap() }
    };
    let decided = join_all((0..8).map(answer)).await;
    let now: Vec<_> = decided.iter().filter(|decided| matches!(decided, Decided::Now(..))).collect();
    assert_eq!(now.len(), 1);
    assert!(decided.iter().all(|decided| decided.approval().status == now[0].approval().status));
}

#[tokio::test]
async fn a_request_that_both_book_is_booked_once() {
    let (_own, f, other) = world().await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let usage = |_| RequestUsage {
        id: RequestUsageId::new(),
        session_id: session,
        user_id: f.user.id,
        turn_id: Some(turn),
        model: "m".into(),
        tokens: TokenUsage { input: 1, ..TokenUsage::default() },
        thinking_tokens: 0,
        tools: vec![],
        cost: MicroUsd(7),
        price_version: "1".into(),
        is_priced: true,
        is_complete: true,
        is_estimated: false,
        http_status: 200,
        stop_reason: None,
        started_at: f.tick(),
        duration_ms: 1,
    };
    let usages: Vec<_> = (0..20).map(usage).collect();
    // The turn ends in the middle of it: whoever ends it and whoever books want the same two rows.
    let ending = async {
        tokio::task::yield_now().await;
        other.end(turn, Generation::FIRST, &f.well()).await.map(drop)
    };
    let booking = usages.iter().flat_map(|usage| [f.store.settle(usage), other.settle(usage)]);
    let (ended, booked) = futures::future::join(ending, join_all(booking)).await;
    ended.unwrap();
    for booked in booked {
        booked.unwrap();
    }
    assert_eq!(f.reload(session).await.counters.cost, MicroUsd(20 * 7));
    assert_eq!(f.turn(session, turn).await.cost, MicroUsd(20 * 7));
}

/// What a store hears, for as long as this lives.
fn listen(store: Store) -> (tokio::task::JoinHandle<()>, mpsc::UnboundedReceiver<Wakeup>) {
    let (sender, heard) = mpsc::unbounded_channel();
    let hears = move |wakeup| {
        let _ = sender.send(wakeup);
    };
    (tokio::spawn(async move { store.exchange(&hears).await }), heard)
}

async fn next(heard: &mut mpsc::UnboundedReceiver<Wakeup>) -> Wakeup {
    timeout(PATIENCE, heard.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn each_hears_where_the_other_wrote_and_not_where_it_wrote_itself() {
    let (_own, f, other) = world().await;
    let (_task, mut ours) = listen(f.store.clone());
    let (_other_task, mut theirs) = listen(other.clone());
    assert_eq!((next(&mut ours).await, next(&mut theirs).await), (Wakeup::Anywhere, Wakeup::Anywhere));
    let (first, second) = (f.session().await.id, f.session().await.id);
    let record = async |store: &Store, session: SessionId| {
        store
            .record(session, Generation::FIRST, None, vec![Entry::Notice(json!({}))], f.tick())
            .await
            .unwrap();
    };
    record(&f.store, first).await;
    assert_eq!(next(&mut theirs).await, Wakeup::Session(first));
    record(&other, second).await;
    assert_eq!(next(&mut ours).await, Wakeup::Session(second), "one's own writes are no news");
}

#[tokio::test]
async fn who_has_agents_hears_of_other_hooks_and_mcp_servers() {
    let (_own, f, other) = world().await;
    let (_task, mut ours) = listen(f.store.clone());
    let (_other_task, mut theirs) = listen(other.clone());
    assert_eq!((next(&mut ours).await, next(&mut theirs).await), (Wakeup::Anywhere, Wakeup::Anywhere));
    let (mine, everybodys) = (Wakeup::Agents(Some(f.user.id)), Wakeup::Agents(None));
    let (by, all, any) = (Origin::system(), Scope::All, Expected::ANY);

    let hook = endpoint(f.user.id, "guard", f.tick());
    assert!(f.store.create_endpoint(&hook, 9, &by).await.unwrap());
    assert_eq!(next(&mut theirs).await, mine);
    let secret = SecretRotation { secret: hook.secret.clone(), old_until: f.tick() };
    assert!(f.store.rotate_secret(all, hook.id, &secret, &any, f.tick(), &by).await.unwrap());
    assert_eq!(next(&mut theirs).await, mine);
    let lift = HookEndpointPatch { is_global: Some(true), ..HookEndpointPatch::default() };
    f.store.patch_endpoint(all, hook.id, &lift, &any, f.tick(), &by).await.unwrap().unwrap();
    assert_eq!([next(&mut theirs).await, next(&mut theirs).await], [everybodys, mine]);
    assert!(f.store.delete_endpoint(all, hook.id, &any, f.tick(), &by).await.unwrap());
    assert_eq!(next(&mut theirs).await, everybodys);

    let server = mcp_server(f.user.id, "files", f.tick());
    assert!(f.store.create_mcp_server(&server, 9, &by).await.unwrap());
    assert_eq!(next(&mut theirs).await, mine);
    let off = McpServerPatch { is_enabled: Some(false), ..McpServerPatch::default() };
    f.store.patch_mcp_server(all, server.id, &off, &any, f.tick(), &by).await.unwrap().unwrap();
    assert_eq!(next(&mut theirs).await, mine);
    assert!(f.store.delete_mcp_server(all, server.id, &any, f.tick(), &by).await.unwrap());
    assert_eq!(next(&mut theirs).await, mine);
}

#[tokio::test]
async fn whoever_cannot_hear_looks_everywhere_until_it_hears_again() {
    let (own, f, other) = world().await;
    let (_task, mut theirs) = listen(other.clone());
    let (_our_task, mut ours) = listen(f.store.clone());
    assert_eq!((next(&mut theirs).await, next(&mut ours).await), (Wakeup::Anywhere, Wakeup::Anywhere));
    own.end_connections().await;
    assert_eq!(next(&mut theirs).await, Wakeup::Anywhere);
    let session = f.session().await.id;
    loop {
        // Until a wake-up comes through again: what is recorded before may be missed, and is made up for by looking.
        let _ =
            f.store.record(session, Generation::FIRST, None, vec![Entry::Notice(json!({}))], f.tick()).await;
        if let Ok(Some(Wakeup::Session(heard))) = timeout(Duration::from_millis(200), theirs.recv()).await {
            assert_eq!(heard, session);
            break;
        }
    }
}

#[tokio::test]
async fn nothing_is_gathered_for_others_while_nobody_tells_them() {
    let (_own, f, other) = world().await;
    let session = f.session().await.id;
    f.store.record(session, Generation::FIRST, None, vec![Entry::Notice(json!({}))], f.tick()).await.unwrap();
    let (_task, mut theirs) = listen(other);
    assert_eq!(next(&mut theirs).await, Wakeup::Anywhere);
    let (_our_task, mut ours) = listen(f.store.clone());
    assert_eq!(next(&mut ours).await, Wakeup::Anywhere);
    let later = f.session().await.id;
    f.store.record(later, Generation::FIRST, None, vec![Entry::Notice(json!({}))], f.tick()).await.unwrap();
    assert_eq!(next(&mut theirs).await, Wakeup::Session(later));
}
