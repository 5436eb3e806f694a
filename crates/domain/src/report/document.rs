//! The one model that every format is made of; its JSON is what is stored, and what programs download.
//!
//! Readers of stored documents are newer than their writers: a field that is added later needs a default.

use crate::{
    ApprovalKind, ApprovalStatus, CostSum, MessageType, MicroUsd, SessionId, SessionMode, SessionStatus,
    TokenUsage, ToolCallStatus, TurnFailure, TurnStatus, UserId, Verdict,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of this shape.
pub const DOCUMENT_VERSION: u32 = 1;

/// A session as it was when the report was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportDocument {
    pub version: u32,
    pub generated_at: Timestamp,
    pub session: ReportSession,
    /// None if the report was made without.
    pub metrics: Option<ReportMetrics>,
    /// None if the report was made without. Oldest first; those that only hand a tool's result on are with the tool calls.
    pub messages: Option<Vec<ReportMessage>>,
    /// None if the report was made without. Oldest first.
    pub tool_calls: Option<Vec<ReportToolCall>>,
    /// None if the report was made without tool calls. Oldest first.
    pub decisions: Option<Vec<ReportDecision>>,
    /// None if the report was made without tool calls. Oldest first.
    pub approvals: Option<Vec<ReportApproval>>,
    pub left_out: LeftOut,
}

/// What a report does not tell because it would be too large. The oldest go first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// How many messages came before the first one that is told.
    pub messages: u64,
    /// How many tool calls came before the first one that is told.
    pub tool_calls: u64,
    /// Texts that are not whole; each says how long it was.
    pub shortened_texts: u64,
    /// Whether there are older decisions than those that are told.
    pub older_decisions: bool,
    pub older_approvals: bool,
    pub older_turns: bool,
}

impl LeftOut {
    /// Whether the report is not whole.
    #[must_use]
    pub fn is_anything(self) -> bool {
        self != Self::default()
    }
}

/// The session itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportSession {
    pub id: SessionId,
    pub user_id: UserId,
    pub name: Option<String>,
    pub description: Option<String>,
    pub mode: SessionMode,
    pub status: SessionStatus,
    pub model: Option<String>,
    pub permission_mode: String,
    pub working_directory: String,
    pub parent_session_id: Option<SessionId>,
    pub error_message: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// How a session went, in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportMetrics {
    pub messages: u64,
    pub tool_calls: u64,
    pub permission_checks: u64,
    pub hook_executions: u64,
    pub errors: u64,
    pub retries: u64,
    pub cost_micro_usd: MicroUsd,
    pub tokens: ReportTokens,
    /// From the first turn until the end of the session, or until the report. None before the first turn.
    pub duration_ms: Option<u64>,
    /// The highest cost first.
    pub by_model: Vec<ReportModel>,
    /// Oldest first.
    pub turns: Vec<ReportTurn>,
}

/// Tokens by what they are priced as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportTokens {
    pub input: u64,
    pub output: u64,
    pub cache_creation: u64,
    pub cache_read: u64,
}

impl From<TokenUsage> for ReportTokens {
    fn from(tokens: TokenUsage) -> Self {
        Self {
            input: tokens.input,
            output: tokens.output,
            cache_creation: tokens.cache_creation(),
            cache_read: tokens.cache_read,
        }
    }
}

/// What one model was asked and cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportModel {
    pub model: String,
    pub requests: u64,
    pub cost_micro_usd: MicroUsd,
    pub tokens: ReportTokens,
}

impl ReportModel {
    /// The sum over a model's requests.
    #[must_use]
    pub fn new(model: String, sum: &CostSum) -> Self {
        Self { model, requests: sum.requests, cost_micro_usd: sum.cost, tokens: sum.tokens.into() }
    }
}

/// One prompt and its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportTurn {
    /// Counted from 1, the oldest that is told.
    pub number: u64,
    pub status: TurnStatus,
    pub failure: Option<TurnFailure>,
    pub error_message: Option<String>,
    pub rounds: u32,
    pub retries: u32,
    pub cost_micro_usd: MicroUsd,
    pub tokens: ReportTokens,
    pub started_at: Option<Timestamp>,
    pub duration_ms: Option<u64>,
}

/// A message, as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportMessage {
    pub sequence_number: u64,
    pub message_type: MessageType,
    /// Markdown, as models and people write it. Blocks that are no text are named in brackets.
    pub text: String,
    pub model: Option<String>,
    /// The tool call in whose subagent this was said.
    pub parent_tool_use_id: Option<String>,
    pub created_at: Timestamp,
}

/// A tool call and its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportToolCall {
    pub tool_use_id: String,
    pub tool_name: String,
    /// JSON, or the beginning of it.
    pub input: String,
    /// Text, or JSON where the tool answered with something else.
    pub output: Option<String>,
    pub status: ToolCallStatus,
    pub permission_decision: Option<String>,
    pub permission_reason: Option<String>,
    pub created_at: Timestamp,
    pub duration_ms: Option<u64>,
}

/// What was decided about a tool call, and by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportDecision {
    pub tool_use_id: Option<String>,
    pub tool_name: String,
    pub verdict: Verdict,
    pub policy: String,
    pub rule: String,
    pub reason: String,
    /// `policy`, `user`, `expiry` or `failure`.
    pub decided_by: String,
    pub decided_at: Timestamp,
}

/// What a person was asked, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportApproval {
    pub kind: ApprovalKind,
    pub tool_name: String,
    pub tool_use_id: String,
    pub title: Option<String>,
    pub reason: Option<String>,
    pub status: ApprovalStatus,
    pub decided_by: Option<UserId>,
    pub decision_reason: Option<String>,
    pub asked_at: Timestamp,
    pub decided_at: Option<Timestamp>,
}
