//! How soon the server is ready, and what it takes when it has nothing to do.

use std::{process::Command, time::Instant};

use anyhow::{Context, Result, ensure};

use crate::{
    figures::Sample,
    process::{Memory, memory},
    report::Row,
    scale::Scale,
    steward::{Model, Steward},
    tools::Tools,
    turns::{Place, Python},
};

const READY_TARGET_MS: f64 = 300.0;
const IDLE_TARGET_MIB: f64 = 40.0;
/// After it an idle server has done what it does after its start.
const SETTLING: std::time::Duration = std::time::Duration::from_secs(2);

pub(crate) async fn measure(tools: &Tools, scale: &Scale, problems: &mut Vec<String>) -> Result<Vec<Row>> {
    let model = Model::start(tools)?;
    let existing = tools.new_folder("existing")?;
    Steward::start(tools, &existing, &model.url())?.stop()?;
    let (mut warm, mut empty, mut cli) = (Sample::default(), Sample::default(), Sample::default());
    for round in 0..scale.starts {
        cli.push_time(version_of_cli(tools)?);
        warm.push_time(ready_after(tools, &existing, &model)?);
        let folder = tools.new_folder(&format!("empty-{round}"))?;
        empty.push_time(ready_after(tools, &folder, &model)?);
    }
    let beside = "`claude --version`, which readiness includes";
    let how = format!(
        "spawn to the first 200 of `/health/ready`, asked every ms; {} starts each, by turns",
        scale.starts
    );
    let row = |what, sample: &Sample| {
        Row::new(what, "ms", sample.median(), &how).beside(beside, cli.median()).at_most(READY_TARGET_MS)
    };
    let mut rows =
        vec![row("start to ready, existing data", &warm), row("start to ready, empty folder", &empty)];
    rows.extend(idle_memory(tools, &existing, &model, problems).await?);
    Ok(rows)
}

fn ready_after(tools: &Tools, folder: &std::path::Path, model: &Model) -> Result<std::time::Duration> {
    let server = Steward::start(tools, folder, &model.url())?;
    let after = server.ready_after;
    server.stop()?;
    Ok(after)
}

fn version_of_cli(tools: &Tools) -> Result<std::time::Duration> {
    let started = Instant::now();
    let output = Command::new(&tools.claude).arg("--version").output().context("failed to run the CLI")?;
    let took = started.elapsed();
    ensure!(output.status.success(), "claude --version ended with {}", output.status);
    Ok(took)
}

async fn idle_memory(
    tools: &Tools,
    data: &std::path::Path,
    model: &Model,
    problems: &mut Vec<String>,
) -> Result<Vec<Row>> {
    let server = Steward::start(tools, data, &model.url())?;
    let python = match Python::start(tools, Place::new(tools, "py")?, &model.url()).await {
        Ok(python) => Some(python),
        Err(error) => {
            problems.push(format!("memory of the Python SDK: {error:#}"));
            None
        }
    };
    tokio::time::sleep(SETTLING).await;
    let ours = memory(server.id())?;
    let theirs = python.map(|python| python.id().and_then(memory)).transpose()?;
    server.stop()?;
    let row = |what: &str, part: fn(&Memory) -> f64| {
        let row = Row::new(
            format!("idle memory, {what}"),
            "MiB",
            part(&ours),
            "the server alone, 2 s after it is ready, by `smaps_rollup`",
        );
        let row = match &theirs {
            Some(theirs) => row.beside("Python with the official SDK imported", part(theirs)),
            None => row,
        };
        row.at_most(IDLE_TARGET_MIB)
    };
    Ok(vec![
        row("resident", |memory| memory.resident),
        row("proportional", |memory| memory.proportional),
        row("private", |memory| memory.private),
    ])
}
