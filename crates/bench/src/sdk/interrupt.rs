//! An interrupt while nobody reads what the agent says.

use anyhow::Result;

use super::host::{Answer, Host, Order, Threads};
use crate::{
    figures::Sample,
    report::Row,
    scale::Scale,
    steward::AgentEndpoint,
    tools::Tools,
    turns::{Place, bare::Bare},
};

const UNREAD: usize = 100_000;
const WHAT: &str = "interrupt acknowledged with 100,000 messages unread";
/// After this the other is given up.
const PATIENCE_SECONDS: f64 = 5.0;
/// What a person does not notice.
const TARGET_MS: f64 = 100.0;
/// Of what a bare pipe takes that has read everything. The time is the CLI's own, which a model that sends as fast as it can
/// keeps busy.
const RATIO_TARGET: f64 = 1.1;
/// More than are waited for, as fast as they come; the turn itself goes on until it is interrupted.
const PROMPT: &str = "go [[deltas:130000]][[endless]]";

pub(super) async fn measure(tools: &Tools, scale: &Scale, endpoint: &AgentEndpoint) -> Result<Vec<Row>> {
    let bare = Bare::new(Place::new(tools, "bare-unread")?, endpoint.clone());
    let (mut ours, mut bares) = (Sample::default(), Sample::default());
    let mut unread = usize::MAX;
    for round in 0..scale.interrupts {
        let host = Host::ours(tools, &format!("unread-{round}"), endpoint, Threads::Many).await?;
        let (answer, _) = interrupt(host).await?;
        unread = unread.min(answer.partials);
        ours.push(took(&answer));
        bares.push_time(bare.interrupt(round, PROMPT, UNREAD).await?);
    }
    let (theirs, name) = interrupt(Host::python(tools, "unread", endpoint).await?).await?;
    let beside = match theirs.seconds {
        Some(_) => name.to_owned(),
        None => format!("{name}, which was given up"),
    };
    let how = format!(
        "{} endless turns of which nobody reads anything, interrupted when at least {unread} messages lay unread here; \
         there once, after 2 s, where at most a hundred do; by a bare pipe when it had read and thrown away {UNREAD}",
        scale.interrupts
    );
    let row =
        |percent| Row::new(format!("{WHAT}, p{percent}"), "ms", ours.percentile(f64::from(percent)), &how);
    Ok(vec![
        row(50).beside(beside, took(&theirs)).at_most(TARGET_MS),
        row(50).beside("a bare pipe", bares.median()).ratio_at_most(RATIO_TARGET),
        row(100).beside("a bare pipe", bares.percentile(100.0)),
    ])
}

fn took(answer: &Answer) -> f64 {
    answer.seconds.unwrap_or(PATIENCE_SECONDS) * 1e3
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
