//! The least that can drive the CLI: a pipe, lines written as they are, and a search for the result.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use uuid::Uuid;

use super::{MODEL_NAME, PROMPT, Place, SYSTEM_PROMPT, TOOLS};
use crate::steward::AgentEndpoint;

const RESULT_MARK: &[u8] = b"\"type\":\"result\"";
const GOOD_MARK: &[u8] = b"\"is_error\":false";
const PARTIAL_MARK: &[u8] = b"\"type\":\"stream_event\"";
const ANSWER_MARK: &[u8] = b"\"type\":\"control_response\"";
const SUCCESS_MARK: &[u8] = b"\"subtype\":\"success\"";
/// Until a CLI that was parked has nothing left to do: it goes on a little after it has said that it is ready.
pub(crate) const PARKED: Duration = Duration::from_millis(500);

/// Nothing between us and the CLI.
#[derive(Debug)]
pub(crate) struct Bare {
    place: Place,
    endpoint: AgentEndpoint,
    warm: Option<Pipe>,
}

#[derive(Debug)]
struct Pipe {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    line: Vec<u8>,
}

impl Bare {
    pub(crate) fn new(place: Place, endpoint: AgentEndpoint) -> Self {
        Self { place, endpoint, warm: None }
    }

    pub(crate) async fn warm(&mut self) -> Result<Duration> {
        let mut pipe = match self.warm.take() {
            Some(pipe) => pipe,
            None => {
                let mut pipe = self.start("warm")?;
                pipe.write(&[initialize()]).await?;
                pipe
            }
        };
        let asked = Instant::now();
        pipe.write(&[prompt(PROMPT)]).await?;
        pipe.result().await?;
        let took = asked.elapsed();
        self.warm = Some(pipe);
        Ok(took)
    }

    pub(super) async fn cold(&mut self, round: usize) -> Result<Duration> {
        let started = Instant::now();
        let mut pipe = self.start(&format!("cold-{round}"))?;
        // Nothing makes the prompt wait for the answer to the first line.
        pipe.write(&[initialize(), prompt(PROMPT)]).await?;
        pipe.result().await?;
        let took = started.elapsed();
        pipe.end().await?;
        Ok(took)
    }

    /// What a claim takes: a CLI that is parked already is given its folder, and the prompt.
    pub(crate) async fn claim(&self, round: usize) -> Result<Duration> {
        let (name, parking) = (format!("claim-{round}"), format!("parked-{round}"));
        let work = self.place.below(&name)?.work();
        let mut pipe = self.spawn(&parking, &["--await-claim".to_owned()])?;
        pipe.write(&[initialize()]).await?;
        pipe.answer().await?;
        tokio::time::sleep(PARKED).await;
        let started = Instant::now();
        let request = json!({ "subtype": "claim_session", "cwd": work, "include_initialize": true });
        pipe.write(&[json!({ "type": "control_request", "request_id": "2", "request": request })]).await?;
        pipe.answer().await?;
        pipe.write(&[prompt(PROMPT)]).await?;
        pipe.result().await?;
        let took = started.elapsed();
        pipe.end().await?;
        Ok(took)
    }

    /// What an interrupt takes when so many partial messages have been read and thrown away.
    pub(crate) async fn interrupt(&self, round: usize, text: &str, partials: usize) -> Result<Duration> {
        let mut pipe =
            self.spawn(&format!("interrupt-{round}"), &["--include-partial-messages".to_owned()])?;
        pipe.write(&[initialize(), prompt(text)]).await?;
        pipe.answer().await?;
        for _ in 0..partials {
            pipe.line_with(PARTIAL_MARK).await?;
        }
        let request = json!({ "subtype": "interrupt" });
        let asked = Instant::now();
        pipe.write(&[json!({ "type": "control_request", "request_id": "2", "request": request })]).await?;
        pipe.answer().await?;
        let took = asked.elapsed();
        pipe.end().await?;
        Ok(took)
    }

    pub(crate) async fn end(self) -> Result<()> {
        match self.warm {
            Some(pipe) => pipe.end().await,
            None => Ok(()),
        }
    }

    fn start(&self, name: &str) -> Result<Pipe> {
        self.spawn(name, &[format!("--session-id={}", Uuid::now_v7())])
    }

    fn spawn(&self, name: &str, more: &[String]) -> Result<Pipe> {
        let place = self.place.below(name)?;
        let mut child = Command::new(&place.claude)
            .args(["--output-format=stream-json", "--input-format=stream-json", "--verbose"])
            .args(["--permission-prompt-tool=stdio", "--setting-sources=", "--permission-mode=default"])
            .args(more)
            .arg(format!("--model={MODEL_NAME}"))
            .arg(format!("--tools={}", TOOLS.join(",")))
            .current_dir(place.work())
            .env_clear()
            .envs(place.environment(&self.endpoint))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start the CLI")?;
        let stdin = child.stdin.take().context("its input is piped")?;
        let stdout = BufReader::new(child.stdout.take().context("its output is piped")?);
        Ok(Pipe { child, stdin, stdout, line: Vec::new() })
    }
}

impl Pipe {
    async fn write(&mut self, lines: &[Value]) -> Result<()> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.stdin.write_all(text.as_bytes()).await.context("failed to write to the CLI")
    }

    async fn result(&mut self) -> Result<()> {
        self.line_with(RESULT_MARK).await?;
        self.check_line(GOOD_MARK)
    }

    async fn answer(&mut self) -> Result<()> {
        self.line_with(ANSWER_MARK).await?;
        self.check_line(SUCCESS_MARK)
    }

    async fn line_with(&mut self, mark: &[u8]) -> Result<()> {
        loop {
            self.line.clear();
            let read = self.stdout.read_until(b'\n', &mut self.line).await?;
            ensure!(read > 0, "the CLI ended without {}", String::from_utf8_lossy(mark));
            if memchr::memmem::find(&self.line, mark).is_some() {
                return Ok(());
            }
        }
    }

    fn check_line(&self, mark: &[u8]) -> Result<()> {
        let is_good = memchr::memmem::find(&self.line, mark).is_some();
        ensure!(is_good, "the CLI said {}", String::from_utf8_lossy(&self.line));
        Ok(())
    }

    async fn end(mut self) -> Result<()> {
        drop(self.stdin);
        self.child.wait().await.context("failed to wait for the CLI")?;
        Ok(())
    }
}

fn initialize() -> Value {
    json!({
        "type": "control_request", "request_id": "1",
        "request": {"subtype": "initialize", "hooks": null, "systemPrompt": [SYSTEM_PROMPT]},
    })
}

fn prompt(text: &str) -> Value {
    json!({
        "type": "user", "message": {"role": "user", "content": text},
        "parent_tool_use_id": null, "uuid": Uuid::now_v7(),
    })
}
