//! Executions: one run of a task each, and the states it moves through.
//!
//! Whoever writes an execution names the version that it read, and the store refuses another one. So a worker that was
//! taken for dead, and is not, changes nothing any more.

mod status;

pub use status::{ExecutionStatus, ExecutionTrigger};

use crate::{ExecutionId, MicroUsd, ServerId, SessionId, Task, TaskId, TurnId, UserId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest wait before a retry, however often it was doubled.
const RETRY_DELAY_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Why an attempt did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionError {
    /// Stable: a [`crate::TurnFailure`]'s, or `WORKER_LOST`, `SESSION_REFUSED`, `TEMPLATE_FAILED`, `CANCELLED`.
    pub code: String,
    pub message: String,
}

impl ExecutionError {
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// What is left to do after the end, such as an archive or a message: done at least once, and again until it succeeds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settlement {
    /// When it is due; `None` before the end and once all is done or given up.
    pub due_at: Option<Timestamp>,
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// What was done, by step, so that it need not be done again.
    pub steps: Map<String, Value>,
}

/// One run of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    pub id: ExecutionId,
    pub task_id: TaskId,
    pub user_id: UserId,
    pub trigger: ExecutionTrigger,
    /// The one that this does again.
    pub retry_of: Option<ExecutionId>,
    /// The due time of a schedule; a task has one execution for each.
    pub scheduled_for: Option<Timestamp>,
    pub variables: Map<String, Value>,
    /// The template with its variables filled in.
    pub prompt: String,
    pub priority: i32,
    pub status: ExecutionStatus,
    /// Counts every change; see the module.
    pub version: u64,
    /// Counts the workers that had it: what the one before still wants to write is refused.
    pub fence: u64,
    /// Attempts begun.
    pub attempt: u32,
    pub attempts_max: u32,
    pub retry_delay_ms: u64,
    /// Not before this.
    pub due_at: Timestamp,
    /// The session of the present attempt. It is there once `session_created` is set.
    pub session_id: SessionId,
    pub session_created: bool,
    pub turn_id: Option<TurnId>,
    /// Who has it, or had it last.
    pub worker: Option<ServerId>,
    pub cancel_requested: bool,
    /// The agent's answer.
    pub result: Option<String>,
    /// Of the last attempt.
    pub error: Option<ExecutionError>,
    /// Tool calls of the last attempt, as far as they are on record.
    pub tool_calls: u64,
    /// Of all attempts.
    pub cost: MicroUsd,
    pub settlement: Settlement,
    pub created_at: Timestamp,
    /// Of the last attempt.
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// What one attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub status: ExecutionStatus,
    pub result: Option<String>,
    pub error: Option<ExecutionError>,
}

impl Execution {
    /// A run of this task that may begin at once.
    #[must_use]
    pub fn new(task: &Task, prompt: String, variables: Map<String, Value>, at: Timestamp) -> Self {
        Self {
            id: ExecutionId::new(),
            task_id: task.id,
            user_id: task.user_id,
            trigger: ExecutionTrigger::Manual,
            retry_of: None,
            scheduled_for: None,
            variables,
            prompt,
            priority: task.priority,
            status: ExecutionStatus::Queued,
            version: 0,
            fence: 0,
            attempt: 0,
            attempts_max: task.attempts_max(),
            retry_delay_ms: task.retry_delay_ms,
            due_at: at,
            session_id: SessionId::new(),
            session_created: false,
            turn_id: None,
            worker: None,
            cancel_requested: false,
            result: None,
            error: None,
            tool_calls: 0,
            cost: MicroUsd(0),
            settlement: Settlement::default(),
            created_at: at,
            started_at: None,
            completed_at: None,
        }
    }

    /// The run of a schedule that was due at `tick`.
    #[must_use]
    pub fn of_schedule(self, tick: Timestamp) -> Self {
        Self { trigger: ExecutionTrigger::Schedule, scheduled_for: Some(tick), ..self }
    }

    /// The same once more, as it was asked for then.
    #[must_use]
    pub fn once_more(&self, task: &Task, at: Timestamp) -> Self {
        let again = Self::new(task, self.prompt.clone(), self.variables.clone(), at);
        Self { trigger: ExecutionTrigger::Retry, retry_of: Some(self.id), ..again }
    }

    /// Over before it could be queued.
    #[must_use]
    pub fn stillborn(self, error: ExecutionError, at: Timestamp) -> Self {
        Self {
            status: ExecutionStatus::Failed,
            error: Some(error),
            completed_at: Some(at),
            settlement: Settlement { due_at: Some(at), ..Settlement::default() },
            ..self
        }
    }

