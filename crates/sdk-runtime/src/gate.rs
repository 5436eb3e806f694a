//! The gate seam: the agent wants to use a tool and asks. Doubt means no.
//!
//! ```
//! use sdk_runtime::{AgentOptions, Decision, PermissionDestination};
//!
//! let options = AgentOptions::default().with_gate_fn(|question| async move {
//!     Ok(match question.tool_name.as_str() {
//!         // Once and for all in this session, as the agent suggests.
//!         "Bash" => Decision::allow().with_updates(question.suggestions_kept_in(PermissionDestination::Session)),
//!         "Write" => Decision::deny_and_interrupt("nothing is written here"),
//!         other => Decision::deny(format!("{other} is not for today")),
//!     })
//! });
//! ```
//!
//! A gate is asked about what rules, mode and hooks leave open. It may take its time: permissions are
//! given by people, and the agent waits. A gate that errs, panics or exceeds `Limits::gate_timeout`
//! denies, with a reason the model reads. [`UserQuestions`] and [`PlanApproval`] read the two tools that
//! are questions to a person.

mod permission_update;
mod person;

use std::{fmt, future::Future, sync::Arc};

use async_trait::async_trait;
use serde::Deserialize as _;
use serde_json::{Value, json};

pub use self::{
    permission_update::{
        PERMISSION_UPDATES_MAX, PermissionBehavior, PermissionDestination, PermissionRule, PermissionUpdate,
    },
    person::{PlanApproval, QuestionOption, UserQuestion, UserQuestions},
};
use crate::{hook::SeamError, open::open_enum};

/// Decides about tool calls that the agent's rules leave open.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Decides. Dropped when the agent withdraws its question; several run at once.
    async fn can_use_tool(&self, question: ToolQuestion) -> Result<Decision, SeamError>;
}

/// A tool call the agent asks about.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ToolQuestion {
    /// Name of the tool.
    pub tool_name: String,
    /// Its input.
    pub input: Value,
    /// The tool call.
    pub tool_use_id: String,
    /// Why it asks, when it says so.
    pub decision_reason: Option<String>,
    /// What kind of reason: `rule`, `mode`, `hook`, `workingDir`, `subcommandResults`, …
    pub decision_reason_type: Option<String>,
    /// The path that led to the question.
    pub blocked_path: Option<String>,
    /// A heading for a dialog.
    pub title: Option<String>,
    /// The tool's name for people.
    pub display_name: Option<String>,
    /// What the call is for, in the model's words.
    pub description: Option<String>,
    /// A person has to answer: the tool is a question.
    pub requires_user_interaction: bool,
    /// Set when a subagent asks.
    pub agent_id: Option<String>,
    /// Everything the agent said.
    pub raw: Value,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Decision {
    /// The tool runs.
    #[non_exhaustive]
    Allow {
        /// Runs with this input in place of the one asked about.
        updated_input: Option<Value>,
        /// Rule changes to apply: all, or none when one is invalid.
        updated_permissions: Vec<PermissionUpdate>,
        /// Who decided, for the agent's records.
        classification: Option<DecisionClassification>,
    },
    /// It does not run.
    #[non_exhaustive]
    Deny {
        /// What the agent reads as the tool's result.
        message: String,
        /// Ends the turn as well; the message is not shown then.
        interrupt: bool,
        /// Who decided, for the agent's records.
        classification: Option<DecisionClassification>,
    },
}

open_enum! {
    /// Who decided.
    DecisionClassification {
        /// The user, for this call.
        UserTemporary = "user_temporary",
        /// The user, for good.
        UserPermanent = "user_permanent",
        /// The user said no.
        UserReject = "user_reject",
    }
}

impl Decision {
    /// Allows the call as it was asked.
    pub fn allow() -> Self {
        Self::Allow { updated_input: None, updated_permissions: Vec::new(), classification: None }
    }

    /// Denies the call and lets the turn go on.
    pub fn deny(message: impl Into<String>) -> Self {
        Self::Deny { message: message.into(), interrupt: false, classification: None }
    }

    /// Denies the call and ends the turn, as interrupted.
    pub fn deny_and_interrupt(message: impl Into<String>) -> Self {
        Self::Deny { message: message.into(), interrupt: true, classification: None }
    }

