//! Every step can be taken, taken back and taken again, and leaves the same schema.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use migration::Migrator;
use sea_orm_migration::{
    MigratorTrait,
    sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement},
};

/// A database in memory; with more than one connection there would be more than one.
async fn empty() -> DatabaseConnection {
    connect("sqlite::memory:").await
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

const OF_SQLITE: &str = "SELECT name, coalesce(sql, '') AS sql FROM sqlite_master
    WHERE name NOT LIKE '%seaql_migrations%' ORDER BY name";
/// Columns, indexes, constraints, functions and triggers.
const OF_POSTGRES: &str = "
    SELECT table_name || '.' || column_name AS name,
           concat_ws(' ', data_type, is_nullable, column_default) AS sql
      FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '%seaql%'
    UNION ALL SELECT indexname, indexdef FROM pg_indexes
     WHERE schemaname = 'public' AND tablename NOT LIKE '%seaql%'
    UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE '%seaql%'
    UNION ALL SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    ORDER BY 1, 2";

/// Everything in the schema with its definition, except the migrator's own.
async fn schema(db: &DatabaseConnection) -> Vec<(String, String)> {
    let backend = db.get_database_backend();
    let sql = if backend == DbBackend::Sqlite { OF_SQLITE } else { OF_POSTGRES };
    let rows = db.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    rows.iter().map(|row| (row.try_get("", "name").unwrap(), row.try_get("", "sql").unwrap())).collect()
}

#[tokio::test]
async fn every_step_leads_up_and_back() {
    leads_up_and_back(empty().await).await;
}

#[tokio::test]
async fn every_step_leads_up_and_back_on_postgres() {
    let own = testkit::PostgresDatabase::create().await;
    leads_up_and_back(connect(own.url()).await).await;
}

/// Otherwise SQLite keeps the change of a step that is killed before it is noted, and no later start gets past it.
#[test]
fn every_step_is_a_transaction() {
    let steps = Migrator::migrations();
    let without = steps.iter().filter(|step| step.use_transaction() != Some(true));
    assert_eq!(without.map(|step| step.name()).collect::<Vec<_>>(), [""; 0]);
}

async fn leads_up_and_back(db: DatabaseConnection) {
    let steps = u32::try_from(Migrator::migrations().len()).unwrap();
    let mut after_each = vec![schema(&db).await];
    assert_eq!(after_each[0], []);
    for step in 1..=steps {
        Migrator::up(&db, Some(1)).await.unwrap();
        let now = schema(&db).await;
        assert_ne!(now, after_each[after_each.len() - 1], "step {step} changes nothing");
        after_each.push(now);
    }
    for step in (0..steps).rev() {
        migration::down(&db, 1).await.unwrap();
        assert_eq!(schema(&db).await, after_each[step as usize], "back before step {}", step + 1);
    }
    migration::up(&db).await.unwrap();
    migration::up(&db).await.unwrap();
    assert_eq!(schema(&db).await, after_each[steps as usize]);
    migration::down(&db, steps).await.unwrap();
    assert_eq!(schema(&db).await, []);
}

#[tokio::test]
async fn the_tables_are_these() {
    let db = empty().await;
    migration::up(&db).await.unwrap();
    let tables = schema(&db).await.into_iter().filter(|(_, sql)| sql.starts_with("CREATE TABLE"));
    let names: Vec<String> = tables.map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "alert_deliveries",
            "alerts",
            "api_keys",
            "approvals",
            "archives",
            "audit_head",
            "audit_log",
            "budgets",
            "execution_head",
            "executions",
            "hold_accounts",
            "holds",
            "hook_deliveries",
            "hook_endpoints",
            "hook_runs",
            "idempotency_keys",
            "identities",
            "journal",
            "leftovers",
            "login_tallies",
            "mcp_servers",
            "messages",
            "metrics_snapshots",
            "permission_decisions",
            "policies",
            "policy_versions",
            "rate_reports",
            "refresh_tokens",
            "report_documents",
            "reports",
            "request_usage",
            "servers",
            "session_counts",
            "session_templates",
            "sessions",
            "spend",
            "tasks",
            "template_shares",
            "tool_calls",
            "transcript_entries",
            "turns",
            "users",
        ]
    );
}

/// The rule "one running turn per session" holds even against a store that forgot it.
#[tokio::test]
async fn the_database_refuses_a_second_running_turn() {
    let db = empty().await;
    migration::up(&db).await.unwrap();
    for sql in [
        "INSERT INTO users (id, email, username, role, password_hash, is_active, created_at)
         VALUES (x'01', 'a', 'a', 'member', '', 1, 0)",
        "INSERT INTO sessions (id, user_id, search_text, mode, status, spec, metadata, created_at, updated_at)
         VALUES (x'02', x'01', '', 'interactive', 'created', '{}', '{}', 0, 0)",
        "INSERT INTO turns (id, session_id, status, created_at) VALUES (x'03', x'02', 'running', 0)",
        "INSERT INTO turns (id, session_id, status, created_at) VALUES (x'04', x'02', 'queued', 0)",
        "INSERT INTO turns (id, session_id, status, created_at) VALUES (x'05', x'02', 'queued', 0)",
    ] {
        db.execute_unprepared(sql).await.unwrap();
    }
    let second = db.execute_unprepared("UPDATE turns SET status = 'running' WHERE id = x'04'").await;
    assert!(second.unwrap_err().to_string().contains("UNIQUE"));
}

/// The database keeps the chain of the audit log whole even against a store that does not.
#[tokio::test]
async fn the_database_refuses_to_change_or_fork_the_audit_log() {
    let db = empty().await;
    migration::up(&db).await.unwrap();
    let insert = |seq: u32, prev: &str, hash: &str| {
        format!(
            "INSERT INTO audit_log (seq, at, actor, action, data, prev_hash, hash)
             VALUES ({seq}, 0, 'system', 'a', '{{}}', x'{prev}', x'{hash}')"
        )
    };
    let zero = "00".repeat(32);
    db.execute_unprepared(&insert(1, &zero, "01")).await.unwrap();
    db.execute_unprepared(&format!("{}, (3, 0, 'system', 'a', '{{}}', x'02', x'03')", insert(2, "01", "02")))
        .await
        .unwrap();
    for (what, sql) in [
        ("a gap", insert(5, "03", "05")),
        ("a fork", insert(4, "02", "04")),
        ("a second entry of a number", insert(3, "02", "33")),
        ("a change", "UPDATE audit_log SET action = 'b' WHERE seq = 1".to_owned()),
        ("a removal", "DELETE FROM audit_log WHERE seq = 3".to_owned()),
    ] {
        let refused = db.execute_unprepared(&sql).await;
        assert!(refused.unwrap_err().to_string().contains("audit entr"), "{what}");
    }
    db.execute_unprepared(&insert(4, "03", "04")).await.unwrap();
}
