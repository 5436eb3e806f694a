//! Credentials that were looked up a moment ago, so that not every request waits for the database.
//!
//! Only with SQLite, where nobody else writes (docs/decisions/0047-credentials-are-remembered-with-sqlite.md): whatever
//! ends a credential, or changes whom it lets in, is a unit of work of this process that names the account
//! ([`Batch::wake_account`](crate::unit::Batch::wake_account)). Before such a unit is committed everything is forgotten,
//! and nothing is remembered until it is known how that went.

use crate::{Store, value::micros};
use domain::{ApiKey, FamilyId, User, ports::StoreResult};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long anything is remembered. Nothing relies on it but whoever changes the file by hand.
const LASTS: Duration = Duration::from_secs(10);
/// With more than these, everything is forgotten.
const HOLDERS_MAX: usize = 4096;

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shown {
    Login(FamilyId),
    /// By its SHA-256.
    ApiKey([u8; 32]),
}

/// Whom a credential lets in.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) user: User,
    pub(crate) api_key: Option<ApiKey>,
    /// When it has to be looked up again at the latest, in microseconds since 1970.
    pub(crate) until: i64,
}

/// The credentials that are remembered; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials(Arc<Mutex<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    holders: HashMap<Shown, Holder>,
    /// When the first of them was looked up.
    since: Option<Instant>,
    /// How often everything was forgotten.
    forgotten: u64,
    closed: Closed,
}

/// Whether anything is remembered now.
#[derive(Debug, Default, Clone, Copy)]
enum Closed {
    #[default]
    No,
    /// A change is being committed.
    Changing,
    /// Nobody has seen how the commit of a change went; it may still be under way.
    Until(Instant),
}

/// A change that is being committed.
#[derive(Debug)]
pub(crate) struct Changing(Credentials);

impl Store {
    /// Whom this lets in: as far as is remembered, or as it is looked up.
    pub(crate) async fn holder(
        &self,
        shown: Shown,
        at: Timestamp,
        look_up: impl Future<Output = StoreResult<Option<Holder>>>,
    ) -> StoreResult<Option<Holder>> {
        let Some(credentials) = self.writer.credentials() else { return look_up.await };
        if let Some(holder) = credentials.find(&shown, at) {
            return Ok(Some(holder));
        }
        let forgotten = credentials.remembered().forgotten;
        let found = look_up.await?;
        if let Some(holder) = &found {
            credentials.remember(shown, holder.clone(), forgotten);
        }
        Ok(found)
    }
}

impl Credentials {
    /// Forgets everything, and remembers nothing until the change is [done](Changing::done).
    pub(crate) fn changing(&self) -> Changing {
        self.remembered().forget(Closed::Changing);
        Changing(self.clone())
    }

    fn find(&self, shown: &Shown, at: Timestamp) -> Option<Holder> {
        let mut remembered = self.remembered();
        if remembered.since.is_some_and(|since| since.elapsed() >= LASTS) {
            remembered.forget(Closed::No);
        }
        let holder = remembered.holders.get(shown)?;
        (holder.until > micros(at)).then(|| holder.clone())
    }

    /// Remembers what was looked up, unless something was forgotten since that began.
    fn remember(&self, shown: Shown, holder: Holder, forgotten: u64) {
        let mut remembered = self.remembered();
        match remembered.closed {
            Closed::Changing => return,
            Closed::Until(end) if Instant::now() < end => return,
            // Whoever looked it up before that has been at it for too long.
            Closed::Until(_) => return remembered.forget(Closed::No),
            Closed::No if remembered.forgotten != forgotten => return,
            Closed::No => {}
        }
        if remembered.holders.len() >= HOLDERS_MAX {
            remembered.forget(Closed::No);
        }
        remembered.since.get_or_insert_with(Instant::now);
        remembered.holders.insert(shown, holder);
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    fn forget(&mut self, closed: Closed) {
        self.holders.clear();
        self.since = None;
        self.forgotten += 1;
        self.closed = closed;
    }
}

impl Changing {
    /// It is committed, and seen by whoever looks from now on.
    pub(crate) fn done(self) {
        self.0.remembered().forget(Closed::No);
    }
}

impl Drop for Changing {
    /// One that was not seen to be done may be committed all the same: by a thread that nobody waits for any more.
    fn drop(&mut self) {
        let mut remembered = self.0.remembered();
        if let Closed::Changing = remembered.closed {
            remembered.forget(Closed::Until(Instant::now() + LASTS));
        }
    }
}

#[cfg(test)]
mod tests;
