//! The gate seam: the agent wants to use a tool and asks. Doubt means no.

use std::fmt;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::hook::SeamError;

/// Decides about tool calls that the agent's rules leave open.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Decides. Dropped when the agent withdraws its question; several run at once.
    async fn can_use_tool(&self, question: ToolQuestion) -> Result<Decision, SeamError>;
}

/// A tool call the agent asks about.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolQuestion {
    /// Name of the tool.
    pub tool_name: String,
    /// Its input.
    pub input: Value,
    /// The tool call.
    pub tool_use_id: String,
    /// Rule changes the agent suggests, as it lists them; null when none.
    pub suggestions: Value,
    /// Why it asks, when it says so.
    pub decision_reason: Option<String>,
    /// Set when a subagent asks.
    pub agent_id: Option<String>,
    /// Everything the agent said.
    pub raw: Value,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The tool runs.
    Allow {
        /// Runs with this input in place of the one asked about.
        updated_input: Option<Value>,
        /// Rule changes to apply, as a list.
        updated_permissions: Option<Value>,
    },
    /// It does not run.
    Deny {
        /// What the agent reads as the tool's result.
        message: String,
        /// Ends the turn as well; the message is not shown then.
        interrupt: bool,
    },
}

impl Decision {
    /// Allows the call as it was asked.
    pub fn allow() -> Self {
        Self::Allow { updated_input: None, updated_permissions: None }
    }

    /// Denies the call and lets the turn go on.
    pub fn deny(message: impl Into<String>) -> Self {
        Self::Deny { message: message.into(), interrupt: false }
    }

    pub(crate) fn into_wire(self) -> Value {
        match self {
            Self::Allow { updated_input, updated_permissions } => {
                let mut answer = json!({ "behavior": "allow" });
                if let Some(input) = updated_input {
                    answer["updatedInput"] = input;
                }
                if let Some(permissions) = updated_permissions {
                    answer["updatedPermissions"] = permissions;
                }
                answer
            }
            Self::Deny { message, interrupt } => {
                let mut answer = json!({ "behavior": "deny", "message": message });
                if interrupt {
                    answer["interrupt"] = true.into();
                }
                answer
            }
        }
    }
}

impl ToolQuestion {
    pub(crate) fn read(raw: Value) -> Self {
        let text = |key: &str| raw[key].as_str().map(str::to_owned);
        Self {
            tool_name: text("tool_name").unwrap_or_default(),
            input: raw["input"].clone(),
            tool_use_id: text("tool_use_id").unwrap_or_default(),
            suggestions: raw["permission_suggestions"].clone(),
            decision_reason: text("decision_reason"),
            agent_id: text("agent_id"),
            raw,
        }
    }
}

impl fmt::Debug for dyn Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}
