//! `sdk-runtime` beside the official Python SDK: what each costs its host and how fast it answers the CLI.

mod answers;
mod crowd;
mod host;
mod interrupt;
mod partials;
mod spares;

use anyhow::Result;

use crate::{
    report::Row,
    scale::Scale,
    steward::{AgentEndpoint, Model},
    tools::Tools,
};

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
        Topic::Interrupt => interrupt::measure(tools, scale, &endpoint).await,
    };
    model.check_running()?;
    rows
}
