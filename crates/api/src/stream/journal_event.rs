//! What each type of event carries, for the document. The fields themselves are put together in `domain::journal::data`.

use crate::{
    sessions::{messages::MessageResponse, permissions::DeciderWord, turns::TurnMetrics},
    word::Word,
};
use domain::{
    ApprovalKind, ApprovalStatus, HookRunStatus, SessionStatus, ToolCallStatus, TurnFailure, TurnStatus,
    Verdict,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde_json::Value;
use uuid::Uuid;

/// What every event has.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema matters")]
pub struct Recorded {
    /// 1 for the first event of the session, without gaps.
    seq: u64,
    session_id: Uuid,
    /// Null when it belongs to no turn.
    turn_id: Option<Uuid>,
    at: Timestamp,
}

/// Something that happened in a session and is on record; `type` says what, and which fields it has.
#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema matters")]
pub enum JournalEventShape {
    /// The prompt was accepted as this message, and its turn began.
    MessageSent {
        #[serde(flatten)]
        recorded: Recorded,
        message_id: Uuid,
    },
    /// Something was said.
    Message {
        #[serde(flatten)]
        recorded: Recorded,
        message: MessageResponse,
    },
    /// The model asked for a tool.
    ToolCallStarted {
        #[serde(flatten)]
        recorded: Recorded,
        tool_call_id: Uuid,
        tool_use_id: String,
        tool_name: String,
        tool_input: Value,
    },
    /// Its result came. The output is on the tool call and in its message.
    ToolCallCompleted {
        #[serde(flatten)]
        recorded: Recorded,
        tool_call_id: Uuid,
        tool_use_id: String,
        tool_name: String,
        status: Word<ToolCallStatus>,
        duration_ms: Option<i64>,
    },
    /// The session left one state for another.
    StatusChange {
        #[serde(flatten)]
        recorded: Recorded,
        from: Word<SessionStatus>,
        to: Word<SessionStatus>,
    },
    /// The turn is over, and this came of it.
    Result {
        #[serde(flatten)]
        recorded: Recorded,
        status: Word<TurnStatus>,
        answer_message_id: Option<Uuid>,
        /// The text of the answer.
        text: Option<String>,
        error_code: Option<Word<TurnFailure>>,
        error_message: Option<String>,
        /// Rounds of the model.
        rounds: u32,
        /// How often the turn was begun anew.
        retries: u32,
        metrics: TurnMetrics,
    },
    /// The model's service failed; the turn goes on or its `result` says what came of it.
    Error {
        #[serde(flatten)]
        recorded: Recorded,
        /// The word of the model's service for it.
        code: String,
        error_message: String,
    },
    /// Something else that is worth knowing; `what` names it, and it may have more fields of its own.
    Notice {
        #[serde(flatten)]
        recorded: Recorded,
        what: String,
    },
    /// The agent waits for a person's word on this call.
    ApprovalRequested {
        #[serde(flatten)]
        recorded: Recorded,
        approval_id: Uuid,
        kind: Word<ApprovalKind>,
        tool_use_id: String,
        tool_name: String,
        tool_input: Value,
        title: Option<String>,
        description: Option<String>,
        /// Why a person is asked.
        reason: Option<String>,
        policy: Option<String>,
        rule: Option<String>,
        /// Rule changes the agent suggests.
        suggestions: Value,
        /// What holds when nobody answers in time.
        default_verdict: Word<Verdict>,
        expires_at: Timestamp,
    },
    /// This became of it.
    ApprovalDecided {
        #[serde(flatten)]
        recorded: Recorded,
        approval_id: Uuid,
        kind: Word<ApprovalKind>,
        tool_use_id: String,
        tool_name: String,
        status: Word<ApprovalStatus>,
        verdict: Option<Word<Verdict>>,
        /// Who answered; null when nobody did.
        decided_by: Option<Uuid>,
        /// What they said about it.
        reason: Option<String>,
        updated_input: Option<Value>,
        /// Whether such calls run in this session from now on.
        remember: bool,
    },
    /// It was decided whether a tool call runs.
    PermissionDecision {
        #[serde(flatten)]
        recorded: Recorded,
        decision_id: Uuid,
        tool_use_id: Option<String>,
        tool_name: String,
        decision: Word<Verdict>,
        policy: String,
        policy_version: Option<u32>,
        rule: String,
        reason: String,
        decided_by: DeciderWord,
    },
    /// A hook was asked or told; what it answered is on its run.
    HookExecuted {
        #[serde(flatten)]
        recorded: Recorded,
        hook_run_id: Uuid,
        /// The event of the agent: `PreToolUse`, `Stop`, …
        hook_type: String,
        hook_name: String,
        tool_use_id: Option<String>,
        tool_name: Option<String>,
        status: Word<HookRunStatus>,
        continue_execution: bool,
        error_message: Option<String>,
        duration_ms: u64,
    },
}
