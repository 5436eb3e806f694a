//! Conversations: each prompt gets the messages of its own turn, and its own result.
//!
//! An agent answers prompts in turns, and a turn is not a prompt: prompts that wait together are answered by
//! one turn, a prompt that comes while a tool runs joins the turn that is running, and the agent wakes by
//! itself when a background task is done. A [`Turn`] therefore begins with its prompt, yields what the agent
//! says from the moment the prompt is taken up, and ends with the result that answers it. Prompts that share
//! a turn each see all of it. Everything else is for [`Background`].
//!
//! Reading is never a duty: control requests, hooks and permissions are answered whether or not anybody
//! reads, a dropped [`Turn`] drops its messages alone, and what lies unread is bounded by
//! `Limits::event_bytes_max`: of all turns together, and of `Background` by itself, so that who never reads it
//! loses nothing of a turn.
//!
//! ```no_run
//! use futures::StreamExt as _;
//! use sdk_runtime::{AgentOptions, Conversation, Message, ProcessLauncher, TurnError};
//!
//! # async fn chat() -> Result<(), TurnError> {
//! let options = AgentOptions::default().with_cli("claude").with_cwd("/srv/demo");
//! let (conversation, _) = Conversation::start(&ProcessLauncher, options).await?;
//! let mut turn = conversation.send("what changed here last week?").await?;
//! while let Some(message) = turn.next().await {
//!     if let Message::Assistant(said) = message? {
//!         tracing::info!(text = said.text());
//!     }
//! }
//! let summary = conversation.send("in one sentence, please").await?.text().await?;
//! conversation.close().await;
//! # drop(summary); Ok(())
//! # }
//! ```

mod desk;
mod outside;
mod router;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use uuid::Uuid;

use self::{
    desk::{Desk, Item},
    outside::outside,
};
use crate::{
    agent::{Agent, InterruptReceipt, Queued},
    error::{Error, Exit},
    event::{Events, Receipt},
    launcher::Launcher,
    message::Message,
    options::AgentOptions,
    prompt::Prompt,
    task,
    turn_result::TurnResult,
};

/// A conversation with one agent. Clones are handles to the same one. When the last of them and of its
/// turns is dropped, the agent is killed together with everything it started.
#[derive(Debug, Clone)]
pub struct Conversation {
    agent: Agent,
    desk: Arc<Desk>,
}

/// The turn that answers one prompt: a stream of messages that ends with the result. Dropping it stops the
/// listening, not the turn.
#[derive(Debug)]
#[must_use = "the prompt is sent; without its turn the answer is not heard"]
pub struct Turn {
    id: Uuid,
    agent: Agent,
    items: mpsc::UnboundedReceiver<Item>,
    is_over: bool,
}

/// What belongs to no prompt of this conversation: turns the agent begins by itself, news of background
/// tasks, the state of the session. It ends with the agent. Dropping it drops such messages. When more than
/// `Limits::event_bytes_max` lies unread here, messages are lost until some are read, which a
/// [`Lost`](crate::message::Lost) says in their place; results have the same room again.
#[derive(Debug)]
pub struct Background {
    messages: mpsc::UnboundedReceiver<(Message, Receipt)>,
}

/// Why a prompt has no result, or none that will do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// It was taken back before it started, by an interrupt that cancels what waits.
    #[error("have the prompt answered, it was taken back before it started")]
    Cancelled,
    /// The agent says the prompt is over, and its result was lost or never named it.
    #[error("read the result of the prompt, it was lost")]
    ResultMissing,
    /// The turn ended with a failure. Only methods that promise a good result say so.
    #[error("finish the turn, the agent said: {}", .result.words().unwrap_or_default())]
    Failed {
        /// The result.
        result: Box<TurnResult>,
    },
    /// The agent could not be started or reached, or is gone.
    #[error(transparent)]
    Agent(#[from] Error),
}

impl Conversation {
    /// Starts an agent and talks to it. When this fails, or is dropped, nothing is left running.
    pub async fn start(
        launcher: &dyn Launcher,
        options: AgentOptions,
    ) -> Result<(Self, Background), TurnError> {
        let (agent, events) = Agent::start(launcher, options).await?;
        Ok(Self::with_agent(agent, events))
    }

