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
use std::fmt::Write;

/// A server that is to be killed at a place.
pub struct Crash {
    pub world: World,
    point: String,
    /// The journals as they were when the server had been killed.
    recorded: Vec<(String, u64, String)>,
}

impl Crash {
    /// Starts a server that stops at the place: `turn.began`, or `turn.began:2` for the second time it comes there.
    pub async fn at(point: &str, settings: &[(&str, &str)]) -> Self {
        let mut all = settings.to_vec();
        all.push(("PARK_AT", point));
        let world = World::with(&all).await;
        Self { world, point: point.split(':').next().unwrap().to_owned(), recorded: vec![] }
    }

    /// Waits until the server stands at the place, kills it as nobody should, and starts it again without the place.
    /// No process of its former life is left, and what it had recorded is there.
    pub async fn strike(&mut self) -> Client {
        let said = format!("PARKED {}\n", self.point);
        eventually(&said, async || self.world.log().contains(&said).then_some(())).await;
        self.world.kill().await;
        self.recorded = self.journals();
        self.world.unset("PARK_AT");
        self.world.launch().await;
        let left = self.world.agent_processes();
        assert!(left.is_empty(), "{left:?}");
        self.nothing_is_lost();
        self.world.admin().await
    }

    /// Checks that everything that was recorded before the crash still is.
    pub fn nothing_is_lost(&self) {
        let now = self.journals();
        let missing: Vec<_> = self.recorded.iter().filter(|event| !now.contains(event)).collect();
        assert!(!self.recorded.is_empty() && missing.is_empty(), "lost: {missing:?}");
    }

    /// Session, number, kind and object of every event.
    fn journals(&self) -> Vec<(String, u64, String)> {
        let database = self.world.database();
        let mut rows = database
            .prepare("SELECT session_id, seq, kind, coalesce(data, '') FROM journal ORDER BY session_id, seq")
            .unwrap();
        let read = |row: &rusqlite::Row<'_>| {
            let session: Vec<u8> = row.get(0)?;
            let session = session.iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            });
            let (kind, data): (String, String) = (row.get(2)?, row.get(3)?);
            Ok((session, row.get::<_, i64>(1)?.unsigned_abs(), format!("{kind} {data}")))
        };
        rows.query_map([], read).unwrap().map(Result::unwrap).collect()
    }
}

/// The events of a kind in a session's journal.
pub async fn journalled(user: &Client, session: &str, kind: &str) -> Vec<Value> {
    let page = user.get(&format!("{session}/audit-trail?limit=500")).await.ok();
    let events = page["items"].as_array().or(page.as_array()).unwrap().clone();
    events.into_iter().filter(|event| event["type"] == kind).collect()
}
