//! A row of `request_usage`, the ledger.

use crate::value::{Reader, Spent, micros, stored};
use domain::{RequestUsage, RequestUsageId, SessionId, TurnId, UserId, ports::StoreError};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "request_usage")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Gone when the session is.
    pub session_id: Option<Uuid>,
    pub user_id: Uuid,
    pub turn_id: Option<Uuid>,
    pub model: String,
    pub input_tokens: i64,
    pub output_tokens: i64,
    #[sea_orm(column_name = "cache_write_5m_tokens")]
    pub cache_write_5m_tokens: i64,
    #[sea_orm(column_name = "cache_write_1h_tokens")]
    pub cache_write_1h_tokens: i64,
    pub cache_read_tokens: i64,
    pub thinking_tokens: i64,
    /// Names, in an array.
    pub tools: Json,
    pub cost_micro_usd: i64,
    pub price_version: String,
    pub is_priced: bool,
    pub is_complete: bool,
    pub is_estimated: bool,
    pub http_status: i64,
    pub stop_reason: Option<String>,
    pub started_at: i64,
    pub duration_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Its tokens and cost.
    pub(crate) fn spent(&self) -> Spent {
        Spent {
            input: self.input_tokens,
            output: self.output_tokens,
            cache_write_5m: self.cache_write_5m_tokens,
            cache_write_1h: self.cache_write_1h_tokens,
            cache_read: self.cache_read_tokens,
            cost_micro_usd: self.cost_micro_usd,
        }
    }
}

impl From<&RequestUsage> for Model {
    fn from(usage: &RequestUsage) -> Self {
        let spent = Spent::new(usage.tokens, usage.cost);
        Self {
            id: usage.id.0,
            session_id: Some(usage.session_id.0),
            user_id: usage.user_id.0,
            turn_id: usage.turn_id.map(|id| id.0),
            model: usage.model.clone(),
            input_tokens: spent.input,
            output_tokens: spent.output,
            cache_write_5m_tokens: spent.cache_write_5m,
            cache_write_1h_tokens: spent.cache_write_1h,
            cache_read_tokens: spent.cache_read,
            thinking_tokens: stored(usage.thinking_tokens),
            tools: Json::from(usage.tools.clone()),
            cost_micro_usd: spent.cost_micro_usd,
            price_version: usage.price_version.clone(),
            is_priced: usage.is_priced,
            is_complete: usage.is_complete,
            is_estimated: usage.is_estimated,
            http_status: i64::from(usage.http_status),
            stop_reason: usage.stop_reason.clone(),
            started_at: micros(usage.started_at),
            duration_ms: stored(usage.duration_ms),
        }
    }
}

impl TryFrom<Model> for RequestUsage {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("request_usage");
        let (tokens, cost) = row.spent().read(reader)?;
        Ok(Self {
            id: RequestUsageId(row.id),
            session_id: SessionId(row.session_id.ok_or(reader.inconsistent("session_id"))?),
            user_id: UserId(row.user_id),
            turn_id: row.turn_id.map(TurnId),
            model: row.model,
            tokens,
            thinking_tokens: reader.figure("thinking_tokens", row.thinking_tokens)?,
            tools: serde_json::from_value(row.tools).map_err(|_| reader.inconsistent("tools"))?,
            cost,
            price_version: row.price_version,
            is_priced: row.is_priced,
            is_complete: row.is_complete,
            is_estimated: row.is_estimated,
            http_status: reader.figure("http_status", row.http_status)?,
            stop_reason: row.stop_reason,
            started_at: reader.instant("started_at", row.started_at)?,
            duration_ms: reader.figure("duration_ms", row.duration_ms)?,
        })
    }
}
