//! Notices: `system` frames about the session, its hooks and its surroundings.

use serde_json::Value;
use uuid::Uuid;

use super::{
    chat::AssistantError,
    shape::{frame, shape, words},
};

words! {
    /// What a session does.
    pub enum SessionState {
        Running = "running",
        RequiresAction = "requires_action",
        Idle = "idle",
    }
}

words! {
    /// How serious a notice is.
    pub enum Level {
        Info = "info",
        Notice = "notice",
        Suggestion = "suggestion",
        Warning = "warning",
    }
}

words! {
    /// How a command hook ended.
    pub enum HookOutcome {
        Success = "success",
        Error = "error",
        Cancelled = "cancelled",
    }
}

frame! {
    /// The agent asks the model, compacts, or its permission mode changed.
    pub struct Status {
        /// `requesting`, `compacting`, or nothing in particular.
        status: Option<String> = "status",
        /// The permission mode.
        permission_mode: Option<String> = "permissionMode",
        /// `success` or `failed`, when a compaction ended.
        compact_result: Option<String> = "compact_result",
        /// Why it failed.
        compact_error: Option<String> = "compact_error",
        /// The prompts the running turn answers.
        prompts: Vec<Uuid> = "user_message_uuids",
    }
}

frame! {
    /// A failed request to the model is about to be made again.
    pub struct ApiRetry {
        /// Which attempt failed, from 1.
        attempt: u64 = "attempt",
        /// How many are made at most.
        max_retries: Option<u64> = "max_retries",
        /// Wait before the next, in milliseconds.
        retry_delay_ms: Option<f64> = "retry_delay_ms",
        /// HTTP status, when there was a response.
        error_status: Option<u64> = "error_status",
        /// What failed.
        error: Option<AssistantError> = "error",
        /// Set when no response came at all.
        no_response: Option<Value> = "no_response",
    }
}

frame! {
    /// The conversation so far was replaced by a summary, which follows as a synthetic user message.
    pub struct CompactBoundary {
        /// About the compaction.
        compact_metadata: CompactMetadata = "compact_metadata",
        /// The message before it, in the transcript.
        logical_parent_uuid: Option<String> = "logical_parent_uuid",
    }
}

shape! {
    /// About a compaction.
    pub struct CompactMetadata {
        /// `manual` or `auto`.
        trigger: String = "trigger",
        /// Tokens before.
        pre_tokens: Option<u64> = "pre_tokens",
        /// Tokens after.
        post_tokens: Option<u64> = "post_tokens",
        /// How long it took, in milliseconds.
        duration_ms: Option<u64> = "duration_ms",
        /// Messages that were kept as they are: first, anchor and last.
        preserved_segment: Option<PreservedSegment> = "preserved_segment",
        /// The same as a list.
        preserved_messages: Option<PreservedMessages> = "preserved_messages",
    }
}

shape! {
    /// Messages that were kept as they are.
    pub struct PreservedSegment {
        /// The first.
        head_uuid: String = "head_uuid",
        /// The one they hang on now.
        anchor_uuid: String = "anchor_uuid",
        /// The last.
        tail_uuid: String = "tail_uuid",
    }
}

shape! {
    /// Messages that were kept as they are.
    pub struct PreservedMessages {
        /// The one they hang on now.
        anchor_uuid: String = "anchor_uuid",
        /// All of them.
        uuids: Vec<String> = "uuids",
    }
}

frame! {
    /// A command hook was started. Hooks of the host are not reported.
    pub struct HookStarted {
        /// This run of the hook.
        hook_id: String = "hook_id",
        /// Its name, such as `PreToolUse:Bash`.
        hook_name: Option<String> = "hook_name",
        /// The event.
        hook_event: Option<String> = "hook_event",
    }
}

frame! {
    /// A command hook wrote something.
    pub struct HookProgress {
        /// This run of the hook.
        hook_id: String = "hook_id",
        /// Its name.
        hook_name: Option<String> = "hook_name",
        /// The event.
        hook_event: Option<String> = "hook_event",
        /// What it wrote.
        stdout: Option<String> = "stdout",
        /// What it wrote on stderr.
        stderr: Option<String> = "stderr",
        /// Both together.
        output: Option<String> = "output",
    }
}

frame! {
    /// A command hook ended.
    pub struct HookResponse {
        /// This run of the hook.
        hook_id: String = "hook_id",
        /// Its name.
        hook_name: Option<String> = "hook_name",
        /// The event.
        hook_event: Option<String> = "hook_event",
        /// What it wrote.
        stdout: Option<String> = "stdout",
        /// What it wrote on stderr.
        stderr: Option<String> = "stderr",
        /// Both together.
        output: Option<String> = "output",
        /// Its exit code.
        exit_code: Option<i64> = "exit_code",
        /// How it ended.
        outcome: Option<HookOutcome> = "outcome",
    }
}

frame! {
    /// Something people should read, such as why a hook blocked.
    pub struct Informational {
        /// The text.
        content: String = "content",
        /// How serious it is.
        level: Option<Level> = "level",
        /// What it is about, such as `hook_callback_failed`.
        tag: Option<String> = "tag",
        /// The tool call it is about.
        tool_use_id: Option<String> = "tool_use_id",
        /// Whether the turn stops here.
        prevents_continuation: bool = "prevent_continuation",
        /// What became of the prompt, when a hook refused it.
        prompt_submit_outcome: Option<Value> = "prompt_submit_outcome",
    }
}

