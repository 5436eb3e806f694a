//! `POST /sessions/{id}/query`: a prompt, answered in the way the client prefers.

pub mod manner;

use self::manner::{Manner, PreferenceApplied};
use super::turns::TurnMetrics;
use crate::{
    ApiState,
    caller::{Caller, pass::Pass},
    error::problem,
    prompt::Prompt,
    stream::{
        event::StreamEvent,
        frames::{self, Follower, Shown},
    },
    word::Word,
};
use actix_web::web::Data;
use apidoc::{
    Accepted, BadGateway, BudgetExhausted, Conflict, EventStream, Fail, Fetched, Forbidden, Invalid,
    NotFound, OneOf, PathParams, Problem, TimedOut, TooMany, Unavailable, Valid, With,
};
use domain::{SessionId, ToolCall, ToolCallStatus, Turn, TurnFailure, TurnStatus};
use engine::{Error, FinishedTurn, ForkDraft, SessionManager, StartedTurn, WhenBusy};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;
use uuid::Uuid;
use validator::Validate;

/// A prompt.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct QueryRequest {
    #[validate(nested)]
    message: Prompt,
    /// Leaves the session as it is and prompts a fork of it, which the answer names.
    #[serde(default)]
    fork: bool,
    /// What to do while another turn of the session runs or waits.
    #[serde(default)]
    if_busy: IfBusy,
}

/// What to do with a prompt while another turn of the session runs or waits.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IfBusy {
    /// Answer with 409.
    #[default]
    Reject,
    /// Let it wait for the turns before it.
    Queue,
    /// Interrupt the running turn; this prompt is the session's next.
    Interrupt,
}

/// A turn that is over.
#[derive(Debug, Serialize, JsonSchema)]
pub struct QueryResponse {
    session_id: Uuid,
    turn_id: Uuid,
    /// The message with the answer.
    message_id: Option<Uuid>,
    /// `interrupted` when somebody stopped it, `failed` when it needed more rounds than `max_turns`,
    /// `budget_exhausted` when a budget was used up before it was done.
    status: Word<TurnStatus>,
    content: TextContent,
    tool_calls: Vec<ToolCallSummary>,
    metrics: TurnMetrics,
    error_code: Option<Word<TurnFailure>>,
    error_message: Option<String>,
}

/// The text of an answer.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TextContent {
    Text { text: String },
}

/// One use of a tool.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ToolCallSummary {
    tool_use_id: String,
    tool_name: String,
    tool_input: Value,
    status: Word<ToolCallStatus>,
}

/// A turn that was accepted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TurnReceipt {
    turn_id: Uuid,
    status: Word<TurnStatus>,
    /// Where it waits: 1 is the next to begin. Null once it runs.
    queue_position: Option<u64>,
    links: TurnLinks,
}

/// Where a turn can be followed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TurnLinks {
    #[serde(rename = "self")]
    this: String,
    session: String,
    /// The session's events from this turn's first on.
    events: String,
}

type Answer = OneOf<
    With<Fetched<QueryResponse>, PreferenceApplied>,
    OneOf<With<Accepted<TurnReceipt>, PreferenceApplied>, EventStream<StreamEvent>>,
>;

type Refused = Fail<(
    BudgetExhausted,
    Forbidden,
    NotFound,
    Conflict,
    Invalid,
    TooMany,
    BadGateway,
    Unavailable,
    TimedOut,
)>;

impl From<IfBusy> for WhenBusy {
    fn from(if_busy: IfBusy) -> Self {
        match if_busy {
            IfBusy::Reject => Self::Reject,
            IfBusy::Queue => Self::Queue,
            IfBusy::Interrupt => Self::Interrupt,
        }
    }
}

