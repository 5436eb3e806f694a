//! Every list is read along an index, on both databases: a page costs what is on it and not what is behind it.
//!
//! The statements are the store's own, in words: its filter, its order, its limit. What is looked at is that the order
//! comes out of an index. A plan that sorts has read everything that passes the filter.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use persistence::{Database, DatabaseOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use tempfile::TempDir;
use testkit::PostgresDatabase;

/// Table, filter, order.
const LISTS: &[(&str, &str, &str)] = &[
    ("sessions", "", "created_at DESC, id DESC"),
    ("sessions", "", "updated_at DESC, id DESC"),
    ("sessions", "user_id = ID", "created_at DESC, id DESC"),
    ("sessions", "user_id = ID", "created_at, id"),
    ("sessions", "user_id = ID", "updated_at DESC, id DESC"),
    ("sessions", "user_id = ID AND status = 'active'", "created_at DESC, id DESC"),
    ("sessions", "status = 'active'", "created_at DESC, id DESC"),
    ("sessions", "mode = 'background'", "created_at DESC, id DESC"),
    ("sessions", "template_id = ID", "created_at DESC, id DESC"),
    ("session_templates", "", "created_at DESC, id DESC"),
    ("session_templates", "user_id = ID", "created_at DESC, id DESC"),
    ("session_templates", "", "usage_count DESC, id DESC"),
    ("turns", "session_id = ID", "created_at DESC, id DESC"),
    ("messages", "session_id = ID", "sequence_number, id"),
    ("tool_calls", "session_id = ID", "created_at, id"),
    ("journal", "session_id = ID AND seq > 7", "seq"),
    ("request_usage", "session_id = ID", "started_at DESC, id DESC"),
    ("permission_decisions", "session_id = ID", "decided_at DESC, id DESC"),
    ("permission_decisions", "session_id = ID AND verdict = 'deny'", "decided_at DESC, id DESC"),
    ("permission_decisions", "session_id = ID AND tool_name = 'Bash'", "decided_at DESC, id DESC"),
    ("permission_decisions", "decided_at >= 7", "decided_at DESC, id DESC"),
    ("approvals", "session_id = ID", "created_at DESC, id DESC"),
    ("approvals", "session_id = ID AND status = 'allowed'", "created_at DESC, id DESC"),
    ("approvals", "status = 'pending'", "created_at DESC, id DESC"),
    ("hook_runs", "session_id = ID", "executed_at DESC, id DESC"),
    ("hook_runs", "session_id = ID AND hook_type = 'x'", "executed_at DESC, id DESC"),
    ("hook_deliveries", "endpoint_id = ID", "created_at DESC, id DESC"),
    ("metrics_snapshots", "session_id = ID", "snapshot_at DESC, id DESC"),
    ("metrics_snapshots", "snapshot_at < 7", "snapshot_at, id"),
    ("leftovers", "server_id = ID", "session_id"),
    ("refresh_tokens", "expires_at < 7", "expires_at"),
    ("rate_reports", "reported_at < 7", "reported_at"),
    ("api_keys", "user_id = ID", "created_at DESC, id DESC"),
    ("hook_endpoints", "", "created_at DESC, id DESC"),
    ("policies", "", "created_at DESC, id DESC"),
    ("alerts", "", "raised_at DESC, id DESC"),
    ("alerts", "user_id = ID", "raised_at DESC, id DESC"),
    ("alert_deliveries", "channel = 'email' AND next_attempt_at <= 7", "next_attempt_at, alert_id"),
    ("audit_log", "seq > 7", "seq"),
    ("audit_log", "session_id = ID AND seq > 7", "seq"),
    ("archives", "status = 'completed' AND archived_at <= 7", "archived_at"),
];

