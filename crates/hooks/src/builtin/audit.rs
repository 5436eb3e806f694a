//! What a security team wants to know: hooks that blocked or failed, changed settings, refused permissions.

use crate::{Observation, Observed, Observer};
use domain::{HookRunStatus, SessionId, TurnId, UserId};
use jiff::Timestamp;
use sdk_runtime::HookEvent;
use std::{fmt, sync::Arc};

/// Something security-relevant, without any input of tools or words of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEvent {
    /// `hook.blocked`, `hook.failed`, or the event of the agent.
    pub action: String,
    pub session_id: SessionId,
    pub user_id: UserId,
    pub turn_id: Option<TurnId>,
    pub hook_name: Option<String>,
    pub tool_name: Option<String>,
    pub tool_use_id: Option<String>,
    pub at: Timestamp,
}

/// Where such events go.
pub trait AuditSink: Send + Sync {
    /// Takes an event; does not wait for anything.
    fn note(&self, event: SecurityEvent);
}

/// The server's log, under the target `audit`.
#[derive(Debug)]
pub struct LogSink;

impl AuditSink for LogSink {
    fn note(&self, event: SecurityEvent) {
        let turn_id = event.turn_id.map(|id| id.to_string());
        tracing::info!(
            target: "audit",
            action = event.action,
            session_id = %event.session_id,
            user_id = %event.user_id,
            turn_id,
            hook_name = event.hook_name,
            tool_name = event.tool_name,
            tool_use_id = event.tool_use_id,
            at = %event.at,
            "security-relevant"
        );
    }
}

/// Hands what is security-relevant to the sink.
pub struct AuditHook(pub Arc<dyn AuditSink>);

impl fmt::Debug for AuditHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditHook")
    }
}

/// Events that are security-relevant whatever hooks say.
const RELEVANT: [HookEvent; 3] =
    [HookEvent::PermissionDenied, HookEvent::ConfigChange, HookEvent::DirectoryAdded];

impl Observer for AuditHook {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn events(&self) -> Vec<HookEvent> {
        RELEVANT.to_vec()
    }

    fn observe(&self, seen: &Observation<'_>) -> Option<Observed> {
        let of_runs = seen.runs.iter().filter_map(|run| {
            let action = match run.status {
                HookRunStatus::Completed => return None,
                HookRunStatus::Blocked => "hook.blocked",
                HookRunStatus::Failed | HookRunStatus::TimedOut => "hook.failed",
            };
            Some((action.to_owned(), Some(run.hook_name.clone())))
        });
        let of_event = RELEVANT.contains(&seen.input.event).then(|| (seen.input.event.to_string(), None));
        let relevant: Vec<_> = of_runs.chain(of_event).collect();
        for (action, hook_name) in &relevant {
            self.0.note(SecurityEvent {
                action: action.clone(),
                session_id: seen.scope.session_id,
                user_id: seen.scope.user_id,
                turn_id: seen.scope.turn.get(),
                hook_name: hook_name.clone(),
                tool_name: seen.input.tool_name.clone(),
                tool_use_id: seen.input.tool_use_id.clone(),
                at: seen.at,
            });
        }
        (!relevant.is_empty()).then(Observed::default)
    }
}
