//! Who works on what a session has on disk, and how many do so at a time.

use domain::SessionId;
use std::{collections::HashSet, sync::Arc};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit, watch};

/// Archives that are packed or unpacked at once; each takes some 80 MiB and all the disk can give.
const AT_ONCE_MAX: usize = 2;

/// The sessions that are being archived, restored or cleaned up in this process: one does so at a time.
#[derive(Debug)]
pub(crate) struct Workshop {
    sessions: watch::Sender<HashSet<SessionId>>,
    room: Semaphore,
    /// For whoever deletes what is of no use any more.
    deleting: Arc<Mutex<()>>,
}

/// The right to touch what the session has on disk; given back when dropped.
#[derive(Debug)]
pub(crate) struct Alone {
    workshop: Arc<Workshop>,
    session: SessionId,
}

impl Default for Workshop {
    fn default() -> Self {
        Self {
            sessions: watch::Sender::default(),
            room: Semaphore::new(AT_ONCE_MAX),
            deleting: Arc::default(),
        }
    }
}

impl Workshop {
    /// Whether nobody works on the session.
    pub(crate) fn is_free(&self, session: SessionId) -> bool {
        !self.sessions.borrow().contains(&session)
    }

    /// The session, unless somebody works on it.
    pub(crate) fn try_enter(self: &Arc<Self>, session: SessionId) -> Option<Alone> {
        let is_free = self.sessions.send_if_modified(|sessions| sessions.insert(session));
        is_free.then(|| Alone { workshop: Arc::clone(self), session })
    }

    /// The session, once nobody works on it.
    pub(crate) async fn enter(self: &Arc<Self>, session: SessionId) -> Alone {
        let mut sessions = self.sessions.subscribe();
        loop {
            if let Some(alone) = self.try_enter(session) {
                return alone;
            }
            // Fails only without a sender, and this value holds one.
            let _ = sessions.changed().await;
        }
    }

    /// The right to delete what is of no use any more, unless somebody has it.
    pub(crate) fn try_delete(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.deleting).try_lock_owned().ok()
    }

    /// Room for the heavy part.
    pub(crate) async fn room(&self) -> Option<SemaphorePermit<'_>> {
        self.room.acquire().await.ok()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.workshop.sessions.send_modify(|sessions| {
            sessions.remove(&self.session);
        });
    }
}
