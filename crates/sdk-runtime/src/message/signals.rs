//! Signals: the frames that are neither talk nor `system`.

use serde_json::Value;
use uuid::Uuid;

use super::shape::{frame, shape, words};
use crate::{store::MirrorLoss, wire::SkipReason};

words! {
    /// Where a prompt stands.
    pub enum LifecycleState {
        Queued = "queued",
        Started = "started",
        Completed = "completed",
        Cancelled = "cancelled",
    }
}

words! {
    /// Whether requests pass.
    pub enum RateLimitStatus {
        Allowed = "allowed",
        AllowedWarning = "allowed_warning",
        Rejected = "rejected",
    }
}

frame! {
    /// Where a prompt stands.
    pub struct CommandLifecycle {
        /// The prompt, as its host named it.
        command_uuid: String = "command_uuid",
        /// Where it stands. The last state may come after the turn's result.
        state: LifecycleState = "state",
    }
}

frame! {
    /// A tool takes its time.
    pub struct ToolProgress {
        /// An id for this heartbeat.
        tool_use_id: String = "tool_use_id",
        /// The tool.
        tool_name: Option<String> = "tool_name",
        /// The tool call.
        parent_tool_use_id: Option<String> = "parent_tool_use_id",
        /// How long it has run, in seconds.
        elapsed_time_seconds: Option<f64> = "elapsed_time_seconds",
        /// Said every 30 seconds, whatever the tool does.
        is_heartbeat: bool = "heartbeat",
        /// The task it became.
        task_id: Option<String> = "task_id",
        /// Type of the subagent.
        subagent_type: Option<String> = "subagent_type",
        /// Set while the subagent's request is made again.
        subagent_retry: Option<Value> = "subagent_retry",
    }
}

frame! {
    /// A few tool calls in words.
    pub struct ToolUseSummary {
        /// The words.
        summary: String = "summary",
        /// The tool calls.
        preceding_tool_use_ids: Vec<String> = "preceding_tool_use_ids",
    }
}

frame! {
    /// How much of a subscription is used.
    pub struct RateLimitEvent {
        /// How much.
        rate_limit_info: RateLimitInfo = "rate_limit_info",
    }
}

shape! {
    /// How much of a subscription is used.
    pub struct RateLimitInfo {
        /// Whether requests pass.
        status: RateLimitStatus = "status",
        /// When it begins anew, Unix time in seconds.
        resets_at: Option<u64> = "resetsAt",
        /// Which limit: `five_hour`, `seven_day`, …
        rate_limit_type: Option<String> = "rateLimitType",
        /// Part used, from 0 to 1.
        utilization: Option<f64> = "utilization",
        /// Whether requests beyond it pass.
        overage_status: Option<RateLimitStatus> = "overageStatus",
        /// When that begins anew, Unix time in seconds.
        overage_resets_at: Option<u64> = "overageResetsAt",
        /// Why they do not.
        overage_disabled_reason: Option<String> = "overageDisabledReason",
        /// Whether requests are beyond it now.
        is_using_overage: bool = "isUsingOverage",
    }
}

frame! {
    /// The conversation was cleared; later frames have another session id.
    pub struct ConversationReset {
        /// That id.
        new_conversation_id: String = "new_conversation_id",
        /// `clear`, `plan_mode_exit`, …
        trigger: Option<String> = "trigger",
        /// The prompt that did it.
        prompt: Option<Uuid> = "user_message_uuid",
        /// When, RFC 3339.
        timestamp: Option<String> = "timestamp",
    }
}

shape! {
    /// Lines of the transcript, for a host that keeps a copy.
    pub struct TranscriptMirror {
        /// The file they belong to.
        file_path: String = "filePath",
        /// The lines.
        entries: Vec<Value> = "entries",
    }
}

frame! {
    /// Something the agent attached to the conversation.
    pub struct Attachment {
        /// What.
        attachment: Value = "attachment",
        /// Set when it belongs to a subagent.
        parent_tool_use_id: Option<String> = "parent_tool_use_id",
        /// When, RFC 3339.
        timestamp: Option<String> = "timestamp",
    }
}

frame! {
    /// How signing in goes.
    pub struct AuthStatus {
        /// Whether it goes on.
        is_authenticating: bool = "isAuthenticating",
        /// What to tell people.
        output: Vec<String> = "output",
        /// Why it failed.
        error: Option<String> = "error",
    }
}

frame! {
    /// What the user may want to say next.
    pub struct PromptSuggestion {
        /// The prompt.
        suggestion: String = "suggestion",
    }
}

frame! {
    /// The goal the agent works towards.
    pub struct ActiveGoal {
        /// The goal, or nothing.
        value: Option<Goal> = "value",
    }
}

shape! {
    /// A goal.
    pub struct Goal {
        /// When it is reached.
        condition: String = "condition",
        /// How often the agent tried.
        iterations: Option<u64> = "iterations",
        /// When it was set, Unix time in milliseconds.
        set_at: Option<f64> = "set_at",
        /// Tokens used when it was set.
        tokens_at_start: Option<u64> = "tokens_at_start",
        /// Why it was not reached last time.
        last_reason: Option<String> = "last_reason",
    }
}

shape! {
    /// Nothing; the agent is there.
    pub struct KeepAlive {
        /// Set while it starts.
        startup_mark: Option<Value> = "startup_mark",
    }
}

shape! {
    /// Something the agent said did not reach the host or its session store. Said by this crate, not by the agent.
    pub struct Lost {
        /// What happened, in words.
        reason: String = "reason",
        /// Bytes of the line that was passed over, or that lay unread.
        bytes: u64 = "bytes",
        /// Frames are lost from here on, because the host did not read in time; results still come.
        is_overrun: bool = "is_overrun",
    }
}

impl CommandLifecycle {
    /// The prompt, when its id is one of ours.
    pub fn prompt(&self) -> Option<Uuid> {
        self.command_uuid.parse().ok()
    }
}

impl Lost {
    /// A line was passed over.
    pub(crate) fn skipped(reason: &SkipReason, bytes: u64) -> Self {
        Self { reason: reason.to_string(), bytes, is_overrun: false, extra: serde_json::Map::new() }
    }

    /// Transcript lines did not reach the session store.
    pub(crate) fn unmirrored(loss: &MirrorLoss) -> Self {
        let reason =
            format!("{} transcript lines are not in the session store: {}", loss.entries, loss.reason.name());
        Self { reason, bytes: 0, is_overrun: false, extra: serde_json::Map::new() }
    }

    /// The host did not read in time.
    pub(crate) fn overrun(unread_bytes: usize) -> Self {
        let reason = "too much lay unread".to_owned();
        Self { reason, bytes: unread_bytes as u64, is_overrun: true, extra: serde_json::Map::new() }
    }
}