/// Prompt a session
///
/// Waits for the turn to end, unless the request says `Prefer: respond-async` (202 at once) or
/// `Accept: text/event-stream` (the turn's events as they happen, ending with its `result`). A client that leaves
/// does not stop the turn. While all slots for agents are taken, the turn waits for one.
#[api_v2_operation(tags(Sessions), operation_id = "querySession")]
pub async fn query(
    state: Data<ApiState>,
    caller: Caller,
    pass: Pass,
    id: PathParams<Uuid>,
    manner: Manner,
    body: Valid<QueryRequest>,
) -> Result<Answer, Refused> {
    let (sessions, caller, id) = (&state.sessions, &caller.0, SessionId(id.0));
    let QueryRequest { message, if_busy, fork } = body.0;
    let id = match fork {
        true => {
            // A fork for which there is no money is not made. It is the caller's, whoever has the session.
            sessions.check_budget(caller).await.map_err(problem)?;
            sessions.fork(caller, id, ForkDraft::default()).await.map_err(problem)?.id
        }
        false => id,
    };
    match manner {
        Manner::Wait => {
            let asked = sessions.query(caller, id, message.into_value(), if_busy.into());
            let finished = asked.await.map_err(problem)?;
            Ok(OneOf::This(With::new(Fetched::new(outcome(finished)?), None)))
        }
        Manner::WaitFor(wait) => {
            let started = begin(sessions, caller, id, message, if_busy).await.map_err(problem)?;
            let applied = format!("respond-async, wait={}", wait.as_secs());
            let Ok(turn) = timeout(wait, sessions.wait_for_turn(id, started.turn_id)).await else {
                return Ok(OneOf::That(OneOf::This(receipt(started, applied))));
            };
            let turn = turn.map_err(problem)?;
            let tool_calls = sessions.turn_tool_calls(turn.id).await.map_err(problem)?;
            let answer = outcome(FinishedTurn { turn, tool_calls })?;
            Ok(OneOf::This(With::new(Fetched::new(answer), Some(applied))))
        }
        Manner::RespondAsync => {
            let started = begin(sessions, caller, id, message, if_busy).await.map_err(problem)?;
            Ok(OneOf::That(OneOf::This(receipt(started, "respond-async".to_owned()))))
        }
        Manner::Stream => {
            // Watched before it begins, so that not even its first delta is missed.
            let watch = sessions.watch(caller, id, 0).await.map_err(problem)?;
            let started = begin(sessions, caller, id, message, if_busy).await.map_err(problem)?;
            let watch = watch.passing_over(started.after_seq);
            let check_interval = state.settings.stream_check_interval;
            let follower = Follower { watch, shown: Shown::Turn(started.turn_id), pass, check_interval };
            Ok(OneOf::That(OneOf::That(EventStream::new(frames::of(follower)))))
        }
    }
}

/// Begins a turn, or queues it.
pub async fn begin(
    sessions: &SessionManager,
    caller: &domain::Caller,
    id: SessionId,
    message: Prompt,
    if_busy: IfBusy,
) -> engine::Result<StartedTurn> {
    sessions.start_turn(caller, id, message.into_value(), if_busy.into()).await
}

/// A turn that failed through no fault of the prompt is a problem, and names itself in it.
fn outcome(FinishedTurn { turn, tool_calls }: FinishedTurn) -> Result<QueryResponse, Problem> {
    match turn.failure {
        None
        | Some(TurnFailure::MaxTurnsReached | TurnFailure::Interrupted | TurnFailure::BudgetExhausted) => {}
        Some(
            failure @ (TurnFailure::AgentUnavailable
            | TurnFailure::AgentFailed
            | TurnFailure::AgentLimitExceeded
            | TurnFailure::AgentTimeout
            | TurnFailure::ModelFailed
            | TurnFailure::ServerStopped
            | TurnFailure::NotRecorded),
        ) => {
            let message = turn.error_message.unwrap_or_else(|| "the turn failed".to_owned());
            return Err(problem(Error::TurnFailed { turn_id: turn.id, failure, message }));
        }
    }
    Ok(QueryResponse::of(turn, tool_calls))
}

fn receipt(started: StartedTurn, applied: String) -> With<Accepted<TurnReceipt>, PreferenceApplied> {
    let session = format!("/api/v1/sessions/{}", started.session_id);
    let this = format!("{session}/turns/{}", started.turn_id);
    let events = format!("{session}/events?after={}", started.after_seq);
    let queue_position = started.queue_position;
    let status = if queue_position.is_some() { TurnStatus::Queued } else { TurnStatus::Running };
    let links = TurnLinks { this: this.clone(), session, events };
    let receipt = TurnReceipt { turn_id: started.turn_id.0, status: Word(status), queue_position, links };
    With::new(Accepted::at(receipt, this), Some(applied))
}

impl QueryResponse {
    fn of(turn: Turn, calls: Vec<ToolCall>) -> Self {
        Self {
            metrics: TurnMetrics::from(&turn),
            session_id: turn.session_id.0,
            turn_id: turn.id.0,
            message_id: turn.answer_message_id.map(|id| id.0),
            status: Word(turn.status),
            content: TextContent::Text { text: turn.answer.unwrap_or_default() },
            tool_calls: calls.into_iter().map(ToolCallSummary::from).collect(),
            error_code: turn.failure.map(Word),
            error_message: turn.error_message,
        }
    }
}

impl From<ToolCall> for ToolCallSummary {
    fn from(call: ToolCall) -> Self {
        Self {
            tool_use_id: call.tool_use_id,
            tool_name: call.tool_name,
            tool_input: call.tool_input,
            status: Word(call.status),
        }
    }
}