    /// Runs the tool with this input, an object; a no stays a no.
    #[must_use]
    pub fn with_input(mut self, input: Value) -> Self {
        if let Self::Allow { updated_input, .. } = &mut self {
            *updated_input = Some(input);
        }
        self
    }

    /// Changes rules as well; a no stays a no and changes none.
    #[must_use]
    pub fn with_updates(mut self, updates: Vec<PermissionUpdate>) -> Self {
        if let Self::Allow { updated_permissions, .. } = &mut self {
            *updated_permissions = updates;
        }
        self
    }

    /// Says who decided.
    #[must_use]
    pub fn with_classification(mut self, who: DecisionClassification) -> Self {
        let (Self::Allow { classification, .. } | Self::Deny { classification, .. }) = &mut self;
        *classification = Some(who);
        self
    }

    /// The answer as the agent reads it, or what it would not take, in words for it.
    pub(crate) fn into_wire(self) -> Result<Value, String> {
        let (mut answer, classification) = match self {
            Self::Allow { updated_input, updated_permissions, classification } => {
                let mut answer = json!({ "behavior": "allow" });
                if let Some(input) = updated_input {
                    if !input.is_object() {
                        return Err("answered with an input that is no object".to_owned());
                    }
                    answer["updatedInput"] = input;
                }
                if updated_permissions.len() > PERMISSION_UPDATES_MAX {
                    return Err(format!("answered with more than {PERMISSION_UPDATES_MAX} rule changes"));
                }
                if !updated_permissions.is_empty() {
                    // A directory may have a name that is not UTF-8.
                    answer["updatedPermissions"] =
                        serde_json::to_value(updated_permissions).map_err(|error| {
                            format!("answered with rule changes that cannot be written: {error}")
                        })?;
                }
                (answer, classification)
            }
            Self::Deny { message, interrupt, classification } => {
                let mut answer = json!({ "behavior": "deny", "message": message });
                if interrupt {
                    answer["interrupt"] = true.into();
                }
                (answer, classification)
            }
        };
        if let Some(who) = classification {
            answer["decisionClassification"] = who.as_str().into();
        }
        Ok(answer)
    }
}

impl ToolQuestion {
    /// Rule changes the agent suggests, for an answer like "always allow". They are read when this is called: most
    /// gates do not look at them, and the agent waits.
    pub fn suggestions(&self) -> Vec<PermissionUpdate> {
        Vec::deserialize(&self.raw["permission_suggestions"]).unwrap_or_default()
    }

    /// The suggestions, to be kept there.
    pub fn suggestions_kept_in(&self, place: PermissionDestination) -> Vec<PermissionUpdate> {
        self.suggestions().into_iter().map(|update| update.kept_in(place.clone())).collect()
    }

    pub(crate) fn read(raw: Value) -> Self {
        let text = |key: &str| raw[key].as_str().map(str::to_owned);
        Self {
            tool_name: text("tool_name").unwrap_or_default(),
            input: raw["input"].clone(),
            tool_use_id: text("tool_use_id").unwrap_or_default(),
            decision_reason: text("decision_reason"),
            decision_reason_type: text("decision_reason_type"),
            blocked_path: text("blocked_path"),
            title: text("title"),
            display_name: text("display_name"),
            description: text("description"),
            requires_user_interaction: raw["requires_user_interaction"] == true,
            agent_id: text("agent_id"),
            raw,
        }
    }
}

/// Makes a closure a gate.
pub fn gate_fn<F, T>(gate: F) -> Arc<dyn Gate>
where
    F: Fn(ToolQuestion) -> T + Send + Sync + 'static,
    T: Future<Output = Result<Decision, SeamError>> + Send + 'static,
{
    Arc::new(GateFn(gate))
}

struct GateFn<F>(F);

#[async_trait]
impl<F, T> Gate for GateFn<F>
where
    F: Fn(ToolQuestion) -> T + Send + Sync,
    T: Future<Output = Result<Decision, SeamError>> + Send,
{
    async fn can_use_tool(&self, question: ToolQuestion) -> Result<Decision, SeamError> {
        (self.0)(question).await
    }
}

impl fmt::Debug for dyn Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}
