//! What a policy said when it asked for a person, kept until the agent asks its host the same question.

use crate::{Opinion, Verdict};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Asks that may wait at once; the agent brings each back within moments.
const ASKS_MAX: usize = 1024;

/// A policy's wish that a person decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    pub opinion: Opinion,
    /// How long a person has; `None` is the operator's default.
    pub expires_after: Option<Duration>,
    /// What holds when nobody answers: `Allow`, or anything else for no.
    pub default_verdict: Verdict,
}

/// The open asks of one agent, by tool call; clones share them.
#[derive(Debug, Clone, Default)]
pub struct OpenAsks(Arc<Mutex<HashMap<String, Ask>>>);

impl OpenAsks {
    /// Keeps an ask until its call is brought back.
    pub fn put(&self, tool_use_id: impl Into<String>, ask: Ask) {
        let mut asks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What was never brought back is only a missing explanation, never a permission.
        if asks.len() >= ASKS_MAX {
            asks.clear();
        }
        asks.insert(tool_use_id.into(), ask);
    }

    /// The ask of this call, if a policy made one.
    #[must_use]
    pub fn take(&self, tool_use_id: &str) -> Option<Ask> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(tool_use_id)
    }
}
