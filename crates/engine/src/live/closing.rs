//! Agents that have lost their seat and have not ended yet.

use super::LiveAgents;
use domain::SessionId;
use std::{collections::hash_map::Entry, sync::Arc};

/// An agent is being closed; it counts as gone when this is dropped.
#[derive(Debug)]
pub struct Closing {
    live: Arc<LiveAgents>,
    session: SessionId,
}

impl LiveAgents {
    /// Notes that an agent of this session is being closed.
    pub fn closing(self: &Arc<Self>, session: SessionId) -> Closing {
        self.closing.send_modify(|closing| *closing.entry(session).or_default() += 1);
        Closing { live: Arc::clone(self), session }
    }

    /// Waits until no agent of this session is being closed. Two agents at once would write into one transcript.
    pub async fn closed(&self, session: SessionId) {
        let mut closing = self.closing.subscribe();
        // Fails only without a sender, and this value holds one.
        let _ = closing.wait_for(|closing| !closing.contains_key(&session)).await;
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.live.closing.send_modify(|closing| {
            if let Entry::Occupied(mut count) = closing.entry(self.session) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        });
    }
}
