//! One attempt at an execution: a session of its own, one turn in it, and what came of that.
//!
//! An attempt whose end could not be stored is left to whoever looks for what was lost, this worker among them.

use super::{
    TaskManager,
    outcome::{Attempted, after},
};
use crate::{Error, Result};
use domain::{
    Execution, ExecutionError, ExecutionStatus, Origin, Scope, Session, Turn, TurnFailure, TurnId,
    execution::{Outcome, Pause},
};
use jiff::{SignedDuration, Timestamp};

/// How long an execution waits that found no room where it was to begin.
const NO_ROOM_DELAY: SignedDuration = SignedDuration::from_secs(2);

impl TaskManager {
    /// Sees a claimed execution through to its end, or to where somebody else has to go on.
    pub(super) async fn attempt(&self, claimed: &Execution) -> Result<()> {
        fail::fail_point!("execution.claimed");
        let sessions = &self.inner.sessions;
        let Some(task) = self.store().task(Scope::All, claimed.task_id).await? else {
            let error = ExecutionError::new("CANCELLED", "its task was deleted");
            let outcome = Outcome { status: ExecutionStatus::Cancelled, result: None, error: Some(error) };
            return self.advance(claimed, |execution, at| execution.ended(outcome.clone(), at)).await;
        };
        let session = match sessions.create_task_session(&task, claimed).await {
            Ok(session) => session,
            Err(Error::Store(error)) => return Err(error.into()),
            Err(error) => return self.refused(claimed, &error).await,
        };
        fail::fail_point!("execution.session_created");
        let turn = TurnId::new();
        let entered = |execution: &Execution, _| execution.entered(turn);
        if !self.advanced(claimed, entered).await? {
            sessions.bar_task_session(session.id).await?;
            let error = ExecutionError::new("CANCELLED", "it was cancelled before the agent was prompted");
            let outcome = Outcome { status: ExecutionStatus::Cancelled, result: None, error: Some(error) };
            // If that was why, and it is not somebody else's.
            let ended = |execution: &Execution, at| {
                execution.cancel_requested.then(|| execution.ended(outcome.clone(), at)).flatten()
            };
            return self.advance(claimed, ended).await;
        }
        fail::fail_point!("execution.entered");
        match sessions.begin_task_turn(&session, turn, &claimed.prompt).await {
            Ok(true) => {}
            Ok(false) => return self.give_back(claimed, &session, "there was no room for it").await,
            Err(Error::Store(error)) => return Err(error.into()),
            Err(error) => return self.give_back(claimed, &session, &format!("could not {error}")).await,
        }
        let present = self.load(Scope::All, claimed.id).await?;
        if present.fence == claimed.fence && present.cancel_requested {
            sessions.stop_task_turn(&present).await?;
        }
        let turn = sessions.wait_for_turn(session.id, turn).await?;
        self.conclude(claimed, session.id, Some(&turn), false).await
    }

    /// Stores what came of an attempt, unless somebody else has it by now.
    pub(super) async fn conclude(
        &self,
        claimed: &Execution,
        session: domain::SessionId,
        turn: Option<&Turn>,
        is_lost: bool,
    ) -> Result<()> {
        fail::fail_point!("execution.before_end");
        let sessions = &self.inner.sessions;
        let session = sessions.inner.stores.sessions.get(Scope::All, session).await?;
        let attempted = match &session {
            Some(session) => Attempted {
                turn,
                acted: has_acted(session),
                tool_calls: session.counters.tool_calls,
                cost: session.counters.cost,
                last_words: sessions.last_words(session).await?,
                is_lost,
            },
            // It was removed, and nobody can tell what it did.
            None => Attempted {
                turn,
                acted: turn.is_some(),
                tool_calls: 0,
                cost: domain::MicroUsd(0),
                last_words: None,
                is_lost,
            },
        };
        self.advance(claimed, |execution, at| after(execution, &attempted, at)).await
    }

