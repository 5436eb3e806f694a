//! Generations: who may write what a session's agent does.

use serde::{Deserialize, Serialize};

/// Counts the homes that a session had. Whoever runs its agent names the generation in which it was taken up with every
/// write; the store refuses one that is over, so that a server which was taken for dead and is not changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// Of a session that never changed its home.
    pub const FIRST: Self = Self(0);

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
