//! The same through the official Python SDK, in a Python that stays and takes its own times.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::{MODEL_NAME, PROMPT, Place, SYSTEM_PROMPT, TOOLS};
use crate::{steward::AgentEndpoint, tools::Tools};

const DRIVER: &str = include_str!("python.py");
/// Importing the SDK alone takes more than a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A Python with the SDK imported; it ends when its input does.
#[derive(Debug)]
pub(crate) struct Python {
    place: Place,
    endpoint: AgentEndpoint,
    child: Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Python {
    pub(crate) async fn start(tools: &Tools, place: Place, model_url: &str) -> Result<Self> {
        let python = tools.python.as_ref().context("there is no Python that has it")?;
        let endpoint = AgentEndpoint { base_url: model_url.to_owned(), token: "offline".to_owned() };
        let mut child = Command::new(python)
            .args(["-c", DRIVER])
            .env_clear()
            .envs(tools.environment(&place.folder))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start Python")?;
        let stdin = child.stdin.take().context("its input is piped")?;
        let answers = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        let mut python = Self { place, endpoint, child, stdin, answers };
        let ready = python.answer().await?;
        ensure!(ready["ready"] == true, "Python is not ready: {ready}");
        Ok(python)
    }

    pub(crate) fn id(&self) -> Result<u32> {
        self.child.id().context("Python has ended")
    }

    pub(super) async fn warm(&mut self) -> Result<Duration> {
        let place = self.place.below("warm")?;
        self.ask("warm", &place).await
    }

    pub(super) async fn cold(&mut self, round: usize) -> Result<Duration> {
        let place = self.place.below(&format!("cold-{round}"))?;
        self.ask("cold", &place).await
    }

    pub(super) async fn end(mut self) -> Result<()> {
        drop(self.stdin);
        self.child.wait().await.context("failed to wait for Python")?;
        Ok(())
    }

    async fn ask(&mut self, what: &str, place: &Place) -> Result<Duration> {
        let order = json!({
            "do": what, "prompt": PROMPT, "cli": text(&place.claude), "cwd": text(&place.work()),
            "env": place.environment(&self.endpoint), "model": MODEL_NAME, "tools": TOOLS,
            "system_prompt": SYSTEM_PROMPT,
        });
        self.stdin.write_all(format!("{order}\n").as_bytes()).await.context("Python has ended")?;
        let answer = self.answer().await?;
        match answer["seconds"].as_f64() {
            Some(seconds) => Ok(Duration::from_secs_f64(seconds)),
            None => bail!("Python said {answer}"),
        }
    }

    async fn answer(&mut self) -> Result<Value> {
        let line = timeout(ANSWER_TIMEOUT, self.answers.next_line()).await.context("Python is silent")??;
        serde_json::from_str(&line.context("Python has ended")?)
            .context("Python said something else than JSON")
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
