//! `sdk-runtime` beside the official Python SDK: what each costs its host and how fast it answers the CLI.

mod answers;
mod bare_host;
mod crowd;
mod host;
mod interrupt;
mod partials;
mod runtime_host;
mod spares;

use anyhow::Result;

pub(crate) use self::host::ARGUMENT as HOST_ARGUMENT;
use self::host::Threads;
use crate::{
    report::Row,
    scale::Scale,
    steward::{AgentEndpoint, Model},
    tools::Tools,
};

/// Runs this program as a host, whose kind its second argument says.
pub(crate) fn run_host(kind: Option<&str>) -> Result<()> {
    match kind {
        Some(bare_host::ARGUMENT) => bare_host::run(),
        threads => runtime_host::run(Threads::of(threads)),
    }
}

const OURS: &str = "`sdk-runtime`";
const PYTHON: &str = "the official Python SDK";
const BARE: &str = "a thread that answers every line at once";

/// What is measured together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Topic {
    Answers,
    Partials,
    Crowd,
    Spares,
    Interrupt,
}

pub(crate) async fn measure(topic: Topic, tools: &Tools, scale: &Scale) -> Result<Vec<Row>> {
    let mut model = Model::start(tools)?;
    let endpoint = AgentEndpoint { base_url: model.url(), token: "offline".to_owned() };
    let rows = match topic {
        Topic::Answers => answers::measure(tools, scale, &endpoint).await,
        Topic::Partials => partials::measure(tools, scale, &endpoint).await,
        Topic::Crowd => crowd::measure(tools, scale, &endpoint).await,
        Topic::Spares => spares::measure(tools, scale, &endpoint).await,
        Topic::Interrupt => interrupt::measure(tools, &endpoint).await,
    };
    model.check_running()?;
    rows
}
