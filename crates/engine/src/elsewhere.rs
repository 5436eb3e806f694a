//! What other servers on the same store have written, brought to whoever waits for it here.

use crate::{Revocations, SessionManager};
use domain::ports::{Wakeup, Wakeups};
use std::{sync::PoisonError, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often at most all agents make room because other hooks or MCP servers of theirs may have been missed.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(60);

/// Whether such changes may have been missed, and when agents made room for that last.
#[derive(Debug, Default)]
pub(crate) struct Missed {
    is_due: bool,
    renewed: Option<Instant>,
}

impl SessionManager {
    /// Tells other servers where this one writes, and has those who watch or wait here look where others did, and at
    /// what they were let in by.
    pub async fn hear_others(
        &self,
        wakeups: &dyn Wakeups,
        revocations: &Revocations,
        cancelled: CancellationToken,
    ) {
        let heard = |wakeup| match wakeup {
            // What was written may be a prompt for a session that is at home here.
            Wakeup::Session(session) => {
                self.inner.feed.poke(Some(session));
                self.admit_later();
            }
            Wakeup::Account(user) => revocations.note(user),
            Wakeup::Agents(user) => self.renew_agents_of(user),
            // Not of credentials: a store that is in trouble would be asked about all of them every second.
            Wakeup::Anywhere => {
                self.inner.feed.poke(None);
                self.admit_later();
                // A hook that guards may be among what was missed.
                self.missed().is_due = true;
                self.renew_after_misses();
            }
        };
        cancelled.run_until_cancelled(wakeups.exchange(&heard)).await;
    }

    /// Has agents make room where changes may have been missed: at once, but not again and again while nothing is heard at
    /// all, as behind a pooler of connections that passes no notifications on.
    pub(crate) fn renew_after_misses(&self) {
        let mut missed = self.missed();
        let is_early = missed.renewed.is_some_and(|renewed| renewed.elapsed() < RENEWAL_INTERVAL);
        if !missed.is_due || is_early {
            return;
        }
        *missed = Missed { is_due: false, renewed: Some(Instant::now()) };
        drop(missed);
        self.renew_agents_of(None);
    }

    fn missed(&self) -> std::sync::MutexGuard<'_, Missed> {
        self.inner.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