    /// Taken by a worker, if it waits and its time has come.
    #[must_use]
    pub fn claimed(&self, worker: ServerId, at: Timestamp) -> Option<Self> {
        let may = ExecutionStatus::WAITING.contains(&self.status) && self.due_at <= at;
        may.then(|| Self {
            status: ExecutionStatus::Running,
            version: self.version + 1,
            fence: self.fence + 1,
            attempt: self.attempt + 1,
            session_created: false,
            turn_id: None,
            worker: Some(worker),
            error: None,
            tool_calls: 0,
            started_at: Some(at),
            ..self.clone()
        })
    }

    /// Taken from a worker that is gone.
    #[must_use]
    pub fn taken_over(&self, worker: ServerId) -> Option<Self> {
        (self.status == ExecutionStatus::Running).then(|| Self {
            version: self.version + 1,
            fence: self.fence + 1,
            worker: Some(worker),
            ..self.clone()
        })
    }

    /// Its session is there, and this turn is about to begin in it; nothing of it has happened before this is stored.
    #[must_use]
    pub fn entered(&self, turn: TurnId) -> Option<Self> {
        let may = self.status == ExecutionStatus::Running && !self.cancel_requested;
        may.then(|| Self {
            version: self.version + 1,
            session_created: true,
            turn_id: Some(turn),
            ..self.clone()
        })
    }

    /// Somebody wants it stopped: at once if it waits, else as soon as its worker has done so.
    #[must_use]
    pub fn cancelled(&self, at: Timestamp) -> Option<Self> {
        match self.status {
            ExecutionStatus::Pending | ExecutionStatus::Queued => {
                let error = ExecutionError::new("CANCELLED", "it was cancelled before it began");
                self.ended(
                    Outcome { status: ExecutionStatus::Cancelled, result: None, error: Some(error) },
                    at,
                )
            }
            ExecutionStatus::Running => {
                Some(Self { version: self.version + 1, cancel_requested: true, ..self.clone() })
            }
            ExecutionStatus::Completed
            | ExecutionStatus::Failed
            | ExecutionStatus::Cancelled
            | ExecutionStatus::OutcomeUnknown => None,
        }
    }

    /// Over, with what is left to do after the end due at once.
    #[must_use]
    pub fn ended(&self, outcome: Outcome, at: Timestamp) -> Option<Self> {
        let may = outcome.status.is_over() && self.status.successors().contains(&outcome.status);
        may.then(|| Self {
            status: outcome.status,
            version: self.version + 1,
            result: outcome.result,
            error: outcome.error,
            completed_at: Some(at),
            settlement: Settlement { due_at: Some(at), ..Settlement::default() },
            ..self.clone()
        })
    }

    /// Waits for a worker again, in a fresh session: at once, or after the pause for its attempt.
    #[must_use]
    pub fn again(&self, pause: Pause, error: ExecutionError, at: Timestamp) -> Option<Self> {
        let (status, due_at, attempt) = match pause {
            Pause::None => (ExecutionStatus::Queued, at, self.attempt),
            Pause::BackOff => (ExecutionStatus::Pending, later(at, self.back_off()), self.attempt),
            Pause::GivenBack(wait) => {
                (ExecutionStatus::Queued, later(at, wait), self.attempt.saturating_sub(1))
            }
        };
        (self.status == ExecutionStatus::Running).then(|| Self {
            status,
            version: self.version + 1,
            attempt,
            due_at,
            session_id: SessionId::new(),
            session_created: false,
            turn_id: None,
            error: Some(error),
            ..self.clone()
        })
    }

    /// How long the next attempt waits: the task's delay, doubled with each attempt.
    #[must_use]
    pub fn back_off(&self) -> SignedDuration {
        let doubled = self.retry_delay_ms.saturating_mul(1 << self.attempt.saturating_sub(1).min(16));
        let delay = SignedDuration::from_millis(i64::try_from(doubled).unwrap_or(i64::MAX));
        delay.min(RETRY_DELAY_MAX)
    }

    /// About to be settled by this worker; whoever had it before does nothing more for it.
    #[must_use]
    pub fn settling(&self, worker: ServerId) -> Self {
        let attempts = self.settlement.attempts.saturating_add(1);
        Self {
            version: self.version + 1,
            worker: Some(worker),
            settlement: Settlement { attempts, ..self.settlement.clone() },
            ..self.clone()
        }
    }

    /// The same with another settlement.
    #[must_use]
    pub fn settled(&self, settlement: Settlement) -> Self {
        Self { version: self.version + 1, settlement, ..self.clone() }
    }

    /// Whether an attempt that failed without effects may be followed by another.
    #[must_use]
    pub fn has_attempts_left(&self) -> bool {
        self.attempt < self.attempts_max
    }
}

/// So much later, or the end of time.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

/// How long an execution that is put back waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Its worker was lost; it is nobody's fault but may be its own, so the attempt counts.
    None,
    /// The attempt failed.
    BackOff,
    /// The worker had no room, or is going; the attempt does not count.
    GivenBack(SignedDuration),
}
