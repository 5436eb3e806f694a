//! Everything that moves while an agent works: `cargo run --example advanced_streaming -- "First." "Second."`
//!
//! All prompts are sent at once. Each has a stream of its own that ends with its own result, whether the agent
//! answers them one by one or together. Text, thoughts and the input of tools are shown as they are written;
//! an answer that grows beyond `--limit N` characters is interrupted.

#![expect(clippy::print_stdout, reason = "an example speaks to a terminal")]

use std::{collections::BTreeMap, env};

use futures::future::try_join_all;
use sdk_runtime::{
    AgentOptions, Background, Conversation, EnvMode, Message, ProcessLauncher, Queued, Thinking, Turn,
    TurnError, find_cli,
    message::{ContentBlock, Delta, StreamEvent},
};

/// What one answer is made of, put together from deltas.
#[derive(Default)]
struct Answer {
    text: String,
    thoughts: String,
    /// Name and JSON so far of each tool call, by the index of its block.
    calls: BTreeMap<u64, (String, String)>,
    events: usize,
}

impl Answer {
    /// Takes one event in, and says when a tool's input is complete.
    fn grow(&mut self, event: StreamEvent) -> Option<(String, String)> {
        self.events += 1;
        match event {
            StreamEvent::BlockStart(start) => {
                if let ContentBlock::ToolUse(call) = start.content_block {
                    self.calls.insert(start.index, (call.name, String::new()));
                }
            }
            StreamEvent::BlockDelta(grown) => match grown.delta {
                Delta::Text(delta) => self.text.push_str(&delta.text),
                Delta::Thinking(delta) => self.thoughts.push_str(&delta.thinking),
                Delta::InputJson(delta) => {
                    if let Some((_, json)) = self.calls.get_mut(&grown.index) {
                        json.push_str(&delta.partial_json);
                    }
                }
                // Signatures, citations, and kinds that are not known yet.
                _ => {}
            },
            StreamEvent::BlockStop(stop) => return self.calls.remove(&stop.index),
            _ => {}
        }
        None
    }
}

async fn follow(number: usize, mut turn: Turn, limit: usize) -> Result<(), TurnError> {
    let mut answer = Answer::default();
    let mut is_interrupted = false;
    while let Some(message) = turn.next().await {
        match message? {
            Message::Lifecycle(news) => println!("#{number} {}", news.state),
            Message::Stream(stream) => {
                if let Some((tool, input)) = answer.grow(stream.event) {
                    println!("#{number} calls {tool} with {input}");
                }
                if answer.text.chars().count() > limit && !is_interrupted {
                    is_interrupted = true;
                    println!("#{number} has said enough");
                    // The others wait and are answered next; `Queued::Cancel` would take them back.
                    turn.interrupt(Queued::Keep).await?;
                }
            }
            Message::Result(result) => {
                let shown: String = answer.text.chars().take(60).collect();
                println!("#{number} {:?} after {} events: {shown}", result.outcome(), answer.events);
                if !answer.thoughts.is_empty() {
                    println!("#{number} thought: {}", answer.thoughts);
                }
            }
            // A host that reads too slowly is told so here, and still gets its result.
            Message::Lost(lost) => println!("#{number} lost something: {lost:?}"),
            _ => {}
        }
    }
    Ok(())
}

/// What belongs to no prompt: the state of the session, tasks in the background, turns they lead to.
async fn listen(mut background: Background) {
    while let Some(message) = background.next().await {
        if let Some(text) = message.text() {
            println!("by itself: {text}");
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut prompts: Vec<String> = env::args().skip(1).collect();
    let mut limit = 2000;
    if let Some(at) = prompts.iter().position(|arg| arg == "--limit") {
        limit = prompts.drain(at..).nth(1).ok_or("--limit needs a number")?.parse()?;
    }
    if prompts.is_empty() {
        prompts = vec!["Count to five.".to_owned(), "Now backwards.".to_owned()];
    }
    let options = AgentOptions::default()
        .with_cli(find_cli(None)?)
        .with_cwd(env::current_dir()?)
        .with_inherit_env(EnvMode::Merge)
        .with_partial_messages(true)
        .with_forward_subagent_text(true)
        .with_thinking(Thinking::adaptive());
    let (conversation, background) = Conversation::start(&ProcessLauncher, options).await?;

    let mut turns = Vec::new();
    for (number, prompt) in prompts.into_iter().enumerate() {
        turns.push(follow(number, conversation.send(prompt).await?, limit));
    }
    let all = async {
        let done = try_join_all(turns).await;
        // The end of the agent is the end of `listen`.
        conversation.close().await;
        done
    };
    let (done, ()) = tokio::join!(all, listen(background));
    done?;
    Ok(())
}
