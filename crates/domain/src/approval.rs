//! A question to a person: may this tool call run? It outlives the process that asked.

use crate::{ApprovalId, SessionId, TurnId, UserId, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// Whether a tool call may run.
    Tool,
    /// Questions of the model, answered in words.
    Question,
    /// Whether a plan is carried out.
    Plan,
}

impl ApprovalKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Tool, Self::Question, Self::Plan];

    /// What a call of this tool asks for.
    #[must_use]
    pub fn of_tool(name: &str) -> Self {
        match name {
            "AskUserQuestion" => Self::Question,
            "ExitPlanMode" => Self::Plan,
            _ => Self::Tool,
        }
    }

    /// The word for this kind on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Question => "question",
            Self::Plan => "plan",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Where an approval is. Every state but the first is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStatus {
    /// Nobody has answered yet.
    Pending,
    /// A person said yes.
    Allowed,
    /// A person said no.
    Denied,
    /// Nobody answered in time; the default verdict holds.
    Expired,
    /// The agent does not want to know any more: its turn was stopped, or it died.
    Withdrawn,
}

impl ApprovalStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Allowed, Self::Denied, Self::Expired, Self::Withdrawn];

    /// The word for this status on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// A question to a person and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    pub id: ApprovalId,
    pub session_id: SessionId,
    /// The turn in which the agent asked.
    pub turn_id: TurnId,
    /// The session's owner.
    pub user_id: UserId,
    pub kind: ApprovalKind,
    pub tool_name: String,
    /// The model's id of the call.
    pub tool_use_id: String,
    pub tool_input: Value,
    /// Set when a subagent asks.
    pub agent_id: Option<String>,
    pub title: Option<String>,
    /// What the call is for, in the model's words.
    pub description: Option<String>,
    /// Why a person is asked.
    pub reason: Option<String>,
    /// The policy that asked, and its rule; none when the agent asked by itself.
    pub policy: Option<String>,
    pub rule: Option<String>,
    /// Rule changes the agent suggests, as it wrote them; an array.
    pub suggestions: Value,
    pub status: ApprovalStatus,
    /// What holds when nobody answers: `allow` or `deny`.
    pub default_verdict: Verdict,
    pub expires_at: Timestamp,
    pub decided_at: Option<Timestamp>,
    pub decided_by: Option<UserId>,
    /// What the person said about it; the model reads it.
    pub decision_reason: Option<String>,
    /// Runs in place of the input that was asked about.
    pub updated_input: Option<Value>,
    /// Whether such calls run in this session from now on without a question.
    pub remember: bool,
    /// When an agent learned of the decision, or it was settled that none will.
    pub delivered_at: Option<Timestamp>,
    /// The later turn that carries the decision to the agent, when the one that asked is over.
    pub told_in: Option<TurnId>,
    /// When the agent repeated the call in that turn; a yes is good for one.
    pub used_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl Approval {
    /// Whether the call may run, once that is decided.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        match self.status {
            ApprovalStatus::Pending => None,
            ApprovalStatus::Allowed => Some(Verdict::Allow),
            ApprovalStatus::Denied | ApprovalStatus::Withdrawn => Some(Verdict::Deny),
            // Only a plain yes is one.
            ApprovalStatus::Expired if self.default_verdict == Verdict::Allow => Some(Verdict::Allow),
            ApprovalStatus::Expired => Some(Verdict::Deny),
        }
    }

    /// The input that runs if it runs.
    #[must_use]
    pub fn final_input(&self) -> &Value {
        self.updated_input.as_ref().unwrap_or(&self.tool_input)
    }

    /// The approval after this decision, or the decision that stands: the first one does, and a person is too late
    /// once the time is up.
    pub fn decide(mut self, decision: &ApprovalDecision) -> Result<Self, Box<Self>> {
        if self.status != ApprovalStatus::Pending {
            return Err(Box::new(self));
        }
        self.decided_at = Some(decision.at);
        match &decision.outcome {
            ApprovalOutcome::Withdrawn => {
                self.status = ApprovalStatus::Withdrawn;
                self.delivered_at = Some(decision.at);
            }
            ApprovalOutcome::Answered(_) | ApprovalOutcome::Expired if decision.at >= self.expires_at => {
                self.status = ApprovalStatus::Expired;
            }
            // Somebody's clock runs ahead.
            ApprovalOutcome::Expired => {
                self.decided_at = None;
                return Err(Box::new(self));
            }
            ApprovalOutcome::Answered(answer) => {
                self.status =
                    if answer.is_allowed { ApprovalStatus::Allowed } else { ApprovalStatus::Denied };
                self.decided_by = Some(answer.by);
                self.decision_reason = answer.reason.clone();
                self.updated_input = answer.updated_input.clone();
                self.remember = answer.remember;
            }
        }
        Ok(self)
    }
}

/// What is to become of a pending approval.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalDecision {
    pub outcome: ApprovalOutcome,
    pub at: Timestamp,
}

/// How an approval ends.
#[derive(Debug, Clone, PartialEq)]
pub enum ApprovalOutcome {
    Answered(ApprovalAnswer),
    Expired,
    Withdrawn,
}

/// What a person said.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalAnswer {
    pub by: UserId,
    pub is_allowed: bool,
    pub reason: Option<String>,
    pub updated_input: Option<Value>,
    pub remember: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pending() -> Approval {
        Approval {
            id: ApprovalId::new(),
            session_id: SessionId::new(),
            turn_id: TurnId::new(),
            user_id: UserId::new(),
            kind: ApprovalKind::Tool,
            tool_name: "Bash".into(),
            tool_use_id: "toolu_1".into(),
            tool_input: json!({ "command": "ls" }),
            agent_id: None,
            title: None,
            description: None,
            reason: None,
            policy: None,
            rule: None,
            suggestions: json!([]),
            status: ApprovalStatus::Pending,
            default_verdict: Verdict::Deny,
            expires_at: at(100),
            decided_at: None,
            decided_by: None,
            decision_reason: None,
            updated_input: None,
            remember: false,
            delivered_at: None,
            told_in: None,
            used_at: None,
            created_at: at(0),
        }
    }

    fn yes() -> ApprovalOutcome {
        ApprovalOutcome::Answered(ApprovalAnswer {
            by: UserId::new(),
            is_allowed: true,
            reason: None,
            updated_input: None,
            remember: false,
        })
    }

    #[test]
    fn the_first_decision_stands_and_a_yes_after_the_end_is_none() {
        let decide = |approval: Approval, outcome, second| {
            approval.decide(&ApprovalDecision { outcome, at: at(second) })
        };
        let allowed = decide(pending(), yes(), 99).unwrap();
        assert_eq!(allowed.verdict(), Some(Verdict::Allow));
        assert_eq!(decide(allowed.clone(), ApprovalOutcome::Withdrawn, 99), Err(Box::new(allowed)));
        let late = decide(pending(), yes(), 100).unwrap();
        assert_eq!((late.status, late.decided_by), (ApprovalStatus::Expired, None));
        assert_eq!(late.verdict(), Some(Verdict::Deny));
        let early = decide(pending(), ApprovalOutcome::Expired, 99).unwrap_err();
        assert_eq!((early.status, early.decided_at), (ApprovalStatus::Pending, None));
    }

    #[test]
    fn only_a_plain_allow_lets_an_expired_call_run() {
        for default_verdict in Verdict::ALL {
            let expired = Approval { status: ApprovalStatus::Expired, default_verdict, ..pending() };
            let runs = expired.verdict() == Some(Verdict::Allow);
            assert_eq!(runs, default_verdict == Verdict::Allow);
        }
    }
}
