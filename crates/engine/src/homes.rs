//! Sessions and their homes: what a server does for those it runs and that others have changed, and what it takes over.
//!
//! Nothing here is told: it looks at how the sessions stand, so a look more or less does no harm.

use crate::{Error, Result, SessionManager, agent::Directories, live::Stop};
use domain::{
    Scope, ServerId, Session, SessionId, SessionStatus, TurnId, UserId,
    ports::{Standing, StoreError},
};
use std::{
    collections::{HashMap, HashSet},
    sync::PoisonError,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How often a server that has company looks at what the others have done.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Terminated sessions that are cleared away in one round.
const CLEARED_MAX: u32 = 100;

impl SessionManager {
    /// The server that this manager is of.
    pub(crate) fn server(&self) -> ServerId {
        self.inner.lease.server
    }

    /// Looks at what others have done, as long as there are others.
    pub(crate) async fn look_around(&self, cancelled: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while cancelled.run_until_cancelled(ticks.tick()).await.is_some() {
            if !self.inner.lease.has_company() {
                continue;
            }
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "could not look at what other servers have done; looking again");
            }
        }
    }

    /// Lets watchers here see what other servers journalled, stops what was asked to stop there, and begins what was
    /// queued there.
    pub(crate) async fn look(&self) -> Result<()> {
        // What runs here is noted before the store is asked: a turn that is in here and not there has been taken away.
        let running: HashMap<TurnId, SessionId> =
            self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let idle = self.inner.live.idle();
        let ours: HashSet<SessionId> =
            running.values().copied().chain(idle.iter().map(|one| one.session_id)).collect();
        for session in self.inner.feed.watched() {
            if !ours.contains(&session) {
                self.inner.feed.poke(Some(session));
            }
        }
        let ours: Vec<SessionId> = ours.into_iter().collect();
        let standings = self.inner.lease.store.standings(&ours).await?;
        let standings: HashMap<SessionId, Standing> =
            standings.into_iter().map(|standing| (standing.session_id, standing)).collect();
        for (turn, session) in running {
            if let Some(why) = standings.get(&session).and_then(|standing| stop(standing, turn)) {
                self.stop_turn(session, turn, why);
            }
        }
        for subject in idle {
            let stands = standings.get(&subject.session_id).is_some_and(|standing| {
                standing.home == Some(self.server())
                    && standing.generation == subject.generation
                    && (SessionStatus::READY.contains(&standing.status) || standing.current_turn_id.is_some())
            });
            if !stands && let Some(agent) = self.inner.live.dismiss(subject.session_id) {
                self.close_later(agent);
            }
        }
        self.admit_later();
        Ok(())
    }

    /// Asks this turn to stop, if it runs here.
    fn stop_turn(&self, session: SessionId, turn: TurnId, why: Stop) {
        if self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&turn) {
            self.inner.live.stop_turn(session, turn, why);
        }
    }

    /// Clears away what terminated sessions have on this server's disk, those that were ended on other servers too. One
    /// that cannot be cleared away keeps no other from it.
    pub(crate) async fn clear_terminated(&self) -> Result<()> {
        for session in self.inner.lease.store.terminated(self.server(), CLEARED_MAX).await? {
            if let Err(error) = self.clear_away(&session).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(session_id = %session.id, error, "could not clear a terminated session away for now");
            }
        }
        Ok(())
    }

    /// The same with sessions that others have purged.
    pub(crate) async fn clear_leftovers(&self) -> Result<()> {
        for (session, user) in self.inner.lease.store.leftovers(self.server(), CLEARED_MAX).await? {
            if let Err(error) = self.clear_leftover(session, user).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(session_id = %session, error, "could not clear a purged session away for now");
            }
        }
        Ok(())
    }

    async fn clear_leftover(&self, session: SessionId, user: UserId) -> Result<()> {
        // A worker may have made an execution's session anew, under the id that it has from the start.
        if self.inner.stores.sessions.get(Scope::All, session).await?.is_none() {
            self.end_agent(session).await;
            self.remove(Directories::all_of(&self.inner.settings, session, user)).await?;
        }
        Ok(self.inner.lease.store.forget_leftover(session).await?)
    }

    /// Ends the session's agent and removes its files, if this is its home; otherwise its home will.
    pub(crate) async fn clear_away(&self, session: &Session) -> Result<()> {
        self.end_agent(session.id).await;
        if session.server_id.is_some_and(|home| home != self.server()) {
            return Ok(());
        }
        self.remove(Directories::of(&self.inner.settings, session)).await?;
        match self.inner.lease.store.leave(session.id, session.generation).await {
            // Somebody else has cleared it away in the same instant.
            Ok(()) | Err(StoreError::Fenced) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn end_agent(&self, session: SessionId) {
        if let Some(agent) = self.inner.live.dismiss(session) {
            self.close(agent).await;
        }
        self.inner.live.closed(session).await;
    }

    async fn remove(&self, directories: Directories) -> Result<()> {
        tokio::task::spawn_blocking(move || directories.remove())
            .await
            .map_err(|_| Error::Internal("remove the session's directories"))?
    }
}

/// Why a turn that runs here has to stop, if it has to.
fn stop(standing: &Standing, turn: TurnId) -> Option<Stop> {
    if standing.current_turn_id != Some(turn) {
        return Some(Stop::LeaseLost);
    }
    match standing.status {
        SessionStatus::Terminated | SessionStatus::Archived => Some(Stop::Terminate),
        SessionStatus::Paused => Some(Stop::Interrupt),
        _ => (standing.stop_requested == Some(turn)).then_some(Stop::Interrupt),
    }
}
