//! Recordings: conversations as files, to attach to a bug report and to run as a test.
//!
//! A [`Recorder`] goes between an agent and whoever launches it and writes down what each says. A
//! [`Replayer`] is a launcher whose agents say what a recording says, each line when the host has said what
//! comes before it. Request ids and prompt ids are rewritten, so that the host's own ids work.
//!
//! A recording has one JSON object per line:
//!
//! ```text
//! {"dir":"start","t":0,"msg":{"program":…,"args":[…],"cwd":…,"env":[names],"version":…}}
//! {"dir":"in","t":0.002,"msg":{…}}       the host said this; "t" is in seconds since the start
//! {"dir":"out","t":0.61,"msg":{…}}       the agent said this
//! {"dir":"out","t":0.62,"text":"…"}      a line that is not a JSON object
//! {"dir":"out","t":0.63,"hex":"ff…"}     a line that is not UTF-8
//! {"dir":"out","t":0.64,"oversized":N}   a line longer than the bound, of N bytes
//! {"dir":"in","t":2.1,"end":true}        the host closed the agent's stdin
//! {"dir":"out","t":2.2,"end":true}       the agent closed its stdout
//! {"dir":"lost","t":2.2,"lines":N}       the disk was too slow for N lines
//! {"dir":"exit","t":2.3,"msg":{"code":0,"signal":null,"stderr":"…"}}
//! ```
//!
//! Values of the environment are not recorded. See [`Recorder`] for what else is left out, and read a
//! recording before you give it away: it holds everything that was said.
//!
//! ```no_run
//! use sdk_runtime::{Agent, AgentOptions, ProcessLauncher, recording::{Recorder, Recording, Replayer}};
//!
//! # async fn report() -> Result<(), Box<dyn std::error::Error>> {
//! // Where it goes wrong:
//! let recorder = Recorder::to_folder(ProcessLauncher, "/tmp/recordings")?;
//! let (agent, events) = Agent::start(&recorder, AgentOptions::default().with_cli("claude")).await?;
//! // …
//! agent.close().await;
//! recorder.finished().await?;
//!
//! // In a test of the same code:
//! let recording = Recording::open("tests/recordings/it_goes_wrong.jsonl")?;
//! let (agent, events) = Agent::start(&Replayer::new(recording), AgentOptions::default()).await?;
//! # drop((agent, events)); Ok(())
//! # }
//! ```

mod recorder;
mod redaction;
mod replay;
mod replayer;
mod scribe;
mod tee;

use std::{fs, io, path::Path};

use serde_json::{Value, json};

pub use self::{recorder::Recorder, replayer::Replayer};
use crate::{agent::Agent, error::Error, error::Exit, prompt::Prompt};

/// A recorded conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {
    entries: Vec<Entry>,
}

/// One line of a recording.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Seconds since the start.
    pub t: f64,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// The agent was started like this.
    Start(Value),
    /// The host said this.
    In(Line),
    /// The host closed the agent's stdin.
    InEnd,
    /// The agent said this.
    Out(Line),
    /// The agent closed its stdout.
    OutEnd,
    /// The agent ended like this.
    Exit(Exit),
    /// Something else, as it stands in the file.
    Other(Value),
}

/// A line that was said.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Line {
    /// A JSON object.
    Json(Value),
    /// Some other text.
    Text(String),
    /// Not even text.
    Bytes(Vec<u8>),
    /// A line that was too long to keep, of so many bytes.
    Oversized(u64),
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The host.
    In,
    /// The agent.
    Out,
    /// Nobody: it is how the agent was started, or how it ended.
    Aside,
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("read the recording")]
    File(#[from] io::Error),
    /// A line of it is not JSON.
    #[error("read line {line} of the recording")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
}

impl Recording {
    /// Reads a file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RecordingError> {
        Self::parse(&fs::read_to_string(path)?)
    }

    /// Reads the text of a file. Empty lines are passed over.
    pub fn parse(text: &str) -> Result<Self, RecordingError> {
        let lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
        let entries = lines.map(|(index, line)| {
            let value = serde_json::from_str(line)
                .map_err(|source| RecordingError::Line { line: index + 1, source })?;
            Ok(Entry::read(value))
        });
        Ok(Self { entries: entries.collect::<Result<_, RecordingError>>()? })
    }

    /// Its lines.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The prompts the host sent, oldest first, without their ids.
    pub fn prompts(&self) -> Vec<Prompt> {
        let prompts = self.said_by_host().filter(|frame| frame["type"] == "user");
        prompts.map(Prompt::from_frame).collect()
    }

    /// Says to a replayed agent what the host said: its prompts in their order, and beside them its control
    /// requests, because a request may be answered long after the next prompt. Right for a recording that
    /// came without the code of its host. Hooks and gates answer for themselves. Done when every prompt is
    /// written and every request has its answer. Cancel safe, in that what was said stays said.
    pub async fn drive(&self, agent: &Agent) -> Result<(), Error> {
        let prompts = async {
            for prompt in self.prompts() {
                agent.prompt(prompt).await?;
            }
            Ok(())
        };
        let requests = self.said_by_host().filter(|frame| frame["type"] == "control_request");
        let requests = requests.map(|frame| async {
            let subtype = frame["request"]["subtype"].as_str().unwrap_or_default();
            if subtype == "initialize" {
                return Ok(());
            }
            match agent.control(subtype, frame["request"].clone()).await {
                // The agent refused then, too.
                Ok(_) | Err(Error::Control { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        });
        let (prompts, requests) = futures::join!(prompts, futures::future::try_join_all(requests));
        prompts.and(requests.map(drop))
    }

    fn said_by_host(&self) -> impl Iterator<Item = &Value> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::In(Line::Json(frame)) => Some(frame),
            _ => None,
        })
    }
}

impl Entry {
    fn read(mut value: Value) -> Self {
        let t = value["t"].as_f64().unwrap_or_default();
        let what = match value["dir"].as_str() {
            Some("start") => What::Start(value["msg"].take()),
            Some("in") if value["end"] == true => What::InEnd,
            Some("in") => Line::read(&mut value).map_or_else(|| What::Other(value), What::In),
            Some("out") if value["end"] == true => What::OutEnd,
            Some("out") => Line::read(&mut value).map_or_else(|| What::Other(value), What::Out),
            Some("exit") => What::Exit(exit(&value["msg"])),
            _ => What::Other(value),
        };
        Self { t, what }
    }
}

impl Line {
    fn read(entry: &mut Value) -> Option<Self> {
        if let Some(text) = entry["text"].as_str() {
            return Some(Self::Text(text.to_owned()));
        }
        if let Some(hex) = entry["hex"].as_str() {
            return bytes(hex).map(Self::Bytes);
        }
        if let Some(bytes) = entry["oversized"].as_u64() {
            return Some(Self::Oversized(bytes));
        }
        entry.get_mut("msg").map(|message| Self::Json(message.take()))
    }
}

fn exit(message: &Value) -> Exit {
    let number = |value: &Value| value.as_i64().and_then(|number| i32::try_from(number).ok());
    Exit {
        code: number(&message["code"]),
        signal: number(&message["signal"]),
        stderr_tail: message["stderr"].as_str().unwrap_or_default().to_owned(),
        swept: 0,
        exceeded: None,
    }
}

fn exit_message(exit: &Exit) -> Value {
    json!({ "code": exit.code, "signal": exit.signal, "stderr": exit.stderr_tail })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
