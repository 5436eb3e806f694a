//! What the database owes its users besides the ports: it opens, waits, survives, and says why it cannot.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::{
    Entry, Generation, MessageId, MessageType, MicroUsd, NewMessage, Origin, PageRequest, RequestUsage,
    RequestUsageId, Scope, SessionId, SessionStatus, TokenUsage,
    ports::{Budgets, History, Journal, Ping, Sessions, StoreError, Turns},
    turn::Begin,
};
use persistence::{Database, DatabaseOptions, OpenError, Store};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde_json::json;
use std::{path::Path, time::Duration};
use tempfile::TempDir;
use testkit::conformance::Fixture;

fn options(folder: &Path) -> DatabaseOptions {
    DatabaseOptions::new(format!("sqlite://{}/steward.db", folder.display()))
}

async fn open(folder: &TempDir) -> Database {
    Database::open(&options(folder.path()), migration::up).await.unwrap()
}

/// A connection that is not the store's, as another process has it.
async fn stranger(folder: &TempDir) -> DatabaseConnection {
    let mut connect = sea_orm::ConnectOptions::new(options(folder.path()).url);
    connect.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(connect).await.unwrap()
}

fn notice() -> Vec<Entry> {
    vec![Entry::Notice(json!({ "code": "x" }))]
}

#[tokio::test]
async fn what_was_stored_is_there_after_closing_and_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let f = Fixture::new(database.store()).await;
    let session = f.session().await;
    database.close().await.unwrap();
    assert!(!folder.path().join("steward.db-wal").exists(), "the log was not folded into the file");
    assert!(matches!(f.store.ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(f.store.create(&session, &Origin::system()).await, Err(StoreError::Unavailable(_))));

    let store = open(&folder).await.store();
    assert_eq!(Sessions::get(&store, Scope::All, session.id).await.unwrap(), Some(session));
}

/// Far fewer pages than those at which a commit would do it.
#[tokio::test]
async fn the_log_is_folded_into_the_file_while_the_store_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let f = Fixture::new(database.store()).await;
    let session = f.session().await.id;
    let length = || std::fs::metadata(folder.path().join("steward.db")).unwrap().len();
    let before = length();
    let long = vec![Entry::Notice(json!({ "code": "x".repeat(8 * 1024) }))];
    for _ in 0..100 {
        f.store.record(session, Generation::FIRST, None, long.clone(), f.tick()).await.unwrap();
    }
    let folded = async {
        while length() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), folded).await.expect("the file has not grown");
    assert_eq!(f.journal(session).await.len(), 100);
    database.close().await.unwrap();
}

/// The files as a killed process leaves them: the log beside the file, a transaction half-way.
#[tokio::test]
async fn what_was_committed_survives_the_death_of_the_process() {
    let (folder, grave) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = open(&folder).await;
    let f = Fixture::new(database.store()).await;
    let session = f.session().await.id;
    let Begin::Begun(begun) =
        f.store.begin(&f.prompt(session), SessionStatus::Processing, f.home).await.unwrap()
    else {
        panic!("the turn did not begin");
    };
    f.store.record(session, Generation::FIRST, Some(begun.turn_id), notice(), f.tick()).await.unwrap();
    let other = stranger(&folder).await;
    other.execute_unprepared("BEGIN IMMEDIATE; UPDATE sessions SET name = 'lost';").await.unwrap();
    for file in ["steward.db", "steward.db-wal"] {
        std::fs::copy(folder.path().join(file), grave.path().join(file)).unwrap();
    }

    let store = open(&grave).await.store();
    let events = store.read_after(session, 0, 10).await.unwrap();
    assert_eq!(events, f.store.read_after(session, 0, 10).await.unwrap());
    assert_eq!(events.len(), 4);
    let open_turns = store.running(f.home).await.unwrap();
    assert_eq!(open_turns.iter().map(|turn| turn.id).collect::<Vec<_>>(), [begun.turn_id]);
    let found = Sessions::get(&store, Scope::All, session).await.unwrap().unwrap();
    assert_eq!(found.name.as_deref(), Some("a name"));
}

#[tokio::test]
async fn a_write_waits_for_another_process_and_gives_up_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let impatient = DatabaseOptions { busy_timeout: Duration::from_millis(200), ..options(folder.path()) };
    let database = Database::open(&impatient, migration::up).await.unwrap();
    let f = Fixture::new(database.store()).await;
    let session = f.session().await;
    let other = stranger(&folder).await;
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let transaction = f.store.record(session.id, Generation::FIRST, None, notice(), f.tick()).await;
    assert!(matches!(transaction, Err(StoreError::Unavailable(_))), "{transaction:?}");
    let statement = f.store.create(&session, &Origin::system()).await;
    assert!(matches!(statement, Err(StoreError::Unavailable(_))), "{statement:?}");
    let reading = Sessions::get(&f.store, Scope::All, session.id).await;
    assert!(reading.unwrap().is_some(), "reading must not wait for a writer");

    let patient = Database::open(&options(folder.path()), async |_| Ok(())).await.unwrap().store();
    let write = patient.record(session.id, Generation::FIRST, None, notice(), f.tick());
    let release = async {
        tokio::task::yield_now().await;
        other.execute_unprepared("COMMIT").await.unwrap();
    };
    let (written, ()) = futures::future::join(write, release).await;
    assert_eq!(written.unwrap()[0].seq, 1);
}

