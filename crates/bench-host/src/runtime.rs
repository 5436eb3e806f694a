//! Our host: the same orders as the one in Python, obeyed with `sdk-runtime`.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use bench_host::{
    agents::{plain, turn},
    orders::{Answer, Order, Session, Threads},
};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use sdk_runtime::{
    Agent, AgentOptions, Conversation, Decision, Event, Events, Frame, HookOutput, HookRegistration, Message,
    ProcessLauncher, PromptContent, Queued,
    mcp::{McpServer, Tool, ToolCall, ToolError},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How often it is looked how much lies unread.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// More than one partial message counts for.
const PARTIAL_BYTES: usize = 640;

/// A session, as frames or as a conversation.
enum Held {
    Agent(Agent, Events),
    Conversation(Conversation),
}

/// Obeys until its input ends.
pub(super) fn run(threads: Threads) -> Result<()> {
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Many => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build()?;
    runtime.block_on(async {
        let mut held = Vec::new();
        say(&Answer::default())?;
        loop {
            let line = tokio::task::spawn_blocking(|| {
                let mut line = String::new();
                io::stdin().read_line(&mut line).map(|_| line)
            });
            let line = line.await??;
            if line.is_empty() {
                break;
            }
            let used = cpu_seconds()?;
            let answer = match obey(&mut held, serde_json::from_str(&line)?).await {
                Ok(answer) => Answer { cpu_seconds: cpu_seconds()? - used, ..answer },
                Err(error) => Answer { problem: Some(format!("{error:#}")), ..Answer::default() },
            };
            say(&answer)?;
        }
        let mut closing = JoinSet::new();
        for one in held {
            closing.spawn(async move {
                match one {
                    Held::Agent(agent, _events) => agent.close().await,
                    Held::Conversation(conversation) => conversation.close().await,
                }
            });
        }
        closing.join_all().await;
        Ok(())
    })
}

fn say(answer: &Answer) -> Result<()> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}

async fn obey(held: &mut Vec<Held>, order: Order) -> Result<Answer> {
    let started = Instant::now();
    let partials = match order {
        Order::Open { sessions, prompt } => {
            held.extend(open(sessions, &prompt).await?);
            0
        }
        Order::Turn { prompt } => {
            let Some(Held::Agent(agent, events)) = held.first_mut() else {
                bail!("no session is open as frames")
            };
            turn(agent, events, &prompt).await?
        }
        Order::TypedTurn { prompt } => {
            ensure!(!held.is_empty(), "no session is open");
            let conversation = match held.remove(0) {
                Held::Agent(agent, events) => Conversation::with_agent(agent, events).0,
                Held::Conversation(conversation) => conversation,
            };
            let partials = typed_turn(&conversation, &prompt).await?;
            held.insert(0, Held::Conversation(conversation));
            partials
        }
        Order::Interrupt { prompt, unread, .. } => {
            let Some(Held::Agent(agent, events)) = held.first_mut() else {
                bail!("no session is open as frames")
            };
            return interrupt(agent, events, &prompt, unread).await;
        }
    };
    Ok(Answer { seconds: Some(started.elapsed().as_secs_f64()), partials, ..Answer::default() })
}

/// What every session of ours is opened with.
fn options(session: Session) -> AgentOptions {
    let has_seams = session.has_seams;
    let options = plain(session);
    if !has_seams {
        return options;
    }
    let hook = HookRegistration::raw("PreToolUse", |_| async { Ok(HookOutput::proceed()) });
    options
        .with_gate_fn(|_| async { Ok(Decision::allow()) })
        .with_hook(hook.with_matcher("Write"))
        .with_mcp_server("calc", McpServer::new("calc").with_tool(add()))
        .with_allowed_tools(vec!["mcp__calc__add".to_owned()])
}

fn add() -> Tool {
    let numbers = json!({
        "type": "object", "required": ["a", "b"],
        "properties": { "a": { "type": "integer" }, "b": { "type": "integer" } },
    });
    Tool::with_schema("add", "Adds two numbers", numbers, |input: Value, _call: ToolCall| async move {
        let number = |name: &str| input[name].as_i64().ok_or_else(|| ToolError::new("not a number"));
        Ok((number("a")? + number("b")?).to_string())
    })
}

async fn open(sessions: Vec<Session>, prompt: &str) -> Result<Vec<Held>> {
    let mut opening = JoinSet::new();
    for session in sessions {
        let prompt = prompt.to_owned();
        opening.spawn(async move {
            let (agent, mut events) = Agent::start(&ProcessLauncher, options(session)).await?;
            turn(&agent, &mut events, &prompt).await?;
            anyhow::Ok(Held::Agent(agent, events))
        });
    }
    opening.join_all().await.into_iter().collect()
}

async fn typed_turn(conversation: &Conversation, prompt: &str) -> Result<usize> {
    let mut partials = 0;
    let mut turn = conversation.send(PromptContent::Text(prompt.to_owned())).await?;
    while let Some(message) = turn.next().await {
        match message? {
            Message::Stream(_) => partials += 1,
            Message::Result(result) => ensure!(!result.is_error, "the turn failed: {result:?}"),
            _ => {}
        }
    }
    Ok(partials)
}

async fn interrupt(agent: &Agent, events: &mut Events, prompt: &str, unread: usize) -> Result<Answer> {
    agent.prompt(PromptContent::Text(prompt.to_owned())).await?;
    while events.unread_bytes() < unread * PARTIAL_BYTES {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let asked = Instant::now();
    agent.interrupt(Queued::Keep).await?;
    let seconds = Some(asked.elapsed().as_secs_f64());
    let mut partials = 0;
    while let Some(event) = events.next().await {
        match event {
            Event::Frame(Frame::StreamEvent { .. }) => partials += 1,
            Event::Finished { .. } => break,
            _ => {}
        }
    }
    ensure!(partials >= unread, "only {partials} messages were unread");
    Ok(Answer { seconds, partials, ..Answer::default() })
}

fn cpu_seconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
