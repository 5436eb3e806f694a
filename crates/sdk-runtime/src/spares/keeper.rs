//! The keeper: one task per pool that does the shelf's chores, and ends when the pool is shut down and its
//! last spare is gone.

use std::{panic::AssertUnwindSafe, path::Path, sync::Arc};

use futures::FutureExt as _;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    profile::Profile,
    shelf::{Chores, Shelf, Spare},
};
use crate::{agent::Agent, error::Error, event::Events, launcher::Launcher};

/// What came of one start.
struct Started {
    profile: Arc<Profile>,
    outcome: Result<(Agent, Events), Error>,
}

pub(super) async fn run(shelf: Arc<Shelf>, launcher: Arc<dyn Launcher>) {
    let mut starts: JoinSet<Started> = JoinSet::new();
    let mut deaths: JoinSet<u64> = JoinSet::new();
    let mut ends: JoinSet<()> = JoinSet::new();
    let mut changed = shelf.changed();
    loop {
        changed.mark_unchanged();
        let Chores { start, end, again_at, is_shut } = shelf.chores();
        for profile in start {
            let (launcher, parking) = (Arc::clone(&launcher), shelf.settings.parking.clone());
            starts.spawn(async move {
                let parked = AssertUnwindSafe(park(&*launcher, &profile, &parking)).catch_unwind().await;
                // A launcher that panics is one that could not start it.
                let outcome = parked.unwrap_or(Err(Error::Closed));
                Started { profile, outcome }
            });
        }
        for spare in end {
            ends.spawn(finish(spare));
        }
        if is_shut && starts.is_empty() && ends.is_empty() {
            return;
        }
        tokio::select! {
            _ = changed.changed() => {}
            Some(started) = starts.join_next() => {
                // Starts catch their panics and are never aborted, so there is always something.
                if let Ok(started) = started
                    && let Some(unwanted) = shelve(&shelf, &mut deaths, started)
                {
                    ends.spawn(finish(unwanted));
                }
            }
            Some(died) = deaths.join_next() => {
                // An error is a spare that was taken: nobody looks out for it any more.
                if let Ok(id) = died {
                    shelf.died(id);
                }
            }
            Some(_) = ends.join_next() => {}
            () = sleep_until(again_at.unwrap_or_else(Instant::now)), if again_at.is_some() => {}
        }
    }
}

async fn park(launcher: &dyn Launcher, profile: &Profile, parking: &Path) -> Result<(Agent, Events), Error> {
    tokio::fs::create_dir_all(parking).await.map_err(|_| Error::CwdNotFound { path: parking.to_owned() })?;
    Agent::park(launcher, profile.invocation(parking), profile.initialize_body(), profile.to_confirm()).await
}

/// Puts what was started on the shelf; back comes what nobody wants any more.
fn shelve(shelf: &Shelf, deaths: &mut JoinSet<u64>, started: Started) -> Option<Spare> {
    let Started { profile, outcome } = started;
    match outcome {
        Ok((agent, events)) => {
            let (id, gone) = (shelf.number(), agent.gone());
            let watch = deaths.spawn(async move {
                gone.await;
                id
            });
            let spare = Spare { agent, events, since: Instant::now(), id, watch };
            shelf.put(&profile, spare).err()
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a spare could not be started");
            shelf.failed(&profile);
            None
        }
    }
}

/// A spare has nothing to save.
async fn finish(spare: Spare) {
    spare.watch.abort();
    spare.agent.kill().await;
}