#[tokio::test]
async fn writes_of_another_process_in_between_are_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let f = Fixture::new(database.store()).await;
    let session = f.session().await.id;
    let other = stranger(&folder).await;
    let theirs = async {
        for _ in 0..200 {
            other.execute_unprepared("UPDATE users SET full_name = 'x'").await.unwrap();
        }
    };
    let ours = async {
        for _ in 0..200 {
            f.store.record(session, Generation::FIRST, None, notice(), f.tick()).await.unwrap();
        }
    };
    futures::future::join(theirs, ours).await;
    assert_eq!(f.journal(session).await.len(), 200);
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let f = Fixture::new(database.store()).await;
    let session = f.session().await.id;
    let mut finished = 0;
    for polls in 0..60 {
        let message = NewMessage {
            id: MessageId::new(),
            message_type: MessageType::Assistant,
            content: json!("hello"),
            model: None,
            thinking: None,
            parent_tool_use_id: None,
            entry_uuid: None,
        };
        let entries = vec![Entry::Message(Box::new(message)), Entry::Notice(json!({}))];
        let mut write = f.store.record(session, Generation::FIRST, None, entries, f.tick());
        for _ in 0..polls {
            if futures::poll!(write.as_mut()).is_ready() {
                finished += 1;
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(write);
        // A COMMIT may be under way already; the next write comes after it.
        f.session().await;
        let journal = f.journal(session).await;
        let messages = f.store.messages(session, &PageRequest::first(100)).await.unwrap();
        assert_eq!(journal.len(), 2 * messages.items.len(), "half a record was kept");
    }
    let events = f.store.record(session, Generation::FIRST, None, notice(), f.tick()).await.unwrap();
    assert_eq!(events[0].seq, f.journal(session).await.len() as u64);
    assert!(finished < 60, "no call was ever cut off, so this showed nothing");
}

#[tokio::test]
async fn references_are_enforced() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let f = Fixture::new(database.store()).await;
    let usage = RequestUsage {
        id: RequestUsageId::new(),
        session_id: SessionId::new(),
        user_id: domain::UserId::new(),
        turn_id: None,
        model: "m".into(),
        tokens: TokenUsage::default(),
        thinking_tokens: 0,
        tools: vec![],
        cost: MicroUsd(1),
        price_version: "1".into(),
        is_priced: true,
        is_complete: true,
        is_estimated: false,
        http_status: 200,
        stop_reason: None,
        started_at: f.tick(),
        duration_ms: 1,
    };
    assert!(matches!(f.store.settle(&usage).await, Err(StoreError::Failed(_))));
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let f = Fixture::new(database.store()).await;
    let session = f.session().await;
    stranger(&folder).await.execute_unprepared("UPDATE sessions SET status = 'dreaming'").await.unwrap();
    match Sessions::get(&f.store, Scope::All, session.id).await {
        Err(StoreError::Inconsistent { table, column }) => {
            assert_eq!((table, column), ("sessions", "status"))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_step_can_be_taken_back_with_data_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let f = Fixture::new(database.store()).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    f.store.record(session, Generation::FIRST, Some(turn), notice(), f.tick()).await.unwrap();
    database.close().await.unwrap();
    let emptied =
        Database::open(&options(folder.path()), async |db| migration::down(db, migration::steps()).await)
            .await;
    emptied.unwrap().close().await.unwrap();
    let store: Store = open(&folder).await.store();
    assert_eq!(store.running(f.home).await.unwrap(), []);
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("steward.db"), "not a database, only some text in a file").unwrap();
    let not_there = folder.path().join("no/such/folder");
    let cases = [
        (DatabaseOptions::new("mysql://localhost/x"), "UnknownKind"),
        (DatabaseOptions::new("sqlite://x.db?mode=sideways"), "BadUrl"),
        (options(&not_there), "Unreachable"),
        (options(folder.path()), "Unreachable"),
    ];
    for (options, expected) in cases {
        let error = Database::open(&options, migration::up).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{}: {error:?}", options.url);
    }
    let empty = tempfile::tempdir().unwrap();
    let options = options(empty.path());
    let failing = Database::open(&options, async |_| Err(sea_orm::DbErr::Custom("no".into())));
    assert!(matches!(failing.await, Err(OpenError::Migration(_))));
}

#[tokio::test]
async fn large_rows_come_a_few_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let f = Fixture::new(open(&folder).await.store()).await;
    testkit::conformance::large_rows_come_a_few_at_a_time(&f).await;
}
