//! A session and the states it may move through.

use crate::{
    ArchiveId, Generation, MicroUsd, ServerId, SessionId, SessionSpec, TemplateId, TokenUsage, TurnId, UserId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// How a session is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionMode {
    /// A person prompts it, again and again.
    Interactive,
    /// It works on its first message by itself and is then completed.
    Background,
    /// It began as a copy of another session.
    Forked,
}

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// Nobody has prompted it yet.
    Created,
    /// A turn has begun and its agent is being started.
    Connecting,
    /// Idle: the next prompt may come. There may or may not be a process behind it.
    Active,
    /// A turn is running.
    Processing,
    /// A turn is running and waits for a person's approval.
    WaitingUser,
    /// Set aside by a person or a budget: prompts are refused until it is resumed.
    Paused,
    /// A background session whose work is done.
    Completed,
    /// A background session whose work failed.
    Failed,
    /// Ended for good; its history stays.
    Terminated,
    /// Put away into the archive store.
    Archived,
}

impl SessionStatus {
    /// Every state, in the order of a session's life.
    pub const ALL: [Self; 10] = [
        Self::Created,
        Self::Connecting,
        Self::Active,
        Self::Processing,
        Self::WaitingUser,
        Self::Paused,
        Self::Completed,
        Self::Failed,
        Self::Terminated,
        Self::Archived,
    ];

    /// The states in which a turn is running.
    pub const BUSY: [Self; 3] = [Self::Connecting, Self::Processing, Self::WaitingUser];

    /// The states in which a session may be removed: nothing runs in it, and nothing will.
    pub const REMOVABLE: [Self; 2] = [Self::Terminated, Self::Archived];

    /// The states from which a prompt starts a turn.
    pub const READY: [Self; 2] = [Self::Created, Self::Active];

    /// The states that a person may take a session up from. A running turn leads to `active` too, by itself.
    pub const RESUMABLE: [Self; 3] = [Self::Paused, Self::Completed, Self::Failed];

    /// The word for this state on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Connecting => "connecting",
            Self::Active => "active",
            Self::Processing => "processing",
            Self::WaitingUser => "waiting_user",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Terminated => "terminated",
            Self::Archived => "archived",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether a turn is running.
    #[must_use]
    pub fn is_busy(self) -> bool {
        Self::BUSY.contains(&self)
    }

    /// The states this one may be left for; anything else is a conflict.
    #[must_use]
    pub fn successors(self) -> &'static [Self] {
        use SessionStatus as S;
        match self {
            S::Created => &[S::Connecting, S::Processing, S::Paused, S::Failed, S::Terminated, S::Archived],
            S::Connecting => &[S::Processing, S::Active, S::Paused, S::Completed, S::Failed, S::Terminated],
            S::Active => &[S::Connecting, S::Processing, S::Paused, S::Completed, S::Terminated, S::Archived],
            S::Processing => &[S::WaitingUser, S::Active, S::Paused, S::Completed, S::Failed, S::Terminated],
            S::WaitingUser => &[S::Processing, S::Active, S::Paused, S::Completed, S::Failed, S::Terminated],
            S::Paused => &[S::Active, S::Terminated, S::Archived],
            S::Completed | S::Failed => &[S::Active, S::Terminated, S::Archived],
            S::Terminated => &[S::Archived],
            S::Archived => &[S::Active, S::Terminated],
        }
    }

    /// Where the end of a turn leads that asked for `wanted`; `None` if this state stands.
    ///
    /// Stricter than [`SessionStatus::successors`]: a person paused, ended or archived the session while the turn ran,
    /// and the turn's end must not undo that.
    #[must_use]
    pub fn after_turn(self, wanted: Self) -> Option<Self> {
        use SessionStatus as S;
        match self {
            S::Created | S::Connecting | S::Active | S::Processing | S::WaitingUser => {
                self.successors().contains(&wanted).then_some(wanted)
            }
            S::Paused | S::Completed | S::Failed | S::Terminated | S::Archived => None,
        }
    }

    /// Whether a session's work is over in this state, so that it has a `completed_at`.
    #[must_use]
    pub fn completes(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Terminated => true,
            Self::Created
            | Self::Connecting
            | Self::Active
            | Self::Processing
            | Self::WaitingUser
            | Self::Paused
            | Self::Archived => false,
        }
    }

    /// The states from which `next` may be entered: what a compare-and-set names as expected.
    #[must_use]
    pub fn predecessors(next: Self) -> Vec<Self> {
        Self::ALL.into_iter().filter(|status| status.successors().contains(&next)).collect()
    }
}

/// What holds a session that runs no turn: until it is over, nothing else begins, and the state does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// What it has on disk is being put into the archive store.
    Archiving,
    /// What it had on disk is being brought back.
    Restoring,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 2] = [Self::Archiving, Self::Restoring];

    /// The word for it on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Archiving => "archiving",
            Self::Restoring => "restoring",
        }
    }

    /// The operation of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == word)
    }
}

impl SessionMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Background, Self::Forked];

    /// The word for this mode on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Background => "background",
            Self::Forked => "forked",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

