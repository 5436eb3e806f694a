//! The states an execution moves through, and what it came from.

use serde::{Deserialize, Serialize};

/// Where an execution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    /// An attempt failed, and the next one waits for its time.
    Pending,
    /// Waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    Completed,
    /// The dead letter: no attempt is left, or another one might do twice what was done.
    Failed,
    /// A person stopped it.
    Cancelled,
    /// Its worker was lost after the agent had begun to act. What was done is on record; that it was all is not known.
    OutcomeUnknown,
}

impl ExecutionStatus {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::OutcomeUnknown,
    ];

    /// Those that wait for a worker or for their time.
    pub const WAITING: [Self; 2] = [Self::Pending, Self::Queued];

    /// The word for this status on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing more will happen in it.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.successors().is_empty()
    }

    /// The states this one may be left for.
    #[must_use]
    pub fn successors(self) -> &'static [Self] {
        use ExecutionStatus as E;
        match self {
            E::Pending | E::Queued => &[E::Running, E::Cancelled],
            E::Running => &[E::Pending, E::Queued, E::Completed, E::Failed, E::Cancelled, E::OutcomeUnknown],
            E::Completed | E::Failed | E::Cancelled | E::OutcomeUnknown => &[],
        }
    }

    /// Whether a person may have the same done once more.
    #[must_use]
    pub fn may_be_retried(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled | Self::OutcomeUnknown)
    }
}

/// What an execution came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionTrigger {
    /// Somebody asked for it.
    Manual,
    /// Its time had come.
    Schedule,
    /// Somebody wanted an earlier one done again.
    Retry,
}

impl ExecutionTrigger {
    /// Every trigger.
    pub const ALL: [Self; 3] = [Self::Manual, Self::Schedule, Self::Retry];

    /// The word for it on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
            Self::Retry => "retry",
        }
    }

    /// The trigger of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table: a change of the state machine must be made here too, on purpose.
    #[test]
    fn transitions_are_exactly_these() {
        let table: Vec<String> = ExecutionStatus::ALL
            .into_iter()
            .map(|from| {
                let to: Vec<_> = from.successors().iter().map(|status| status.as_str()).collect();
                format!("{} -> {}", from.as_str(), to.join(" "))
            })
            .collect();
        assert_eq!(
            table,
            [
                "pending -> running cancelled",
                "queued -> running cancelled",
                "running -> pending queued completed failed cancelled outcome_unknown",
                "completed -> ",
                "failed -> ",
                "cancelled -> ",
                "outcome_unknown -> ",
            ]
        );
    }

    #[test]
    fn words_parse_back() {
        for status in ExecutionStatus::ALL {
            assert_eq!(ExecutionStatus::parse(status.as_str()), Some(status));
        }
        for trigger in ExecutionTrigger::ALL {
            assert_eq!(ExecutionTrigger::parse(trigger.as_str()), Some(trigger));
        }
    }
}
