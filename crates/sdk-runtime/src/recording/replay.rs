//! One replay: says the agent's lines, each when the host has said what comes before it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::timeout,
};

use super::{Line, Recording, What};
use crate::{
    error::Exit,
    framing::{LineSplitter, Piece},
    initialized::CLI_VERSION_MIN,
    wire,
};

/// Exit code of an agent whose host did not go along.
const OFF_SCRIPT: i32 = 1;

/// Why the replay ends before the recording does.
enum Stop {
    /// The host closed the agent's stdin, or its own end of stdout.
    HostLeft,
    OffScript(String),
}

struct Replay<'a> {
    recording: &'a Recording,
    /// Which entry is next.
    at: usize,
    host: DuplexStream,
    splitter: LineSplitter,
    is_host_open: bool,
    agent: Option<DuplexStream>,
    patience: Duration,
    /// What the host said and no entry has asked for yet.
    heard: VecDeque<Value>,
    /// Ids of the recording, and what this host has instead.
    ids: HashMap<String, String>,
    /// Requests of the agent that it took back; a host does not answer those.
    withdrawn: HashSet<String>,
    /// Requests of the host that have no answer yet.
    unanswered: HashSet<String>,
}

/// Runs to the end of the recording or of the host's patience.
pub(super) async fn run(
    recording: &Recording,
    host: DuplexStream,
    agent: DuplexStream,
    patience: Duration,
) -> Exit {
    let mut replay = Replay {
        recording,
        at: 0,
        host,
        splitter: LineSplitter::new(usize::MAX),
        is_host_open: true,
        agent: Some(agent),
        patience,
        heard: VecDeque::new(),
        ids: HashMap::new(),
        withdrawn: HashSet::new(),
        unanswered: HashSet::new(),
    };
    match replay.run().await {
        Ok(exit) => exit,
        Err(Stop::HostLeft) => Exit { code: Some(0), ..Exit::default() },
        Err(Stop::OffScript(words)) => {
            Exit { code: Some(OFF_SCRIPT), stderr_tail: format!("replay: {words}"), ..Exit::default() }
        }
    }
}

