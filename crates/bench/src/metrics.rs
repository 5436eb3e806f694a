//! What collecting metrics costs: the same work with it on and off, in turn.
//!
//! Two servers that differ in one setting are asked the same, and in this process tools are recorded as the server does
//! it: by the hooks of a session, on SQLite.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use domain::{
    CurrentTurn, Origin, Session, SystemClock,
    ports::{Accounts, Sessions},
};
use hooks::{
    Hooks, Switches,
    builtin::LogSink,
    webhook::{Client, SecretSealer},
};
use http::{Method, StatusCode};
use monitoring::MetricsCollector;
use persistence::{Database, DatabaseOptions};
use sdk_runtime::{HookEvent, HookInput, HookRegistration};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{
    connection::Connection,
    figures::Sample,
    report::Row,
    scale::Scale,
    steward::{Model, Steward, create_session},
    tools::Tools,
    verdicts,
};

const PATH: &str = "/api/v1/sessions";
/// Collection may add a hundredth.
const RATIO_TARGET: f64 = 1.01;
const BESIDE: &str = "the same with ENABLE_METRICS_COLLECTION=false";

/// One of the two.
struct Contestant {
    server: Steward,
    connection: Connection,
    session: String,
}

/// What each round took, by request: on the clock, and of the server's CPU, both in microseconds.
#[derive(Debug, Default)]
struct Taken {
    time: Sample,
    cpu: Sample,
}

pub(crate) async fn measure(tools: &Tools, scale: &Scale) -> Result<Vec<Row>> {
    let model = Model::start(tools)?;
    let mut on = Contestant::start(tools, &model, "metrics-on", "true").await?;
    let mut off = Contestant::start(tools, &model, "metrics-off", "false").await?;
    let mut rows = Vec::new();
    for (what, is_create, count) in [
        ("read a session", false, scale.metrics_requests),
        ("create a session", true, scale.metrics_requests / 4),
    ] {
        let (mut with, mut without) = (Taken::default(), Taken::default());
        for round in 0..scale.metrics_rounds {
            // Whoever goes first does not always.
            let mut order = [(&mut on, &mut with), (&mut off, &mut without)];
            if round % 2 == 1 {
                order.reverse();
            }
            for (contestant, taken) in order {
                contestant.ask(is_create, count, taken).await?;
            }
        }
        let how = format!(
            "{} rounds of {count} on one connection, in turn; medians of the rounds",
            scale.metrics_rounds
        );
        let row = |kind: &str, ours: &Sample, theirs: &Sample| {
            Row::new(format!("metrics on, {what}, {kind}"), "µs", ours.median(), &how)
                .beside(BESIDE, theirs.median())
                .at_ratio(ours.over(theirs).median())
                .ratio_at_most(RATIO_TARGET)
        };
        rows.push(row("each", &with.time, &without.time));
        rows.push(row("CPU of the server", &with.cpu, &without.cpu));
    }
    on.server.stop()?;
    off.server.stop()?;
    rows.push(tools_recorded(tools, scale).await?);
    Ok(rows)
}

impl Contestant {
    async fn start(tools: &Tools, model: &Model, name: &str, collects: &str) -> Result<Self> {
        let more = [("ENABLE_METRICS_COLLECTION", collects)];
        let server = Steward::start_with(tools, &tools.new_folder(name)?, &model.url(), &more)?;
        let login = server.log_in().await?;
        let mut connection = server.connect(&login).await?;
        let session = create_session(&mut connection, &json!({})).await?;
        Ok(Self { server, connection, session })
    }

