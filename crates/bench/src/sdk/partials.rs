//! What a partial message costs its host.

use anyhow::{Result, ensure};

use super::host::{Answer, Host, Order, Threads};
use crate::{figures::Sample, report::Row, scale::Scale, steward::AgentEndpoint, tools::Tools};

const DELTAS: usize = 20_000;
const TARGET_US: f64 = 5.0;

pub(super) async fn measure(tools: &Tools, scale: &Scale, endpoint: &AgentEndpoint) -> Result<Vec<Row>> {
    let ours = |folder, threads| Host::ours(tools, folder, endpoint, threads);
    let mut one = opened(ours("partials", Threads::One).await?).await?;
    let mut many = opened(ours("partials", Threads::Many).await?).await?;
    let mut typed = opened(ours("typed", Threads::One).await?).await?;
    let mut theirs = opened(Host::python(tools, "partials", endpoint).await?).await?;
    let prompt = format!("[[deltas:{DELTAS}]]");
    let mut samples: [Sample; 4] = Default::default();
    let mut paces = samples.clone();
    for _ in 0..scale.partial_rounds {
        let answers = [
            one.turn(&prompt).await?,
            many.turn(&prompt).await?,
            typed.ask(&Order::TypedTurn { prompt: prompt.clone() }).await?,
            theirs.turn(&prompt).await?,
        ];
        for ((answer, sample), pace) in answers.iter().zip(&mut samples).zip(&mut paces) {
            sample.push(cost(answer)?);
            pace.push(answer.partials as f64 / answer.seconds.unwrap_or(f64::NAN));
        }
    }
    let name = theirs.name;
    for host in [one, many, typed, theirs] {
        host.end().await?;
    }
    let how = format!(
        "{} turns of {DELTAS} deltas each, by turns; processor time of the host over the number of partial messages",
        scale.partial_rounds
    );
    let [one, many, typed, theirs] = samples;
    let row = |what: &str, ours: &Sample| {
        let row = Row::new(what, "µs", ours.median(), &how).beside(name, theirs.median());
        row.at_ratio(ours.over(&theirs).median()).at_most(TARGET_US)
    };
    let [pace, .., their_pace] = paces;
    let pace_row = Row::new("partial messages of one session", "/s", pace.median(), &how);
    Ok(vec![
        row("processor time of a partial message, as a frame, one thread", &one),
        row("processor time of a partial message, as a frame, a thread per core", &many),
        row("processor time of a partial message, typed, one thread", &typed),
        pace_row.beside(name, their_pace.median()),
    ])
}

async fn opened(mut host: Host) -> Result<Host> {
    let mut session = host.session("s")?;
    session.has_partials = true;
    host.open(vec![session]).await?;
    Ok(host)
}

/// Microseconds a partial message.
fn cost(answer: &Answer) -> Result<f64> {
    ensure!(answer.partials >= DELTAS, "only {} of {DELTAS} partial messages came", answer.partials);
    Ok(answer.cpu_seconds * 1e6 / answer.partials as f64)
}
