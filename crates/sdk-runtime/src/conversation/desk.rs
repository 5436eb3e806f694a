//! The desk: which prompts are open, and who listens to each.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;
use uuid::Uuid;

use super::TurnError;
use crate::{event::Receipt, message::Message};

/// What a turn hears, with the bytes it stands for.
pub(super) type Item = (Result<Message, TurnError>, Option<Receipt>);

/// The open prompts. One whose turn was dropped stays until it ends, so that its messages find nobody
/// rather than somebody else.
#[derive(Debug, Default)]
pub(super) struct Desk {
    open: Mutex<HashMap<Uuid, mpsc::UnboundedSender<Item>>>,
}

impl Desk {
    /// Opens a prompt, unless it is open already.
    pub(super) fn open(&self, id: Uuid) -> Option<mpsc::UnboundedReceiver<Item>> {
        let mut open = self.lock();
        if open.contains_key(&id) {
            return None;
        }
        let (sender, items) = mpsc::unbounded_channel();
        open.insert(id, sender);
        Some(items)
    }

    /// Forgets a prompt that was not sent.
    pub(super) fn close(&self, id: Uuid) {
        self.lock().remove(&id);
    }

    pub(super) fn is_open(&self, id: Uuid) -> bool {
        self.lock().contains_key(&id)
    }

    /// All open prompts.
    pub(super) fn all(&self) -> Vec<Uuid> {
        self.lock().keys().copied().collect()
    }

    /// Tells the turns of these prompts; whoever is told last holds the receipt.
    pub(super) fn tell(&self, ids: &[Uuid], item: Result<Message, TurnError>, receipt: Option<Receipt>) {
        let open = self.lock();
        let mut listening = ids.iter().filter_map(|id| open.get(id)).filter(|turn| !turn.is_closed());
        let Some(mut turn) = listening.next() else {
            return;
        };
        // A turn that is dropped in this moment does not want to hear.
        for next in listening {
            let _ = turn.send((item.clone(), None));
            turn = next;
        }
        let _ = turn.send((item, receipt));
    }

    /// Tells them the last they will hear.
    pub(super) fn end(&self, ids: &[Uuid], item: Result<Message, TurnError>, receipt: Option<Receipt>) {
        self.tell(ids, item, receipt);
        let mut open = self.lock();
        for id in ids {
            open.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, mpsc::UnboundedSender<Item>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
