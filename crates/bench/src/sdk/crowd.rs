//! Many sessions in one host: opened at once, and idle.

use std::time::Instant;

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::{
    OURS, PYTHON,
    host::{Host, Threads},
};
use crate::{
    figures::Sample,
    process::Memory,
    report::Row,
    scale::Scale,
    steward::AgentEndpoint,
    tools::Tools,
    turns::{Bare, Place},
};

const SESSIONS: usize = 16;
const SESSION_TARGET_KIB: f64 = 200.0;
const HOST_TARGET_MIB: f64 = 10.0;
/// Above this it is the host that limits, not the CLI.
const RATIO_TARGET: f64 = 1.1;
const BARE: &str = "bare pipes to as many CLIs";

#[derive(Debug, Default)]
struct Found {
    seconds: Sample,
    cpu_ms: Sample,
    resident_mib: Sample,
    session_kib: Sample,
}

pub(super) async fn measure(tools: &Tools, scale: &Scale, endpoint: &AgentEndpoint) -> Result<Vec<Row>> {
    let (mut ours, mut theirs, mut bare) = (Found::default(), Found::default(), Sample::default());
    for round in 0..scale.crowd_rounds {
        let folder = format!("crowd-{round}");
        ours.take(Host::ours(tools, &folder, endpoint, Threads::Many).await?).await?;
        bare.push(all_at_once(tools, &folder, endpoint).await?);
        theirs.take(Host::python(tools, &folder, endpoint).await?).await?;
    }
    let rounds = scale.crowd_rounds;
    let opened = format!("{rounds} rounds by turns; start of all to the first result of the last");
    let memory = format!("by `smaps_rollup`, after a turn of each session, {rounds} rounds");
    let row = |what: String, unit, how: &str, sample: &dyn Fn(&Found) -> f64| {
        Row::new(what, unit, sample(&ours), how).beside(PYTHON, sample(&theirs))
    };
    Ok(vec![
        Row::new(format!("{SESSIONS} sessions opened at once, {OURS}"), "s", ours.seconds.median(), &opened)
            .beside(BARE, bare.median())
            .at_ratio(ours.seconds.over(&bare).median())
            .ratio_at_most(RATIO_TARGET),
        row(format!("{SESSIONS} sessions opened at once, {OURS}"), "s", &opened, &|found| {
            found.seconds.median()
        }),
        row("processor time of the host for opening a session".to_owned(), "ms", &opened, &|found| {
            found.cpu_ms.median()
        }),
        row("memory of a host with one idle session, resident".to_owned(), "MiB", &memory, &|found| {
            found.resident_mib.median()
        })
        .at_most(HOST_TARGET_MIB),
        row("memory of the host for one more idle session, private".to_owned(), "KiB", &memory, &|found| {
            found.session_kib.median()
        })
        .at_most(SESSION_TARGET_KIB),
    ])
}

impl Found {
    async fn take(&mut self, mut host: Host) -> Result<()> {
        let first = host.session("first")?;
        host.open(vec![first]).await?;
        let one = host.memory()?;
        let sessions =
            (0..SESSIONS).map(|number| host.session(&format!("{number}"))).collect::<Result<_>>()?;
        let answer = host.open(sessions).await?;
        let all = host.memory()?;
        host.end().await?;
        self.seconds.push(answer.seconds.context("opening takes time")?);
        self.cpu_ms.push(answer.cpu_seconds * 1e3 / SESSIONS as f64);
        self.resident_mib.push(one.resident);
        self.session_kib.push(added_kib(one, all));
        Ok(())
    }
}

fn added_kib(one: Memory, all: Memory) -> f64 {
    (all.private - one.private) * 1024.0 / SESSIONS as f64
}

async fn all_at_once(tools: &Tools, folder: &str, endpoint: &AgentEndpoint) -> Result<f64> {
    let place = Place::new(tools, &format!("{folder}-bare"))?;
    let mut opening = JoinSet::new();
    let started = Instant::now();
    for number in 0..SESSIONS {
        let mut bare = Bare::new(place.below(&number.to_string())?, endpoint.clone());
        opening.spawn(async move {
            bare.warm().await?;
            anyhow::Ok(bare)
        });
    }
    let opened: Vec<Bare> = opening.join_all().await.into_iter().collect::<Result<_>>()?;
    let seconds = started.elapsed().as_secs_f64();
    for bare in opened {
        bare.end().await?;
    }
    Ok(seconds)
}
