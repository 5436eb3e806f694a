//! Requests of many kinds at a fixed rate.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Method;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{GROWTH_TARGET_MIB, P99_TARGET_MS, millis, read, resident};
use crate::{connection::Connection, figures::Sample, report::Row, scale::Scale, steward::Steward};

/// Each asks ten times a second.
const CLIENTS: u32 = 50;
const INTERVAL: Duration = Duration::from_millis(100);
/// Sessions that are asked about, from all over the list.
const KNOWN: usize = 1_000;

/// What is asked, and how often of a hundred.
const REQUESTS: [(Request, u64); 9] = [
    (Request::Read, 30),
    (Request::Messages, 20),
    (Request::List, 12),
    (Request::Create, 12),
    (Request::ToolCalls, 8),
    (Request::Change, 6),
    (Request::Me, 4),
    (Request::ListFiltered, 4),
    (Request::Metrics, 4),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Read,
    Messages,
    List,
    Create,
    ToolCalls,
    Change,
    Me,
    ListFiltered,
    Metrics,
}

/// One answer: how long after it was due, and whether it was a yes.
struct Answered {
    request: Request,
    after: Duration,
    is_good: bool,
}

impl Request {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "a session",
            Self::Messages => "a page of messages",
            Self::List => "a page of sessions",
            Self::Create => "create a session",
            Self::ToolCalls => "a page of tool calls",
            Self::Change => "change a session",
            Self::Me => "who am I",
            Self::ListFiltered => "a page of sessions of one state",
            Self::Metrics => "a session's figures",
        }
    }

    /// The request that this number falls on.
    fn of(number: u64) -> Self {
        let mut place = number % 100;
        for (request, share) in REQUESTS {
            match place.checked_sub(share) {
                Some(rest) => place = rest,
                None => return request,
            }
        }
        Self::Read
    }

    fn parts(self, session: &str) -> (Method, String, Bytes) {
        let get = |path: String| (Method::GET, format!("/api/v1{path}"), Bytes::new());
        let of_session = |part: &str| get(format!("/sessions/{session}{part}"));
        match self {
            Self::Read => of_session(""),
            Self::Messages => of_session("/messages?limit=50"),
            Self::ToolCalls => of_session("/tool-calls?limit=50"),
            Self::Metrics => of_session("/metrics/current"),
            Self::List => get("/sessions?limit=50".to_owned()),
            Self::ListFiltered => get("/sessions?limit=50&status=active".to_owned()),
            Self::Me => get("/auth/me".to_owned()),
            Self::Create => {
                let body = json!({ "name": "made under load", "allowed_tools": ["Read"] });
                (Method::POST, "/api/v1/sessions".to_owned(), body.to_string().into())
            }
            Self::Change => {
                let body = json!({ "description": "changed under load" });
                (Method::PATCH, format!("/api/v1/sessions/{session}"), body.to_string().into())
            }
        }
    }
}

pub(super) async fn measure(
    database: &str,
    server: &Steward,
    login: &str,
    scale: &Scale,
) -> Result<Vec<Row>> {
    let sessions = known_sessions(server, login, scale).await?;
    let rounds = scale.load_seconds * 10;
    let mut clients = JoinSet::new();
    let start = Instant::now() + Duration::from_secs(1);
    for number in 0..CLIENTS {
        let connection = server.connect(login).await?;
        let first = start + INTERVAL * number / CLIENTS;
        clients.spawn(client(connection, number, first, rounds, sessions.clone()));
    }
    // The first fifth fills caches.
    sleep_until(start + INTERVAL * rounds / 5).await;
    let early = resident(server)?;
    let mut answers = Vec::new();
    while let Some(client) = clients.join_next().await {
        answers.extend(client??);
    }
    let grown = resident(server)? - early;
    Ok(rows(database, &answers, grown, scale))
}

async fn known_sessions(server: &Steward, login: &str, scale: &Scale) -> Result<Arc<[String]>> {
    let mut connection = server.connect(login).await?;
    let mut known = Vec::new();
    let step = scale.load_sessions / (KNOWN as u64 / 100);
    for skip in (0..scale.load_sessions).step_by(usize::try_from(step)?) {
        let page = read(&mut connection, &format!("/api/v1/sessions?limit=100&skip={skip}")).await?;
        let items = page["items"].as_array().context("a page has items")?;
        known.extend(items.iter().filter_map(|session| session["id"].as_str().map(str::to_owned)));
    }
    Ok(known.into())
}

async fn client(
    mut connection: Connection,
    number: u32,
    first: Instant,
    rounds: u32,
    sessions: Arc<[String]>,
) -> Result<Vec<Answered>> {
    let mut answers = Vec::new();
    // Knuth's generator for MMIX: the same requests in each run.
    let mut random = u64::from(number);
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let due = first + INTERVAL * round;
        let request = Request::of(random >> 33);
        let session = &sessions[usize::try_from(random >> 40)? % sessions.len()];
        let (method, path, body) = request.parts(session);
        sleep_until(due).await;
        let answer = connection.send(method, &path, body).await;
        let is_good = answer.is_ok_and(|(status, _)| status.is_success());
        answers.push(Answered { request, after: due.elapsed(), is_good });
    }
    Ok(answers)
}

fn rows(database: &str, answers: &[Answered], grown: f64, scale: &Scale) -> Vec<Row> {
    let how = format!(
        "{} requests a second of all kinds for {} s over {} connections, {} sessions with 50 rows of history each; from when each \
         was due",
        CLIENTS * 10,
        scale.load_seconds,
        CLIENTS,
        scale.load_sessions
    );
    let mut rows = vec![];
    for (request, _) in REQUESTS {
        let mut sample = Sample::default();
        for answered in answers.iter().filter(|answered| answered.request == request) {
            sample.push(millis(answered.after));
        }
        let row = |what: &str, percent| {
            let what = format!("load, {database}, {}, {what}", request.name());
            Row::new(what, "ms", sample.percentile(percent), &how)
        };
        rows.extend([row("p50", 50.0), row("p99", 99.0).at_most(P99_TARGET_MS)]);
    }
    let errors = answers.iter().filter(|answered| !answered.is_good).count();
    rows.push(Row::new(format!("load, {database}, errors"), "", errors as f64, &how).at_most(0.0));
    let what = format!("load, {database}, memory added");
    let how = format!("{how}; resident, from the first fifth to the end");
    rows.push(Row::new(what, "MiB", grown, how).at_most(GROWTH_TARGET_MIB));
    rows
}
