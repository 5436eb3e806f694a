//! An interrupt while nobody reads what the agent says.

use anyhow::Result;

use super::host::{Answer, Host, Order, Threads};
use crate::{report::Row, steward::AgentEndpoint, tools::Tools};

const UNREAD: usize = 100_000;
/// After this the other is given up.
const PATIENCE_SECONDS: f64 = 5.0;
/// A control request of a busy CLI takes some milliseconds; this is what a person does not notice.
const TARGET_MS: f64 = 100.0;
/// More than are waited for, as fast as they come; the turn itself goes on until it is interrupted.
const PROMPT: &str = "go [[deltas:130000]][[endless]]";

pub(super) async fn measure(tools: &Tools, endpoint: &AgentEndpoint) -> Result<Vec<Row>> {
    let (ours, _) = interrupt(Host::ours(tools, "unread", endpoint, Threads::Many).await?).await?;
    let (theirs, name) = interrupt(Host::python(tools, "unread", endpoint).await?).await?;
    let took = |answer: &Answer| answer.seconds.unwrap_or(PATIENCE_SECONDS) * 1e3;
    let beside = match theirs.seconds {
        Some(_) => name.to_owned(),
        None => format!("{name}, which was given up"),
    };
    let how = format!(
        "once; an endless turn of which nobody reads anything, interrupted when {} messages lay unread here, and after \
         2 s there, where at most a hundred do",
        ours.partials
    );
    let row = Row::new("interrupt acknowledged with 100,000 messages unread", "ms", took(&ours), how);
    Ok(vec![row.beside(beside, took(&theirs)).at_most(TARGET_MS)])
}

async fn interrupt(mut host: Host) -> Result<(Answer, &'static str)> {
    let mut session = host.session("s")?;
    session.has_partials = true;
    host.open(vec![session]).await?;
    let order =
        Order::Interrupt { prompt: PROMPT.to_owned(), unread: UNREAD, patience_seconds: PATIENCE_SECONDS };
    let answer = host.ask(&order).await?;
    let name = host.name;
    // A host that has not read cannot close in order either.
    drop(host);
    Ok((answer, name))
}
