//! A page of a list of a thousand beside the same page of a list of a million, on each database.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use domain::{
    PageRequest, Scope, SdkOptions, SessionId, SessionSpec, UserId,
    ports::{History, Sessions},
    session::SessionFilter,
};
use persistence::{Database, DatabaseOptions, Store};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr};
use uuid::Uuid;

use crate::{figures::Sample, report::Row, scale::Scale, tools::Tools};

const FEW: u64 = 1_000;
const PAGE: u32 = 50;
const RATIO_TARGET: f64 = 1.2;

/// Two users, one with few sessions and one with many; the first session of each has as many messages.
const OWNERS: [u128; 2] = [1, 2];

/// What is read.
#[derive(Debug, Clone, Copy)]
enum List {
    Sessions,
    Active,
    Messages,
}

const LISTS: [(List, &str); 3] = [
    (List::Sessions, "sessions"),
    (List::Active, "sessions of one state, counted up to 1000"),
    (List::Messages, "history of a session"),
];

pub(crate) async fn measure(tools: &Tools, scale: &Scale) -> Result<Vec<Row>> {
    let file = tools.new_folder("pages")?.join("steward.db");
    let mut rows = on("SQLite", &format!("sqlite://{}", file.display()), scale).await?;
    let url = tools.postgres.as_ref().context("there is no PostgreSQL to measure")?;
    rows.extend(on("PostgreSQL", url, scale).await?);
    Ok(rows)
}

async fn on(name: &str, url: &str, scale: &Scale) -> Result<Vec<Row>> {
    let options = DatabaseOptions { acquire_timeout: Duration::from_secs(60), ..DatabaseOptions::new(url) };
    let filled = async |db: &DatabaseConnection| {
        migration::up(db).await?;
        fill(db, scale.many_rows).await
    };
    let database = Database::open(&options, filled).await.context("failed to fill the database")?;
    let store = database.store();
    let mut rows = Vec::new();
    for (list, what) in LISTS {
        let (mut few, mut many) = (Sample::default(), Sample::default());
        for round in 0..scale.pages {
            let mut times = [Duration::ZERO; 2];
            for (owner, time) in OWNERS.into_iter().zip(&mut times) {
                *time = page_after_page(&store, list, owner).await?;
            }
            // The first rounds warm the caches.
            if round >= scale.pages / 10 {
                few.push_time(times[0]);
                many.push_time(times[1]);
            }
        }
        let how = format!("{} rounds by turns: two pages of {PAGE}, one after the other; p50", few.len());
        rows.push(
            Row::new(format!("page, {name}, {what}, of {}", scale.many_rows), "ms", many.median(), how)
                .beside(format!("the same of {FEW}"), few.median())
                .ratio_at_most(RATIO_TARGET),
        );
    }
    database.close().await?;
    Ok(rows)
}

async fn page_after_page(store: &Store, list: List, owner: u128) -> Result<Duration> {
    let started = Instant::now();
    let first = page(store, list, owner, None).await?;
    ensure!(first.is_some(), "the list is too short");
    page(store, list, owner, first).await?;
    Ok(started.elapsed())
}

/// Reads a page and says where the next one begins.
async fn page(store: &Store, list: List, owner: u128, cursor: Option<String>) -> Result<Option<String>> {
    let request = PageRequest { limit: PAGE, cursor, skip: 0 };
    let sessions = async |status| {
        let filter = SessionFilter { status, ..SessionFilter::default() };
        store.list(Scope::Owner(UserId(Uuid::from_u128(owner))), &filter, &request).await
    };
    Ok(match list {
        List::Sessions => sessions(None).await?.next_cursor,
        List::Active => sessions(Some(domain::SessionStatus::Active)).await?.next_cursor,
        List::Messages => store.messages(SessionId(Uuid::from_u128(owner)), &request).await?.next_cursor,
    })
}

/// Has the database make the rows: sending a million of them would take longer than all the rest.
async fn fill(db: &DatabaseConnection, many: u64) -> Result<(), DbErr> {
    let is_sqlite = db.get_database_backend() == DbBackend::Sqlite;
    let literal = |id: u128| match is_sqlite {
        true => format!("x'{}'", Uuid::from_u128(id).simple()),
        false => format!("'{}'", Uuid::from_u128(id)),
    };
    let (new_id, yes) = if is_sqlite { ("randomblob(16)", "1") } else { ("gen_random_uuid()", "true") };
    let spec = serde_json::to_string(&spec()).map_err(|error| DbErr::Custom(error.to_string()))?;
    let mut sql = String::new();
    // Each new session counts itself in a row of its owner's. PostgreSQL keeps all that this row has been until the
    // transaction ends and looks through it each time: a million would take days.
    if !is_sqlite {
        sql.push_str("ALTER TABLE sessions DISABLE TRIGGER session_counted;");
    }
    for (owner, count) in OWNERS.into_iter().zip([FEW, many]) {
        let id = literal(owner);
        let session = "search_text, mode, status, spec, metadata, created_at, updated_at";
        let values = format!("'', 'interactive', 'active', '{spec}', '{{}}'");
        let numbers =
            format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})");
        let _ = write!(
            sql,
            "INSERT INTO users (id, email, username, role, password_hash, is_active, created_at)
                VALUES ({id}, 'user{owner}', 'user{owner}', 'member', '', {yes}, 0);
            INSERT INTO sessions (id, user_id, {session}) VALUES ({id}, {id}, {values}, 0, 0);
            {numbers} INSERT INTO sessions (id, user_id, {session})
                SELECT {new_id}, {id}, {values}, i * 1000, i * 1000 FROM n;
            {numbers} INSERT INTO messages (id, session_id, sequence_number, message_type, content, created_at)
                SELECT {new_id}, {id}, i, 'user', '\"a line that somebody wrote\"', i * 1000 FROM n;"
        );
    }
    if !is_sqlite {
        sql.push_str(
            "INSERT INTO session_counts (user_id, sessions)
                SELECT user_id, count(*) FROM sessions GROUP BY user_id;
            ALTER TABLE sessions ENABLE TRIGGER session_counted;",
        );
    }
    db.execute_unprepared(&sql).await?;
    // What PostgreSQL does by itself before long; it must be a statement of its own.
    db.execute_unprepared(if is_sqlite { "ANALYZE" } else { "VACUUM ANALYZE" }).await.map(drop)
}

/// What a session is made of that nobody asks for.
pub(crate) fn spec() -> SessionSpec {
    SessionSpec {
        working_directory: "/work".into(),
        owns_directory: true,
        whereabouts: Default::default(),
        directory_source: None,
        allowed_tools: vec!["Read".into()],
        system_prompt: None,
        sdk_options: SdkOptions::default(),
        include_partial_messages: false,
        max_retries: 3,
        retry_delay_ms: 2000,
        timeout_seconds: 120,
        hooks_enabled: vec![],
        permission_mode: "default".into(),
        custom_policies: vec![],
    }
}
