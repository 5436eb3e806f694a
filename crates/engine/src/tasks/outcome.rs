//! What becomes of an execution after an attempt: decided from what is on record, and nowhere else.
//!
//! What may have had effects is never begun again by itself.

use domain::{
    Execution, ExecutionError, ExecutionStatus, MicroUsd, Turn, TurnFailure, TurnStatus,
    execution::{Outcome, Pause},
};
use jiff::{SignedDuration, Timestamp};

/// An attempt that is over, as it is on record.
#[derive(Debug, Clone)]
pub(super) struct Attempted<'a> {
    /// `None`: it never began.
    pub turn: Option<&'a Turn>,
    /// Whether the agent was ever told that a tool may run. That is on record before a tool runs.
    pub acted: bool,
    pub tool_calls: u64,
    pub cost: MicroUsd,
    pub last_words: Option<String>,
    /// Whether its worker is gone, which may be its own fault.
    pub is_lost: bool,
}

/// The execution as it is after this attempt; `None` if it was not running.
pub(super) fn after(execution: &Execution, attempted: &Attempted<'_>, at: Timestamp) -> Option<Execution> {
    let counted = Execution {
        tool_calls: attempted.tool_calls,
        cost: execution.cost + attempted.cost,
        ..execution.clone()
    };
    match verdict(execution, attempted) {
        Verdict::Over(outcome) => counted.ended(outcome, at),
        Verdict::Again(pause, error) => counted.again(pause, error, at),
    }
}

enum Verdict {
    Over(Outcome),
    Again(Pause, ExecutionError),
}

fn verdict(execution: &Execution, attempted: &Attempted<'_>) -> Verdict {
    use ExecutionStatus as E;
    let over = |status, result, error| Verdict::Over(Outcome { status, result, error });
    let cancelled = || {
        let error = ExecutionError::new("CANCELLED", "it was stopped on request");
        over(E::Cancelled, attempted.last_words.clone(), Some(error))
    };
    let again = |pause, error| match pause {
        _ if execution.cancel_requested => cancelled(),
        Pause::None | Pause::BackOff if !execution.has_attempts_left() => over(E::Failed, None, Some(error)),
        pause => Verdict::Again(pause, error),
    };
    let Some(turn) = attempted.turn else {
        return again(Pause::None, lost("its worker was lost before the agent was prompted"));
    };
    let said = || turn.answer.clone().or_else(|| attempted.last_words.clone());
    match turn.status {
        TurnStatus::Completed => over(E::Completed, turn.answer.clone(), None),
        TurnStatus::BudgetExhausted => over(E::Failed, said(), Some(failure(turn))),
        TurnStatus::Interrupted if turn.failure == Some(TurnFailure::ServerStopped) => {
            if attempted.acted {
                let calls = attempted.tool_calls;
                let message = format!(
                    "its worker was lost after the agent had begun to act: {calls} tool call(s) are on record in session {}",
                    turn.session_id
                );
                return over(E::OutcomeUnknown, said(), Some(lost(message)));
            }
            let pause = if attempted.is_lost { Pause::None } else { Pause::GivenBack(SignedDuration::ZERO) };
            again(pause, lost("its worker was lost before the agent did anything"))
        }
        TurnStatus::Interrupted => cancelled(),
        TurnStatus::Failed if attempted.acted && !execution.cancel_requested => {
            over(E::Failed, said(), Some(failure(turn)))
        }
        TurnStatus::Failed => again(Pause::BackOff, failure(turn)),
        // Nobody lets it wait there.
        TurnStatus::Queued | TurnStatus::Running => {
            over(E::OutcomeUnknown, said(), Some(lost("its turn is not over and nobody runs it")))
        }
    }
}

fn lost(message: impl Into<String>) -> ExecutionError {
    ExecutionError::new("WORKER_LOST", message)
}

