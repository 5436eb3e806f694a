//! One turn with the real agent: `cargo run --example one_turn -- /path/to/claude "say hello"`.
//!
//! It needs `HOME` to find the user's credentials, and prints what the model writes as it comes.

use std::{
    env,
    io::{self, Write as _},
};

use sdk_runtime::{Agent, AgentOptions, EnvMode, Event, ProcessLauncher, PromptContent, SystemPrompt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let cli = args.next().ok_or("the path of the CLI is missing")?;
    let prompt = args.next().ok_or("the prompt is missing")?;
    let options = AgentOptions::default()
        .with_cli(cli)
        .with_cwd(env::current_dir()?)
        .with_inherit_env(EnvMode::Merge)
        .with_system_prompt(Some(SystemPrompt::Empty))
        .with_partial_messages(true);
    let (agent, mut events) = Agent::start(&ProcessLauncher, options).await?;
    let id = agent.prompt(PromptContent::Text(prompt)).await?;
    let mut out = io::stdout();
    while let Some(event) = events.next().await {
        match event {
            Event::Frame(frame) => {
                out.write_all(frame.text_delta().unwrap_or_default().as_bytes())?;
                out.flush()?;
            }
            Event::Finished { prompts, result } if prompts.contains(&id) => {
                writeln!(out, "\n{:?}, {} turn(s)", result.outcome(), result.num_turns)?;
                break;
            }
            Event::Exited(said) => return Err(said.words().into()),
            Event::Finished { .. }
            | Event::Dropped { .. }
            | Event::Skipped { .. }
            | Event::MirrorFailed(_)
            | Event::Overrun { .. } => {}
        }
    }
    agent.close().await;
    Ok(())
}
