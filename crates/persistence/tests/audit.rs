//! What somebody with write access to the database can do to the audit log, and that it is seen.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::{
    Actor, ApiKeyId, AuditEvent, AuditFilter, AuditKey, Origin, SessionId, Source, UserId,
    audit::{Damage, Fact, Verified, Verifier},
    ports::Audit,
};
use jiff::Timestamp;
use persistence::{Database, DatabaseOptions, Store};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;

const ENTRIES: u64 = 8;
const BATCH: u32 = 3;

struct Log {
    store: Store,
    /// A connection of somebody who has dropped the triggers that guard the log.
    intruder: DatabaseConnection,
    options: DatabaseOptions,
    _folder: TempDir,
}

async fn log() -> Log {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/steward.db", folder.path().display());
    let options = DatabaseOptions { audit_key: Some(key()), ..DatabaseOptions::new(&url) };
    let store = Database::open(&options, migration::up).await.unwrap().store();
    let actor = Actor::ApiKey { api_key_id: ApiKeyId::new(), user_id: UserId::new() };
    let source = Source { ip_address: Some("203.0.113.9".parse().unwrap()), request_id: Some("r".into()) };
    let events: Vec<AuditEvent> = (0..ENTRIES)
        .map(|n| {
            let at = Timestamp::from_second(1_767_225_600 + i64::try_from(n).unwrap()).unwrap();
            AuditEvent::new("approval.denied", &Origin { actor, source: source.clone() }, at)
                .about("approval", n)
                .in_session(SessionId::new())
                .with("reason", Fact::Text(format!("because {n}")))
        })
        .collect();
    store.append(&events).await.unwrap();
    let mut connect = sea_orm::ConnectOptions::new(url);
    connect.max_connections(1).sqlx_logging(false);
    let intruder = sea_orm::Database::connect(connect).await.unwrap();
    for trigger in ["audit_log_chained", "audit_log_unchanged", "audit_log_kept"] {
        intruder.execute_unprepared(&format!("DROP TRIGGER {trigger}")).await.unwrap();
    }
    Log { store, intruder, options, _folder: folder }
}

fn key() -> AuditKey {
    AuditKey::derive(b"the secret key of the server")
}

impl Log {
    async fn tamper(&self, sql: &str) {
        self.intruder.execute_unprepared(sql).await.unwrap();
    }

    /// As `steward audit verify` does it.
    async fn verify(&self) -> Result<Verified, Damage> {
        let head = self.store.head().await.unwrap();
        let mut verifier = Verifier::from(1).signed_with(vec![key()]).reaching(head);
        let mut after = 0;
        loop {
            let batch = match self.store.entries_after(after, BATCH, &AuditFilter::default()).await {
                Ok(batch) => batch,
                Err(error) => return Err(verifier.unreadable(error)),
            };
            let Some(last) = batch.last() else { return verifier.finish() };
            after = last.seq;
            for entry in &batch {
                verifier.take(entry)?;
            }
        }
    }
}

