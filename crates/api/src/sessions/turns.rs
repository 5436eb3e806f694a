//! `GET /sessions/{id}/turns`, `GET` and `DELETE /turns/{turn_id}`.

use super::HistoryQuery;
use crate::{ApiState, caller::Caller, error::problem, page::Here, word::Word};
use actix_web::web::Data;
use apidoc::{
    Conflict, Done, Fail, Fetched, Forbidden, Invalid, Linked, NotFound, PathParams, Unavailable, ValidQuery,
};
use domain::{SessionId, Turn, TurnFailure, TurnId, TurnStatus};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// One prompt and its outcome.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TurnResponse {
    id: Uuid,
    session_id: Uuid,
    status: Word<TurnStatus>,
    /// Where it waits while it is queued: 1 is the next to begin. Null in lists.
    queue_position: Option<u64>,
    /// Null while the turn is queued.
    prompt_message_id: Option<Uuid>,
    answer_message_id: Option<Uuid>,
    /// The text of the answer.
    answer: Option<String>,
    error_code: Option<Word<TurnFailure>>,
    error_message: Option<String>,
    /// Rounds of the model.
    rounds: u32,
    /// How often the turn was begun anew.
    retries: u32,
    metrics: TurnMetrics,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
}

/// What a turn took.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TurnMetrics {
    /// Null until the turn is over.
    duration_ms: Option<i64>,
    input_tokens: u64,
    output_tokens: u64,
    cache_creation_tokens: u64,
    cache_read_tokens: u64,
    cost_usd: f64,
}

impl From<&Turn> for TurnMetrics {
    fn from(turn: &Turn) -> Self {
        let times = turn.started_at.zip(turn.completed_at);
        Self {
            duration_ms: times.map(|(start, end)| (end.as_millisecond() - start.as_millisecond()).max(0)),
            input_tokens: turn.tokens.input,
            output_tokens: turn.tokens.output,
            cache_creation_tokens: turn.tokens.cache_creation(),
            cache_read_tokens: turn.tokens.cache_read,
            cost_usd: turn.cost.as_usd(),
        }
    }
}

impl From<Turn> for TurnResponse {
    fn from(turn: Turn) -> Self {
        Self {
            metrics: TurnMetrics::from(&turn),
            id: turn.id.0,
            session_id: turn.session_id.0,
            status: Word(turn.status),
            queue_position: None,
            prompt_message_id: turn.prompt_message_id.map(|id| id.0),
            answer_message_id: turn.answer_message_id.map(|id| id.0),
            answer: turn.answer,
            error_code: turn.failure.map(Word),
            error_message: turn.error_message,
            rounds: turn.rounds,
            retries: turn.retries,
            created_at: turn.created_at,
            started_at: turn.started_at,
            completed_at: turn.completed_at,
        }
    }
}

/// List a session's turns
///
/// Newest first.
#[api_v2_operation(tags(Sessions), operation_id = "listTurns")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<HistoryQuery>,
) -> Result<Linked<Fetched<Vec<TurnResponse>>>, Fail<(NotFound, Invalid, Unavailable)>> {
    let page = state.sessions.turns(&caller.0, SessionId(id.0), &query.0.request()).await.map_err(problem)?;
    let next = here.next(page.next_cursor.as_deref());
    let turns = page.items.into_iter().map(TurnResponse::from).collect();
    Ok(Linked::next(Fetched::new(turns), next.as_deref()))
}

/// Read a turn
///
/// How far it is, and what came of it once it is over.
#[api_v2_operation(tags(Sessions), operation_id = "getTurn")]
pub async fn get(
    state: Data<ApiState>,
    caller: Caller,
    path: PathParams<(Uuid, Uuid)>,
) -> Result<Fetched<TurnResponse>, Fail<(NotFound, Unavailable)>> {
    let (id, turn_id) = path.0;
    let turn = state.sessions.turn(&caller.0, SessionId(id), TurnId(turn_id)).await.map_err(problem)?;
    let queue_position = state.sessions.queue_position(&turn).await.map_err(problem)?;
    Ok(Fetched::new(TurnResponse { queue_position, ..turn.into() }))
}

/// Take a queued turn back
///
/// It ends as interrupted, without having run. A turn that runs is stopped by `interrupt`.
#[api_v2_operation(tags(Sessions), operation_id = "cancelTurn")]
pub async fn cancel(
    state: Data<ApiState>,
    caller: Caller,
    path: PathParams<(Uuid, Uuid)>,
) -> Result<Done, Fail<(Forbidden, NotFound, Conflict, Unavailable)>> {
    let (id, turn_id) = path.0;
    state.sessions.cancel_turn(&caller.0, SessionId(id), TurnId(turn_id)).await.map_err(problem)?;
    Ok(Done)
}