/// Running totals of a session, kept beside it so that reading one costs one row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub messages: u64,
    pub tool_calls: u64,
    pub hook_executions: u64,
    pub permission_checks: u64,
    pub errors: u64,
    pub retries: u64,
    pub cost: MicroUsd,
    pub tokens: TokenUsage,
}

/// A conversation with an agent, whether or not a process is behind it now.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    pub id: SessionId,
    pub user_id: UserId,
    pub name: Option<String>,
    pub description: Option<String>,
    pub mode: SessionMode,
    pub status: SessionStatus,
    pub spec: SessionSpec,
    pub metadata: Value,
    pub parent_session_id: Option<SessionId>,
    pub fork_at_message: Option<u64>,
    /// The template that it was made from, which may be gone.
    pub template_id: Option<TemplateId>,
    /// The turn that holds the session now; at most one does.
    pub current_turn_id: Option<TurnId>,
    /// What holds the session now, beside turns.
    pub operation: Option<Operation>,
    /// The archive that it can be restored from.
    pub archive_id: Option<ArchiveId>,
    /// Its home: the server that alone may run it while its lease lasts, and that has its files. None when there is
    /// nothing of it on any server's disk.
    pub server_id: Option<ServerId>,
    pub generation: Generation,
    /// The conversation as the CLI knows it; none before the first turn.
    pub agent: Option<AgentConversation>,
    pub counters: Counters,
    pub error_message: Option<String>,
    /// Since when it is paused because a budget is used up; it goes on by itself when there is money again.
    pub budget_paused_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// Where a conversation can be taken up again by `--resume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentConversation {
    /// The CLI's own session id.
    pub id: Uuid,
    /// The last transcript entry of the last turn that ended well; a retried turn resumes from here.
    pub last_entry: Option<Uuid>,
}

/// What a person may change of a session; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionPatch {
    pub name: Option<Option<String>>,
    pub description: Option<Option<String>>,
    pub metadata: Option<Value>,
    pub permission_mode: Option<String>,
    pub model: Option<String>,
    pub allowed_tools: Option<Vec<String>>,
    pub custom_policies: Option<Vec<String>>,
}

impl SessionPatch {
    /// The session as it is after this change.
    #[must_use]
    pub fn apply(&self, mut session: Session, at: Timestamp) -> Session {
        let Self { name, description, metadata, permission_mode, model, allowed_tools, custom_policies } =
            self.clone();
        session.name = name.unwrap_or(session.name);
        session.description = description.unwrap_or(session.description);
        session.metadata = metadata.unwrap_or(session.metadata);
        session.spec.permission_mode = permission_mode.unwrap_or(session.spec.permission_mode);
        session.spec.sdk_options.model = model.or(session.spec.sdk_options.model);
        session.spec.allowed_tools = allowed_tools.unwrap_or(session.spec.allowed_tools);
        session.spec.custom_policies = custom_policies.unwrap_or(session.spec.custom_policies);
        session.updated_at = at;
        session
    }
}

/// Which sessions a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    pub status: Option<SessionStatus>,
    pub mode: Option<SessionMode>,
    pub parent_session_id: Option<SessionId>,
    pub template_id: Option<TemplateId>,
    /// Case-insensitive part of the name or description.
    pub q: Option<String>,
    pub created_after: Option<Timestamp>,
    pub created_before: Option<Timestamp>,
    pub sort: SessionSort,
}

/// In which order a list shows sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionSort {
    /// Newest first.
    #[default]
    CreatedDescending,
    CreatedAscending,
    /// Last changed first.
    UpdatedDescending,
    UpdatedAscending,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table: a change of the state machine must be made here too, on purpose.
    #[test]
    fn transitions_are_exactly_these() {
        let table: Vec<String> = SessionStatus::ALL
            .into_iter()
            .map(|from| {
                let to: Vec<_> = from.successors().iter().map(|status| status.as_str()).collect();
                format!("{} -> {}", from.as_str(), to.join(" "))
            })
            .collect();
        assert_eq!(
            table,
            [
                "created -> connecting processing paused failed terminated archived",
                "connecting -> processing active paused completed failed terminated",
                "active -> connecting processing paused completed terminated archived",
                "processing -> waiting_user active paused completed failed terminated",
                "waiting_user -> processing active paused completed failed terminated",
                "paused -> active terminated archived",
                "completed -> active terminated archived",
                "failed -> active terminated archived",
                "terminated -> archived",
                "archived -> active terminated",
            ]
        );
    }

    #[test]
    fn words_parse_back() {
        for status in SessionStatus::ALL {
            assert_eq!(SessionStatus::parse(status.as_str()), Some(status));
        }
        for mode in SessionMode::ALL {
            assert_eq!(SessionMode::parse(mode.as_str()), Some(mode));
        }
    }

    #[test]
    fn the_end_of_a_turn_does_not_undo_what_a_person_did() {
        assert_eq!(SessionStatus::Processing.after_turn(SessionStatus::Active), Some(SessionStatus::Active));
        for status in [SessionStatus::Paused, SessionStatus::Terminated, SessionStatus::Archived] {
            assert_eq!(status.after_turn(SessionStatus::Active), None, "{status:?}");
        }
    }

    #[test]
    fn nothing_busy_can_be_archived() {
        for status in SessionStatus::BUSY {
            assert!(!status.successors().contains(&SessionStatus::Archived));
        }
    }
}
