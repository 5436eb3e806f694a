//! What the agent tells a hook, event by event. Fields of tomorrow are kept in `other`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::HookEvent;
use crate::{gate::PermissionUpdate, open::open_struct};

/// What is told at one event, as a type. The types of this module are all there are.
pub trait HookDetails: DeserializeOwned + Send + 'static + sealed::Sealed {
    /// The event.
    const EVENT: HookEvent;
}

mod sealed {
    pub trait Sealed {}
}

open_struct! {
    /// Where a tool of an MCP server comes from.
    McpServerProvenance {
        /// Name of the server.
        name: String,
        /// Where it was configured.
        source: Option<String>,
    }
    /// The effort a turn runs with.
    HookEffort {
        /// The level.
        level: String,
    }
    /// One call of a batch.
    BatchedToolCall {
        /// Name of the tool.
        tool_name: String,
        /// Its input.
        tool_input: Value,
        /// The call.
        tool_use_id: String,
        /// What it gave back.
        tool_response: Value,
    }
}

/// Writes the types of events with what is told at every one of them.
macro_rules! inputs {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
            #[non_exhaustive]
            pub struct $name {
                /// What is told at every event.
                #[serde(flatten)]
                pub context: HookContext,
                $(
                    $(#[$field_meta])*
                    #[serde(default, deserialize_with = "crate::open::null_as_default")]
                    pub $field: $type,
                )*
                /// Fields this crate does not know.
                #[serde(flatten)]
                pub other: Map<String, Value>,
            }

            impl sealed::Sealed for $name {}

            impl HookDetails for $name {
                const EVENT: HookEvent = HookEvent::$name;
            }
        )*

        /// What is told at any event.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum AnyHookDetails {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                $name(Box<$name>),
            )*
            /// An event of tomorrow, or one whose fields have another form than this crate knows.
            Other(Value),
        }

        impl AnyHookDetails {
            pub(super) fn read(event: &HookEvent, raw: &Value) -> Self {
                match event {
                    $(HookEvent::$name => match serde::Deserialize::deserialize(raw) {
                        Ok(details) => Self::$name(details),
                        Err(_) => Self::Other(raw.clone()),
                    },)*
                    HookEvent::Other(_) => Self::Other(raw.clone()),
                }
            }
        }
    };
}

/// What is told at every event.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct HookContext {
    /// The event, by its name.
    #[serde(default)]
    pub hook_event_name: String,
    /// The session.
    #[serde(default)]
    pub session_id: String,
    /// Its transcript.
    #[serde(default)]
    pub transcript_path: String,
    /// The agent's working directory.
    #[serde(default)]
    pub cwd: String,
    /// The prompt that led here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// How tool calls are permitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
    /// Set when it happens inside a subagent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The kind of agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<String>,
    /// The effort of the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<HookEffort>,
}

