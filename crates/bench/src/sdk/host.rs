//! Hosts: processes that hold sessions through one SDK, and take orders. Ours is a small program of its own, because what
//! it takes is measured.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
pub(super) use bench_host::orders::{Answer, Order, Session, Threads};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::{BARE, OURS, PYTHON};
use crate::{
    process::{Memory, memory},
    relay,
    steward::AgentEndpoint,
    tools::Tools,
    turns::Place,
};

/// The program that is a host of ours; it lies beside this one.
const PROGRAM: &str = "steward-bench-host";
const PYTHON_HOST: &str = include_str!("host.py");
/// Longer than anything a host is asked to do.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// What a host is to be; it goes by the name.
const BARE_HOST: &str = "bare";

/// A host; it ends, with its sessions, when its input does.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: &'static str,
    place: Place,
    endpoint: AgentEndpoint,
    child: Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// A session in folders below a host's.
pub(super) fn session(place: &Place, endpoint: &AgentEndpoint, name: &str) -> Result<Session> {
    let place = place.below(name)?;
    Ok(Session {
        cli: place.claude.clone(),
        cwd: place.work(),
        env: place.environment(endpoint),
        model: crate::turns::MODEL_NAME.to_owned(),
        tools: crate::turns::TOOLS.map(str::to_owned).to_vec(),
        system_prompt: crate::turns::SYSTEM_PROMPT.to_owned(),
        has_seams: false,
        has_partials: false,
    })
}

/// A session with the relay between, which writes its notes there.
pub(super) fn through_relay(mut session: Session, notes: &Path) -> Result<Session> {
    let cli = std::mem::replace(&mut session.cli, env::current_exe().context("this program has a path")?);
    session.env.insert(relay::CLI.to_owned(), cli.display().to_string());
    session.env.insert(relay::NOTES.to_owned(), notes.display().to_string());
    Ok(session)
}

impl Host {
    pub(super) async fn ours(
        tools: &Tools,
        folder: &str,
        endpoint: &AgentEndpoint,
        threads: Threads,
    ) -> Result<Self> {
        let kind = threads.name();
        Self::start(OURS, own(kind)?, tools, &format!("{folder}-{kind}"), endpoint).await
    }

    pub(super) async fn python(tools: &Tools, folder: &str, endpoint: &AgentEndpoint) -> Result<Self> {
        let python = tools.python.as_ref().context("there is no Python that has the official SDK")?;
        let mut command = Command::new(python);
        command.args(["-c", PYTHON_HOST]);
        Self::start(PYTHON, command, tools, &format!("{folder}-py"), endpoint).await
    }

    pub(super) async fn bare(tools: &Tools, folder: &str, endpoint: &AgentEndpoint) -> Result<Self> {
        Self::start(BARE, own(BARE_HOST)?, tools, &format!("{folder}-bare"), endpoint).await
    }

    async fn start(
        name: &'static str,
        mut command: Command,
        tools: &Tools,
        folder: &str,
        endpoint: &AgentEndpoint,
    ) -> Result<Self> {
        let place = Place::new(tools, folder)?;
        let mut child = command
            .env_clear()
            .envs(tools.environment(&place.folder))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start a host of {name}"))?;
        let stdin = child.stdin.take().context("its input is piped")?;
        let answers = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        let mut host = Self { name, place, endpoint: endpoint.clone(), child, stdin, answers };
        host.answer().await?;
        Ok(host)
    }

    pub(super) fn session(&self, name: &str) -> Result<Session> {
        session(&self.place, &self.endpoint, name)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.folder.join(name)
    }

    pub(super) fn memory(&self) -> Result<Memory> {
        memory(self.child.id().context("the host has ended")?)
    }

    pub(super) async fn ask(&mut self, order: &Order) -> Result<Answer> {
        let order = serde_json::to_string(order)?;
        self.stdin.write_all(format!("{order}\n").as_bytes()).await.context("the host has ended")?;
        self.answer().await
    }

    pub(super) async fn open(&mut self, sessions: Vec<Session>) -> Result<Answer> {
        self.ask(&Order::Open { sessions, prompt: crate::turns::PROMPT.to_owned() }).await
    }

    pub(super) async fn turn(&mut self, prompt: &str) -> Result<Answer> {
        self.ask(&Order::Turn { prompt: prompt.to_owned() }).await
    }

    pub(super) async fn end(mut self) -> Result<()> {
        drop(self.stdin);
        let ended = timeout(ANSWER_TIMEOUT, self.child.wait()).await;
        ended.context("a host did not end")?.context("failed to wait for a host")?;
        Ok(())
    }

    async fn answer(&mut self) -> Result<Answer> {
        let name = self.name;
        let line = timeout(ANSWER_TIMEOUT, self.answers.next_line()).await;
        let line = line.with_context(|| format!("the host of {name} is silent"))??;
        let line = line.with_context(|| format!("the host of {name} has ended"))?;
        let answer: Answer = serde_json::from_str(&line)
            .with_context(|| format!("the host of {name} said something else than JSON: {line}"))?;
        match answer.problem {
            Some(problem) => bail!("the host of {name} failed: {problem}"),
            None => Ok(answer),
        }
    }
}

/// A host of ours, of this kind.
fn own(kind: &str) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?.with_file_name(PROGRAM));
    command.arg(kind);
    Ok(command)
}
