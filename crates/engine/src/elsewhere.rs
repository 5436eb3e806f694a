//! What other servers on the same store have written, brought to whoever waits for it here.

use crate::{Revocations, SessionManager};
use domain::ports::{Wakeup, Wakeups};
use tokio_util::sync::CancellationToken;

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
                // A hook that guards may be among what was missed. Agents start anew more often while nothing is heard.
                self.renew_agents_of(None);
            }
        };
        cancelled.run_until_cancelled(wakeups.exchange(&heard)).await;
    }
}
