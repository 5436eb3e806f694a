//! A chat in the terminal: `cargo run --example interactive_chat`
//!
//! A line is a prompt; its answer is shown while it is written. Ctrl-C interrupts the answer, `/model NAME`
//! switches the model, `/quit` or the end of the input ends the chat.

#![expect(clippy::print_stdout, reason = "an example speaks to a terminal")]

use std::{
    env,
    io::{self, Write as _},
};

use sdk_runtime::{AgentOptions, Conversation, EnvMode, Message, ProcessLauncher, Queued, Turn, find_cli};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    signal,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = AgentOptions::default()
        .with_cli(find_cli(None)?)
        .with_cwd(env::current_dir()?)
        .with_inherit_env(EnvMode::Merge)
        .with_partial_messages(true);
    // What the agent does of its own accord would arrive beside it; this chat starts nothing there.
    let (conversation, _) = Conversation::start(&ProcessLauncher, options).await?;
    println!("Claude Code {}; /quit to end", conversation.agent().initialized().version);

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match line.trim() {
            "" => {}
            "/quit" => break,
            command if command.starts_with("/model ") => {
                let name = command.trim_start_matches("/model ").trim();
                match conversation.agent().set_model(Some(name)).await {
                    Ok(_) => println!("the next answer comes from {name}"),
                    // A request that is refused harms nobody; the conversation goes on.
                    Err(error) => println!("cannot {error}"),
                }
            }
            prompt => show(conversation.send(prompt).await?).await?,
        }
    }

    // Returns when the agent and everything it started is gone.
    let exit = conversation.close().await;
    println!("bye ({exit})");
    Ok(())
}

/// Shows one answer as it is written. A failed turn is told and is not the end of the chat; an agent that is
/// gone is an error here.
async fn show(mut turn: Turn) -> Result<(), Box<dyn std::error::Error>> {
    let mut is_interrupted = false;
    loop {
        // `next` is cancel safe, so it may lose the race against Ctrl-C without losing a message.
        let message = tokio::select! {
            message = turn.next() => message,
            _ = signal::ctrl_c(), if !is_interrupted => {
                is_interrupted = true;
                turn.interrupt(Queued::Cancel).await?;
                continue;
            }
        };
        match message.transpose()? {
            None => return Ok(()),
            Some(Message::Result(result)) => match result.words() {
                Some(words) => println!("\n[{:?}: {words}]", result.outcome()),
                None => println!(),
            },
            // Text of subagents has a `parent_tool_use_id` and is not part of the answer.
            Some(message) if message.parent_tool_use_id().is_none() => {
                print!("{}", message.text_delta().unwrap_or_default());
                io::stdout().flush()?;
            }
            Some(_) => {}
        }
    }
}
