//! Conditions whose values are written into the statement and not bound to it.
//!
//! A plan is made without the values that are bound. An index with a condition of its own, on what is pending for example,
//! is used only where the statement itself says that its rows meet it.

use sea_orm::{
    ColumnTrait, Value,
    sea_query::{Expr, ExprTrait},
};

/// Comparing a column with what the code knows: words of a state, whether something is so.
pub(crate) trait Literal: ColumnTrait {
    fn eq_literal(&self, value: impl Into<Value>) -> Expr {
        Expr::col(self.as_column_ref()).eq(Expr::Constant(value.into()))
    }

    fn in_literals(&self, values: impl IntoIterator<Item = &'static str>) -> Expr {
        let words = values.into_iter().map(|word| Expr::Constant(word.into()));
        Expr::col(self.as_column_ref()).is_in(words)
    }
}

impl<C: ColumnTrait> Literal for C {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Database, DatabaseOptions, archives,
        entity::{approval, archive, hook_delivery, turn},
    };
    use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QueryTrait, Statement};

    #[tokio::test]
    async fn indexes_with_a_condition_are_found_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/steward.db", folder.path().display());
        let store = Database::open(&DatabaseOptions::new(url), migration::up).await.unwrap().store();
        let backend = store.read.get_database_backend();
        let plan = async |statement: Statement| {
            assert!(statement.values.as_ref().is_none_or(|values| values.0.is_empty()), "{statement}");
            let explain = Statement { sql: format!("EXPLAIN QUERY PLAN {}", statement.sql), ..statement };
            let steps = store.read.query_all_raw(explain).await.unwrap();
            steps
                .iter()
                .map(|step| step.try_get::<String>("", "detail").unwrap())
                .collect::<Vec<_>>()
                .join("; ")
        };
        let queued = turn::Entity::find().filter(turn::Column::Status.eq_literal("queued"));
        let running = turn::Entity::find().filter(turn::Column::Status.eq_literal("running"));
        let pending = approval::Entity::find().filter(approval::Column::Status.eq_literal("pending"));
        let pending = pending.order_by_asc(approval::Column::CreatedAt);
        let due = hook_delivery::Entity::find().filter(hook_delivery::Column::Status.eq_literal("pending"));
        let open =
            archive::Entity::find().filter(archive::Column::Status.in_literals(["pending", "in_progress"]));
        let stored = archive::Entity::find().filter(archive::Column::HasObject.eq_literal(true));
        for (statement, index) in [
            (queued.build(backend), "ix_turns_waiting"),
            (running.build(backend), "ux_turns_running"),
            (pending.build(backend), "ix_approvals_pending"),
            (due.build(backend), "ix_hook_deliveries_due"),
            (open.build(backend), "ux_archives_open"),
            (stored.build(backend), "ix_archives_local"),
            (archives::useless().build(backend), "ix_archives_useless"),
        ] {
            let plan = plan(statement).await;
            assert!(plan.contains(index), "{index}: {plan}");
        }
    }
}
