//! What only PostgreSQL has to be held to: its limits, its locks, its characters, and that it may go and come back.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::{
    Entry, EventBody, Expected, Generation, MessageId, MessageType, NewMessage, Origin, Scope, ServerId,
    ports::{Accounts, Audit, Journal, Ping, Purged, Servers, Sessions, StoreError, Turns},
};
use persistence::{Database, DatabaseOptions, OpenError, Store};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use std::time::Duration;
use testkit::{PostgresDatabase, conformance::Fixture};

const SHORT: Duration = Duration::from_millis(300);

async fn open(options: &DatabaseOptions) -> Store {
    Database::open(options, migration::up).await.unwrap().store()
}

async fn world() -> (PostgresDatabase, Fixture<Store>) {
    let own = PostgresDatabase::create().await;
    let store = open(&DatabaseOptions::new(own.url())).await;
    (own, Fixture::new(store).await)
}

fn notice() -> Vec<Entry> {
    vec![Entry::Notice(json!({ "code": "x" }))]
}

#[tokio::test]
async fn a_write_waits_for_whoever_has_the_row_and_gives_up_in_time() {
    let (own, f) = world().await;
    let session = f.session().await.id;
    let impatient = DatabaseOptions { busy_timeout: SHORT, ..DatabaseOptions::new(own.url()) };
    let impatient = open(&impatient).await;
    let mut other = PgConnection::connect(own.url()).await.unwrap();
    other.execute("BEGIN; SELECT * FROM sessions FOR UPDATE").await.unwrap();
    let refused = impatient.record(session, Generation::FIRST, None, notice(), f.tick()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let reading = Sessions::get(&impatient, Scope::All, session).await;
    assert!(reading.unwrap().is_some(), "reading must not wait for a writer");

    let write = f.store.record(session, Generation::FIRST, None, notice(), f.tick());
    let release = async {
        tokio::task::yield_now().await;
        other.execute("COMMIT").await.unwrap();
    };
    let (written, ()) = futures::future::join(write, release).await;
    assert_eq!(written.unwrap()[0].seq, 1);
}

/// Whoever books a request late locks its turn first and its session then, and must not find that locked by somebody who
/// waits for the turn.
#[tokio::test]
async fn a_purge_waits_for_a_turn_before_it_takes_the_session() {
    let (own, f) = world().await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    f.store.end(turn, Generation::FIRST, &f.well()).await.unwrap();
    f.store.terminate(session, &Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    let mut other = PgConnection::connect(own.url()).await.unwrap();
    other.execute("BEGIN; SELECT id FROM turns FOR NO KEY UPDATE").await.unwrap();
    let purge = async { f.store.purge(session, f.tick(), &Origin::system()).await };
    let booking = async {
        let waits = "SELECT 'yes' FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting = async { while own.texts(waits).await.is_empty() {} };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it does not wait");
        let taken = other.execute("SELECT id FROM sessions FOR NO KEY UPDATE NOWAIT").await.map(drop);
        other.execute("ROLLBACK").await.unwrap();
        taken
    };
    let (purged, taken) = futures::future::join(purge, booking).await;
    taken.unwrap();
    assert_eq!(purged.unwrap(), Purged::Purged);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_given_up() {
    let (own, f) = world().await;
    let hurried = DatabaseOptions { statement_timeout: SHORT, ..DatabaseOptions::new(own.url()) };
    let hurried = open(&hurried).await;
    let mut other = PgConnection::connect(own.url()).await.unwrap();
    other.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let refused = hurried.any_user().await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    other.execute("ROLLBACK").await.unwrap();
    assert!(hurried.any_user().await.unwrap());
    drop(f);
}

#[tokio::test]
async fn what_the_url_says_about_limits_stands() {
    let own = PostgresDatabase::create().await;
    let url = format!("{}?options=-c%20statement_timeout%3D300", own.url());
    let store = open(&DatabaseOptions::new(url)).await;
    let mut other = PgConnection::connect(own.url()).await.unwrap();
    other.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(4), store.any_user()).await.unwrap();
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

/// After a restart all connections are gone; no call may fail for it that comes after the database is back.
#[tokio::test]
async fn the_store_finds_its_way_back_after_every_connection_was_lost() {
    let (own, f) = world().await;
    let session = f.session().await.id;
    for _ in 0..3 {
        let many = futures::future::join_all((0..8).map(|_| f.store.ping())).await;
        assert!(many.iter().all(Result::is_ok));
        own.end_connections().await;
        // Longer than a connection is trusted for without being asked.
        let trusted = Duration::from_millis(1_100);
        tokio::time::sleep(trusted).await;
        f.store.record(session, Generation::FIRST, None, notice(), f.tick()).await.unwrap();
        let many = futures::future::join_all((0..8).map(|_| f.store.ping())).await;
        assert!(many.iter().all(Result::is_ok), "{many:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_use_is_a_passing_failure() {
    let (own, f) = world().await;
    f.store.ping().await.unwrap();
    own.end_connections().await;
    let mut failures = 0;
    while let Err(error) = f.store.ping().await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        failures += 1;
    }
    assert!((1..=5).contains(&failures), "each connection is found broken once: {failures}");
}

#[tokio::test]
async fn every_character_comes_back_that_the_database_can_keep() {
    let (_own, f) = world().await;
    let session = f.session().await.id;
    let text = "a\0b\u{1f980}\\u0000";
    let message = NewMessage {
        id: MessageId::new(),
        entry_uuid: None,
        message_type: MessageType::Assistant,
        content: json!([{ "type": "text", "text": text }, 1.0, 1e300, 12_345_678_901_234_567_890_u64]),
        model: None,
        thinking: Some(text.into()),
        parent_tool_use_id: None,
    };
    let written = vec![Entry::Message(Box::new(message.clone()))];
    f.store.record(session, Generation::FIRST, None, written, f.tick()).await.unwrap();
    let read = f.store.read_after(session, 0, 10).await.unwrap();
    let EventBody::Message(read) = &read[0].body else { unreachable!() };
    assert_eq!(read.content, message.content, "JSON says every character");
    assert_eq!(read.thinking.as_deref(), Some("a\u{fffd}b\u{1f980}\\u0000"), "a text cannot have NUL");
}

#[tokio::test]
async fn large_rows_come_a_few_at_a_time() {
    let (_own, f) = world().await;
    testkit::conformance::large_rows_come_a_few_at_a_time(&f).await;
}

#[tokio::test]
async fn who_only_looks_cannot_write() {
    let (own, f) = world().await;
    let session = f.session().await;
    let looking = Database::open_to_read(&DatabaseOptions::new(own.url())).await.unwrap().store();
    assert_eq!(looking.head().await.unwrap(), f.store.head().await.unwrap());
    let refused = looking.create(&session, &Origin::system()).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
}

#[tokio::test]
async fn a_lease_is_renewed_while_every_connection_is_taken() {
    let (own, f) = world().await;
    let session = f.session().await.id;
    let options = DatabaseOptions { pool_size: 2, acquire_timeout: SHORT, ..DatabaseOptions::new(own.url()) };
    let store = open(&options).await;
    let (here, there) = (ServerId::new(), ServerId::new());
    let mut other = PgConnection::connect(own.url()).await.unwrap();
    other.execute("BEGIN; SELECT * FROM sessions FOR UPDATE").await.unwrap();
    let write = || store.record(session, Generation::FIRST, None, notice(), f.tick());
    let meanwhile = async {
        let refused = loop {
            if let Err(refused) = store.others(there).await {
                break refused;
            }
        };
        assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
        let lease = Duration::from_secs(60);
        assert!(store.renew(here, lease).await.unwrap().had_lapsed);
        assert!(!store.renew(here, lease).await.unwrap().had_lapsed);
        other.execute("COMMIT").await.unwrap();
    };
    let (one, two, ()) = futures::future::join3(write(), write(), meanwhile).await;
    assert_eq!((one.unwrap().len(), two.unwrap().len()), (1, 1));
    assert_eq!(store.others(there).await.unwrap(), [here]);
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let own = PostgresDatabase::create().await;
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing".to_owned();
    let cases = [
        ("postgres://x:y:z/".to_owned(), "BadUrl"),
        (nowhere, "Unreachable"),
        (format!("{}_not_there", own.url()), "Unreachable"),
    ];
    for (url, expected) in cases {
        let options = DatabaseOptions { acquire_timeout: SHORT, ..DatabaseOptions::new(url) };
        for failed in [
            Database::open(&options, migration::up).await.map(drop),
            Database::open_to_read(&options).await.map(drop),
        ] {
            let error = failed.unwrap_err();
            assert!(format!("{error:?}").starts_with(expected), "{}: {error:?}", options.url);
        }
    }
    let options = DatabaseOptions::new(own.url());
    let failing = Database::open(&options, async |_| Err(sea_orm::DbErr::Custom("no".into())));
    assert!(matches!(failing.await, Err(OpenError::Migration(_))));
    Database::open(&options, migration::up).await.unwrap();
}