inputs! {
    /// A tool is about to run.
    PreToolUse {
        /// Name of the tool.
        tool_name: String,
        /// Its input.
        tool_input: Value,
        /// The tool call.
        tool_use_id: String,
        /// For a tool of an MCP server: which.
        mcp_server: Option<McpServerProvenance>,
    }
    /// A tool has run.
    PostToolUse {
        /// Name of the tool.
        tool_name: String,
        /// Its input.
        tool_input: Value,
        /// The tool call.
        tool_use_id: String,
        /// What it gave back, in the form of that tool.
        tool_response: Value,
        /// How long it ran.
        duration_ms: Option<f64>,
        /// For a tool of an MCP server: which.
        mcp_server: Option<McpServerProvenance>,
    }
    /// A tool has failed.
    PostToolUseFailure {
        /// Name of the tool.
        tool_name: String,
        /// Its input.
        tool_input: Value,
        /// The tool call.
        tool_use_id: String,
        /// What went wrong.
        error: String,
        /// Whether it was interrupted.
        is_interrupt: Option<bool>,
        /// How long it ran.
        duration_ms: Option<f64>,
        /// For a tool of an MCP server: which.
        mcp_server: Option<McpServerProvenance>,
    }
    /// All tool calls of one answer have ended.
    PostToolBatch {
        /// The calls.
        tool_calls: Vec<BatchedToolCall>,
    }
    /// Somebody is to be asked for permission.
    PermissionRequest {
        /// Name of the tool.
        tool_name: String,
        /// Its input.
        tool_input: Value,
        /// Rule changes the agent suggests.
        permission_suggestions: Vec<PermissionUpdate>,
        /// For a tool of an MCP server: which.
        mcp_server: Option<McpServerProvenance>,
    }
    /// Auto mode denied a tool call.
    PermissionDenied {
        /// Name of the tool.
        tool_name: String,
        /// Its input.
        tool_input: Value,
        /// The tool call.
        tool_use_id: String,
        /// Why.
        reason: String,
        /// For a tool of an MCP server: which.
        mcp_server: Option<McpServerProvenance>,
    }
    /// A prompt is about to be taken in.
    UserPromptSubmit {
        /// Its text.
        prompt: String,
        /// Where it comes from: `user`, `sdk`, `system`, …
        source: Option<String>,
        /// Title of the session.
        session_title: Option<String>,
    }
    /// A command or an MCP prompt became text.
    UserPromptExpansion {
        /// `slash_command` or `mcp_prompt`.
        expansion_type: String,
        /// Its name.
        command_name: String,
        /// Its arguments.
        command_args: String,
        /// Where the command comes from.
        command_source: Option<String>,
        /// The text.
        prompt: String,
    }
    /// A session begins anew in this process: cleared or compacted.
    SessionStart {
        /// `clear` or `compact`.
        source: String,
        /// The model.
        model: Option<String>,
        /// Title of the session.
        session_title: Option<String>,
        /// Tokens of the conversation.
        context_tokens: Option<u64>,
        /// Seconds since the model last answered.
        seconds_since_last_response: Option<f64>,
        /// Whether the cache of the prompt is probably gone.
        prompt_cache_likely_expired: Option<bool>,
        /// What writing it anew would cost.
        estimated_cache_write_usd: Option<f64>,
    }
    /// A session ends; no host's hook is ever called for it.
    SessionEnd {
        /// Why.
        reason: String,
    }
    /// The installation is set up.
    Setup {
        /// `init` or `maintenance`.
        trigger: String,
    }
    /// The agent is about to end its turn.
    Stop {
        /// Whether a hook has kept it going already: the way out of an endless loop.
        stop_hook_active: bool,
        /// What it said last.
        last_assistant_message: Option<String>,
        /// What goes on in the background.
        background_tasks: Vec<Value>,
        /// What is planned for later.
        session_crons: Vec<Value>,
    }
    /// A turn ends for an error of the API.
    StopFailure {
        /// Which: `rate_limit`, `overloaded`, …
        error: String,
        /// More of it.
        error_details: Option<String>,
        /// What the agent said last.
        last_assistant_message: Option<String>,
    }
    /// A subagent starts; which one is told in `context`.
    SubagentStart {}
    /// A subagent is about to end; which one is told in `context`.
    SubagentStop {
        /// Whether a hook has kept it going already.
        stop_hook_active: bool,
        /// Its transcript.
        agent_transcript_path: String,
        /// What it said last.
        last_assistant_message: Option<String>,
        /// What goes on in the background.
        background_tasks: Vec<Value>,
        /// What is planned for later.
        session_crons: Vec<Value>,
    }
    /// The conversation is about to be compacted.
    PreCompact {
        /// `manual` or `auto`.
        trigger: String,
        /// What the user said of how.
        custom_instructions: Option<String>,
    }
    /// The conversation was compacted.
    PostCompact {
        /// `manual` or `auto`.
        trigger: String,
        /// What is left of it.
        compact_summary: String,
    }
    /// The model is about to be switched.
    PreModelSwitch {
        /// From this.
        from_model: String,
        /// To this.
        to_model: String,
        /// As it was asked for; `None` for the default.
        requested_model: Option<String>,
        /// Who asks: `command`, `picker`, `sdk`.
        source: String,
        /// Tokens of the conversation.
        context_tokens: u64,
        /// Whether a cache is lost by it.
        prompt_cache_warm: bool,
        /// How long caches live: `5m`, `1h`.
        cache_ttl: String,
        /// What writing it anew would cost.
        estimated_cache_write_usd: f64,
        /// Where the price comes from.
        pricing: String,
    }
    /// The model was switched.
    PostModelSwitch {
        /// From this.
        from_model: String,
        /// To this.
        to_model: String,
        /// As it was asked for; `None` for the default.
        requested_model: Option<String>,
        /// Who asked: `command`, `picker`, `sdk`, `auto`, `resume`.
        source: String,
        /// Tokens of the conversation.
        context_tokens: u64,
        /// Whether a cache was lost by it.
        prompt_cache_warm: bool,
        /// How long caches live.
        cache_ttl: String,
        /// What writing it anew costs.
        estimated_cache_write_usd: f64,
        /// Where the price comes from.
        pricing: String,
    }
    /// A piece of the answer is shown.
    MessageDisplay {
        /// The turn.
        turn_id: String,
        /// The message.
        message_id: String,
        /// The number of the piece.
        index: u64,
        /// Whether it is the last.
        r#final: bool,
        /// The text.
        delta: String,
    }
    /// A CLAUDE.md or rules file was loaded.
    InstructionsLoaded {
        /// The file.
        file_path: String,
        /// `User`, `Project`, `Local` or `Managed`.
        memory_type: String,
        /// Why: `session_start`, `nested_traversal`, …
        load_reason: String,
        /// Patterns that led to it.
        globs: Vec<String>,
        /// File that led to it.
        trigger_file_path: Option<String>,
        /// File that includes it.
        parent_file_path: Option<String>,
    }
    /// The agent has something to tell its user.
    Notification {
        /// The text.
        message: String,
        /// A heading.
        title: Option<String>,
        /// What it is about.
        notification_type: String,
    }
    /// Settings have changed on disk.
    ConfigChange {
        /// Which: `user_settings`, `project_settings`, …
        source: String,
        /// The file.
        file_path: Option<String>,
    }
    /// The working directory has changed.
    CwdChanged {
        /// From here.
        old_cwd: String,
        /// To there.
        new_cwd: String,
    }
    /// A watched file has changed.
    FileChanged {
        /// The file.
        file_path: String,
        /// `change`, `add` or `unlink`.
        event: String,
    }
    /// A directory was added to the workspace.
    DirectoryAdded {
        /// The directory.
        directory: String,
        /// By whom: `slash_command`, `register_repo_root`.
        source: String,
    }
    /// A worktree is wanted.
    WorktreeCreate {
        /// Its name.
        name: String,
    }
    /// A worktree is no longer wanted.
    WorktreeRemove {
        /// Where it is.
        worktree_path: String,
    }
    /// A task was written down.
    TaskCreated {
        /// The task.
        task_id: String,
        /// What it is about.
        task_subject: String,
        /// More of it.
        task_description: Option<String>,
        /// Who wrote it.
        teammate_name: Option<String>,
        /// Of which team.
        team_name: Option<String>,
    }
    /// A task was ticked off.
    TaskCompleted {
        /// The task.
        task_id: String,
        /// What it is about.
        task_subject: String,
        /// More of it.
        task_description: Option<String>,
        /// Who did it.
        teammate_name: Option<String>,
        /// Of which team.
        team_name: Option<String>,
    }
    /// A member of a team has nothing to do.
    TeammateIdle {
        /// Who.
        teammate_name: String,
        /// Of which team.
        team_name: String,
    }
    /// An MCP server asks the user.
    Elicitation {
        /// The server.
        mcp_server_name: String,
        /// The question.
        message: String,
        /// `form` or `url`.
        mode: Option<String>,
        /// The page to open.
        url: Option<String>,
        /// Its id.
        elicitation_id: Option<String>,
        /// JSON schema of the answer.
        requested_schema: Option<Value>,
    }
    /// An MCP server has its answer.
    ElicitationResult {
        /// The server.
        mcp_server_name: String,
        /// The id of the question.
        elicitation_id: Option<String>,
        /// `form` or `url`.
        mode: Option<String>,
        /// `accept`, `decline` or `cancel`.
        action: String,
        /// The answer.
        content: Option<Value>,
    }
}