/// What every server looks for every few seconds, and the index that has little else in it.
const ROUNDS: &[(&str, &str, &str)] = &[
    (
        "sessions",
        "status IN ('active', 'paused') AND mode IN ('interactive', 'background', 'forked') AND updated_at <= 7",
        "ix_sessions_status_mode_updated_at",
    ),
    (
        "archives",
        "status = 'completed' AND has_files = TRUE AND session_id IS NOT NULL",
        "ix_archives_with_files",
    ),
    (
        "archives",
        "has_object = TRUE AND (status = 'failed' OR removed_at IS NOT NULL OR session_id IS NULL)",
        "ix_archives_useless",
    ),
    ("spend", "spender_kind = 'user' AND period IN ('2026-11')", "ix_spend_spender_kind_period"),
];

fn statement((table, filter, order): (&str, &str, &str), id: &str, limit: &str) -> String {
    let filter =
        if filter.is_empty() { String::new() } else { format!("WHERE {}", filter.replace("ID", id)) };
    format!("SELECT * FROM {table} {filter} ORDER BY {order} LIMIT {limit}")
}

/// An index that has nothing else in it.
const ONLY_PENDING: &str = "ix_approvals_pending";

/// Rows that keep the database from deleting what they refer to, which it must find quickly.
const REFERENCES: &[(&str, &str)] = &[
    ("journal", "turn_id"),
    ("journal", "message_id"),
    ("messages", "turn_id"),
    ("tool_calls", "turn_id"),
    ("permission_decisions", "turn_id"),
    ("approvals", "turn_id"),
    ("hook_runs", "turn_id"),
    ("request_usage", "turn_id"),
    ("request_usage", "session_id"),
    ("sessions", "parent_session_id"),
    ("hook_deliveries", "session_id"),
    ("template_shares", "template_id"),
    ("template_shares", "user_id"),
    ("alerts", "session_id"),
    ("alert_deliveries", "alert_id"),
    ("hold_accounts", "hold_id"),
];

/// What is summed up or counted: as many rows are looked at as pass the filter.
const SUMS: &[(&str, &str)] = &[
    ("request_usage", "started_at >= 7 AND started_at < 9"),
    ("request_usage", "user_id = ID AND started_at >= 7 AND started_at < 9"),
    ("request_usage", "session_id = ID AND started_at >= 7 AND started_at < 9"),
    ("hold_accounts", "spender_kind = 'user' AND spender_key = 'x' AND period = 'y'"),
    ("messages", "session_id = ID AND created_at >= 7 AND created_at < 9"),
    ("tool_calls", "session_id = ID AND created_at >= 7 AND created_at < 9"),
    ("users", "team = 'x'"),
    ("archives", "place = 'local' AND server_id = ID AND has_object = TRUE"),
];

fn sum((table, filter): (&str, &str), id: &str) -> String {
    format!("SELECT count(*) FROM {table} WHERE {}", filter.replace("ID", id))
}

/// The newest schema, in a folder that lasts as long as it is kept.
async fn sqlite() -> (TempDir, SqliteConnection) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/steward.db", folder.path().display());
    Database::open(&DatabaseOptions::new(&url), migration::up).await.unwrap().close().await.unwrap();
    let db = SqliteConnection::connect(&url).await.unwrap();
    (folder, db)
}

#[tokio::test]
async fn sqlite_reads_every_list_along_an_index() {
    let (_folder, mut db) = sqlite().await;
    // Bound as the store binds it: a plan is made without the values.
    let mut plan = async |sql: String| {
        let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&mut db).await;
        rows.unwrap().iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
    };
    for &list in LISTS {
        let plan = plan(statement(list, "?", "?")).await;
        assert!(!plan.contains("TEMP B-TREE"), "{list:?} is sorted: {plan}");
        let is_along = list.1.is_empty() || plan.contains("SEARCH") || plan.contains(ONLY_PENDING);
        assert!(is_along, "{list:?} is filtered row by row: {plan}");
    }
    for (table, column) in REFERENCES {
        let plan = plan(format!("SELECT 1 FROM {table} WHERE {column} = ?")).await;
        assert!(plan.contains("SEARCH"), "{table}.{column}: {plan}");
    }
    for (table, filter, index) in ROUNDS {
        let plan = plan(format!("SELECT * FROM {table} WHERE {filter}")).await;
        assert!(plan.contains(index), "{table} where {filter}: {plan}");
    }
    for &summed in SUMS {
        let plan = plan(sum(summed, "?")).await;
        assert!(plan.contains("SEARCH"), "{summed:?}: {plan}");
    }
}

