//! The hook seam: the agent stops at its own events and asks what to do. A broken hook means no.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};

/// Any error of a hook or a gate. Its text is shown to the agent, so it should hold no secret.
pub type SeamError = Box<dyn std::error::Error + Send + Sync>;

/// Wait for a hook unless its registration says otherwise.
pub const HOOK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// Answers the agent at an event.
#[async_trait]
pub trait Hook: Send + Sync {
    /// Decides. Dropped when the agent withdraws its question.
    async fn on(&self, input: HookInput) -> Result<HookOutput, SeamError>;
}

/// A hook and when it is called.
#[derive(Clone)]
pub struct HookRegistration {
    /// Event name, such as `PreToolUse`.
    pub event: String,
    /// Tool name or `A|B`; `None` matches all.
    pub matcher: Option<String>,
    /// How long the hook may take.
    pub timeout: Duration,
    /// What an error, a time-out or a panic of the hook means.
    pub on_failure: OnFailure,
    /// The hook.
    pub hook: Arc<dyn Hook>,
}

/// What a hook's failure means to the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// What was asked about does not happen.
    #[default]
    Block,
    /// It happens as if there were no hook.
    Continue,
}

/// What the agent tells a hook.
#[derive(Debug, Clone, PartialEq)]
pub struct HookInput {
    /// Event name, such as `PreToolUse`.
    pub event: String,
    /// Tool concerned, for tool events.
    pub tool_name: Option<String>,
    /// Input of the tool, or null.
    pub tool_input: Value,
    /// The tool call, for tool events.
    pub tool_use_id: Option<String>,
    /// Set when it happens inside a subagent.
    pub agent_id: Option<String>,
    /// Everything the agent said.
    pub raw: Value,
}

/// What a hook answers: the agent's own JSON, with the common cases by name.
#[derive(Debug, Clone, PartialEq)]
pub struct HookOutput(pub Value);

impl HookRegistration {
    /// A hook for every occurrence of `event`, with the default time-out, blocking when it fails.
    pub fn new(event: impl Into<String>, hook: Arc<dyn Hook>) -> Self {
        Self {
            event: event.into(),
            matcher: None,
            timeout: HOOK_TIMEOUT_DEFAULT,
            on_failure: OnFailure::default(),
            hook,
        }
    }

    /// Calls it for these tools only.
    #[must_use]
    pub fn with_matcher(mut self, matcher: impl Into<String>) -> Self {
        self.matcher = Some(matcher.into());
        self
    }

    /// Gives it that long.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Says what its failure means.
    #[must_use]
    pub fn with_on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }
}

impl HookInput {
    /// Reads the `input` of a `hook_callback`; the request's own tool call id fills in when it has none.
    pub(crate) fn read(raw: Value, tool_use_id: Option<String>) -> Self {
        let text = |key: &str| raw[key].as_str().map(str::to_owned);
        Self {
            event: text("hook_event_name").unwrap_or_default(),
            tool_name: text("tool_name"),
            tool_input: raw["tool_input"].clone(),
            tool_use_id: text("tool_use_id").or(tool_use_id),
            agent_id: text("agent_id"),
            raw,
        }
    }
}

impl HookOutput {
    /// No opinion: things go on as they would.
    pub fn proceed() -> Self {
        Self(json!({}))
    }

    /// PreToolUse: the tool runs and nobody is asked.
    pub fn allow_tool() -> Self {
        Self::decide_tool("allow", None)
    }

    /// PreToolUse: the tool does not run and the agent reads `reason`.
    pub fn deny_tool(reason: impl Into<String>) -> Self {
        Self::decide_tool("deny", Some(reason.into()))
    }

    /// PreToolUse: the gate is asked.
    pub fn ask_gate(reason: impl Into<String>) -> Self {
        Self::decide_tool("ask", Some(reason.into()))
    }

    /// Other events: what was about to happen does not, for `reason`.
    pub fn block(reason: impl Into<String>) -> Self {
        Self(json!({ "decision": "block", "reason": reason.into() }))
    }

    fn decide_tool(decision: &str, reason: Option<String>) -> Self {
        let mut output = json!({ "hookEventName": "PreToolUse", "permissionDecision": decision });
        if let Some(reason) = reason {
            output["permissionDecisionReason"] = reason.into();
        }
        Self(json!({ "hookSpecificOutput": output }))
    }
}

impl fmt::Debug for HookRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookRegistration")
            .field("event", &self.event)
            .field("matcher", &self.matcher)
            .field("timeout", &self.timeout)
            .field("on_failure", &self.on_failure)
            .finish_non_exhaustive()
    }
}
