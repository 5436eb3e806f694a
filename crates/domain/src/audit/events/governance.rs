//! What the audit log says about decisions, approvals, hooks and policies.
//!
//! What an agent wanted to do stands here as a hash only. That is the SHA-256 of the JSON, in the canonical form of
//! RFC 8785, which the record of the thing itself has.

use crate::{
    Approval, ApprovalStatus, CustomPolicy, HookEndpoint, HookRun, HookRunStatus, PermissionDecision,
    Verdict,
    audit::{Actor, AuditEvent, Fact, Origin, Source},
    hook::HookEndpointPatch,
};
use jiff::Timestamp;
use serde_json::Value;

/// Longest word of an agent that is kept; names of its tools come from servers that anybody may have written.
const WORD_CHARS_MAX: usize = 200;

/// A decision about a tool call. `None` for those without a verdict: nearly every call has such a one, and it changes
/// nothing.
#[must_use]
pub fn decision(decision: &PermissionDecision) -> Option<AuditEvent> {
    let action = match decision.opinion.verdict {
        Verdict::Abstain => return None,
        Verdict::Allow => "decision.allow",
        Verdict::Ask => "decision.ask",
        Verdict::Deny => "decision.deny",
    };
    let opinion = &decision.opinion;
    let mut event = AuditEvent::new(action, &agent(), decision.decided_at)
        .about("decision", decision.id)
        .in_session(decision.session_id)
        .with("decided_by", decision.decided_by.as_str())
        .with("policy", word(&opinion.policy))
        .with("rule", word(&opinion.rule));
    if let Some(version) = opinion.version {
        event = event.with("policy_version", Fact::Number(version));
    }
    if let Some(user) = decision.decided_by.user() {
        event = event.with("user_id", Fact::Text(user.to_string()));
    }
    let event = of_call(event, Some(&decision.tool_name), decision.tool_use_id.as_deref());
    Some(with_input(event, &decision.input_data))
}

/// A person is asked.
#[must_use]
pub fn approval_requested(approval: &Approval) -> AuditEvent {
    let event = about_approval("approval.requested", approval, &agent(), approval.created_at);
    with_input(event, &approval.tool_input)
}

/// An approval ended. Whoever was too late did not end it: its time did.
#[must_use]
pub fn approval_decided(approval: &Approval, origin: &Origin, at: Timestamp) -> AuditEvent {
    let (action, origin) = match approval.status {
        ApprovalStatus::Allowed => ("approval.allowed", origin),
        ApprovalStatus::Denied => ("approval.denied", origin),
        ApprovalStatus::Withdrawn => ("approval.withdrawn", origin),
        ApprovalStatus::Pending | ApprovalStatus::Expired => ("approval.expired", &Origin::system()),
    };
    let mut event = about_approval(action, approval, origin, at);
    if let Some(verdict) = approval.verdict() {
        event = event.with("verdict", verdict.as_str());
    }
    if approval.remember {
        event = event.with("remember", Fact::Flag(true));
    }
    if approval.updated_input.is_some() {
        event = event.with("input_was_changed", Fact::Flag(true));
    }
    with_input(event, approval.final_input())
}

/// A hook kept something from happening: it said no, or it failed and its failure counts as one. `None` for a run after
/// which things went on.
#[must_use]
pub fn hook_run(run: &HookRun) -> Option<AuditEvent> {
    let action = match run.status {
        _ if run.continued => return None,
        HookRunStatus::Completed | HookRunStatus::Blocked => "hook.blocked",
        HookRunStatus::Failed | HookRunStatus::TimedOut => "hook.failed_closed",
    };
    let event = AuditEvent::new(action, &agent(), run.executed_at)
        .about("hook_run", run.id)
        .in_session(run.session_id)
        .with("hook_name", word(&run.hook_name))
        .with("hook_type", word(&run.hook_type))
        .with("status", run.status.as_str());
    let event = of_call(event, run.tool_name.as_deref(), run.tool_use_id.as_deref());
    Some(with_input(event, &run.input))
}

/// An endpoint was made.
#[must_use]
pub fn hook_created(endpoint: &HookEndpoint, origin: &Origin) -> AuditEvent {
    about_hook("hook.created", endpoint, origin, endpoint.created_at)
}

