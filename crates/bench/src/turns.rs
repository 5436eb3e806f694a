//! Turns of a real agent: through Steward, beside everything else that can drive the same CLI.

pub(crate) mod bare;
mod python;
mod runtime;
mod through_steward;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::time::timeout;

pub(crate) use self::{bare::Bare, python::Python};
use self::{runtime::Runtime, through_steward::ThroughSteward};
use crate::{
    figures::Sample,
    plain_relay,
    report::Row,
    scale::Scale,
    steward::{AgentEndpoint, Model, Steward},
    tools::Tools,
};

pub(crate) const MODEL_NAME: &str = "claude-sonnet-4-5";
pub(crate) const TOOLS: [&str; 4] = ["Bash", "Read", "Edit", "Write"];
pub(crate) const SYSTEM_PROMPT: &str = "You are a careful engineer.";
/// What every contestant asks in every turn.
pub(crate) const PROMPT: &str = "Say hello. [[text:Hello to you.]]";
const ADDED_TARGET_MS: f64 = 3.0;
/// Turns before any is counted: they vary twice as much as later ones.
const FIRST_TURNS: usize = 10;
/// After a turn the CLI still writes its transcript; the next contestant should not pay for it.
const PAUSE: Duration = Duration::from_millis(40);
const TURN_TIMEOUT: Duration = Duration::from_secs(60);

const HTTP: &str = "Steward over HTTP";
const RUNTIME: &str = "`sdk-runtime` alone";
const BARE_GATEWAY: &str = "a bare pipe through the gateway";
const BARE_RELAY: &str = "a bare pipe through a plain relay";
const BARE: &str = "a bare pipe to the CLI";
const PYTHON: &str = "the official Python SDK";

/// What a session is asked to be, so that its agent gets the options everybody else's gets.
pub(crate) fn session_wanted() -> Value {
    json!({
        "name": "bench",
        "system_prompt": SYSTEM_PROMPT,
        "permission_mode": "default",
        "sdk_options": {"model": MODEL_NAME, "tools": TOOLS},
    })
}

/// Somebody who drives the CLI.
enum Contestant {
    Bare(Bare),
    Runtime(Runtime),
    Steward(ThroughSteward),
    Python(Python),
}

/// Folders and environment of agents that somebody else than Steward starts; like those it gives its own.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    tools: BTreeMap<String, String>,
    pub(crate) claude: PathBuf,
    pub(crate) folder: PathBuf,
}

impl Place {
    pub(crate) fn new(tools: &Tools, name: &str) -> Result<Self> {
        let folder = tools.new_folder(name)?;
        Ok(Self { tools: tools.environment(&folder), claude: tools.claude.clone(), folder })
    }

    /// New folders below this one, as a new session has them.
    pub(crate) fn below(&self, name: &str) -> Result<Self> {
        let folder = self.folder.join(name);
        for part in ["work", "config", "tmp"] {
            std::fs::create_dir_all(folder.join(part)).context("failed to make an agent's folders")?;
        }
        Ok(Self { folder, ..self.clone() })
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    pub(crate) fn environment(&self, endpoint: &AgentEndpoint) -> BTreeMap<String, String> {
        let path = |part: &str| self.folder.join(part).display().to_string();
        let mut environment = self.tools.clone();
        let own = [
            ("ANTHROPIC_BASE_URL", endpoint.base_url.clone()),
            ("ANTHROPIC_API_KEY", endpoint.token.clone()),
            ("CLAUDE_CONFIG_DIR", path("config")),
            ("HOME", path("config")),
            ("TMPDIR", path("tmp")),
            ("CLAUDE_CODE_MAX_RETRIES", "3".to_owned()),
            ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1".to_owned()),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
            ("DISABLE_AUTOUPDATER", "1".to_owned()),
        ];
        environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
        environment
    }
}

impl Contestant {
    /// One more turn in the running agent.
    async fn warm(&mut self) -> Result<Duration> {
        let turn = async {
            match self {
                Self::Bare(bare) => bare.warm().await,
                Self::Runtime(runtime) => runtime.warm().await,
                Self::Steward(steward) => steward.warm().await,
                Self::Python(python) => python.warm().await,
            }
        };
        timeout(TURN_TIMEOUT, turn).await.context("the turn did not end in time")?
    }

