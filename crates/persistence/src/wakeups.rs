//! LISTEN and NOTIFY: the servers on one PostgreSQL tell each other in which sessions they wrote.
//!
//! They are told after the commit and not by it. A commit that notifies takes a lock that all such commits queue for,
//! across the whole database server, while it is written to the disk. Here whatever was committed while the last
//! notification was on its way goes into the next one.

use crate::{Store, unit::Writer};
use async_trait::async_trait;
use domain::{
    SessionId, UserId,
    ports::{Wakeup, Wakeups},
};
use sea_orm::sqlx::{
    self,
    postgres::{PgListener, PgPool},
};
use std::{
    collections::BTreeSet,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use uuid::Uuid;

const CHANNEL: &str = "steward_wrote";
/// What stands before the id of a user in a notification.
const ACCOUNT: &str = "u:";
/// What stands before the id of a user whose agents are meant, or before [`EVERYBODY`].
const AGENTS: &str = "a:";
const EVERYBODY: &str = "*";
/// Sessions and users named in one notification, which may have 8000 bytes.
const NAMES_PER_NOTIFICATION: usize = 200;
/// While nothing comes through, everything is looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A server that has nothing to tell says so this often. It hears itself, and so learns that it still hears.
const BEAT_INTERVAL: Duration = Duration::from_secs(5);
/// Who has not even heard itself for so long listens anew.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// What this server has to tell, and where it listens.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Names this server to those who hear it, itself among them.
    sender: Uuid,
    write: PgPool,
    listen: PgPool,
    /// Where was written since it was last told; `None` while nobody would tell it.
    untold: Mutex<Option<BTreeSet<Wakeup>>>,
    more: Notify,
}

#[async_trait]
impl Wakeups for Store {
    async fn exchange(&self, heard: &(dyn Fn(Wakeup) + Send + Sync)) {
        match &self.writer {
            Writer::Sqlite(_) => std::future::pending().await,
            Writer::Postgres(writer) => {
                let exchange = &writer.exchange;
                let _telling = exchange.begin_telling();
                tokio::join!(exchange.tell(), exchange.hear(heard));
            }
        }
    }
}

impl Exchange {
    pub(crate) fn new(write: PgPool, listen: PgPool) -> Self {
        Self { sender: Uuid::new_v4(), write, listen, untold: Mutex::default(), more: Notify::new() }
    }

    /// Notes what a commit concerned.
    pub(crate) fn wrote(&self, woken: &BTreeSet<Wakeup>) {
        if !woken.is_empty()
            && let Some(untold) = self.untold().as_mut()
        {
            untold.extend(woken);
            self.more.notify_one();
        }
    }

    pub(crate) async fn close(&self) {
        self.listen.close().await;
    }

    fn begin_telling(&self) -> Telling<'_> {
        self.untold().get_or_insert_default();
        Telling(self)
    }

    async fn tell(&self) {
        loop {
            let _ = timeout(BEAT_INTERVAL, self.more.notified()).await;
            let woken = self.untold().as_mut().map(mem::take).unwrap_or_default();
            if let Err(error) = self.notify(&woken).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "could not tell the other servers");
                self.wrote(&woken);
                sleep(LOOK_INTERVAL).await;
            }
        }
    }

    async fn notify(&self, woken: &BTreeSet<Wakeup>) -> Result<(), sqlx::Error> {
        let ids: Vec<String> = woken.iter().filter_map(name).collect();
        // One of nothing, when there is nothing to tell.
        for ids in ids.chunks(NAMES_PER_NOTIFICATION).chain(ids.is_empty().then_some(&[][..])) {
            let payload = format!("{} {}", self.sender, ids.join(" "));
            let notify = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload);
            notify.execute(&self.write).await?;
        }
        Ok(())
    }

    async fn hear(&self, heard: &(dyn Fn(Wakeup) + Send + Sync)) {
        loop {
            if let Err(error) = self.listen_until_it_ends(heard).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "could not hear the other servers");
            }
            sleep(LOOK_INTERVAL).await;
            heard(Wakeup::Anywhere);
        }
    }

    async fn listen_until_it_ends(&self, heard: &(dyn Fn(Wakeup) + Send + Sync)) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.listen).await?;
        listener.listen(CHANNEL).await?;
        // What was written before it listened.
        heard(Wakeup::Anywhere);
        while let Ok(Some(notification)) = timeout(SILENCE_MAX, listener.try_recv()).await.unwrap_or(Ok(None))
        {
            self.others(notification.payload()).for_each(heard);
        }
        Ok(())
    }

    /// What is named in a notification that is not our own.
    fn others<'p>(&self, payload: &'p str) -> impl Iterator<Item = Wakeup> + use<'p> {
        let (sender, ids) = payload.split_once(' ').unwrap_or_default();
        let is_ours = sender.parse() == Ok(self.sender);
        ids.split(' ').filter(move |_| !is_ours).filter_map(named)
    }

    fn untold(&self) -> MutexGuard<'_, Option<BTreeSet<Wakeup>>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands for it in a notification. A server of before there were such names passes over them.
fn name(wakeup: &Wakeup) -> Option<String> {
    match wakeup {
        Wakeup::Session(session) => Some(session.to_string()),
        Wakeup::Account(user) => Some(format!("{ACCOUNT}{user}")),
        Wakeup::Agents(Some(user)) => Some(format!("{AGENTS}{user}")),
        Wakeup::Agents(None) => Some(format!("{AGENTS}{EVERYBODY}")),
        Wakeup::Anywhere => None,
    }
}

fn named(name: &str) -> Option<Wakeup> {
    let user = |id: &str| id.parse().ok().map(UserId);
    if let Some(id) = name.strip_prefix(ACCOUNT) {
        return user(id).map(Wakeup::Account);
    }
    match name.strip_prefix(AGENTS) {
        Some(EVERYBODY) => Some(Wakeup::Agents(None)),
        Some(id) => user(id).map(|user| Wakeup::Agents(Some(user))),
        None => name.parse().ok().map(|id| Wakeup::Session(SessionId(id))),
    }
}

/// As long as this lives, what is written is told.
struct Telling<'e>(&'e Exchange);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        *self.0.untold() = None;
    }
}