/// Every index is written with every row; what one finds that begins with the columns of another, the other need not.
#[tokio::test]
async fn no_index_is_the_beginning_of_another() {
    let (_folder, mut db) = sqlite().await;
    let rows = sqlx::query(
        r#"SELECT of.name, listed.name, listed."unique", group_concat(info.name, ',' ORDER BY info.seqno) || ','
        FROM sqlite_schema AS of, pragma_index_list(of.name) AS listed, pragma_index_info(listed.name) AS info
        WHERE of.type = 'table' AND NOT listed.partial GROUP BY listed.name"#,
    );
    let rows = rows.fetch_all(&mut db).await.unwrap();
    let indexes: Vec<(String, String, bool, String)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    assert!(indexes.len() > 50, "these are not all: {indexes:?}");
    for (table, name, is_unique, columns) in &indexes {
        let longer = indexes.iter().find(|(its, other, _, more)| {
            its == table && other != name && more.starts_with(columns.as_str())
        });
        // One that is unique says more than where rows are.
        assert!(*is_unique || longer.is_none(), "{name} of {columns} is the beginning of {longer:?}");
    }
}

/// Otherwise a statement is prepared again whenever it is run with another limit, and all connections share two locks.
#[tokio::test]
async fn sqlite_is_built_to_plan_without_the_values_that_are_bound_and_without_shared_locks() {
    let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let options = sqlx::query("PRAGMA compile_options").fetch_all(&mut db).await.unwrap();
    let options: Vec<&str> = options.iter().map(|option| option.get(0)).collect();
    for (option, is_set) in
        [("ENABLE_QPSG", true), ("DEFAULT_MEMSTATUS=0", true), ("ENABLE_MEMORY_MANAGEMENT", false)]
    {
        assert_eq!(options.contains(&option), is_set, "{option}: see .cargo/config.toml; {options:?}");
    }
}

#[tokio::test]
async fn postgres_reads_every_list_along_an_index() {
    let own = PostgresDatabase::create().await;
    Database::open(&DatabaseOptions::new(own.url()), migration::up).await.unwrap();
    let mut db = PgConnection::connect(own.url()).await.unwrap();
    // Tables without rows are read whole, and sorting nothing is cheap: what is asked is whether there is another way.
    for setting in ["enable_seqscan", "enable_sort", "enable_bitmapscan"] {
        sqlx::query(AssertSqlSafe(format!("SET {setting} = off"))).execute(&mut db).await.unwrap();
    }
    let mut plan = async |sql: String| {
        let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN {sql}"))).fetch_all(&mut db).await;
        rows.unwrap().iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("; ")
    };
    let id = "'00000000-0000-0000-0000-000000000001'";
    for &list in LISTS {
        let plan = plan(statement(list, id, "51")).await;
        // One that sorts by what the index leaves open goes on reading along it.
        assert!(!plan.contains("->  Sort "), "{list:?} is sorted: {plan}");
        assert!(plan.contains("Index Scan"), "{list:?} is read whole: {plan}");
        assert!(
            list.1.is_empty() || plan.contains("Index Cond") || plan.contains(ONLY_PENDING),
            "{list:?}: {plan}"
        );
    }
    for (table, column) in REFERENCES {
        let plan = plan(format!("SELECT 1 FROM {table} WHERE {column} = {id}")).await;
        assert!(plan.contains("Index Cond"), "{table}.{column}: {plan}");
    }
    // Which of several it takes, it decides by how many rows there are.
    for (table, filter, _) in ROUNDS {
        let plan = plan(format!("SELECT * FROM {table} WHERE {filter}")).await;
        assert!(plan.contains("Index Scan"), "{table} where {filter}: {plan}");
    }
    for &summed in SUMS {
        let plan = plan(sum(summed, id)).await;
        assert!(plan.contains("Index Cond"), "{summed:?}: {plan}");
    }
}
