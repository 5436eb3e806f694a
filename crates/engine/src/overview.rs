//! How much there is of everything, for those who answer for the server.

use crate::{Error, Result};
use domain::{
    Caller, Clock, Role,
    ports::{ServerStats, Stats},
};
use jiff::tz::TimeZone;
use std::sync::Arc;

/// Answers how much there is; cheap to clone.
#[derive(Clone)]
pub struct Overview {
    store: Arc<dyn Stats>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Overview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Overview")
    }
}

impl Overview {
    /// Wires it up.
    #[must_use]
    pub fn new(store: Arc<dyn Stats>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// How much there is now, and what came since the day began, by the clocks of UTC. Admins only.
    pub async fn stats(&self, caller: &Caller) -> Result<ServerStats> {
        match caller.role {
            Role::Admin => {}
            Role::Member | Role::Viewer => {
                return Err(Error::Forbidden("only admins see how much there is of everybody's"));
            }
        }
        let now = self.clock.now();
        // Every day of UTC has a beginning; only before the first one that a calendar has there is none.
        let began = now.to_zoned(TimeZone::UTC).start_of_day().map_or(now, |day| day.timestamp());
        Ok(self.store.stats(began, now).await?)
    }
}