/// An endpoint was changed to this.
#[must_use]
pub fn hook_changed(
    endpoint: &HookEndpoint,
    patch: &HookEndpointPatch,
    origin: &Origin,
    at: Timestamp,
) -> AuditEvent {
    let fields = [
        ("name", patch.name.is_some()),
        ("url", patch.url.is_some()),
        ("kind", patch.kind.is_some()),
        ("event_types", patch.event_types.is_some()),
        ("tool_matcher", patch.tool_matcher.is_some()),
        ("timeout_ms", patch.timeout_ms.is_some()),
        ("order", patch.order.is_some()),
        ("fail_mode", patch.fail_mode.is_some()),
        ("is_enabled", patch.is_enabled.is_some()),
        ("is_global", patch.is_global.is_some()),
    ];
    let changed = fields.into_iter().filter(|(_, is_changed)| *is_changed);
    let changed = changed.map(|(name, _)| name.to_owned()).collect();
    about_hook("hook.changed", endpoint, origin, at).with("fields", Fact::List(changed))
}

/// An endpoint was deleted.
#[must_use]
pub fn hook_deleted(endpoint: &HookEndpoint, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_hook("hook.deleted", endpoint, origin, at)
}

/// An endpoint signs with another secret.
#[must_use]
pub fn hook_secret_rotated(endpoint: &HookEndpoint, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_hook("hook.secret_rotated", endpoint, origin, at)
}

/// A policy was made, or made again.
#[must_use]
pub fn policy_created(policy: &CustomPolicy, origin: &Origin) -> AuditEvent {
    about_policy("policy.created", policy, origin, policy.changed_at)
}

/// A policy has another version.
#[must_use]
pub fn policy_changed(policy: &CustomPolicy, origin: &Origin) -> AuditEvent {
    about_policy("policy.changed", policy, origin, policy.changed_at)
}

/// A policy was deleted; this was its last version.
#[must_use]
pub fn policy_deleted(policy: &CustomPolicy, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_policy("policy.deleted", policy, origin, at)
}

fn about_approval(action: &'static str, approval: &Approval, origin: &Origin, at: Timestamp) -> AuditEvent {
    let event = AuditEvent::new(action, origin, at)
        .about("approval", approval.id)
        .in_session(approval.session_id)
        .with("kind", approval.kind.as_str());
    of_call(event, Some(&approval.tool_name), Some(&approval.tool_use_id))
}

/// An address may hold a secret, so that only its hash stands here.
fn about_hook(action: &'static str, endpoint: &HookEndpoint, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new(action, origin, at)
        .about("hook", endpoint.id)
        .with("owner_id", Fact::Text(endpoint.user_id.to_string()))
        .with("name", word(&endpoint.name))
        .with("kind", endpoint.kind.as_str())
        .with("fail_mode", endpoint.fail_mode.as_str())
        .with("is_enabled", Fact::Flag(endpoint.is_enabled))
        .with("is_global", Fact::Flag(endpoint.is_global))
        .with_sha256("url_sha256", endpoint.url.as_bytes())
}

fn about_policy(action: &'static str, policy: &CustomPolicy, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new(action, origin, at)
        .about("policy", policy.id)
        .with("name", word(&policy.name))
        .with("version", Fact::Number(policy.version))
        .with("is_mandatory", Fact::Flag(policy.content.is_mandatory))
        .with_sha256("text_sha256", policy.content.text.as_bytes())
}

fn of_call(event: AuditEvent, tool_name: Option<&str>, tool_use_id: Option<&str>) -> AuditEvent {
    let call = [("tool_name", tool_name), ("tool_use_id", tool_use_id)];
    call.into_iter().fold(event, |event, (name, said)| match said {
        Some(said) => event.with(name, word(said)),
        None => event,
    })
}

fn with_input(event: AuditEvent, input: &Value) -> AuditEvent {
    // A number that the canonical form does not know leaves the text as serde prints it; that is as good to compare.
    let text = serde_json_canonicalizer::to_string(input).unwrap_or_else(|_| input.to_string());
    event.with_sha256("input_sha256", text.as_bytes())
}

pub(super) fn word(said: &str) -> Fact {
    Fact::Text(said.chars().take(WORD_CHARS_MAX).collect())
}

fn agent() -> Origin {
    Origin { actor: Actor::Agent, source: Source::default() }
}
