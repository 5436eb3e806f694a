//! The agent: a handle to one running CLI.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use crate::{
    driver::{self, Command},
    error::{Error, Exit, Said},
    event::{self, Events},
    initialized::Initialized,
    invocation,
    launcher::{Haste, Launcher, Life, Transport},
    link::Link,
    options::AgentOptions,
    prompt::Prompt,
    protocol::PromptRefusal,
    seams::Seams,
    task,
    turn_result::prompt_ids,
    writer,
};

/// A running agent. Clones are handles to the same one; when the last is dropped, it is killed together
/// with everything it started.
#[derive(Debug, Clone)]
pub struct Agent {
    link: Arc<Link>,
    initialized: Arc<Initialized>,
}

/// What an interrupt does to prompts that wait behind the running one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// They run next.
    Keep,
    /// They are taken back.
    Cancel,
}

/// The agent's answer to an interrupt. The interrupted turn still ends with a result of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterruptReceipt {
    /// Prompts that run next.
    pub still_queued: Vec<Uuid>,
    /// Prompts that were taken back.
    pub cancelled: Vec<Uuid>,
}

impl Agent {
    /// Starts an agent and shakes hands. When this fails, or is dropped, nothing is left running.
    pub async fn start(launcher: &dyn Launcher, options: AgentOptions) -> Result<(Self, Events), Error> {
        let invocation = invocation::invocation(&options);
        let transport = launcher.launch(&invocation).await?;
        let body = invocation::initialize_body(&options);
        let has_hooks = !options.hooks.is_empty();
        let (link, events) = connect(transport, options);
        let link = Arc::new(link);
        let initialized = match shake_hands(&link, body, has_hooks).await {
            Ok(initialized) => Arc::new(initialized),
            Err(error) => {
                end(&link, Haste::Now).await;
                return Err(error);
            }
        };
        Ok((Self { link, initialized }, events))
    }

    /// What the agent said of itself.
    pub fn initialized(&self) -> &Initialized {
        &self.initialized
    }

    /// Process id, when there is a process.
    pub fn pid(&self) -> Option<u32> {
        self.link.life.pid()
    }

    /// Sends a prompt, under a new id unless it has one. Done when the line is written; the answer comes as
    /// events. When this is dropped, the prompt was sent or not; its id tells in the events.
    pub async fn prompt(&self, prompt: impl Into<Prompt>) -> Result<Uuid, Error> {
        let prompt = prompt.into();
        let id = prompt.id().unwrap_or_else(Uuid::now_v7);
        self.prompt_with_id(id, prompt).await?;
        Ok(id)
    }

    /// Sends a prompt under this id, which must be new to the session.
    pub async fn prompt_with_id(&self, id: Uuid, prompt: impl Into<Prompt>) -> Result<(), Error> {
        let prompt = Box::new(prompt.into());
        let room = self.link.room().await?;
        let (sent, outcome) = oneshot::channel();
        self.link.command(Command::Prompt { id, prompt, room, sent });
        let written = match outcome.await {
            Ok(Ok(written)) => written,
            Ok(Err(PromptRefusal::Duplicate)) => return Err(Error::DuplicatePrompt { id }),
            Ok(Err(PromptRefusal::Ended)) | Err(_) => return Err(self.link.gone().await),
        };
        match written.await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.link.gone().await),
        }
    }

    /// Interrupts the running turn; nothing happens when none runs.
    pub async fn interrupt(&self, queued: Queued) -> Result<InterruptReceipt, Error> {
        let body = match queued {
            Queued::Keep => json!({}),
            Queued::Cancel => json!({ "cancel_queued": true }),
        };
        let receipt = self.control("interrupt", body).await?;
        Ok(InterruptReceipt {
            still_queued: prompt_ids(&receipt["still_queued"]),
            cancelled: prompt_ids(&receipt["cancelled"]),
        })
    }

    /// Sends any control request: `body` is an object without `subtype`.
    pub async fn control(&self, subtype: &str, body: Value) -> Result<Value, Error> {
        let patience = self.link.limits.control_timeout;
        self.link.control(subtype, body, patience).await
    }

    /// Changes the model from the next request on; `None` goes back to the default.
    pub async fn set_model(&self, model: Option<&str>) -> Result<(), Error> {
        let body = json!({ "model": model });
        self.control("set_model", body).await.map(drop)
    }

    /// Changes the permission mode.
    pub async fn set_permission_mode(&self, mode: &str) -> Result<(), Error> {
        let body = json!({ "mode": mode });
        self.control("set_permission_mode", body).await.map(drop)
    }

    /// Closes the agent: it may finish its turn for `Limits::close_grace`, then it is ended. Returns when
    /// neither it nor anything it started is left. May be called again, and from several places.
    pub async fn close(&self) -> Exit {
        end(&self.link, Haste::AfterGrace).await
    }

    /// Kills the agent and everything it started.
    pub async fn kill(&self) -> Exit {
        end(&self.link, Haste::Now).await
    }

    /// Waits until the agent is gone, for whatever reason, without asking it to go.
    pub async fn exited(&self) -> Arc<Said> {
        self.link.last_words().await
    }
}

async fn end(link: &Link, haste: Haste) -> Exit {
    link.command(Command::CloseStdin);
    link.life.end(haste);
    link.last_words().await.exit.clone()
}

/// Starts the tasks that serve one agent.
fn connect(transport: Transport, options: AgentOptions) -> (Link, Events) {
    let limits = options.limits;
    let life: Arc<dyn Life> = Arc::from(transport.life);
    let (commands, commands_in) = mpsc::unbounded_channel();
    let (lines, lines_in) = mpsc::channel(limits.write_queue_max.max(1));
    let (stop_writer, stopped) = oneshot::channel();
    let (events_in, events) = event::queue(limits.event_bytes_max);
    let (said, said_out) = watch::channel(None);
    task::spawn(writer::run(transport.stdin, lines_in, stopped));
    task::spawn(driver::run(driver::Parts {
        stdout: transport.stdout,
        life: Arc::clone(&life),
        commands: commands_in,
        commands_back: commands.downgrade(),
        lines: lines.clone(),
        stop_writer,
        events: events_in,
        seams: Seams::new(options.hooks, options.gate, limits.gate_timeout),
        said,
        limits: limits.clone(),
    }));
    let link = Link::new(life, commands, lines, said_out, limits);
    (link, events)
}

async fn shake_hands(link: &Link, body: Value, has_hooks: bool) -> Result<Initialized, Error> {
    let waited = link.limits.initialize_timeout;
    let answer = match link.control("initialize", body, waited).await {
        Ok(answer) => answer,
        Err(Error::Exited { said }) => return Err(Error::Startup { said }),
        Err(Error::ControlTimeout { .. }) => {
            link.life.end(Haste::Now);
            let said = link.last_words().await;
            return Err(Error::HandshakeTimeout { waited, said });
        }
        Err(error) => return Err(error),
    };
    let initialized = Initialized::read(answer, link.life.pid())?;
    if has_hooks && initialized.raw["hook_on_failure_supported"] != true {
        let found = initialized.version;
        return Err(Error::HooksFailOpen { found });
    }
    Ok(initialized)
}
