//! What a policy said when it asked for a person, kept until the agent brings the same call to its gate.

use crate::Opinion;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Opinions kept at once; the agent brings each call back within moments.
const ASKS_MAX: usize = 1024;

/// The open asks of one agent, by tool call; clones share them.
#[derive(Debug, Clone, Default)]
pub struct OpenAsks(Arc<Mutex<HashMap<String, Opinion>>>);

impl OpenAsks {
    /// Keeps an opinion until its call is brought back.
    pub fn put(&self, tool_use_id: impl Into<String>, opinion: Opinion) {
        let mut asks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Of calls that were never brought back only an explanation is lost, never a permission.
        if asks.len() >= ASKS_MAX {
            asks.clear();
        }
        asks.insert(tool_use_id.into(), opinion);
    }

    /// The opinion about this call, if a policy asked for a person.
    #[must_use]
    pub fn take(&self, tool_use_id: &str) -> Option<Opinion> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(tool_use_id)
    }
}
