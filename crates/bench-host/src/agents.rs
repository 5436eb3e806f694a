//! Agents as the benchmarks start them, and their turns.

use anyhow::{Result, bail, ensure};
use sdk_runtime::{Agent, AgentOptions, Event, Events, Frame, PromptContent, SystemPrompt};

use crate::orders::Session;

/// Without anything that would ask its host.
pub fn plain(session: Session) -> AgentOptions {
    AgentOptions::default()
        .with_cli(session.cli)
        .with_cwd(session.cwd)
        .with_env(session.env)
        .with_model(session.model)
        .with_tools(session.tools)
        .with_system_prompt(SystemPrompt::Text(session.system_prompt))
        .with_partial_messages(session.has_partials)
}

/// Gives the number of partial messages.
pub async fn turn(agent: &Agent, events: &mut Events, prompt: &str) -> Result<usize> {
    agent.prompt(PromptContent::Text(prompt.to_owned())).await?;
    rest_of_turn(events).await
}

async fn rest_of_turn(events: &mut Events) -> Result<usize> {
    let mut partials = 0;
    while let Some(event) = events.next().await {
        match event {
            Event::Frame(Frame::StreamEvent { .. }) => partials += 1,
            Event::Finished { result, .. } => {
                ensure!(!result.is_error, "the turn failed: {result:?}");
                return Ok(partials);
            }
            Event::Exited(said) => bail!("the agent ended: {}", said.words()),
            Event::Overrun { .. } | Event::Dropped { .. } => bail!("the agent's events were lost"),
            Event::Frame(_) | Event::Skipped { .. } | Event::MirrorFailed(_) => {}
        }
    }
    bail!("the agent said nothing more")
}
