//! Killing a server at a named place, and what every such crash must leave behind. For all slices of the service.
//!
//! The code marks places with `fail::fail_point!("turn.began")`; they are there in a server that tests build, and in no
//! other. [`Crash::at`] starts a server that stops when it comes to the place. It says so on stderr, which is its log:
//! `PARKED turn.began` (`server::crash_points`).

use crate::{
    client::Client,
    world::{World, eventually},
};
use serde_json::Value;
use testkit::PostgresDatabase;

/// A server that is to be killed at a place.
pub struct Crash {
    pub world: World,
    point: String,
    /// Where its data is, if it is not in SQLite.
    postgres: Option<PostgresDatabase>,
    /// The journals as they were when the server had been killed.
    recorded: Vec<String>,
}

/// Where the data of a server is that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Sqlite,
    Postgres,
}

impl Kept {
    /// A database of the test's own, where a server does not make one by itself.
    pub async fn own_database(self) -> Option<PostgresDatabase> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(PostgresDatabase::create().await),
        }
    }
}

/// A test of a crash for each database.
macro_rules! on_both {
    ($($name:ident => $run:ident($($argument:expr),*);)+) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                $run(crate::crash::Kept::Sqlite, $($argument),*).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgresql() {
                $run(crate::crash::Kept::Postgres, $($argument),*).await;
            }
        }
    )+};
}
pub(crate) use on_both;

impl Crash {
    /// Starts a server that stops at the place: `turn.began`, or `turn.began:2` for the second time it comes there.
    pub async fn at(kept: Kept, point: &str) -> Self {
        let postgres = kept.own_database().await;
        let mut settings = vec![("PARK_AT", point)];
        settings.extend(postgres.as_ref().map(|own| ("DATABASE_URL", own.url())));
        let world = World::with(&settings).await;
        let point = point.split(':').next().unwrap().to_owned();
        Self { world, point, postgres, recorded: vec![] }
    }

    /// Waits until the server stands at the place, kills it as nobody should, and starts it again without the place.
    /// No process of its former life is left, and what it had recorded is there.
    pub async fn strike(&mut self) -> Client {
        let said = format!("PARKED {}\n", self.point);
        eventually(&said, async || self.world.log().contains(&said).then_some(())).await;
        self.world.kill().await;
        self.recorded = self.journals().await;
        self.world.unset("PARK_AT");
        self.world.launch().await;
        let left = self.world.agent_processes();
        assert!(left.is_empty(), "{left:?}");
        self.nothing_is_lost().await;
        self.world.admin().await
    }

    /// Checks that everything that was recorded before the crash still is.
    pub async fn nothing_is_lost(&self) {
        let now = self.journals().await;
        let missing: Vec<_> = self.recorded.iter().filter(|event| !now.contains(event)).collect();
        assert!(!self.recorded.is_empty() && missing.is_empty(), "lost: {missing:?}");
    }

    /// Session, number, kind and object of every event.
    async fn journals(&self) -> Vec<String> {
        let event = |session| {
            format!(
                "SELECT {session} || ' ' || seq || ' ' || kind || ' ' || coalesce(CAST(data AS text), '') FROM journal"
            )
        };
        if let Some(postgres) = &self.postgres {
            return postgres.texts(&event("session_id")).await;
        }
        let database = self.world.database();
        let mut rows = database.prepare(&event("hex(session_id)")).unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

/// The events of a kind in a session's journal.
pub async fn journalled(user: &Client, session: &str, kind: &str) -> Vec<Value> {
    let page = user.get(&format!("{session}/audit-trail?limit=500")).await.ok();
    let events = page["items"].as_array().or(page.as_array()).unwrap().clone();
    events.into_iter().filter(|event| event["type"] == kind).collect()
}
