//! What the journal's objects say, kind by kind: the one place that names their fields.
//!
//! Every store builds its events here, so that watchers see the same fields whatever is underneath. They are shown
//! beside `type`, `seq`, `session_id`, `turn_id`, `at` and `message`, so none has one of those names.

use crate::{
    Approval, Archive, ArchiveId, HookRun, MessageId, PermissionDecision, SessionId, SessionStatus, ToolCall,
    Turn, fork::DirectorySource,
};
use serde_json::{Value, json};

/// `message_sent`: the prompt was accepted as this message, and its turn began.
#[must_use]
pub fn message_sent(message: MessageId) -> Value {
    json!({ "message_id": message })
}

/// `status_change`: the session left one state for another.
#[must_use]
pub fn status_change(from: SessionStatus, to: SessionStatus) -> Value {
    json!({ "from": from, "to": to })
}

/// `notice`, the first event of a fork: it goes on from this message of that session, with files from there.
#[must_use]
pub fn forked(parent: SessionId, at_message: u64, directory: Option<DirectorySource>) -> Value {
    json!({
        "what": "forked",
        "parent_session_id": parent,
        "fork_at_message": at_message,
        "working_directory_source": directory,
    })
}

/// `notice`: a prompt waits for the turns before it; `position` is 1 for the next in line.
#[must_use]
pub fn turn_queued(position: u64) -> Value {
    json!({ "what": "turn_queued", "position": position })
}

/// `notice`: the session is held until its archive is completed or given up.
#[must_use]
pub fn archive_opened(archive: &Archive) -> Value {
    json!({ "what": "archive_opened", "archive_id": archive.id })
}

/// `notice`: the archive was given up, and the session is as it was before.
#[must_use]
pub fn archive_failed(archive: &Archive, error: &str) -> Value {
    json!({ "what": "archive_failed", "archive_id": archive.id, "error_message": error })
}

/// `notice`: the archive's time was up. A session that had nothing else is terminated with it.
#[must_use]
pub fn archive_expired(archive: &Archive) -> Value {
    json!({ "what": "archive_expired", "archive_id": archive.id })
}

/// `notice`: the session is held until it is restored.
#[must_use]
pub fn restore_opened(from: ArchiveId) -> Value {
    json!({ "what": "restore_opened", "archive_id": from })
}

/// `notice`: what the session had on disk is there again.
#[must_use]
pub fn restored(from: ArchiveId) -> Value {
    json!({ "what": "restored", "archive_id": from })
}

/// `notice`: it could not be restored, and is as it was before.
#[must_use]
pub fn restore_failed(from: ArchiveId, error: &str) -> Value {
    json!({ "what": "restore_failed", "archive_id": from, "error_message": error })
}

/// `notice`: the server that had the session's own files is gone; its working directory is a new one, and empty.
#[must_use]
pub fn workspace_missing() -> Value {
    json!({ "what": "workspace_missing" })
}

/// `notice`: the server that had the session's own files is gone; its working directory is the one that it left on this
/// server when it had so many messages, and what was done in it since is lost.
#[must_use]
pub fn workspace_outdated(messages: u64) -> Value {
    json!({ "what": "workspace_outdated", "at_message": messages })
}

/// `notice`: the session's files were found at another path than before; this server was moved.
#[must_use]
pub fn workspace_moved() -> Value {
    json!({ "what": "workspace_moved" })
}

/// `tool_call_started`: the model asked for a tool.
#[must_use]
pub fn tool_call_started(call: &ToolCall) -> Value {
    json!({
        "tool_call_id": call.id,
        "tool_use_id": call.tool_use_id,
        "tool_name": call.tool_name,
        "tool_input": call.tool_input,
    })
}

/// `tool_call_completed`: its result came. The output is on the tool call and in its message, not here.
#[must_use]
pub fn tool_call_completed(call: &ToolCall) -> Value {
    json!({
        "tool_call_id": call.id,
        "tool_use_id": call.tool_use_id,
        "tool_name": call.tool_name,
        "status": call.status,
        "duration_ms": call.completed_at.map(|end| elapsed_ms(call.created_at, end)),
    })
}

/// `approval_requested`: the agent waits for a person's word on this call.
#[must_use]
pub fn approval_requested(approval: &Approval) -> Value {
    json!({
        "approval_id": approval.id,
        "kind": approval.kind,
        "tool_use_id": approval.tool_use_id,
        "tool_name": approval.tool_name,
        "tool_input": approval.tool_input,
        "title": approval.title,
        "description": approval.description,
        "reason": approval.reason,
        "policy": approval.policy,
        "rule": approval.rule,
        "suggestions": approval.suggestions,
        "default_verdict": approval.default_verdict,
        "expires_at": approval.expires_at,
    })
}

/// `approval_decided`: this became of it, and this person said so.
#[must_use]
pub fn approval_decided(approval: &Approval) -> Value {
    json!({
        "approval_id": approval.id,
        "kind": approval.kind,
        "tool_use_id": approval.tool_use_id,
        "tool_name": approval.tool_name,
        "status": approval.status,
        "verdict": approval.verdict(),
        "decided_by": approval.decided_by,
        "reason": approval.decision_reason,
        "updated_input": approval.updated_input,
        "remember": approval.remember,
    })
}

/// `permission_decision`: it was decided whether a tool call runs. The input that was judged is on the decision.
#[must_use]
pub fn permission_decision(decision: &PermissionDecision) -> Value {
    json!({
        "decision_id": decision.id,
        "tool_use_id": decision.tool_use_id,
        "tool_name": decision.tool_name,
        "decision": decision.opinion.verdict,
        "policy": decision.opinion.policy,
        "policy_version": decision.opinion.version,
        "rule": decision.opinion.rule,
        "reason": decision.opinion.reason,
        "decided_by": decision.decided_by.as_str(),
    })
}

/// `hook_executed`: what a hook was told and answered is on its run, not here.
#[must_use]
pub fn hook_executed(run: &HookRun) -> Value {
    json!({
        "hook_run_id": run.id,
        "hook_type": run.hook_type,
        "hook_name": run.hook_name,
        "tool_use_id": run.tool_use_id,
        "tool_name": run.tool_name,
        "status": run.status,
        "continue_execution": run.continued,
        "error_message": run.error,
        "duration_ms": run.duration_us / 1000,
    })
}

/// `result`: the turn is over, and this came of it. Usage is what was booked until now.
#[must_use]
pub fn result(turn: &Turn) -> Value {
    let duration_ms = turn.started_at.zip(turn.completed_at).map(|(start, end)| elapsed_ms(start, end));
    json!({
        "status": turn.status,
        "answer_message_id": turn.answer_message_id,
        "text": turn.answer,
        "error_code": turn.failure,
        "error_message": turn.error_message,
        "rounds": turn.rounds,
        "retries": turn.retries,
        "metrics": {
            "duration_ms": duration_ms,
            "cost_usd": turn.cost.as_usd(),
            "input_tokens": turn.tokens.input,
            "output_tokens": turn.tokens.output,
            "cache_creation_tokens": turn.tokens.cache_creation(),
            "cache_read_tokens": turn.tokens.cache_read,
        },
    })
}

/// Whole milliseconds between two instants; zero if the clock was set back in between.
fn elapsed_ms(start: jiff::Timestamp, end: jiff::Timestamp) -> i64 {
    end.as_millisecond().saturating_sub(start.as_millisecond()).max(0)
}