    async fn give_back(&self, claimed: &Execution, session: &Session, why: &str) -> Result<()> {
        self.inner.sessions.bar_task_session(session.id).await?;
        let error = ExecutionError::new("WORKER_LOST", why);
        let pause = Pause::GivenBack(NO_ROOM_DELAY);
        self.advance(claimed, |execution, at| given_back(execution, pause, &error, at)).await
    }

    /// An attempt that did not get a session.
    async fn refused(&self, claimed: &Execution, why: &Error) -> Result<()> {
        let message = format!("could not {why}");
        let over = |code: &str| {
            let error = ExecutionError::new(code, message.clone());
            Outcome { status: ExecutionStatus::Failed, result: None, error: Some(error) }
        };
        let outcome = match why {
            Error::ShuttingDown | Error::LeaseLost | Error::NoSlot { .. } => {
                let error = ExecutionError::new("WORKER_LOST", message);
                let pause = Pause::GivenBack(NO_ROOM_DELAY);
                let given_back = |execution: &Execution, at| given_back(execution, pause, &error, at);
                return self.advance(claimed, given_back).await;
            }
            Error::BudgetExhausted(_) => over(TurnFailure::BudgetExhausted.as_str()),
            Error::Invalid(faults) => {
                let faults: Vec<String> =
                    faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.message)).collect();
                let message = format!("the session could not be made: {}", faults.join("; "));
                let error = ExecutionError::new("SESSION_REFUSED", message);
                Outcome { status: ExecutionStatus::Failed, result: None, error: Some(error) }
            }
            Error::AgentUnavailable(_) if claimed.has_attempts_left() => {
                let error = ExecutionError::new(TurnFailure::AgentUnavailable.as_str(), message);
                let again = |execution: &Execution, at| given_back(execution, Pause::BackOff, &error, at);
                return self.advance(claimed, again).await;
            }
            Error::AgentUnavailable(_) => over(TurnFailure::AgentUnavailable.as_str()),
            _ => over("SESSION_REFUSED"),
        };
        self.advance(claimed, |execution, at| execution.ended(outcome.clone(), at)).await
    }

    /// Moves on what this worker has. It is no failure if somebody else has it by now.
    pub(super) async fn advance(
        &self,
        claimed: &Execution,
        next: impl Fn(&Execution, Timestamp) -> Option<Execution>,
    ) -> Result<()> {
        self.advanced(claimed, next).await.map(drop)
    }

    /// As [`TaskManager::advance`]; false if it could not be moved on like that.
    async fn advanced(
        &self,
        claimed: &Execution,
        next: impl Fn(&Execution, Timestamp) -> Option<Execution>,
    ) -> Result<bool> {
        for _ in 0..super::RACES_MAX {
            let present = self.load(Scope::All, claimed.id).await?;
            // Whoever takes it over counts the fence up.
            if present.fence != claimed.fence {
                tracing::info!(execution_id = %claimed.id, "an execution was taken over by somebody else");
                return Ok(false);
            }
            let now = self.now();
            let Some(successor) = next(&present, now) else { return Ok(false) };
            let is_unknown = successor.status == ExecutionStatus::OutcomeUnknown;
            let by = is_unknown.then(Origin::system);
            if self.store().advance_execution(&successor, now, by.as_ref()).await? {
                if successor.status.is_over() {
                    self.inner.sessions.inner.metrics.record_execution(successor.status.as_str());
                    self.inner.ended.notify_one();
                }
                return Ok(true);
            }
        }
        Err(Error::Internal("move on an execution that changes all the time"))
    }
}

/// Waits again; one that nobody wants any more is cancelled instead.
fn given_back(
    execution: &Execution,
    pause: Pause,
    error: &ExecutionError,
    at: Timestamp,
) -> Option<Execution> {
    if execution.cancel_requested {
        let error = ExecutionError::new("CANCELLED", "it was stopped on request");
        let outcome = Outcome { status: ExecutionStatus::Cancelled, result: None, error: Some(error) };
        return execution.ended(outcome, at);
    }
    execution.again(pause, error.clone(), at)
}

/// Whether a tool may have run: a verdict is on record before it is told.
fn has_acted(session: &Session) -> bool {
    session.counters.tool_calls > 0 || session.counters.permission_checks > 0
}
