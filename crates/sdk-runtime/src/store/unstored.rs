//! Lines that a host stores by itself.

use std::{mem::take, sync::Arc};

use super::{SessionKey, batches::Batch, line::TranscriptLine, mirror::Shared};

/// Transcript lines that were taken out of what waits for the store, by a host that has a place of its own for
/// them: with the end of the turn they belong to, in one transaction. Until this is dropped the store is given
/// no others of the agent, so that the order stays, and closing the agent waits for it. Lines that were not
/// [`stored`](Self::stored) by then are given to it after all.
#[derive(Debug)]
#[must_use = "lines that are dropped go to the store"]
pub struct UnstoredLines {
    shared: Arc<Shared>,
    pub(super) batches: Vec<Batch>,
}

impl UnstoredLines {
    /// Those of a mirror that holds the store back.
    pub(super) fn none(shared: Arc<Shared>) -> Self {
        Self { shared, batches: Vec::new() }
    }

    /// The lines of each transcript, in their order. [`SessionStore::append`](super::SessionStore::append) says
    /// what a key is, and what its entries are, each of which is a line.
    pub fn lines(&self) -> impl Iterator<Item = (&SessionKey, &[TranscriptLine])> {
        self.batches.iter().map(|batch| (&batch.key, batch.lines.as_slice()))
    }

    /// They are stored, and need not be given to the store.
    pub fn stored(mut self) {
        self.batches.clear();
    }
}

impl Drop for UnstoredLines {
    fn drop(&mut self) {
        self.shared.resume(take(&mut self.batches));
    }
}
