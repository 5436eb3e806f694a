//! `sdk-runtime` beside the official Python SDK: what each costs its host and how fast it answers the CLI.

mod answers;
mod crowd;
mod host;
mod interrupt;
mod partials;
mod runtime_host;
mod spares;

use anyhow::{Error, Result};

pub(crate) use self::{host::ARGUMENT as HOST_ARGUMENT, runtime_host::run as run_host};
use crate::{
    report::Row,
    scale::Scale,
    steward::{AgentEndpoint, Model},
    tools::Tools,
};

const OURS: &str = "`sdk-runtime`";
const PYTHON: &str = "the official Python SDK";

/// Whatever fails is left out and told; the rest is still measured.
pub(crate) async fn measure(tools: &Tools, scale: &Scale, problems: &mut Vec<String>) -> Result<Vec<Row>> {
    let mut model = Model::start(tools)?;
    let endpoint = AgentEndpoint { base_url: model.url(), token: "offline".to_owned() };
    let mut rows = Vec::new();
    let mut take = |what: &str, found: Result<Vec<Row>>| match found {
        Ok(found) => rows.extend(found),
        Err(error) => problems.push(told(what, &error)),
    };
    take("answers", answers::measure(tools, scale, &endpoint).await);
    take("partial messages", partials::measure(tools, scale, &endpoint).await);
    take("many sessions", crowd::measure(tools, scale, &endpoint).await);
    take("spares", spares::measure(tools, scale, &endpoint).await);
    take("interrupt", interrupt::measure(tools, scale, &endpoint).await);
    model.check_running()?;
    Ok(rows)
}

fn told(what: &str, error: &Error) -> String {
    format!("sdk, {what}: {error:#}")
}