fn failure(turn: &Turn) -> ExecutionError {
    let code = turn.failure.map_or("AGENT_FAILED", TurnFailure::as_str);
    ExecutionError::new(code, turn.error_message.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        ServerId, SessionId, Task, TaskId, TaskSpec, TokenUsage, TurnId, UserId, execution::Execution,
    };
    use serde_json::Map;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn running(attempt: u32) -> Execution {
        let task = Task {
            id: TaskId::new(),
            user_id: UserId::new(),
            name: "task".into(),
            description: None,
            spec: TaskSpec::default(),
            webhook_secret: None,
            tags: vec![],
            is_scheduled: false,
            schedule_cron: None,
            timezone: "UTC".into(),
            schedule_enabled: true,
            next_run_at: None,
            priority: 0,
            max_retries: 2,
            retry_delay_ms: 1000,
            created_at: at(0),
            updated_at: at(0),
        };
        let queued = Execution::new(&task, "go".into(), Map::new(), at(0));
        Execution { attempt, ..queued.claimed(ServerId::new(), at(0)).unwrap() }
    }

    fn turn(status: TurnStatus, failure: Option<TurnFailure>) -> Turn {
        Turn {
            id: TurnId::new(),
            session_id: SessionId::new(),
            status,
            prompt_message_id: None,
            answer_message_id: None,
            answer: Some("said".into()),
            failure,
            error_message: Some("why".into()),
            rounds: 1,
            retries: 0,
            tokens: TokenUsage::default(),
            cost: MicroUsd(5),
            created_at: at(0),
            started_at: None,
            completed_at: None,
        }
    }

    fn attempted(turn: Option<&Turn>, acted: bool, is_lost: bool) -> Attempted<'_> {
        let tool_calls = u64::from(acted);
        Attempted { turn, acted, tool_calls, cost: MicroUsd(5), last_words: None, is_lost }
    }

    /// The whole table: how the turn ended, whether there were effects, whether the worker was lost, which attempt of
    /// three it was, whether somebody wanted it stopped, and what comes of it.
    #[test]
    fn what_becomes_of_an_attempt() {
        use ExecutionStatus as E;
        use TurnFailure as F;
        use TurnStatus as T;
        let stopped = Some((T::Interrupted, Some(F::ServerStopped)));
        let failed = Some((T::Failed, Some(F::ModelFailed)));
        for (turn_end, acted, is_lost, attempt, cancel, status) in [
            (Some((T::Completed, None)), true, false, 1, false, E::Completed),
            (Some((T::Completed, None)), true, true, 1, true, E::Completed),
            (failed, false, false, 1, false, E::Pending),
            (failed, false, false, 3, false, E::Failed),
            (failed, true, false, 1, false, E::Failed),
            (failed, true, false, 1, true, E::Cancelled),
            (stopped, false, true, 1, false, E::Queued),
            (stopped, false, true, 3, false, E::Failed),
            (stopped, false, false, 3, false, E::Queued),
            (stopped, true, true, 1, false, E::OutcomeUnknown),
            (stopped, true, false, 1, true, E::OutcomeUnknown),
            (stopped, false, true, 1, true, E::Cancelled),
            (Some((T::Interrupted, Some(F::Interrupted))), true, false, 1, false, E::Cancelled),
            (Some((T::BudgetExhausted, Some(F::BudgetExhausted))), false, false, 1, false, E::Failed),
            (None, false, true, 1, false, E::Queued),
            (None, false, true, 3, false, E::Failed),
        ] {
            let turn = turn_end.map(|(status, failure)| turn(status, failure));
            let execution = Execution { cancel_requested: cancel, ..running(attempt) };
            let next = after(&execution, &attempted(turn.as_ref(), acted, is_lost), at(9)).unwrap();
            assert_eq!(next.status, status, "{turn_end:?} {acted} {is_lost} {attempt} {cancel}");
            assert_eq!(next.version, execution.version + 1);
            assert_eq!(next.cost, MicroUsd(5));
        }
    }

    #[test]
    fn the_pause_doubles_and_what_is_given_back_costs_no_attempt() {
        let failed = turn(TurnStatus::Failed, Some(TurnFailure::ModelFailed));
        for (attempt, seconds) in [(1, 1), (2, 2)] {
            let next = after(&running(attempt), &attempted(Some(&failed), false, false), at(0)).unwrap();
            assert_eq!((next.due_at, next.attempt), (at(seconds), attempt));
        }
        let stopped = turn(TurnStatus::Interrupted, Some(TurnFailure::ServerStopped));
        let next = after(&running(1), &attempted(Some(&stopped), false, false), at(0)).unwrap();
        assert_eq!((next.due_at, next.attempt), (at(0), 0));
    }
}
