//! One question, one answer: an agent for a single prompt, closed when all it began is done.

use std::{
    collections::HashSet,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{
    agent::Agent,
    clock,
    conversation::{TurnError, text_of},
    error::Error,
    event::{DropReason, Event, Events},
    launcher::Launcher,
    message::{Lost, Message, SessionState, SystemMessage, TaskStatus},
    options::AgentOptions,
    process::ProcessLauncher,
    prompt::Prompt,
    turn_result::TurnResult,
};

/// Has the CLI say when the session is idle.
const STATE_ENV: &str = "CLAUDE_CODE_SDK_READS_SESSION_STATE";

/// Starts an agent, sends one prompt and yields everything it says. The stream ends after the result, when
/// background work is done too (at most `Limits::background_wait` later) and the agent is closed. Work in
/// the background wakes the agent, so that more messages and a result may follow the first; the last result
/// is the one of `Query::result`.
///
/// Nothing happens before the stream is polled. When it is dropped, the agent is killed together with
/// everything it started.
///
/// ```no_run
/// use sdk_runtime::{AgentOptions, query};
///
/// # async fn ask() -> Result<(), sdk_runtime::TurnError> {
/// let options = AgentOptions::default().with_cli("claude").with_cwd("/srv/demo");
/// let text = query("what is two and two?", options).text().await?;
/// # drop(text); Ok(())
/// # }
/// ```
pub fn query(prompt: impl Into<Prompt>, options: AgentOptions) -> Query {
    query_with(Arc::new(ProcessLauncher), prompt, options)
}

/// The same with another launcher.
pub fn query_with(
    launcher: Arc<dyn Launcher>,
    prompt: impl Into<Prompt>,
    mut options: AgentOptions,
) -> Query {
    options.env.entry(STATE_ENV.to_owned()).or_insert_with(|| "1".to_owned());
    let start = Stage::Start { launcher, prompt: Box::new(prompt.into()), options: Box::new(options) };
    Query { messages: stream::unfold(start, step).boxed() }
}

/// The messages of a one-shot query.
#[must_use = "nothing happens before it is polled"]
pub struct Query {
    messages: BoxStream<'static, Result<Message, TurnError>>,
}

impl Query {
    /// Reads on to the end and returns the last result, a failed one too. When it is dropped, the agent is
    /// killed.
    pub async fn result(mut self) -> Result<TurnResult, TurnError> {
        let mut last = Err(TurnError::ResultMissing);
        while let Some(message) = self.messages.next().await {
            if let Message::Result(result) = message? {
                last = Ok(*result);
            }
        }
        last
    }

    /// The text of the last result; a failed turn is an error. When it is dropped, the agent is killed.
    pub async fn text(self) -> Result<String, TurnError> {
        text_of(self.result().await?)
    }
}

impl Stream for Query {
    type Item = Result<Message, TurnError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.messages.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query").finish_non_exhaustive()
    }
}

/// Where a query stands.
enum Stage {
    Start { launcher: Arc<dyn Launcher>, prompt: Box<Prompt>, options: Box<AgentOptions> },
    Running(Box<Running>),
    Over,
}

struct Running {
    agent: Agent,
    events: Events,
    id: Uuid,
    work: Work,
    background_wait: std::time::Duration,
    /// Set when the result is there: how long to wait for the rest.
    close_by: Option<Instant>,
}

/// What the agent still has to do.
#[derive(Debug, Default)]
struct Work {
    /// What the session says of itself; older agents say nothing.
    state: Option<SessionState>,
    tasks: HashSet<String>,
    /// A task is done, and the agent is about to wake and say so.
    is_about_to_wake: bool,
}

async fn step(stage: Stage) -> Option<(Result<Message, TurnError>, Stage)> {
    let mut running = match stage {
        Stage::Start { launcher, prompt, options } => {
            match Running::start(&*launcher, *prompt, *options).await {
                Ok(running) => Box::new(running),
                Err(error) => return Some((Err(error.into()), Stage::Over)),
            }
        }
        Stage::Running(running) => running,
        Stage::Over => return None,
    };
    match running.next().await {
        Some(Ok(message)) => Some((Ok(message), Stage::Running(running))),
        Some(Err(error)) => {
            running.agent.close().await;
            Some((Err(error), Stage::Over))
        }
        None => {
            running.agent.close().await;
            None
        }
    }
}

impl Running {
    async fn start(launcher: &dyn Launcher, prompt: Prompt, options: AgentOptions) -> Result<Self, Error> {
        let background_wait = options.limits.background_wait;
        let (agent, events) = Agent::start(launcher, options).await?;
        let id = agent.prompt(prompt).await?;
        let work = Work::default();
        Ok(Self { agent, events, id, work, background_wait, close_by: None })
    }

    async fn next(&mut self) -> Option<Result<Message, TurnError>> {
        let event = match self.close_by {
            None => self.events.next().await,
            Some(_) if self.work.is_done() => None,
            // Whatever still runs then is ended with the agent.
            Some(deadline) => timeout_at(deadline, self.events.next()).await.ok().flatten(),
        };
        let message = match event? {
            Event::Frame(frame) => frame.into_message(),
            Event::Finished { prompts, result } => {
                if prompts.contains(&self.id) && self.close_by.is_none() {
                    self.close_by = Some(clock::from_now(self.background_wait));
                }
                Message::Result(result)
            }
            Event::Dropped { why: DropReason::Cancelled, .. } => return Some(Err(TurnError::Cancelled)),
            Event::Dropped { why: DropReason::ResultMissing, .. } => {
                return Some(Err(TurnError::ResultMissing));
            }
            Event::Skipped { reason, bytes } => Message::Lost(Lost::skipped(&reason, bytes)),
            Event::Overrun { unread_bytes } => Message::Lost(Lost::overrun(unread_bytes)),
            Event::MirrorFailed(loss) => Message::Lost(Lost::unmirrored(&loss)),
            Event::Exited(_) if self.close_by.is_some() => return None,
            Event::Exited(said) => return Some(Err(Error::Exited { said }.into())),
        };
        self.work.note(&message);
        Some(Ok(message))
    }
}

impl Work {
    fn note(&mut self, message: &Message) {
        let message = match message {
            Message::System(message) => message,
            Message::Result(_) => {
                self.is_about_to_wake = false;
                return;
            }
            _ => return,
        };
        match message {
            SystemMessage::SessionStateChanged(changed) => self.state = Some(changed.state.clone()),
            SystemMessage::BackgroundTasksChanged(changed) => {
                let tasks = changed.tasks.iter().filter(|task| !task.is_ambient);
                self.tasks = tasks.map(|task| task.task_id.clone()).collect();
            }
            SystemMessage::TaskStarted(task) if task.is_backgrounded && !task.is_ambient => {
                self.tasks.insert(task.task_id.clone());
            }
            SystemMessage::TaskUpdated(task)
                if task.patch.status.as_ref().is_some_and(TaskStatus::is_over) =>
            {
                self.tasks.remove(&task.task_id);
            }
            SystemMessage::TaskNotification(task) => {
                self.tasks.remove(&task.task_id);
                self.is_about_to_wake = true;
            }
            _ => {}
        }
    }

    /// Whether nothing runs. A session that tells its state is believed; else the tasks are counted.
    fn is_done(&self) -> bool {
        match &self.state {
            Some(state) => *state == SessionState::Idle,
            None => self.tasks.is_empty() && !self.is_about_to_wake,
        }
    }
}
