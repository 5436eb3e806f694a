//! What was decided about a tool call, and by whom.

use crate::{Opinion, PermissionDecisionId, SessionId, TurnId, UserId, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// A policy, by itself.
    Policy,
    /// A person.
    User(UserId),
    /// Nobody answered in time, and the default was taken.
    Expiry,
    /// The policies could not be evaluated, so the answer was no.
    Failure,
}

impl DecidedBy {
    /// The word for this on the wire and in the database; which user it was stands beside it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::User(_) => "user",
            Self::Expiry => "expiry",
            Self::Failure => "failure",
        }
    }

    /// The user who decided, if one did.
    #[must_use]
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::User(user) => Some(user),
            Self::Policy | Self::Expiry | Self::Failure => None,
        }
    }

    /// Who decided, from the word and the user beside it; both must fit together.
    #[must_use]
    pub fn parse(word: &str, user: Option<UserId>) -> Option<Self> {
        match (word, user) {
            ("policy", None) => Some(Self::Policy),
            ("user", Some(user)) => Some(Self::User(user)),
            ("expiry", None) => Some(Self::Expiry),
            ("failure", None) => Some(Self::Failure),
            _ => None,
        }
    }
}

/// A decision about one tool call; recorded before the agent learns of it, and never changed.
#[derive(Debug, Clone, PartialEq)]
pub struct PermissionDecision {
    pub id: PermissionDecisionId,
    pub session_id: SessionId,
    pub turn_id: Option<TurnId>,
    pub tool_use_id: Option<String>,
    pub tool_name: String,
    /// The input that was judged.
    pub input_data: Value,
    /// What else was known: working directory, permission mode, subagent.
    pub context: Value,
    /// The opinion that decided.
    pub opinion: Opinion,
    pub decided_by: DecidedBy,
    /// Whether the decision ended the turn as well. No policy and no approval does, so it is false so far.
    pub interrupted: bool,
    pub decided_at: Timestamp,
}

/// Which decisions a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    pub decision: Option<Verdict>,
    pub tool_name: Option<String>,
}
