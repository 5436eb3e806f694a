//! A database that has been in use for long: many sessions of one user, each with a history.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use sea_orm::{ConnectionTrait, Database, DbBackend};
use uuid::Uuid;

use crate::{pages, scale::Scale};

/// Rows of a session's history: what was said, and the tools that were called.
const MESSAGES: u64 = 40;
const TOOL_CALLS: u64 = 10;
/// Between two sessions.
const SPACING_MICROS: u64 = 1_000;

/// Fills the tables that a server has made. The database makes the rows: sending millions would take longer than all the
/// rest.
pub(super) async fn fill(url: &str, owner: &str, scale: &Scale) -> Result<()> {
    let owner: Uuid = owner.parse()?;
    let db = Database::connect(url).await.context("failed to open the database")?;
    let is_sqlite = db.get_database_backend() == DbBackend::Sqlite;
    let (new_id, owner) = match is_sqlite {
        true => ("randomblob(16)", format!("x'{}'", owner.simple())),
        false => ("gen_random_uuid()", format!("'{owner}'")),
    };
    let sessions = scale.load_sessions;
    let numbers = |count: u64| {
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})")
    };
    // The last one was made just now, and none is so old that it would be archived meanwhile.
    let first_at = micros_since_epoch()? - sessions * SPACING_MICROS;
    let spec = serde_json::to_string(&pages::spec())?;
    let mut statements = vec![];
    // Why, is said where pages are measured.
    if !is_sqlite {
        statements.push("ALTER TABLE sessions DISABLE TRIGGER session_counted".to_owned());
    }
    statements.push(format!(
        "{} INSERT INTO sessions
            (id, user_id, search_text, mode, status, spec, metadata, created_at, updated_at)
            SELECT {new_id}, {owner}, '', 'interactive', 'active', '{spec}', '{{}}',
                {first_at} + i * {SPACING_MICROS}, {first_at} + i * {SPACING_MICROS} FROM n",
        numbers(sessions)
    ));
    statements.push(format!(
        "{} INSERT INTO messages (id, session_id, sequence_number, message_type, content, created_at)
            SELECT {new_id}, sessions.id, i, 'user', '\"a line that somebody wrote\"', sessions.created_at + i
            FROM sessions, n WHERE sessions.user_id = {owner}",
        numbers(MESSAGES)
    ));
    statements.push(format!(
        "{} INSERT INTO tool_calls
            (id, session_id, tool_use_id, tool_name, tool_input, tool_output, status, created_at)
            SELECT {new_id}, sessions.id, 'toolu_' || i, 'Bash', '{{\"command\":\"cargo check\"}}', '\"ok\"',
                'completed', sessions.created_at + i
            FROM sessions, n WHERE sessions.user_id = {owner}",
        numbers(TOOL_CALLS)
    ));
    if is_sqlite {
        statements.push("ANALYZE".to_owned());
    } else {
        statements.push(format!(
            "INSERT INTO session_counts (user_id, sessions) VALUES ({owner}, {sessions})
                ON CONFLICT (user_id) DO UPDATE SET sessions = {sessions}"
        ));
        statements.push("ALTER TABLE sessions ENABLE TRIGGER session_counted".to_owned());
        statements.push("VACUUM ANALYZE".to_owned());
    }
    for statement in statements {
        db.execute_unprepared(&statement).await.with_context(|| format!("failed to {statement:.60}"))?;
    }
    db.close().await?;
    Ok(())
}

fn micros_since_epoch() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}
