//! A session as clients see it.

use super::sdk_options::SdkOptions;
use crate::word::Word;
use domain::{Counters, Operation, Session, SessionMode, SessionStatus, fork::DirectorySource};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// A conversation with an agent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionResponse {
    id: Uuid,
    user_id: Uuid,
    name: Option<String>,
    description: Option<String>,
    mode: Word<SessionMode>,
    status: Word<SessionStatus>,
    working_directory: String,
    /// Where the files of a fork come from.
    working_directory_source: Option<Word<DirectorySource>>,
    allowed_tools: Vec<String>,
    system_prompt: Option<String>,
    sdk_options: SdkOptions,
    include_partial_messages: bool,
    max_retries: u32,
    /// Seconds.
    retry_delay: f64,
    timeout_seconds: u32,
    hooks_enabled: Vec<String>,
    permission_mode: String,
    custom_policies: Vec<String>,
    parent_session_id: Option<Uuid>,
    fork_at_message: Option<u64>,
    is_fork: bool,
    /// What holds the session beside turns; until it is over nothing else begins.
    operation: Option<Word<Operation>>,
    /// The archive that it can be restored from.
    archive_id: Option<Uuid>,
    /// The template that it was made from, which may be gone.
    template_id: Option<Uuid>,
    #[serde(flatten)]
    figures: Figures,
    /// The same figures as one object.
    metrics: Figures,
    created_at: Timestamp,
    updated_at: Timestamp,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    error_message: Option<String>,
    /// Since when it is paused because a budget is used up; it goes on by itself when there is money again.
    budget_paused_at: Option<Timestamp>,
    metadata: Value,
    #[serde(rename = "_links")]
    links: SessionLinks,
}

/// Running totals of a session.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "SessionFigures")]
pub struct Figures {
    message_count: u64,
    tool_call_count: u64,
    hook_execution_count: u64,
    permission_check_count: u64,
    error_count: u64,
    retry_count: u64,
    total_cost_usd: f64,
    total_input_tokens: u64,
    total_output_tokens: u64,
    total_cache_creation_tokens: u64,
    total_cache_read_tokens: u64,
}

/// Where the rest of a session is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionLinks {
    #[serde(rename = "self")]
    this: String,
    query: String,
    turns: String,
    messages: String,
    tool_calls: String,
    events: String,
    stream: String,
    files: String,
    tree: String,
    archive: String,
}

impl From<Counters> for Figures {
    fn from(counters: Counters) -> Self {
        Self {
            message_count: counters.messages,
            tool_call_count: counters.tool_calls,
            hook_execution_count: counters.hook_executions,
            permission_check_count: counters.permission_checks,
            error_count: counters.errors,
            retry_count: counters.retries,
            total_cost_usd: counters.cost.as_usd(),
            total_input_tokens: counters.tokens.input,
            total_output_tokens: counters.tokens.output,
            total_cache_creation_tokens: counters.tokens.cache_creation(),
            total_cache_read_tokens: counters.tokens.cache_read,
        }
    }
}

impl SessionLinks {
    fn of(id: Uuid) -> Self {
        let below = |rest: &str| format!("/api/v1/sessions/{id}{rest}");
        Self {
            this: below(""),
            query: below("/query"),
            turns: below("/turns"),
            messages: below("/messages"),
            tool_calls: below("/tool-calls"),
            events: below("/events"),
            stream: below("/stream"),
            files: below("/files"),
            tree: below("/tree"),
            archive: below("/archive"),
        }
    }
}

impl From<Session> for SessionResponse {
    fn from(session: Session) -> Self {
        let figures = Figures::from(session.counters);
        let spec = session.spec;
        Self {
            id: session.id.0,
            user_id: session.user_id.0,
            name: session.name,
            description: session.description,
            mode: Word(session.mode),
            status: Word(session.status),
            working_directory: spec.working_directory,
            working_directory_source: spec.directory_source.map(Word),
            allowed_tools: spec.allowed_tools,
            system_prompt: spec.system_prompt,
            sdk_options: spec.sdk_options.into(),
            include_partial_messages: spec.include_partial_messages,
            max_retries: spec.max_retries,
            retry_delay: to_seconds(spec.retry_delay_ms),
            timeout_seconds: spec.timeout_seconds,
            hooks_enabled: spec.hooks_enabled,
            permission_mode: spec.permission_mode,
            custom_policies: spec.custom_policies,
            parent_session_id: session.parent_session_id.map(|id| id.0),
            fork_at_message: session.fork_at_message,
            is_fork: session.mode == SessionMode::Forked,
            operation: session.operation.map(Word),
            archive_id: session.archive_id.map(|id| id.0),
            template_id: session.template_id.map(|id| id.0),
            metrics: figures.clone(),
            figures,
            created_at: session.created_at,
            updated_at: session.updated_at,
            started_at: session.started_at,
            completed_at: session.completed_at,
            error_message: session.error_message,
            budget_paused_at: session.budget_paused_at,
            metadata: session.metadata,
            links: SessionLinks::of(session.id.0),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a delay is at most 300 000 ms")]
pub fn to_seconds(delay_ms: u64) -> f64 {
    delay_ms as f64 / 1000.0
}