    /// Talks to an agent that runs already. Prompts that were sent before are answered in `Background`.
    pub fn with_agent(agent: Agent, events: Events) -> (Self, Background) {
        let desk = Arc::new(Desk::default());
        let (outside, messages) = outside(events.bytes_max());
        task::spawn(router::run(events, Arc::clone(&desk), outside));
        (Self { agent, desk }, Background { messages })
    }

    /// The agent, for everything but prompts: a prompt sent there is answered in `Background`.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Sends a prompt. Done when the line is written; what waits for the agent to read is bounded, so this
    /// may wait. When it is dropped, the prompt was sent or not, and its answer is not heard.
    pub async fn send(&self, prompt: impl Into<Prompt>) -> Result<Turn, TurnError> {
        let prompt = prompt.into();
        let id = prompt.id().unwrap_or_else(Uuid::now_v7);
        // Before the turn is open: whoever gives up waiting for it has sent nothing, and may send it again.
        let room = self.agent.room().await?;
        let Some(items) = self.desk.open(id) else {
            return Err(Error::DuplicatePrompt { id }.into());
        };
        // The turn is open before the line is written, because the answer may be faster than this task.
        if let Err(error) = self.agent.prompt_in(room, id, prompt).await {
            self.desk.close(id);
            return Err(error.into());
        }
        Ok(Turn { id, agent: self.agent.clone(), items, is_over: false })
    }

    /// Interrupts the running turn, whose prompts get a result that says so. Nothing happens when none
    /// runs. When this is dropped, the interrupt may still take place.
    pub async fn interrupt(&self, queued: Queued) -> Result<InterruptReceipt, TurnError> {
        Ok(self.agent.interrupt(queued).await?)
    }

    /// Closes the agent: it may finish its turn for `Limits::close_grace`, then it is ended. Returns when
    /// neither it nor anything it started is left. May be called again; when it is dropped, the agent is
    /// closed all the same.
    pub async fn close(&self) -> Exit {
        self.agent.close().await
    }
}

impl Turn {
    /// Id of the prompt.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The next message; `None` after the result or the error that ended the turn. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Message, TurnError>> {
        StreamExt::next(self).await
    }

    /// Reads on to the result, a failed one too. Cancel safe, but messages read meanwhile are gone.
    pub async fn result(&mut self) -> Result<TurnResult, TurnError> {
        while let Some(message) = self.next().await {
            if let Message::Result(result) = message? {
                return Ok(*result);
            }
        }
        Err(TurnError::ResultMissing)
    }

    /// Reads on to the result and takes its text; a failed turn is an error.
    /// When it is dropped, the turn goes on unheard.
    pub async fn text(mut self) -> Result<String, TurnError> {
        text_of(self.result().await?)
    }

    /// Interrupts the running turn, be it this one or one before it.
    /// When this is dropped, the interrupt may still take place.
    pub async fn interrupt(&self, queued: Queued) -> Result<InterruptReceipt, TurnError> {
        Ok(self.agent.interrupt(queued).await?)
    }
}

impl Stream for Turn {
    type Item = Result<Message, TurnError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let item = match std::task::ready!(self.items.poll_recv(context)) {
            Some((item, _receipt)) => item,
            // The router went down with its runtime.
            None => Err(Error::Closed.into()),
        };
        self.is_over = matches!(item, Err(_) | Ok(Message::Result(_)));
        Poll::Ready(Some(item))
    }
}

impl Background {
    /// The next message; `None` when the agent is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Message> {
        StreamExt::next(self).await
    }
}

impl Stream for Background {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let item = std::task::ready!(self.messages.poll_recv(context));
        Poll::Ready(item.map(|(message, _receipt)| message))
    }
}

/// The text of a good result.
pub(crate) fn text_of(mut result: TurnResult) -> Result<String, TurnError> {
    if result.is_error {
        return Err(TurnError::Failed { result: Box::new(result) });
    }
    Ok(result.text.take().unwrap_or_default())
}
