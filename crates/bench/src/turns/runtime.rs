//! The same through `sdk-runtime` alone: its share of what Steward costs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sdk_runtime::{
    Agent, AgentOptions, Event, Events, PermissionMode, ProcessLauncher, PromptContent, SessionStart,
    SystemPrompt,
};
use uuid::Uuid;

use super::{MODEL_NAME, PROMPT, Place, SYSTEM_PROMPT, TOOLS};
use crate::steward::AgentEndpoint;

/// An agent of the runtime.
#[derive(Debug)]
pub(crate) struct Runtime {
    place: Place,
    endpoint: AgentEndpoint,
    launcher: ProcessLauncher,
    warm: Option<(Agent, Events)>,
}

impl Runtime {
    pub(super) fn new(place: Place, endpoint: AgentEndpoint) -> Self {
        Self { place, endpoint, launcher: ProcessLauncher, warm: None }
    }

    pub(super) async fn warm(&mut self) -> Result<Duration> {
        let mut agent = match self.warm.take() {
            Some(agent) => agent,
            None => self.start("warm").await?,
        };
        let asked = Instant::now();
        turn(&mut agent).await?;
        let took = asked.elapsed();
        self.warm = Some(agent);
        Ok(took)
    }

    pub(super) async fn cold(&mut self, round: usize) -> Result<Duration> {
        let started = Instant::now();
        let mut agent = self.start(&format!("cold-{round}")).await?;
        turn(&mut agent).await?;
        let took = started.elapsed();
        agent.0.close().await;
        Ok(took)
    }

    pub(super) async fn end(self) -> Result<()> {
        if let Some((agent, _events)) = self.warm {
            agent.close().await;
        }
        Ok(())
    }

    async fn start(&self, name: &str) -> Result<(Agent, Events)> {
        let place = self.place.below(name)?;
        let options = AgentOptions::default()
            .with_cli(place.claude.clone())
            .with_cwd(place.work())
            .with_env(place.environment(&self.endpoint))
            .with_session(SessionStart::New { id: Uuid::now_v7() })
            .with_model(MODEL_NAME.to_owned())
            .with_system_prompt(SystemPrompt::Text(SYSTEM_PROMPT.to_owned()))
            .with_tools(TOOLS.map(str::to_owned).to_vec())
            .with_permission_mode(PermissionMode::Default);
        Agent::start(&self.launcher, options).await.context("failed to start an agent")
    }
}

async fn turn((agent, events): &mut (Agent, Events)) -> Result<()> {
    agent.prompt(PromptContent::Text(PROMPT.to_owned())).await?;
    while let Some(event) = events.next().await {
        match event {
            Event::Finished { result, .. } => {
                ensure!(!result.is_error, "the turn failed: {result:?}");
                return Ok(());
            }
            Event::Exited(said) => bail!("the agent ended: {}", said.words()),
            Event::Overrun { .. } | Event::Dropped { .. } => bail!("the agent's events were lost"),
            Event::Frame(_) | Event::Skipped { .. } | Event::MirrorFailed(_) => {}
        }
    }
    bail!("the agent said nothing more")
}
