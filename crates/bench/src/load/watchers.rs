//! Many watchers of busy sessions: how long an event takes to each of them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, interval, timeout},
};

use super::{DELIVERY_TARGET_MS, millis, resident};
use crate::{
    connection::Connection,
    figures::Sample,
    report::Row,
    scale::Scale,
    steward::{Steward, create_session},
};

const SESSIONS: usize = 50;
/// In each of them something happens so often.
const PACE: Duration = Duration::from_secs(1);
const EVENT: &[u8] = b"event: status_change";
/// More than this late is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// When the latest event of a session was asked for.
#[derive(Debug)]
struct Asked(Mutex<(usize, Instant)>);

impl Asked {
    fn latest(&self) -> (usize, Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn measure(
    database: &str,
    server: &Steward,
    login: &str,
    scale: &Scale,
) -> Result<Vec<Row>> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (mut watchers, mut makers) = (JoinSet::new(), JoinSet::new());
    let each = scale.load_watchers / SESSIONS;
    for number in 0..SESSIONS {
        let mut connection = server.connect(login).await?;
        let session = create_session(&mut connection, &json!({ "name": "watched" })).await?;
        let asked = Arc::new(Asked(Mutex::new((0, Instant::now()))));
        for _ in 0..each {
            let mut connection = server.connect(login).await?;
            let path = format!("/api/v1/sessions/{session}/events");
            let answer = connection.begin(Method::GET, &path, Bytes::new()).await?;
            ensure!(answer.status() == StatusCode::OK, "a watcher was answered with {}", answer.status());
            watchers.spawn(watch(connection, answer, asked.clone(), scale.load_events, is_over.clone()));
        }
        let offset = PACE * u32::try_from(number)? / u32::try_from(SESSIONS)?;
        makers.spawn(make_busy(connection, session, asked, scale.load_events, offset));
    }
    while let Some(made) = makers.join_next().await {
        made??;
    }
    let at_the_end = resident(server)?;
    let mut times = Sample::default();
    while let Some(seen) = watchers.join_next().await {
        times.extend(seen??);
    }
    is_over.store(true, Ordering::Relaxed);
    let expected = SESSIONS * each * scale.load_events;
    let how = format!(
        "{} watchers of {SESSIONS} sessions, {} events in each, one every {PACE:?}; from the request that causes it to its \
         arrival at each watcher",
        SESSIONS * each,
        scale.load_events
    );
    let row = |what: &str, unit, figure| Row::new(format!("load, {database}, {what}"), unit, figure, &how);
    Ok(vec![
        row("event to every watcher, p50", "ms", times.median()).at_most(DELIVERY_TARGET_MS),
        row("event to every watcher, p99", "ms", times.percentile(99.0)),
        row("events that did not arrive", "", (expected - times.len()) as f64).at_most(0.0),
        row("memory with all watchers", "MiB", at_the_end),
    ])
}

/// Pauses and resumes a session, which needs no agent and is an event each.
async fn make_busy(
    mut connection: Connection,
    session: String,
    asked: Arc<Asked>,
    events: usize,
    offset: Duration,
) -> Result<()> {
    tokio::time::sleep(offset).await;
    let mut ticks = interval(PACE);
    for event in 1..=events {
        ticks.tick().await;
        *asked.0.lock().unwrap_or_else(PoisonError::into_inner) = (event, Instant::now());
        let what = if event % 2 == 1 { "pause" } else { "resume" };
        connection.post(&format!("/api/v1/sessions/{session}/{what}"), &json!({})).await?;
    }
    Ok(())
}

/// How long each event took to come.
async fn watch(
    _connection: Connection,
    answer: Response<Incoming>,
    asked: Arc<Asked>,
    events: usize,
    is_over: Arc<AtomicBool>,
) -> Result<Sample> {
    let (mut times, mut seen) = (Sample::default(), 0);
    let mut body = answer.into_body();
    while seen < events && !is_over.load(Ordering::Relaxed) {
        let Ok(Some(frame)) = timeout(PATIENCE, body.frame()).await else { break };
        let is_event = frame?.data_ref().is_some_and(|data| memchr::memmem::find(data, EVENT).is_some());
        let (latest, since) = asked.latest();
        if is_event && latest > seen {
            seen = latest;
            times.push(millis(since.elapsed()));
        }
    }
    Ok(times)
}