#[tokio::test]
async fn no_field_of_any_entry_can_be_changed_unseen() {
    let log = log().await;
    assert_eq!(log.verify().await.unwrap().entries, ENTRIES);
    let changes = [
        ("at", "at + 1"),
        ("at", "9223372036854775807"),
        ("actor", "'user'"),
        ("actor", "'somebody'"),
        ("actor_user_id", "x'00000000000000000000000000000000'"),
        ("actor_user_id", "NULL"),
        ("actor_user_id", "'no uuid'"),
        ("actor_api_key_id", "x'00000000000000000000000000000000'"),
        ("action", "'approval.allowed'"),
        ("subject_type", "'session'"),
        ("subject_type", "NULL"),
        ("subject_id", "'1' || subject_id"),
        ("session_id", "NULL"),
        ("session_id", "x'00000000000000000000000000000000'"),
        ("ip_address", "'203.0.113.8'"),
        ("ip_address", "'nowhere'"),
        ("ip_address", "NULL"),
        ("request_id", "''"),
        ("data", "replace(data, 'because', 'despite')"),
        ("data", "'{'"),
        ("data", "'{\"reason\":{\"a\":1}}'"),
        ("prev_hash", "zeroblob(32)"),
        ("hash", "zeroblob(32)"),
        ("hash", "x'00'"),
        ("mac", "NULL"),
        ("mac", "zeroblob(32)"),
    ];
    for (column, value) in changes {
        for seq in [1, 4, ENTRIES] {
            if column == "prev_hash" && seq == 1 {
                continue;
            }
            log.tamper(&format!("CREATE TABLE kept AS SELECT * FROM audit_log WHERE seq = {seq}")).await;
            log.tamper(&format!("UPDATE audit_log SET {column} = {value} WHERE seq = {seq}")).await;
            let seen = log.verify().await.unwrap_err();
            assert_eq!(seen.seq, seq, "{column} = {value}: {seen:?}");
            log.tamper(&format!("DELETE FROM audit_log WHERE seq = {seq}")).await;
            log.tamper("INSERT INTO audit_log SELECT * FROM kept; DROP TABLE kept").await;
        }
    }
    assert_eq!(log.verify().await.unwrap().entries, ENTRIES);
}

#[tokio::test]
async fn entries_cannot_be_removed_moved_or_added_unseen() {
    for (what, sql, seq) in [
        ("the first is gone", "DELETE FROM audit_log WHERE seq = 1", 1),
        ("one in the middle is gone", "DELETE FROM audit_log WHERE seq = 5", 5),
        ("the end is gone", "DELETE FROM audit_log WHERE seq > 6", 7),
        (
            "two have changed places",
            "UPDATE audit_log SET seq = -3 WHERE seq = 3; UPDATE audit_log SET seq = 3 WHERE seq = 6;
             UPDATE audit_log SET seq = 6 WHERE seq = -3",
            3,
        ),
        (
            "a gap was closed",
            "DELETE FROM audit_log WHERE seq = 4; UPDATE audit_log SET seq = seq - 1 WHERE seq > 4;
             UPDATE audit_head SET last_seq = 7",
            4,
        ),
        (
            "one is there twice",
            "INSERT INTO audit_log SELECT 0, at, actor, actor_user_id, actor_api_key_id, action, subject_type,
                 subject_id, session_id, ip_address, request_id, data, prev_hash, hash, mac
             FROM audit_log WHERE seq = 1; UPDATE audit_log SET seq = seq + 100; UPDATE audit_log SET seq = seq - 99",
            2,
        ),
        ("the head is another", "UPDATE audit_head SET last_hash = zeroblob(32)", ENTRIES),
    ] {
        let log = log().await;
        log.tamper(sql).await;
        let seen = log.verify().await.unwrap_err();
        assert_eq!(seen.seq, seq, "{what}: {seen:?}");
    }
}

#[tokio::test]
async fn a_log_whose_end_was_cut_off_takes_no_entries_until_somebody_looks() {
    let log = log().await;
    log.tamper("UPDATE audit_head SET last_seq = 5").await;
    let event = AuditEvent::new("a", &Origin::system(), Timestamp::UNIX_EPOCH);
    assert!(log.store.append(&[event]).await.is_err());
}

#[tokio::test]
async fn looking_changes_nothing_and_does_not_wait_for_a_writer() {
    let log = log().await;
    log.tamper("BEGIN IMMEDIATE; UPDATE users SET email = email").await;
    let looking = Database::open_to_read(&log.options).await.unwrap().store();
    assert_eq!(looking.head().await.unwrap().seq, ENTRIES);
    log.tamper("ROLLBACK").await;
    let event = AuditEvent::new("a", &Origin::system(), Timestamp::UNIX_EPOCH);
    assert!(looking.append(&[event]).await.is_err());
    let nowhere = DatabaseOptions::new("sqlite:///nowhere/steward.db");
    assert!(Database::open_to_read(&nowhere).await.is_err());
}