    async fn ask(&mut self, is_create: bool, count: usize, taken: &mut Taken) -> Result<()> {
        let (method, path, expected) = match is_create {
            true => (Method::POST, PATH.to_owned(), StatusCode::CREATED),
            false => (Method::GET, format!("{PATH}/{}", self.session), StatusCode::OK),
        };
        let body = Bytes::from_static(if is_create { b"{}" } else { b"" });
        let mut times = Sample::default();
        let before = cpu_time(self.server.id())?;
        for _ in 0..count {
            let asked = Instant::now();
            let (status, answer) = self.connection.send(method.clone(), &path, body.clone()).await?;
            times.push(micros(asked.elapsed()));
            ensure!(
                status == expected,
                "{method} {path} was answered with {status}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
        let cpu = cpu_time(self.server.id())?.saturating_sub(before);
        taken.time.push(times.median());
        taken.cpu.push(micros(cpu) / count as f64);
        Ok(())
    }
}

/// The end of a tool, told to the hooks of a session until it is on record.
async fn tools_recorded(tools: &Tools, scale: &Scale) -> Result<Row> {
    let folder = tools.new_folder("metrics-tools")?;
    let options = DatabaseOptions::new(format!("sqlite://{}/tools.db", folder.display()));
    let database = Database::open(&options, migration::up).await.context("failed to open a database")?;
    let store = Arc::new(database.store());
    let surroundings = verdicts::surroundings(&folder);
    let session = verdicts::session(&surroundings);
    store.create_user(&verdicts::owner(&surroundings), &Origin::system()).await?;
    Sessions::create(store.as_ref(), &session, &Origin::system()).await?;
    let collecting = Arc::new(MetricsCollector::local("bench").context("failed to set up the metrics")?);
    let contestants = [
        ended_tools(&store, &session, collecting).await?,
        ended_tools(&store, &session, Arc::new(MetricsCollector::off())).await?,
    ];
    let mut taken = [Sample::default(), Sample::default()];
    for round in 0..scale.metrics_rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let (hooks, hook) = &contestants[which];
            let asked = Instant::now();
            for _ in 0..scale.metrics_requests {
                hook.hook
                    .on(HookInput::from(end_of_tool(&folder)))
                    .await
                    .map_err(anyhow::Error::from_boxed)?;
            }
            hooks.flush().await;
            taken[which].push(micros(asked.elapsed()) / scale.metrics_requests as f64);
        }
    }
    for (hooks, _) in &contestants {
        hooks.shut_down().await;
    }
    database.close().await?;
    let how = format!(
        "{} rounds of {} tools, in turn, each told to the session's hooks; until all are in SQLite",
        scale.metrics_rounds, scale.metrics_requests
    );
    let [with, without] = taken;
    Ok(Row::new("metrics on, record a tool's execution", "µs", with.median(), how)
        .beside(BESIDE, without.median())
        .at_ratio(with.over(&without).median())
        .ratio_at_most(RATIO_TARGET))
}

async fn ended_tools(
    store: &Arc<persistence::Store>,
    session: &Session,
    metrics: Arc<MetricsCollector>,
) -> Result<(Hooks, HookRegistration)> {
    let sealer = SecretSealer::new(&[7; 32]).context("failed to make a key")?;
    let client = Client::new(Arc::new(sealer), false).context("failed to make a client")?;
    let hooks = Hooks::start(
        store.clone(),
        Arc::new(SystemClock),
        Switches::default(),
        vec![],
        Arc::new(LogSink),
        client,
        Arc::new(|_| {}),
        |_| false,
        metrics,
        &Handle::current(),
    );
    let manager = hooks.for_session(session, &CurrentTurn::default(), vec![]).await?;
    let mut registrations = manager.into_registrations().into_iter();
    let hook = registrations.find(|hook| hook.event == HookEvent::PostToolUse);
    Ok((hooks, hook.context("nobody listens to the end of tools")?))
}

fn end_of_tool(folder: &Path) -> Value {
    json!({
        "hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_use_id": "toolu_1", "cwd": folder,
        "tool_input": { "command": "cargo check --workspace" }, "tool_response": { "stdout": "ok" },
        "duration_ms": 40,
    })
}

/// What the process has used of the CPU, as Linux tells it: in hundredths of a second.
fn cpu_time(pid: u32) -> Result<Duration> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).context("failed to read a process's CPU time")?;
    // The name, which may have anything in it, ends with the last bracket; after it the first field is the third.
    let (_, fields) = stat.rsplit_once(')').context("the line of a process has a name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|ticks| ticks.parse::<u64>().ok());
    let (user, system) = (ticks(14), ticks(15));
    let ticks = user
        .zip(system)
        .map(|(user, system)| user + system)
        .context("the line of a process has its times")?;
    Ok(Duration::from_millis(ticks * 10))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
