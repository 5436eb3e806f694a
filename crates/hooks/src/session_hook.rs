//! One hook of a session: when it is called, in which order, and what its failure means.

use sdk_runtime::{Hook, HookEvent, OnFailure};
use std::{fmt, sync::Arc, time::Duration};

/// Whether a session may switch a hook off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Always {
    /// It runs in every session: policy, audit.
    Yes,
    /// Only in sessions whose `hooks_enabled` names it.
    IfEnabled,
}

/// Whose hook it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Part of Steward: watchers are told when it blocked, changed something or failed.
    BuiltIn,
    /// Somebody's own: watchers are told of every run.
    Custom,
}

/// A hook and when it is called. Embedders bring their own as [`sdk_runtime::Hook`].
#[derive(Clone)]
pub struct SessionHook {
    /// Its name in `hooks_enabled` and in the record of runs.
    pub name: String,
    pub event: HookEvent,
    /// Tool name, `A|B` or a regular expression over the whole name; `None` matches all.
    pub matcher: Option<String>,
    /// Lower ones run first; each sees the input as those before it left it. The policy's is the last.
    pub order: i32,
    pub timeout: Duration,
    pub on_failure: OnFailure,
    pub always: Always,
    pub origin: Origin,
    pub hook: Arc<dyn Hook>,
}

impl fmt::Debug for SessionHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHook")
            .field("name", &self.name)
            .field("event", &self.event)
            .field("matcher", &self.matcher)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}
