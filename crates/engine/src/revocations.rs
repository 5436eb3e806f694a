//! Whose credentials may have ended just now, for whoever was let in by one and is still there.

use domain::UserId;
use tokio::sync::broadcast::{self, error::RecvError};

/// Notices that a watcher may be behind; one that misses some looks again, whoever they were about.
const LAG_MAX: usize = 256;

/// Tells open streams to look at their credentials again. It makes that quick; streams look now and then without it.
#[derive(Debug, Clone)]
pub struct Revocations(broadcast::Sender<UserId>);

/// What concerns one user.
#[derive(Debug)]
pub struct Revoked {
    user: UserId,
    notices: broadcast::Receiver<UserId>,
}

impl Default for Revocations {
    fn default() -> Self {
        Self(broadcast::channel(LAG_MAX).0)
    }
}

impl Revocations {
    /// A login, a key or the account of this user may have ended.
    pub fn note(&self, user: UserId) {
        // Without a stream nobody has to know.
        let _ = self.0.send(user);
    }

    /// What is noted of this user from now on.
    #[must_use]
    pub fn of(&self, user: UserId) -> Revoked {
        Revoked { user, notices: self.0.subscribe() }
    }
}

impl Revoked {
    /// Waits until their credentials have to be looked at again. Safe to cancel.
    pub async fn next(&mut self) {
        loop {
            match self.notices.recv().await {
                Ok(user) if user == self.user => return,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
