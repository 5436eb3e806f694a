//! What a host adds to a turn, and how long the CLI waits for its answers, by a relay between the two.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{
    BARE, PYTHON,
    host::{Host, Threads, through_relay},
};
use crate::{
    figures::Sample, relay::Note, report::Row, scale::Scale, steward::AgentEndpoint, tools::Tools,
    turns::PROMPT,
};

/// Warm turns of a round.
const TURNS: usize = 20;
/// Tool calls of a turn.
const CALLS: usize = 24;
const SHARE_TARGET_US: f64 = 2_000.0;
const ANSWER_TARGET_US: f64 = 150.0;
/// What the CLI asks before it runs a tool, and the subtype of its request.
const DECISIONS: [(&str, &str); 2] =
    [("permission answer", "can_use_tool"), ("hook answer", "hook_callback")];
const MCP_TARGET_US: f64 = 300.0;
const US_PER_SECOND: f64 = 1e6;
/// After a turn the CLI still writes its transcript.
const PAUSE: Duration = Duration::from_millis(40);

/// A host, its turns, and what the relay saw of them.
struct Contestant {
    host: Host,
    turns: Vec<f64>,
    files: usize,
}

/// What one host took, in microseconds.
#[derive(Debug, Default)]
struct Found {
    shares: Sample,
    answers: HashMap<String, Sample>,
}

pub(super) async fn measure(tools: &Tools, scale: &Scale, endpoint: &AgentEndpoint) -> Result<Vec<Row>> {
    let ours = |threads| Host::ours(tools, "answers", endpoint, threads);
    let mut one = Contestant::new(ours(Threads::One).await?).await?;
    let mut many = Contestant::new(ours(Threads::Many).await?).await?;
    let mut theirs = Contestant::new(Host::python(tools, "answers", endpoint).await?).await?;
    let mut floor = Contestant::new(Host::bare(tools, "answers", endpoint).await?).await?;
    for _ in 0..scale.answer_rounds {
        one.round().await?;
        many.round().await?;
        theirs.round().await?;
        floor.writes().await?;
    }
    let (theirs, floor) = (theirs.found().await?, floor.found().await?);
    let mut rows = Vec::new();
    for (threads, ours) in [("one thread", one), ("a thread per core", many)] {
        let ours = ours.found().await?;
        rows.extend(compared(threads, &ours, &theirs, scale.answer_rounds)?);
        rows.extend(above_floor(threads, &ours, &floor, CALLS * scale.answer_rounds)?);
    }
    Ok(rows)
}

/// Ours on a runtime of so many threads, beside theirs.
fn compared(threads: &str, ours: &Found, theirs: &Found, rounds: usize) -> Result<Vec<Row>> {
    let (turns, calls) = (TURNS * rounds, CALLS * rounds);
    let share_how = format!(
        "{turns} turns each; the host's time from prompt to result less what a relay saw of the CLI's, from the \
         prompt's line to the result's"
    );
    let row = |what: &str, percent, how: &str, sample: &dyn Fn(&Found) -> Result<Sample>| {
        let what = format!("{what}, p{percent}, {threads}");
        let row = Row::new(what, "µs", sample(ours)?.percentile(percent), how);
        Ok::<_, anyhow::Error>(row.beside(PYTHON, sample(theirs)?.percentile(percent)))
    };
    let share = |found: &Found| Ok(found.shares.clone());
    let mut rows =
        vec![row("host's share of a warm turn", 50.0, &share_how, &share)?.at_most(SHARE_TARGET_US)];
    let [permission, hook] = DECISIONS.map(|(what, subtype)| (what, subtype, ANSWER_TARGET_US));
    let kinds = [permission, hook, ("call of an in-process MCP tool", "mcp_message", MCP_TARGET_US)];
    let how = format!(
        "{calls} tool calls each, one after the other, by turns; a relay between host and CLI sees the request's line \
         and then the answer's"
    );
    for (what, subtype, target) in kinds {
        let sample = |found: &Found| found.answers(subtype, calls);
        rows.push(row(what, 50.0, &how, &sample)?.at_most(target));
        rows.push(row(what, 90.0, &how, &sample)?);
    }
    Ok(rows)
}

