//! Which turn an agent works on now: known to whoever keeps its books, changed by who runs its turns.

use crate::TurnId;
use std::sync::{Arc, Mutex, PoisonError};

/// The turn of one agent; clones share it.
#[derive(Debug, Clone, Default)]
pub struct CurrentTurn(Arc<Mutex<Option<TurnId>>>);

impl CurrentTurn {
    /// The turn that runs, if one does.
    #[must_use]
    pub fn get(&self) -> Option<TurnId> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that this turn runs now, or none.
    pub fn set(&self, turn: Option<TurnId>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    }
}
