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
        pipe.write(&[prompt()]).await?;
        pipe.result().await?;
        let took = asked.elapsed();
        self.warm = Some(pipe);
        Ok(took)
    }

    pub(super) async fn cold(&mut self, round: usize) -> Result<Duration> {
        let started = Instant::now();
        let mut pipe = self.start(&format!("cold-{round}"))?;
        // Nothing makes the prompt wait for the answer to the first line.
        pipe.write(&[initialize(), prompt()]).await?;
        pipe.result().await?;
        let took = started.elapsed();
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
        let place = self.place.below(name)?;
        let mut child = Command::new(&place.claude)
            .args(["--output-format=stream-json", "--input-format=stream-json", "--verbose"])
            .args(["--permission-prompt-tool=stdio", "--setting-sources=", "--permission-mode=default"])
            .arg(format!("--session-id={}", Uuid::now_v7()))
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
        loop {
            self.line.clear();
            let read = self.stdout.read_until(b'\n', &mut self.line).await?;
            ensure!(read > 0, "the CLI ended without a result");
            if memchr::memmem::find(&self.line, RESULT_MARK).is_some() {
                let is_good = memchr::memmem::find(&self.line, GOOD_MARK).is_some();
                ensure!(is_good, "the turn failed: {}", String::from_utf8_lossy(&self.line));
                return Ok(());
            }
        }
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

fn prompt() -> Value {
    json!({
        "type": "user", "message": {"role": "user", "content": PROMPT},
        "parent_tool_use_id": null, "uuid": Uuid::now_v7(),
    })
}