/// Ours beside what the two pipes and the relay's own wake-ups take, of which no host can be rid.
fn above_floor(threads: &str, ours: &Found, floor: &Found, calls: usize) -> Result<Vec<Row>> {
    let how = format!("{calls} tool calls each, one after the other, by turns, seen by the same relay");
    let rows = DECISIONS.map(|(what, subtype)| {
        let (ours, floor) = (ours.answers(subtype, calls)?, floor.answers(subtype, calls)?);
        Ok(Row::new(format!("{what}, p50, {threads}"), "µs", ours.median(), &how)
            .beside(BARE, floor.median()))
    });
    rows.into_iter().collect()
}

impl Found {
    fn answers(&self, subtype: &str, calls: usize) -> Result<Sample> {
        let sample = self.answers.get(subtype).cloned().unwrap_or_default();
        ensure!(sample.len() >= calls, "only {} of {calls} answers to {subtype} came", sample.len());
        Ok(sample)
    }
}

impl Contestant {
    async fn new(mut host: Host) -> Result<Self> {
        let mut session = through_relay(host.session("relayed")?, &host.path("notes"))?;
        session.has_seams = true;
        host.open(vec![session]).await?;
        Ok(Self { host, turns: Vec::new(), files: 0 })
    }

    async fn round(&mut self) -> Result<()> {
        for _ in 0..TURNS {
            self.turn(PROMPT).await?;
            tokio::time::sleep(PAUSE).await;
        }
        self.writes().await?;
        let adds = r#"[[tool!:mcp__calc__add {"a":1,"b":2}]][[next]]"#.repeat(CALLS);
        self.turn(&adds).await
    }

    /// A turn of tool calls each of which a hook and a permission callback are asked about.
    async fn writes(&mut self) -> Result<()> {
        let first = self.files;
        self.files += CALLS;
        let writes = (first..self.files)
            .map(|file| format!(r#"[[tool:Write {{"file_path":"{file}.txt","content":"x"}}]][[next]]"#));
        self.turn(&writes.collect::<String>()).await
    }

    async fn turn(&mut self, prompt: &str) -> Result<()> {
        let answer = self.host.turn(prompt).await?;
        self.turns.push(answer.seconds.context("a turn takes time")?);
        Ok(())
    }

    async fn found(self) -> Result<Found> {
        let notes = self.host.path("notes");
        self.host.end().await?;
        let notes = read(&notes)?;
        let mut found = Found::default();
        // The first turn belongs to opening the session.
        for (took, seen) in self.turns.iter().zip(turns(&notes).iter().skip(1)) {
            found.shares.push((took - seen) * US_PER_SECOND);
        }
        ensure!(found.shares.len() == self.turns.len(), "the relay has not seen all turns");
        let mut asked = HashMap::new();
        for note in &notes {
            let Some(id) = &note.request_id else { continue };
            if note.kind == "control_request" && !note.is_from_host {
                asked.insert(id, note);
            } else if note.kind == "control_response"
                && note.is_from_host
                && let Some(request) = asked.remove(id)
            {
                let subtype = request.subtype.clone().unwrap_or_default();
                let took = (note.seconds - request.seconds) * US_PER_SECOND;
                found.answers.entry(subtype).or_default().push(took);
            }
        }
        Ok(found)
    }
}

/// How long each turn took as the relay saw it.
fn turns(notes: &[Note]) -> Vec<f64> {
    let mut prompted = None;
    let mut turns = Vec::new();
    for note in notes {
        if note.is_from_host && note.kind == "user" {
            prompted = Some(note.seconds);
        } else if note.kind == "result"
            && let Some(prompted) = prompted.take()
        {
            turns.push(note.seconds - prompted);
        }
    }
    turns
}

fn read(file: &Path) -> Result<Vec<Note>> {
    let text = fs::read_to_string(file).context("the relay wrote no notes")?;
    let mut notes: Vec<Note> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("the notes are torn")?;
    // Two directions write them.
    notes.sort_by(|left, right| left.seconds.total_cmp(&right.seconds));
    Ok(notes)
}
