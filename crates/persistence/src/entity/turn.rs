//! A row of `turns`.

use crate::value::{Reader, Spent, micros};
use domain::{MessageId, SessionId, Turn, TurnFailure, TurnId, TurnStatus, ports::StoreError, turn::NewTurn};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "turns")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub session_id: Uuid,
    pub status: String,
    pub queued_prompt: Option<Json>,
    pub queue_rank: i64,
    pub prompt_message_id: Option<Uuid>,
    pub answer_message_id: Option<Uuid>,
    pub answer: Option<String>,
    pub failure: Option<String>,
    pub error_message: Option<String>,
    pub rounds: i64,
    pub retries: i64,
    pub cost_micro_usd: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    #[sea_orm(column_name = "cache_write_5m_tokens")]
    pub cache_write_5m_tokens: i64,
    #[sea_orm(column_name = "cache_write_1h_tokens")]
    pub cache_write_1h_tokens: i64,
    pub cache_read_tokens: i64,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub completed_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// A turn that waits with its prompt; of a session's turns the one with the least rank is next.
    pub(crate) fn queued(turn: &NewTurn, rank: i64) -> Self {
        let queued_prompt = Some(turn.prompt.clone());
        Self { queued_prompt, queue_rank: rank, ..Self::blank(turn, TurnStatus::Queued) }
    }

    /// A turn that runs from the start; its prompt is this message.
    pub(crate) fn running(turn: &NewTurn, prompt: MessageId) -> Self {
        Self {
            prompt_message_id: Some(prompt.0),
            started_at: Some(micros(turn.at)),
            ..Self::blank(turn, TurnStatus::Running)
        }
    }

    fn blank(turn: &NewTurn, status: TurnStatus) -> Self {
        Self {
            id: turn.id.0,
            session_id: turn.session_id.0,
            status: status.as_str().to_owned(),
            queued_prompt: None,
            queue_rank: 0,
            prompt_message_id: None,
            answer_message_id: None,
            answer: None,
            failure: None,
            error_message: None,
            rounds: 0,
            retries: 0,
            cost_micro_usd: 0,
            input_tokens: 0,
            output_tokens: 0,
            cache_write_5m_tokens: 0,
            cache_write_1h_tokens: 0,
            cache_read_tokens: 0,
            created_at: micros(turn.at),
            started_at: None,
            completed_at: None,
        }
    }
}

impl TryFrom<Model> for Turn {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("turns");
        let failure =
            row.failure.map(|code| reader.word("failure", TurnFailure::parse, &code)).transpose()?;
        let spent = Spent {
            input: row.input_tokens,
            output: row.output_tokens,
            cache_write_5m: row.cache_write_5m_tokens,
            cache_write_1h: row.cache_write_1h_tokens,
            cache_read: row.cache_read_tokens,
            cost_micro_usd: row.cost_micro_usd,
        };
        let (tokens, cost) = spent.read(reader)?;
        Ok(Self {
            id: TurnId(row.id),
            session_id: SessionId(row.session_id),
            status: reader.word("status", TurnStatus::parse, &row.status)?,
            prompt_message_id: row.prompt_message_id.map(MessageId),
            answer_message_id: row.answer_message_id.map(MessageId),
            answer: row.answer,
            failure,
            error_message: row.error_message,
            rounds: reader.figure("rounds", row.rounds)?,
            retries: reader.figure("retries", row.retries)?,
            tokens,
            cost,
            created_at: reader.instant("created_at", row.created_at)?,
            started_at: reader.instant_if("started_at", row.started_at)?,
            completed_at: reader.instant_if("completed_at", row.completed_at)?,
        })
    }
}
