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
    CurrentTurn, Origin, Scope, Session, SystemClock,
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
    process::memory,
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

/// Pairs of servers: where a process has its memory makes it faster or slower than the next by more than a hundredth.
const PAIRS: usize = 8;
/// So few that both meet the same noise: what a machine does beside it lasts longer than two rounds.
const REQUESTS_A_ROUND: usize = 50;
const TOOLS_A_ROUND: usize = 2_000;
/// How a thousand tools a second are told.
const PACE_INTERVAL: Duration = Duration::from_millis(20);
const TOOLS_A_TICK: u64 = 20;
/// A page cache of SQLite may still fill; what grows with each tool would be far more.
const PACED_GROWTH_MIB_MAX: f64 = 4.0;

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
    let mut taken = [("read a session", false), ("create a session", true)]
        .map(|(what, is_create)| (what, is_create, [Taken::default(), Taken::default()]));
    for pair in 0..PAIRS {
        let mut servers = [
            Contestant::start(tools, &model, &format!("metrics-on-{pair}"), "true").await?,
            Contestant::start(tools, &model, &format!("metrics-off-{pair}"), "false").await?,
        ];
        for (_, is_create, taken) in &mut taken {
            for round in 0..scale.metrics_rounds / PAIRS {
                // Whoever goes first does not always.
                for which in [round % 2, (round + 1) % 2] {
                    servers[which].ask(*is_create, &mut taken[which]).await?;
                }
            }
        }
        for contestant in servers {
            contestant.server.stop()?;
        }
    }
    let how = format!(
        "{} rounds of {REQUESTS_A_ROUND} on one connection, in turn, by {PAIRS} pairs of servers; medians of the rounds",
        scale.metrics_rounds
    );
    let row = |what: String, ours: &Sample, theirs: &Sample| {
        Row::new(format!("metrics on, {what}"), "µs", ours.median(), &how)
            .beside(BESIDE, theirs.median())
            .at_ratio(ours.over(theirs).median())
            .ratio_at_most(RATIO_TARGET)
    };
    let mut rows = Vec::new();
    for (what, _, [with, without]) in &taken {
        rows.push(row(format!("{what}, each"), &with.time, &without.time));
        rows.push(row(format!("{what}, CPU of the server"), &with.cpu, &without.cpu));
    }
    rows.extend(tools_recorded(tools, scale).await?);
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

    async fn ask(&mut self, is_create: bool, taken: &mut Taken) -> Result<()> {
        let (method, path, expected) = match is_create {
            true => (Method::POST, PATH.to_owned(), StatusCode::CREATED),
            false => (Method::GET, format!("{PATH}/{}", self.session), StatusCode::OK),
        };
        let body = Bytes::from_static(if is_create { b"{}" } else { b"" });
        let mut times = Sample::default();
        let before = cpu_time(self.server.id())?;
        for _ in 0..REQUESTS_A_ROUND {
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
        taken.cpu.push(micros(cpu) / REQUESTS_A_ROUND as f64);
        Ok(())
    }
}

/// The end of a tool, told to the hooks of a session until it is on record.
async fn tools_recorded(tools: &Tools, scale: &Scale) -> Result<Vec<Row>> {
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
    for round in 0..scale.tool_rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let (hooks, hook) = &contestants[which];
            let asked = Instant::now();
            for _ in 0..TOOLS_A_ROUND {
                hook.hook
                    .on(HookInput::from(end_of_tool(&folder)))
                    .await
                    .map_err(anyhow::Error::from_boxed)?;
            }
            hooks.flush().await;
            taken[which].push(micros(asked.elapsed()) / TOOLS_A_ROUND as f64);
        }
    }
    let mut rows = paced(&store, &session, &contestants[0], scale, &folder).await?;
    for (hooks, _) in &contestants {
        hooks.shut_down().await;
    }
    database.close().await?;
    let how = format!(
        "{} rounds of {TOOLS_A_ROUND} tools, in turn, each told to the session's hooks; until all are in SQLite; no \
         tool runs, so the batch that writes them is all there is to compare with",
        scale.tool_rounds
    );
    let [with, without] = taken;
    rows.push(
        Row::new("metrics on, record a tool's execution", "µs", with.median(), how)
            .beside(BESIDE, without.median())
            .at_ratio(with.over(&without).median())
            .ratio_at_most(RATIO_TARGET),
    );
    Ok(rows)
}

/// A thousand tools in each second, for a while: whether all are on record in the end, and what of memory they took.
async fn paced(
    store: &Arc<persistence::Store>,
    session: &Session,
    (hooks, hook): &(Hooks, HookRegistration),
    scale: &Scale,
    folder: &Path,
) -> Result<Vec<Row>> {
    let recorded = async || -> Result<u64> {
        hooks.flush().await;
        let session = Sessions::get(store.as_ref(), Scope::All, session.id).await?;
        Ok(session.context("the session is gone")?.counters.hook_executions)
    };
    let mut ticks = tokio::time::interval(PACE_INTERVAL);
    let before = recorded().await?;
    let mut early = None;
    for tick in 0..scale.paced_tools / TOOLS_A_TICK {
        ticks.tick().await;
        for _ in 0..TOOLS_A_TICK {
            hook.hook.on(HookInput::from(end_of_tool(folder))).await.map_err(anyhow::Error::from_boxed)?;
        }
        if tick == scale.paced_tools / TOOLS_A_TICK / 5 {
            early = Some(memory(std::process::id())?.resident);
        }
    }
    let lost = (before + scale.paced_tools).saturating_sub(recorded().await?);
    let grown = memory(std::process::id())?.resident - early.context("there were no tools")?;
    let seconds = scale.paced_tools / 1_000;
    let how = format!("{seconds} s at a thousand in each, {TOOLS_A_TICK} every {PACE_INTERVAL:?}, on SQLite");
    Ok(vec![
        Row::new("a thousand tools a second, not on record", "tools", lost as f64, &how).at_most(0.0),
        Row::new(
            "a thousand tools a second, memory they added",
            "MiB",
            grown,
            format!("{how}; from the first fifth to the end, of a whole process with its database"),
        )
        .at_most(PACED_GROWTH_MIB_MAX),
    ])
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

/// The CPU time that all threads of a process have had. The kernel's own sum of it counts in hundredths of a second, which
/// is too coarse for what a request takes.
fn cpu_time(pid: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")? {
        // A thread may end between the two looks; those that answer requests do not.
        let Ok(line) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let on_cpu = line.split_whitespace().next().and_then(|time| time.parse::<u64>().ok());
        nanoseconds += on_cpu.context("the line of a thread begins with its time")?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