frame! {
    /// Something to show for a moment.
    pub struct Notification {
        /// A later one with the same key replaces it.
        key: String = "key",
        /// The text.
        text: String = "text",
        /// `low`, `medium`, `high`, `immediate`.
        priority: Option<String> = "priority",
        /// A colour.
        color: Option<String> = "color",
        /// How long to show it, in milliseconds.
        timeout_ms: Option<u64> = "timeout_ms",
    }
}

frame! {
    /// A tool call was denied without asking the host.
    pub struct PermissionDenied {
        /// The tool.
        tool_name: String = "tool_name",
        /// The call.
        tool_use_id: Option<String> = "tool_use_id",
        /// What the model reads.
        message: Option<String> = "message",
        /// Why, in words.
        decision_reason: Option<String> = "decision_reason",
        /// What kind of reason, such as `mode`.
        decision_reason_type: Option<String> = "decision_reason_type",
        /// Set when a subagent was denied.
        agent_id: Option<String> = "agent_id",
    }
}

frame! {
    /// The session runs, waits for a decision, or is idle: nothing runs then, in the background neither.
    pub struct SessionStateChanged {
        /// What it does.
        state: SessionState = "state",
    }
}

frame! {
    /// The session has another title.
    pub struct SessionTitleChanged {
        /// The title.
        title: String = "title",
    }
}

frame! {
    /// The set of slash commands changed.
    pub struct CommandsChanged {
        /// All of them.
        commands: Vec<Value> = "commands",
    }
}

frame! {
    /// A control request of the host takes its time.
    pub struct ControlRequestProgress {
        /// The request.
        request_id: String = "request_id",
        /// `started` or `api_retry`.
        status: Option<String> = "status",
        /// Which attempt failed.
        attempt: Option<u64> = "attempt",
        /// How many are made at most.
        max_retries: Option<u64> = "max_retries",
        /// Wait before the next, in milliseconds.
        retry_delay_ms: Option<f64> = "retry_delay_ms",
        /// HTTP status, when there was a response.
        error_status: Option<u64> = "error_status",
    }
}

frame! {
    /// The model thinks; how much is an estimate.
    pub struct ThinkingTokens {
        /// Tokens so far.
        estimated_tokens: Option<u64> = "estimated_tokens",
        /// Tokens since the last such frame.
        estimated_tokens_delta: Option<u64> = "estimated_tokens_delta",
    }
}

frame! {
    /// A user interface should draw again.
    pub struct UiInvalidate {
        /// Why.
        event: Option<String> = "event",
    }
}

frame! {
    /// Files were uploaded.
    pub struct FilesPersisted {
        /// Those that are there, with their ids.
        files: Vec<Value> = "files",
        /// Those that are not, with the reason.
        failed: Vec<Value> = "failed",
        /// When.
        processed_at: Option<String> = "processed_at",
    }
}

frame! {
    /// Memories were recalled.
    pub struct MemoryRecall {
        /// `select` or `synthesize`.
        mode: Option<String> = "mode",
        /// Which: path, scope, perhaps the text.
        memories: Vec<Value> = "memories",
    }
}

frame! {
    /// An elicitation was completed elsewhere.
    pub struct ElicitationComplete {
        /// The MCP server that asked.
        mcp_server_name: Option<String> = "mcp_server_name",
        /// The elicitation.
        elicitation_id: Option<String> = "elicitation_id",
    }
}

frame! {
    /// A plugin is being installed.
    pub struct PluginInstall {
        /// `started`, `installed`, `failed`, `completed`.
        status: Option<String> = "status",
        /// The plugin.
        name: Option<String> = "name",
        /// Why it failed.
        error: Option<String> = "error",
    }
}

frame! {
    /// A slash command wrote something.
    pub struct LocalCommandOutput {
        /// What.
        content: String = "content",
    }
}

frame! {
    /// The model refused and another took over.
    pub struct ModelRefusalFallback {
        /// The model that refused.
        original_model: Option<String> = "original_model",
        /// The one that took over.
        fallback_model: Option<String> = "fallback_model",
        /// `retry`, `revert`, `sticky`.
        direction: Option<String> = "direction",
        /// What to tell people.
        content: Option<String> = "content",
        /// Messages that are taken back.
        retracted_message_uuids: Vec<String> = "retracted_message_uuids",
        /// The prompt that was refused.
        refused_user_message_uuid: Option<String> = "refused_user_message_uuid",
    }
}

frame! {
    /// The model refused and no other took over.
    pub struct ModelRefusalNoFallback {
        /// The model.
        original_model: Option<String> = "original_model",
        /// What to tell people.
        content: Option<String> = "content",
        /// The prompt that was refused.
        refused_user_message_uuid: Option<String> = "refused_user_message_uuid",
    }
}

frame! {
    /// The agent is about to go.
    pub struct WorkerShuttingDown {
        /// Why.
        reason: Option<String> = "reason",
    }
}

frame! {
    /// The transcript could not be written: the disk is full.
    pub struct SessionWritesLost {
        /// `ENOSPC` or `EDQUOT`.
        error_code: Option<String> = "error_code",
        /// What was lost.
        lost: Vec<String> = "lost",
        /// The sessions concerned.
        transcript_session_ids: Vec<String> = "transcript_session_ids",
    }
}

frame! {
    /// The transcript could not be mirrored.
    pub struct MirrorError {
        /// Why.
        error: Option<String> = "error",
        /// What: project, session, perhaps a part of it.
        key: Option<Value> = "key",
    }
}
