//! Many watchers of busy sessions: how long an event takes to each of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{DELIVERY_TARGET_MS, resident};
use crate::{
    connection::Connection,
    figures::Sample,
    report::Row,
    scale::Scale,
    steward::{Steward, create_session, query},
};

pub(super) const SESSIONS: usize = 50;
/// In each of them the agent says something so often.
const PACE: Duration = Duration::from_secs(1);
const PARTIAL: &[u8] = b"event: partial_message";
/// What the model says is when it said it: `t=` and microseconds since 1970.
const SAID_AT: &[u8] = b"\"t=";
const FRAME_END: &[u8] = b"\n\n";
/// More than this late is lost.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn measure(
    database: &str,
    server: &Steward,
    login: &str,
    scale: &Scale,
) -> Result<Vec<Row>> {
    let sessions = busy_sessions(server, login).await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let (mut watchers, mut makers) = (JoinSet::new(), JoinSet::new());
    let each = scale.load_watchers / SESSIONS;
    for session in &sessions {
        for _ in 0..each {
            let mut connection = server.connect(login).await?;
            let path = format!("/api/v1/sessions/{session}/events");
            let answer = connection.begin(Method::GET, &path, Bytes::new()).await?;
            ensure!(answer.status() == StatusCode::OK, "a watcher was answered with {}", answer.status());
            watchers.spawn(watch(connection, answer, scale.load_events, is_over.clone()));
        }
    }
    let prompt = format!("[[clock:{}]][[chunk_delay:{}]]", scale.load_events, PACE.as_millis());
    for (number, session) in sessions.into_iter().enumerate() {
        let (mut connection, prompt) = (server.connect(login).await?, prompt.clone());
        let offset = PACE * u32::try_from(number)? / u32::try_from(SESSIONS)?;
        makers.spawn(async move {
            sleep(offset).await;
            query(&mut connection, &session, &prompt).await
        });
    }
    while let Some(made) = makers.join_next().await {
        made??;
    }
    let at_the_end = resident(server)?;
    is_over.store(true, Ordering::Relaxed);
    let mut times = Sample::default();
    while let Some(seen) = watchers.join_next().await {
        times.extend(seen??);
    }
    let expected = SESSIONS * each * scale.load_events;
    let how = format!(
        "{} watchers of {SESSIONS} sessions, whose agents say something every {PACE:?}, {} times; from when the model says it, \
         by way of the agent, to its arrival at each watcher",
        SESSIONS * each,
        scale.load_events
    );
    let row =
        |what: &str, unit, figure| Row::new(format!("watchers, {database}, {what}"), unit, figure, &how);
    Ok(vec![
        row("event to each, p50", "ms", times.median()).at_most(DELIVERY_TARGET_MS),
        row("event to each, p99", "ms", times.percentile(99.0)),
        row("events that did not arrive", "", (expected - times.len()) as f64).at_most(0.0),
        row("memory with all watchers", "MiB", at_the_end),
    ])
}

/// Sessions whose agents run.
async fn busy_sessions(server: &Steward, login: &str) -> Result<Vec<String>> {
    let mut connection = server.connect(login).await?;
    let mut sessions = Vec::new();
    let wanted = json!({ "name": "watched", "include_partial_messages": true });
    for _ in 0..SESSIONS {
        let session = create_session(&mut connection, &wanted).await?;
        query(&mut connection, &session, "begin").await?;
        sessions.push(session);
    }
    Ok(sessions)
}

/// How long each event took to come, in milliseconds.
async fn watch(
    _connection: Connection,
    answer: Response<Incoming>,
    events: usize,
    is_over: Arc<AtomicBool>,
) -> Result<Sample> {
    let mut times = Sample::default();
    let (mut body, mut unread) = (answer.into_body(), Vec::new());
    while times.len() < events {
        let patience = if is_over.load(Ordering::Relaxed) { PACE } else { PATIENCE };
        let Ok(Some(frame)) = timeout(patience, body.frame()).await else { break };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        unread.extend_from_slice(frame?.data_ref().map_or(&[][..], |data| data));
        while let Some(end) = memchr::memmem::find(&unread, FRAME_END) {
            if let Some(said_at) = said_at(&unread[..end])? {
                times.push(now.saturating_sub(said_at).as_secs_f64() * 1e3);
            }
            unread.drain(..end + FRAME_END.len());
        }
    }
    Ok(times)
}

/// When the model said what this frame holds, if it is a piece of an answer that tells.
fn said_at(frame: &[u8]) -> Result<Option<Duration>> {
    let Some(at) = memchr::memmem::find(frame, SAID_AT).filter(|_| frame.starts_with(PARTIAL)) else {
        return Ok(None);
    };
    let digits = frame[at + SAID_AT.len()..].split(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
    let micros = std::str::from_utf8(digits)?.parse().context("the model tells the time")?;
    Ok(Some(Duration::from_micros(micros)))
}
