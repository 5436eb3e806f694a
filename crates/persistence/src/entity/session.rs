//! A row of `sessions`.

use crate::value::{Reader, Spent, micros, stored, to_json};
use domain::{
    ArchiveId, Counters, Generation, Operation, ServerId, Session, SessionId, SessionMode, SessionStatus,
    TemplateId, TurnId, UserId,
    ports::{StoreError, StoreResult},
    session::AgentConversation,
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: Option<String>,
    pub description: Option<String>,
    pub search_text: String,
    pub mode: String,
    pub status: String,
    pub spec: Json,
    pub metadata: Json,
    pub parent_session_id: Option<Uuid>,
    pub fork_at_message: Option<i64>,
    pub template_id: Option<Uuid>,
    pub current_turn_id: Option<Uuid>,
    pub operation: Option<String>,
    pub archive_id: Option<Uuid>,
    pub server_id: Option<Uuid>,
    pub generation: i64,
    pub stop_requested: Option<Uuid>,
    pub agent_id: Option<Uuid>,
    pub agent_last_entry: Option<Uuid>,
    pub last_seq: i64,
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
    pub error_message: Option<String>,
    pub budget_paused_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
    pub started_at: Option<i64>,
    pub completed_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What a search looks through.
pub(crate) fn search_text(name: Option<&str>, description: Option<&str>) -> String {
    format!("{}\n{}", name.unwrap_or_default(), description.unwrap_or_default()).to_lowercase()
}

impl Model {
    pub(crate) fn new(session: &Session) -> StoreResult<Self> {
        let Counters { cost, tokens, .. } = session.counters;
        let spent = Spent::new(tokens, cost);
        Ok(Self {
            id: session.id.0,
            user_id: session.user_id.0,
            name: session.name.clone(),
            description: session.description.clone(),
            search_text: search_text(session.name.as_deref(), session.description.as_deref()),
            mode: session.mode.as_str().to_owned(),
            status: session.status.as_str().to_owned(),
            spec: to_json(&session.spec)?,
            metadata: session.metadata.clone(),
            parent_session_id: session.parent_session_id.map(|id| id.0),
            fork_at_message: session.fork_at_message.map(stored),
            template_id: session.template_id.map(|id| id.0),
            current_turn_id: session.current_turn_id.map(|id| id.0),
            operation: session.operation.map(|operation| operation.as_str().to_owned()),
            archive_id: session.archive_id.map(|id| id.0),
            server_id: session.server_id.map(|id| id.0),
            generation: stored(session.generation.0),
            stop_requested: None,
            agent_id: session.agent.map(|agent| agent.id),
            agent_last_entry: session.agent.and_then(|agent| agent.last_entry),
            last_seq: 0,
            message_count: stored(session.counters.messages),
            tool_call_count: stored(session.counters.tool_calls),
            hook_execution_count: stored(session.counters.hook_executions),
            permission_check_count: stored(session.counters.permission_checks),
            error_count: stored(session.counters.errors),
            retry_count: stored(session.counters.retries),
            cost_micro_usd: spent.cost_micro_usd,
            input_tokens: spent.input,
            output_tokens: spent.output,
            cache_write_5m_tokens: spent.cache_write_5m,
            cache_write_1h_tokens: spent.cache_write_1h,
            cache_read_tokens: spent.cache_read,
            error_message: session.error_message.clone(),
            budget_paused_at: session.budget_paused_at.map(micros),
            created_at: micros(session.created_at),
            updated_at: micros(session.updated_at),
            started_at: session.started_at.map(micros),
            completed_at: session.completed_at.map(micros),
        })
    }

    fn counters(&self, reader: Reader) -> StoreResult<Counters> {
        let spent = Spent {
            input: self.input_tokens,
            output: self.output_tokens,
            cache_write_5m: self.cache_write_5m_tokens,
            cache_write_1h: self.cache_write_1h_tokens,
            cache_read: self.cache_read_tokens,
            cost_micro_usd: self.cost_micro_usd,
        };
        let (tokens, cost) = spent.read(reader)?;
        Ok(Counters {
            messages: reader.figure("message_count", self.message_count)?,
            tool_calls: reader.figure("tool_call_count", self.tool_call_count)?,
            hook_executions: reader.figure("hook_execution_count", self.hook_execution_count)?,
            permission_checks: reader.figure("permission_check_count", self.permission_check_count)?,
            errors: reader.figure("error_count", self.error_count)?,
            retries: reader.figure("retry_count", self.retry_count)?,
            cost,
            tokens,
        })
    }
}

impl TryFrom<Model> for Session {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("sessions");
        let fork_at_message = row.fork_at_message.map(|at| reader.figure("fork_at_message", at));
        let operation = row.operation.as_deref();
        let operation = operation.map(|word| reader.word("operation", Operation::parse, word));
        Ok(Self {
            id: SessionId(row.id),
            user_id: UserId(row.user_id),
            mode: reader.word("mode", SessionMode::parse, &row.mode)?,
            status: reader.word("status", SessionStatus::parse, &row.status)?,
            counters: row.counters(reader)?,
            name: row.name,
            description: row.description,
            spec: reader.json("spec", row.spec)?,
            metadata: row.metadata,
            parent_session_id: row.parent_session_id.map(SessionId),
            fork_at_message: fork_at_message.transpose()?,
            template_id: row.template_id.map(TemplateId),
            current_turn_id: row.current_turn_id.map(TurnId),
            operation: operation.transpose()?,
            archive_id: row.archive_id.map(ArchiveId),
            server_id: row.server_id.map(ServerId),
            generation: Generation(reader.figure("generation", row.generation)?),
            agent: row.agent_id.map(|id| AgentConversation { id, last_entry: row.agent_last_entry }),
            error_message: row.error_message,
            budget_paused_at: reader.instant_if("budget_paused_at", row.budget_paused_at)?,
            created_at: reader.instant("created_at", row.created_at)?,
            updated_at: reader.instant("updated_at", row.updated_at)?,
            started_at: reader.instant_if("started_at", row.started_at)?,
            completed_at: reader.instant_if("completed_at", row.completed_at)?,
        })
    }
}
