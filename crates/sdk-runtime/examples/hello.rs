//! One question, one answer: `cargo run --example hello -- "What is in this folder?"`
//!
//! It needs the CLI in the `PATH` (or where installers put it) and what the CLI needs: a login, or
//! `ANTHROPIC_API_KEY`. With `ANTHROPIC_BASE_URL` it talks to whatever answers there.

#![expect(clippy::print_stdout, reason = "an example speaks to a terminal")]

use std::env;

use futures::StreamExt as _;
use sdk_runtime::{AgentOptions, EnvMode, Message, find_cli, query};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prompt = env::args().nth(1).unwrap_or_else(|| "Say hello in one sentence.".to_owned());
    let options = AgentOptions::default()
        .with_cli(find_cli(None)?)
        .with_cwd(env::current_dir()?)
        // An agent sees no variable of this process unless it is told to. Here it needs HOME and its key.
        .with_inherit_env(EnvMode::Merge);

    // The agent starts when the query is polled, and is gone when the stream ends or is dropped. Who wants
    // nothing but the answer writes `query(prompt, options).text().await?`.
    let mut answer = query(prompt, options);
    while let Some(message) = answer.next().await {
        match message? {
            Message::Assistant(said) => println!("{}", said.text()),
            Message::Result(result) => {
                let written = result.tokens().and_then(|tokens| tokens.output_tokens).unwrap_or_default();
                println!("{:?} in {} ms, {written} tokens written", result.outcome(), result.duration_ms);
            }
            // Tool calls, news of the session, and whatever a newer CLI may add.
            _ => {}
        }
    }
    Ok(())
}
