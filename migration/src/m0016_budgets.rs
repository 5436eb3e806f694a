//! Budgets, what is spent and held of them, and the alerts that tell of it.

use crate::columns::{belongs_to, drop_tables, figure, index, instant, instant_null};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Sums over the ledger and what is counted beside them: of everybody, of a team's users, of a session's time.
const SUMS: [(&str, &[&str]); 3] =
    [("request_usage", &["started_at"]), ("users", &["team"]), ("messages", &["session_id", "created_at"])];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(budgets()).await?;
        manager.create_table(spend()).await?;
        manager.create_table(holds()).await?;
        manager.create_table(hold_accounts()).await?;
        let account = ["spender_kind", "spender_key", "period"];
        manager.create_index(index("hold_accounts", &account)).await?;

        manager.create_table(alerts()).await?;
        manager.create_index(index("alerts", &["raised_at", "id"])).await?;
        manager.create_index(index("alerts", &["user_id", "raised_at", "id"])).await?;
        manager.create_index(index("alerts", &["session_id"])).await?;
        manager.create_table(alert_deliveries()).await?;
        let mut due = index("alert_deliveries", &["channel", "next_attempt_at", "alert_id"]);
        due.name("ix_alert_deliveries_due").and_where(Expr::col("next_attempt_at").is_not_null());
        manager.create_index(due).await?;

        for (table, columns) in SUMS {
            manager.create_index(index(table, columns)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, columns) in SUMS {
            let name = format!("ix_{table}_{}", columns.join("_"));
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        drop_tables(manager, &["alert_deliveries", "alerts", "hold_accounts", "holds", "spend", "budgets"])
            .await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// No reference to the spender: it may be a team, which has no row, and a session that goes takes its own along.
fn budgets() -> TableCreateStatement {
    Table::create()
        .table("budgets")
        .col(text("spender_kind"))
        .col(text("spender_key"))
        .col(big_integer("limit_micro_usd"))
        .col(text("when_exhausted"))
        .primary_key(Index::create().col("spender_kind").col("spender_key"))
        .take()
}

/// What is spent. What is held stands nowhere: it is the sum of the holds, which so can never be off.
fn spend() -> TableCreateStatement {
    Table::create()
        .table("spend")
        .col(text("spender_kind"))
        .col(text("spender_key"))
        .col(text("period"))
        .col(figure("spent_micro_usd"))
        // The greatest threshold that was told.
        .col(figure("told_percent"))
        .primary_key(Index::create().col("spender_kind").col("spender_key").col("period"))
        .take()
}

/// No references: money under way outlives a session that is removed, and is settled all the same.
fn holds() -> TableCreateStatement {
    Table::create()
        .table("holds")
        .col(pk_uuid("id"))
        .col(uuid("session_id"))
        .col(uuid("user_id"))
        .col(uuid_null("turn_id"))
        .col(uuid("server_id"))
        .col(big_integer("amount_micro_usd"))
        .col(text("model"))
        .col(text("price_version"))
        // The row of the ledger that will be, should nobody live to settle it.
        .col(json_null("seen"))
        .col(boolean("is_lost"))
        .col(instant("started_at"))
        .take()
}

fn hold_accounts() -> TableCreateStatement {
    Table::create()
        .table("hold_accounts")
        .col(uuid("hold_id"))
        .col(text("spender_kind"))
        .col(text("spender_key"))
        .col(text("period"))
        // What the hold's amount is, and nothing once it is lost.
        .col(big_integer("amount_micro_usd"))
        // The budget that holds for whoever has none of their own.
        .col(big_integer_null("default_limit_micro_usd"))
        .col(text_null("default_when_exhausted"))
        .primary_key(Index::create().col("hold_id").col("spender_kind").col("spender_key"))
        .foreign_key(&mut belongs_to("hold_accounts", "hold_id", "holds"))
        .take()
}

fn alerts() -> TableCreateStatement {
    Table::create()
        .table("alerts")
        .col(pk_uuid("id"))
        // In one word, so that it is there once.
        .col(text_uniq("topic"))
        .col(text("severity"))
        .col(text("message"))
        .col(uuid_null("user_id"))
        // Of a session's budget, which goes with it.
        .col(uuid_null("session_id"))
        .col(instant("raised_at"))
        .foreign_key(&mut belongs_to("alerts", "session_id", "sessions"))
        .take()
}

fn alert_deliveries() -> TableCreateStatement {
    Table::create()
        .table("alert_deliveries")
        .col(uuid("alert_id"))
        .col(text("channel"))
        .col(figure("attempts"))
        // Nothing when it is told or given up.
        .col(instant_null("next_attempt_at"))
        .col(instant_null("told_at"))
        .col(text_null("error"))
        .primary_key(Index::create().col("alert_id").col("channel"))
        .foreign_key(&mut belongs_to("alert_deliveries", "alert_id", "alerts"))
        .take()
}