    /// From nothing to the first result; the agent has ended when this returns.
    async fn cold(&mut self, round: usize) -> Result<Duration> {
        let turn = async {
            match self {
                Self::Bare(bare) => bare.cold(round).await,
                Self::Runtime(runtime) => runtime.cold(round).await,
                Self::Steward(steward) => steward.cold().await,
                Self::Python(python) => python.cold(round).await,
            }
        };
        timeout(TURN_TIMEOUT, turn).await.context("the turn did not end in time")?
    }

    /// Ends its agent in order. Dropping it ends the agent too.
    async fn end(self) -> Result<()> {
        match self {
            Self::Bare(bare) => bare.end().await,
            Self::Runtime(runtime) => runtime.end().await,
            Self::Python(python) => python.end().await,
            // Its agent belongs to the server.
            Self::Steward(_) => Ok(()),
        }
    }
}

/// Everybody who takes part, with what they took.
struct Contest {
    model: Model,
    server: Steward,
    contestants: Vec<(&'static str, Contestant, Sample)>,
}

impl Contest {
    /// Everything it writes goes below a folder of this name.
    async fn new(name: &str, tools: &Tools, problems: &mut Vec<String>) -> Result<Self> {
        let model = Model::start(tools)?;
        let server = Steward::start(tools, &tools.new_folder(&format!("{name}/st"))?, &model.url())?;
        let straight = AgentEndpoint { base_url: model.url(), token: "offline".to_owned() };
        let through_steward = ThroughSteward::start(&server).await?;
        let gateway = server.agent_endpoint(through_steward.session())?;
        let relayed = plain_relay::start(model.address)?;
        let relayed = AgentEndpoint { base_url: format!("http://{relayed}"), ..straight.clone() };
        let place = |part: &str| Place::new(tools, &format!("{name}/{part}"));
        let mut contestants = vec![
            (HTTP, Contestant::Steward(through_steward)),
            (RUNTIME, Contestant::Runtime(Runtime::new(place("rt")?, straight.clone()))),
            (BARE_GATEWAY, Contestant::Bare(Bare::new(place("gw")?, gateway))),
            (BARE_RELAY, Contestant::Bare(Bare::new(place("relay")?, relayed))),
            (BARE, Contestant::Bare(Bare::new(place("bare")?, straight))),
        ];
        match Python::start(tools, place("py")?, &model.url()).await {
            Ok(python) => contestants.push((PYTHON, Contestant::Python(python))),
            Err(error) => problems.push(format!("turns by {PYTHON}: {error:#}")),
        }
        let with_sample = |(name, contestant)| (name, contestant, Sample::default());
        Ok(Self { model, server, contestants: contestants.into_iter().map(with_sample).collect() })
    }