impl Replay<'_> {
    async fn run(&mut self) -> Result<Exit, Stop> {
        let mut exit = None;
        if !self.has_initialize() {
            self.shake_hands().await?;
        }
        while let Some(entry) = self.recording.entries.get(self.at) {
            self.at += 1;
            match &entry.what {
                What::In(Line::Json(frame)) => self.expect(frame).await?,
                What::InEnd if self.agent.is_some() && exit.is_none() => self.expect_end().await?,
                What::Out(Line::Json(frame)) => self.say(frame.clone()).await?,
                What::Out(Line::Text(text)) => self.say_bytes(text.as_bytes()).await?,
                What::Out(Line::Bytes(bytes)) => self.say_bytes(bytes).await?,
                What::OutEnd => self.agent = None,
                What::Exit(ended) => exit = Some(ended.clone()),
                // A line that was too long to keep is not there to be said.
                What::Out(Line::Oversized(_))
                | What::In(_)
                | What::InEnd
                | What::Start(_)
                | What::Other(_) => {}
            }
        }
        match exit {
            Some(exit) => Ok(exit),
            None => self.linger().await,
        }
    }

    fn has_initialize(&self) -> bool {
        let mut frames = self.recording.said_by_host();
        frames.any(|frame| frame["request"]["subtype"] == "initialize")
    }

    /// The recorded host did without; this one does not.
    async fn shake_hands(&mut self) -> Result<(), Stop> {
        let wanted = json!({ "type": "control_request", "request": { "subtype": "initialize" } });
        let said = self.find(&wanted).await?;
        self.respond(&said, json!({ "claude_code_version": CLI_VERSION_MIN })).await
    }

    /// Waits until the host has said something of the kind of `recorded`, and learns its ids.
    async fn expect(&mut self, recorded: &Value) -> Result<(), Stop> {
        match recorded["type"].as_str() {
            Some("user") => {
                let said = self.find(recorded).await?;
                match recorded["uuid"].as_str() {
                    Some(id) => self.learn(id, &said["uuid"]),
                    // The recorded host gave no id, so the agent never says that the prompt has started.
                    None => {
                        self.say(json!({
                            "type": "command_lifecycle", "command_uuid": said["uuid"], "state": "started",
                        }))
                        .await?
                    }
                }
            }
            Some("control_request") => {
                let said = self.find(recorded).await?;
                if let Some(id) = recorded["request_id"].as_str() {
                    self.learn(id, &said["request_id"]);
                    self.unanswered.insert(id.to_owned());
                }
            }
            Some("control_response") => {
                let id = recorded["response"]["request_id"].as_str().unwrap_or_default();
                if !self.withdrawn.contains(id) {
                    self.find(recorded).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn learn(&mut self, recorded: &str, own: &Value) {
        if let Some(own) = own.as_str() {
            self.ids.insert(recorded.to_owned(), own.to_owned());
        }
    }

    async fn find(&mut self, recorded: &Value) -> Result<Value, Stop> {
        loop {
            let found = self.heard.iter().position(|said| is_same_kind(recorded, said));
            if let Some(said) = found.and_then(|index| self.heard.remove(index)) {
                return Ok(said);
            }
            if !self.is_host_open {
                return Err(Stop::HostLeft);
            }
            let Ok(heard) = timeout(self.patience, self.hear()).await else {
                let line = self.at;
                let heard: Vec<String> = self.heard.iter().map(kind).collect();
                let words = format!("entry {line} waits for {}; unasked for: {heard:?}", kind(recorded));
                return Err(Stop::OffScript(words));
            };
            heard?;
        }
    }

    async fn expect_end(&mut self) -> Result<(), Stop> {
        while self.is_host_open {
            let Ok(heard) = timeout(self.patience, self.hear()).await else {
                return Err(Stop::OffScript(format!("entry {} waits for the end of stdin", self.at)));
            };
            heard?;
        }
        Ok(())
    }

    /// The recording is over and does not say how the agent ended: it waits for the end of its stdin, unless
    /// it left a question of the host open, for then it had died.
    async fn linger(&mut self) -> Result<Exit, Stop> {
        if !self.unanswered.is_empty() {
            return Ok(Exit { code: Some(1), ..Exit::default() });
        }
        loop {
            if let Some(prompt) = self.heard.iter().find(|said| said["type"] == "user") {
                let words = format!("the recording is over, and there is a prompt more: {}", prompt["uuid"]);
                return Err(Stop::OffScript(words));
            }
            if !self.is_host_open {
                return Ok(Exit { code: Some(0), ..Exit::default() });
            }
            self.hear().await?;
        }
    }

    /// Takes in what the host says next.
    async fn hear(&mut self) -> Result<(), Stop> {
        let mut chunk = Vec::new();
        self.is_host_open = matches!(self.host.read_buf(&mut chunk).await, Ok(1..));
        let mut lines = Vec::new();
        self.splitter.push(&chunk, |piece| {
            if let Piece::Line(line) = piece {
                lines.extend(wire::read_line(line));
            }
        });
        for said in lines {
            if said["type"] == "control_request" && !self.is_still_wanted(&said) {
                self.refuse(&said).await?;
            } else {
                self.heard.push_back(said);
            }
        }
        Ok(())
    }

    /// Whether the rest of the recording has as many requests of this kind as the host has made.
    fn is_still_wanted(&self, said: &Value) -> bool {
        let rest = self.recording.entries.iter().skip(self.at.saturating_sub(1));
        let recorded = rest.filter_map(|entry| match &entry.what {
            What::In(Line::Json(frame)) => Some(frame),
            _ => None,
        });
        let recorded = recorded.filter(|frame| is_same_kind(frame, said)).count();
        let is_initialize = said["request"]["subtype"] == "initialize" && !self.has_initialize();
        is_initialize || recorded > self.heard.iter().filter(|heard| is_same_kind(said, heard)).count()
    }

    async fn refuse(&mut self, said: &Value) -> Result<(), Stop> {
        let error = "the recording has no such request";
        let response = json!({ "subtype": "error", "request_id": said["request_id"], "error": error });
        self.say_as_is(&json!({ "type": "control_response", "response": response })).await
    }

    async fn respond(&mut self, said: &Value, payload: Value) -> Result<(), Stop> {
        let response = json!({ "subtype": "success", "request_id": said["request_id"], "response": payload });
        self.say_as_is(&json!({ "type": "control_response", "response": response })).await
    }

    /// Says a frame of the recording, with this host's ids.
    async fn say(&mut self, mut frame: Value) -> Result<(), Stop> {
        match frame["type"].as_str() {
            Some("control_cancel_request") => {
                self.withdrawn.extend(frame["request_id"].as_str().map(str::to_owned));
            }
            Some("control_response") => {
                self.unanswered.remove(frame["response"]["request_id"].as_str().unwrap_or_default());
            }
            _ => {}
        }
        translate(&mut frame, &self.ids);
        self.say_as_is(&frame).await
    }

    async fn say_as_is(&mut self, frame: &Value) -> Result<(), Stop> {
        let line = wire::write_line(frame);
        self.say_bytes(line.trim_ascii_end()).await
    }

    async fn say_bytes(&mut self, line: &[u8]) -> Result<(), Stop> {
        let Some(agent) = &mut self.agent else {
            return Ok(());
        };
        let written = async {
            agent.write_all(line).await?;
            agent.write_all(b"\n").await
        };
        written.await.map_err(|_| Stop::HostLeft)
    }
}

/// Whether the host now says what the recorded host said then, whatever the contents.
fn is_same_kind(recorded: &Value, said: &Value) -> bool {
    recorded["type"] == said["type"]
        && recorded["request"]["subtype"] == said["request"]["subtype"]
        // Requests of the agent keep their ids.
        && recorded["response"]["request_id"] == said["response"]["request_id"]
}

/// What a frame is, in words.
fn kind(frame: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let what = text(&frame["request"]["subtype"]).or_else(|| text(&frame["response"]["request_id"]));
    format!("{} {}", text(&frame["type"]).unwrap_or_default(), what.unwrap_or_default()).trim_end().to_owned()
}

fn translate(value: &mut Value, ids: &HashMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(own) = ids.get(text.as_str()) {
                text.clone_from(own);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| translate(item, ids)),
        Value::Object(map) => map.values_mut().for_each(|item| translate(item, ids)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
