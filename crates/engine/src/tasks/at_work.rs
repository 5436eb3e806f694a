//! What this process is at, so that it begins nothing twice.

use domain::ExecutionId;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Executions that something is being done about here.
#[derive(Debug, Clone, Default)]
pub(super) struct AtWork(Arc<Mutex<HashSet<ExecutionId>>>);

impl AtWork {
    /// Begins with this one; `None` if it has begun.
    pub(super) fn begin(&self, id: ExecutionId) -> Option<Begun> {
        self.set().insert(id).then(|| Begun { id, at_work: self.clone() })
    }

    pub(super) fn count(&self) -> usize {
        self.set().len()
    }

    pub(super) fn ids(&self) -> Vec<ExecutionId> {
        self.set().iter().copied().collect()
    }

    fn set(&self) -> MutexGuard<'_, HashSet<ExecutionId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That this process is at it, until this is dropped.
#[derive(Debug)]
pub(super) struct Begun {
    id: ExecutionId,
    at_work: AtWork,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.at_work.set().remove(&self.id);
    }
}