    /// Everybody in turn.
    async fn warm_round(&mut self, round: usize, is_counted: bool) -> Result<()> {
        for who in balanced_order(round, self.contestants.len()) {
            let (name, contestant, sample) = &mut self.contestants[who];
            let took = contestant.warm().await.with_context(|| (*name).to_owned())?;
            if is_counted {
                sample.push_time(took);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn cold_round(&mut self, round: usize) -> Result<()> {
        for who in balanced_order(round, self.contestants.len()) {
            let (name, contestant, sample) = &mut self.contestants[who];
            sample.push_time(contestant.cold(round).await.with_context(|| (*name).to_owned())?);
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn end(mut self) -> Result<Vec<(&'static str, Sample)>> {
        self.model.check_running()?;
        let mut samples = Vec::new();
        for (name, contestant, sample) in self.contestants {
            timeout(TURN_TIMEOUT, contestant.end()).await.context("an agent did not end in time")??;
            samples.push((name, sample));
        }
        self.server.stop()?;
        Ok(samples)
    }
}

/// In which order so many have their turns in this round. In as many rounds as they are, or twice as many if that is an odd
/// number, each is once (twice) in every place, and once (twice) right after every other: what somebody leaves to the next
/// is left to all alike. (E. J. Williams, 1949, "Experimental designs balanced for the estimation of residual effects of
/// treatments".)
pub(crate) fn balanced_order(round: usize, count: usize) -> Vec<usize> {
    let zigzag = (0..count).map(|place| if place % 2 == 0 { place / 2 } else { count - place.div_ceil(2) });
    let mut order: Vec<usize> = zigzag.map(|first| (first + round) % count).collect();
    if round / count % 2 == 1 {
        order.reverse();
    }
    order
}

/// Several conversations, each with agents of its own: one agent can differ from the next by more than a millisecond
/// for as long as it lives.
pub(crate) async fn measure_warm(
    tools: &Tools,
    scale: &Scale,
    problems: &mut Vec<String>,
) -> Result<Vec<Row>> {
    let mut samples: Vec<(&str, Sample)> = Vec::new();
    for conversation in 0..scale.warm_conversations {
        let mut contest = Contest::new(&format!("warm-{conversation}"), tools, problems).await?;
        for round in 0..FIRST_TURNS + scale.warm_rounds {
            contest.warm_round(round, round >= FIRST_TURNS).await?;
        }
        for (name, sample) in contest.end().await? {
            match samples.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.extend(sample),
                None => samples.push((name, sample)),
            }
        }
    }
    let how = format!(
        "{} turns each, by turns, in {} conversations; prompt sent to result received",
        scale.warm_conversations * scale.warm_rounds,
        scale.warm_conversations
    );
    let target = |row: Row| row.adds_at_most(ADDED_TARGET_MS);
    Ok(rows("warm turn", &samples, &how, target))
}

pub(crate) async fn measure_cold(
    tools: &Tools,
    scale: &Scale,
    problems: &mut Vec<String>,
) -> Result<Vec<Row>> {
    let mut contest = Contest::new("cold", tools, problems).await?;
    for round in 0..scale.cold_rounds {
        contest.cold_round(round).await?;
    }
    let samples = contest.end().await?;
    let how = format!(
        "{} starts each, by turns, new folders each time; the agent's start to its first result",
        scale.cold_rounds
    );
    Ok(rows("cold start to first result", &samples, &how, |row| row))
}

/// Steward beside the bare pipe, for which there may be a target; each layer beside it; ours beside the official SDK.
fn rows(
    what: &str,
    samples: &[(&'static str, Sample)],
    how: &str,
    target: impl FnOnce(Row) -> Row,
) -> Vec<Row> {
    let find = |wanted| samples.iter().find(|(name, _)| *name == wanted).map(|(_, sample)| sample);
    let row = |ours, theirs| {
        let (sample, reference) = (find(ours)?, find(theirs)?);
        let row = Row::new(format!("{what}, {ours}"), "ms", sample.median(), how);
        Some(row.beside(theirs, reference.median()).adding(&sample.minus(reference)))
    };
    let first = row(HTTP, BARE).map(target);
    let pairs = [
        (BARE_GATEWAY, BARE),
        (BARE_RELAY, BARE),
        (RUNTIME, BARE),
        (HTTP, PYTHON),
        (RUNTIME, PYTHON),
        (PYTHON, BARE),
    ];
    first.into_iter().chain(pairs.into_iter().filter_map(|(ours, theirs)| row(ours, theirs))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_as_often_in_every_place_and_after_every_other() {
        for count in 1..8 {
            let rounds = if count % 2 == 0 { count } else { 2 * count };
            let (mut places, mut neighbours) = (BTreeMap::new(), BTreeMap::new());
            for order in (0..rounds).map(|round| balanced_order(round, count)) {
                order
                    .iter()
                    .enumerate()
                    .for_each(|(place, who)| *places.entry((place, *who)).or_insert(0) += 1);
                order.windows(2).for_each(|pair| *neighbours.entry((pair[0], pair[1])).or_insert(0) += 1);
            }
            assert_eq!(places.len(), count * count);
            assert_eq!(neighbours.len(), count * (count - 1));
            assert!(places.values().chain(neighbours.values()).all(|times| *times == rounds / count));
        }
    }
}
