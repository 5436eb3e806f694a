//! A row of `metrics_snapshots`.

use crate::value::{Reader, Spent, micros, stored};
use domain::{Counters, MetricsSnapshot, SessionId, SnapshotId, ports::StoreError};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "metrics_snapshots")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub session_id: Uuid,
    pub snapshot_at: i64,
    pub message_count: i64,
    pub tool_call_count: i64,
    pub hook_execution_count: i64,
    pub permission_check_count: i64,
    pub error_count: i64,
    pub retry_count: i64,
    pub cost_micro_usd: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    #[sea_orm(column_name = "cache_write_5m_tokens")]
    pub cache_write_5m_tokens: i64,
    #[sea_orm(column_name = "cache_write_1h_tokens")]
    pub cache_write_1h_tokens: i64,
    pub cache_read_tokens: i64,
    pub duration_ms: Option<i64>,
    pub avg_tool_duration_us: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&MetricsSnapshot> for Model {
    fn from(snapshot: &MetricsSnapshot) -> Self {
        let counters = snapshot.counters;
        let spent = Spent::new(counters.tokens, counters.cost);
        Self {
            id: snapshot.id.0,
            session_id: snapshot.session_id.0,
            snapshot_at: micros(snapshot.snapshot_at),
            message_count: stored(counters.messages),
            tool_call_count: stored(counters.tool_calls),
            hook_execution_count: stored(counters.hook_executions),
            permission_check_count: stored(counters.permission_checks),
            error_count: stored(counters.errors),
            retry_count: stored(counters.retries),
            cost_micro_usd: spent.cost_micro_usd,
            input_tokens: spent.input,
            output_tokens: spent.output,
            cache_write_5m_tokens: spent.cache_write_5m,
            cache_write_1h_tokens: spent.cache_write_1h,
            cache_read_tokens: spent.cache_read,
            duration_ms: snapshot.duration_ms.map(stored),
            // A cast takes what is out of range to the end of it.
            avg_tool_duration_us: snapshot.avg_tool_duration_ms.map(|ms| (ms * 1000.0).round() as i64),
        }
    }
}

impl TryFrom<Model> for MetricsSnapshot {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("metrics_snapshots");
        let spent = Spent {
            input: row.input_tokens,
            output: row.output_tokens,
            cache_write_5m: row.cache_write_5m_tokens,
            cache_write_1h: row.cache_write_1h_tokens,
            cache_read: row.cache_read_tokens,
            cost_micro_usd: row.cost_micro_usd,
        };
        let (tokens, cost) = spent.read(reader)?;
        let duration_ms = row.duration_ms.map(|duration| reader.figure("duration_ms", duration));
        Ok(Self {
            id: SnapshotId(row.id),
            session_id: SessionId(row.session_id),
            snapshot_at: reader.instant("snapshot_at", row.snapshot_at)?,
            counters: Counters {
                messages: reader.figure("message_count", row.message_count)?,
                tool_calls: reader.figure("tool_call_count", row.tool_call_count)?,
                hook_executions: reader.figure("hook_execution_count", row.hook_execution_count)?,
                permission_checks: reader.figure("permission_check_count", row.permission_check_count)?,
                errors: reader.figure("error_count", row.error_count)?,
                retries: reader.figure("retry_count", row.retry_count)?,
                cost,
                tokens,
            },
            duration_ms: duration_ms.transpose()?,
            avg_tool_duration_ms: row.avg_tool_duration_us.map(|micros| micros as f64 / 1000.0),
        })
    }
}
