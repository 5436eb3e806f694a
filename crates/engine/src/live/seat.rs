//! One session's seat: who has it, and what its holder is asked to do.

use super::{LiveAgent, Pool, Stop, Subject};
use domain::{SessionId, TurnId};
use std::collections::HashMap;
use tokio::{sync::watch, time::Instant};

#[derive(Debug)]
pub struct Seat {
    pub subject: Subject,
    pub state: SeatState,
    /// The agent was started with settings that have changed since: it is for no turn after the running one.
    pub is_outdated: bool,
}

#[derive(Debug)]
pub enum SeatState {
    /// Somebody holds it.
    Taken(Task),
    /// The agent waits for the next prompt.
    Idle { agent: Box<LiveAgent>, since: Instant },
}

/// What a seat is held for.
#[derive(Debug)]
pub struct Task {
    pub stop: watch::Sender<Option<Stop>>,
    /// No turn: the agent is being started ahead of the prompt.
    pub is_waking: bool,
    /// The turn, once it has begun.
    turn: Option<TurnId>,
    /// A turn to stop as soon as it turns out to be this one.
    unwanted: Option<(TurnId, Stop)>,
}

impl Seat {
    pub fn taken(subject: Subject, task: Task) -> Self {
        Self { subject, state: SeatState::Taken(task), is_outdated: false }
    }

    pub fn pool(&self) -> Pool {
        self.subject.mode.into()
    }

    pub fn is_at_work(&self) -> bool {
        matches!(&self.state, SeatState::Taken(task) if !task.is_waking)
    }

    pub fn idle_since(&self) -> Option<Instant> {
        match self.state {
            SeatState::Idle { since, .. } => Some(since),
            SeatState::Taken(_) => None,
        }
    }

    pub fn waking(&self) -> Option<&Task> {
        match &self.state {
            SeatState::Taken(task) if task.is_waking => Some(task),
            SeatState::Taken(_) | SeatState::Idle { .. } => None,
        }
    }
}

impl Task {
    pub fn turn(stop: watch::Sender<Option<Stop>>) -> Self {
        Self { stop, is_waking: false, turn: None, unwanted: None }
    }

    pub fn waking(stop: watch::Sender<Option<Stop>>) -> Self {
        Self { is_waking: true, ..Self::turn(stop) }
    }

    pub fn ask_to_stop(&self, why: Stop) {
        self.stop.send_modify(|now| *now = (*now).max(Some(why)));
    }

    /// Asks this turn to stop. It may have begun in the store and not have been named here yet.
    pub fn stop_turn(&mut self, turn: TurnId, why: Stop) {
        match self.turn {
            Some(running) if running == turn => self.ask_to_stop(why),
            Some(_) => {}
            None => self.unwanted = Some((turn, why)),
        }
    }

    pub fn begun(&mut self, turn: TurnId) {
        self.turn = Some(turn);
        if let Some((unwanted, why)) = self.unwanted
            && unwanted == turn
        {
            self.ask_to_stop(why);
        }
    }
}

/// Takes away the session's idle agent, and its seat with it.
pub fn remove_idle(seats: &mut HashMap<SessionId, Seat>, session: SessionId) -> Option<LiveAgent> {
    seats.get(&session)?.idle_since()?;
    match seats.remove(&session)?.state {
        SeatState::Idle { agent, .. } => Some(*agent),
        SeatState::Taken(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a task was asked, when `turn` was to be stopped before or after it said that it runs `running`.
    fn asked(turn: TurnId, running: TurnId, is_before: bool) -> Option<Stop> {
        let mut task = Task::turn(watch::Sender::new(None));
        if is_before {
            task.stop_turn(turn, Stop::Interrupt);
        }
        task.begun(running);
        if !is_before {
            task.stop_turn(turn, Stop::Interrupt);
        }
        *task.stop.borrow()
    }

    #[test]
    fn only_the_turn_that_was_meant_is_interrupted() {
        let (one, other) = (TurnId::new(), TurnId::new());
        for is_before in [true, false] {
            assert_eq!(asked(one, one, is_before), Some(Stop::Interrupt));
            assert_eq!(asked(one, other, is_before), None);
        }
    }

    #[test]
    fn of_several_reasons_to_stop_the_greatest_counts() {
        let task = Task::turn(watch::Sender::new(None));
        for why in [Stop::Terminate, Stop::Interrupt] {
            task.ask_to_stop(why);
        }
        assert_eq!(*task.stop.borrow(), Some(Stop::Terminate));
    }
}
