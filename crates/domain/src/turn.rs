//! A turn: one prompt and everything the agent did for it.

use crate::{
    MessageId, MicroUsd, NewMessage, SessionId, TokenUsage, TurnId,
    budget::{Account, Exhausted},
    transcript::TranscriptLines,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnStatus {
    /// Waits for the turns before it, or for a slot.
    Queued,
    Running,
    Completed,
    Failed,
    /// Stopped by a person, or by the end of the server it ran in.
    Interrupted,
    /// A budget was used up before the turn was done.
    BudgetExhausted,
}

impl TurnStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Interrupted,
        Self::BudgetExhausted,
    ];

    /// The word for this status on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::BudgetExhausted => "budget_exhausted",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing more will happen in this turn.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Completed | Self::Failed | Self::Interrupted | Self::BudgetExhausted => true,
        }
    }
}

/// Why a turn did not complete, named for what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TurnFailure {
    /// The agent could not be started at all: the installation needs attention.
    AgentUnavailable,
    /// The agent died or answered nonsense.
    AgentFailed,
    /// It used more memory, processes, CPU time or disk than an agent may.
    AgentLimitExceeded,
    /// The turn took longer than `timeout_seconds`.
    AgentTimeout,
    /// The model's service refused or failed.
    ModelFailed,
    /// The turn needed more rounds than `max_turns` allows.
    MaxTurnsReached,
    /// Somebody stopped it.
    Interrupted,
    /// The server ended while the turn ran.
    ServerStopped,
    /// What happened could not be put on record, so it was stopped from happening.
    NotRecorded,
    /// A budget is used up, and the model is not asked before it is raised or renewed.
    BudgetExhausted,
}

impl TurnFailure {
    /// Every failure.
    pub const ALL: [Self; 10] = [
        Self::AgentUnavailable,
        Self::AgentFailed,
        Self::AgentLimitExceeded,
        Self::AgentTimeout,
        Self::ModelFailed,
        Self::MaxTurnsReached,
        Self::Interrupted,
        Self::ServerStopped,
        Self::NotRecorded,
        Self::BudgetExhausted,
    ];

    /// The stable code on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentUnavailable => "AGENT_UNAVAILABLE",
            Self::AgentFailed => "AGENT_FAILED",
            Self::AgentLimitExceeded => "AGENT_LIMIT_EXCEEDED",
            Self::AgentTimeout => "AGENT_TIMEOUT",
            Self::ModelFailed => "MODEL_FAILED",
            Self::MaxTurnsReached => "MAX_TURNS_REACHED",
            Self::Interrupted => "INTERRUPTED",
            Self::ServerStopped => "SERVER_STOPPED",
            Self::NotRecorded => "NOT_RECORDED",
            Self::BudgetExhausted => "BUDGET_EXHAUSTED",
        }
    }

    /// The failure of that code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.as_str() == code)
    }
}

/// One prompt and its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    pub id: TurnId,
    pub session_id: SessionId,
    pub status: TurnStatus,
    /// The prompt's message; absent while the turn is queued.
    pub prompt_message_id: Option<MessageId>,
    /// The agent's last message.
    pub answer_message_id: Option<MessageId>,
    /// The answer's text.
    pub answer: Option<String>,
    pub failure: Option<TurnFailure>,
    pub error_message: Option<String>,
    /// Model rounds, as the agent counts them.
    pub rounds: u32,
    /// How often the turn was begun anew.
    pub retries: u32,
    pub tokens: TokenUsage,
    pub cost: MicroUsd,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// How a turn ended; written once.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnEnd {
    pub status: TurnStatus,
    pub answer: Option<String>,
    pub answer_message_id: Option<MessageId>,
    pub failure: Option<TurnFailure>,
    pub error_message: Option<String>,
    pub rounds: u32,
    pub retries: u32,
    /// The state the session goes to. Work is not over while prompts wait: a session with a queue becomes `active`
    /// instead of `completed` or `failed`. A turn leads to `paused` only for want of money, which the session remembers.
    pub session_status: crate::SessionStatus,
    /// What the agent said last and nobody has recorded: it goes on record before the end, with it.
    pub last_messages: Vec<NewMessage>,
    /// What is new in the agent's transcripts and nobody has stored: each transcript once.
    pub last_lines: Vec<TranscriptLines>,
    /// Whether tools were called: if not, there are no unfinished calls to look for.
    pub called_tools: bool,
    /// Where the conversation can be resumed; `None` leaves what is stored.
    pub agent: Option<crate::session::AgentConversation>,
    pub at: Timestamp,
}

impl TurnEnd {
    /// Whether the session counts this as an error; being stopped by a person or a budget is none.
    #[must_use]
    pub fn counts_as_error(&self) -> bool {
        let is_stop = |failure| matches!(failure, TurnFailure::Interrupted | TurnFailure::BudgetExhausted);
        self.failure.is_some_and(|failure| !is_stop(failure))
    }
}

/// A turn that was just ended.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedTurn {
    pub turn: Turn,
    /// The journal entries of the end, for those who watch.
    pub events: Vec<crate::Event>,
}

/// A prompt that waits or begins.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTurn {
    pub id: TurnId,
    pub session_id: SessionId,
    /// Text as a string, or content blocks as an array.
    pub prompt: Value,
    /// Accounts that must have money left for it to begin at once, each spender once; none where that was asked before.
    pub payers: Vec<Account>,
    pub at: Timestamp,
}

/// A turn that has begun: the proof that the session is held for it.
#[derive(Debug, Clone, PartialEq)]
pub struct BegunTurn {
    pub turn_id: TurnId,
    pub session: crate::Session,
    /// The message that the prompt became; the agent is told it under the same id.
    pub prompt_message_id: MessageId,
    pub prompt: Value,
    /// The journal entries of the beginning, for those who watch.
    pub events: Vec<crate::Event>,
}

/// What came of asking for a turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Begin {
    Begun(Box<BegunTurn>),
    /// The session was in this state, from which no turn begins.
    Refused(crate::SessionStatus),
    /// This held the session.
    Held(crate::Operation),
    /// Another server is the session's home and lives; a prompt that waits is begun there.
    Elsewhere,
    /// Others wait in the session, and a new prompt does not overtake them.
    Behind,
    /// This account has no money left, and somebody who is to pay has to have some.
    UsedUp(Exhausted),
    /// No such session.
    NoSession,
}

/// Where a prompt goes in the queue of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueuePlace {
    /// Into an empty queue, in a session that runs no turn.
    Alone,
    /// Behind all others, unless so many wait already.
    Last { waiting_max: u32 },
    /// Before all others, unless so many wait already.
    First { waiting_max: u32 },
}

/// What came of queueing a turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Enqueued {
    Queued {
        /// The notice of it.
        event: crate::Event,
        /// The place it got, counted from 1.
        position: u64,
        /// The turn that ran in the session at that instant.
        running: Option<TurnId>,
    },
    /// It was to be alone and is not: the session in this state runs a turn, or others wait in it.
    Busy(crate::SessionStatus),
    /// As many wait as may.
    Full,
    /// The session was in this state, in which no prompt waits.
    Refused(crate::SessionStatus),
}

/// The next turn of a session that runs none: what it lacks is a slot for the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingTurn {
    pub id: TurnId,
    pub session_id: SessionId,
    pub user_id: crate::UserId,
    pub mode: crate::SessionMode,
    pub generation: crate::Generation,
    pub since: Timestamp,
}
