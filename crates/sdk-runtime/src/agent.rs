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
    launcher::{Haste, Invocation, Launcher, Life, Transport},
    limits::Limits,
    link::Link,
    options::AgentOptions,
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

/// What to say to the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum PromptContent {
    /// Plain text; one that begins with `/` is a command.
    Text(String),
    /// Messages API blocks, as a list.
    Blocks(Value),
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
        let body = invocation::initialize_body(&options);
        let has_hooks = !options.hooks.is_empty();
        Self::launch(launcher, invocation, body, Seams::of(&options), has_hooks).await
    }

    /// Starts an agent that waits to be claimed. Whatever it asks is denied.
    pub(crate) async fn park(
        launcher: &dyn Launcher,
        invocation: Invocation,
        initialize_body: Value,
    ) -> Result<(Self, Events), Error> {
        let seams = Seams::of(&AgentOptions::default());
        Self::launch(launcher, invocation, initialize_body, seams, false).await
    }

    /// Makes a parked agent the one that is wanted. When this fails, or is dropped, the agent is killed.
    pub(crate) async fn claim(self, seams: Seams, hooks: Value, body: Value) -> Result<Self, Error> {
        // Both go through the same queue: nobody of the former seams answers once the hooks are known.
        self.link.command(Command::Reseat(seams));
        if !hooks.is_null() {
            let answer = self.control("initialize", json!({ "hooks": hooks })).await?;
            let applied = Initialized::read(answer, self.pid())?;
            if applied.raw["hooks_applied"] != true || applied.raw["hook_on_failure_supported"] != true {
                return Err(Error::HooksFailOpen { found: applied.version });
            }
        }
        let mut answer = self.control("claim_session", body).await?;
        let initialized = match answer["initialize"].take() {
            Value::Null => self.initialized,
            described => Arc::new(Initialized::read(described, self.link.life.pid())?),
        };
        Ok(Self { link: self.link, initialized })
    }

    async fn launch(
        launcher: &dyn Launcher,
        invocation: Invocation,
        initialize_body: Value,
        seams: Seams,
        has_hooks: bool,
    ) -> Result<(Self, Events), Error> {
        let transport = launcher.launch(&invocation).await?;
        let has_jail = invocation.containment.jail.is_some();
        let (link, events) = connect(transport, seams, invocation.limits);
        let link = Arc::new(link);
        let initialized = match shake_hands(&link, initialize_body, has_hooks).await {
            Ok(initialized) => Arc::new(initialized),
            Err(error) => {
                end(&link, Haste::Now).await;
                return Err(if has_jail { error.or_not_contained() } else { error });
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

    /// Sends a prompt under a new id. Done when the line is written; the answer comes as events.
    pub async fn prompt(&self, content: PromptContent) -> Result<Uuid, Error> {
        let id = Uuid::now_v7();
        self.prompt_with_id(id, content).await?;
        Ok(id)
    }

    /// Sends a prompt under this id, which must be new to the session.
    pub async fn prompt_with_id(&self, id: Uuid, content: PromptContent) -> Result<(), Error> {
        let room = self.link.room().await?;
        let content = match content {
            PromptContent::Text(text) => Value::String(text),
            PromptContent::Blocks(blocks) => blocks,
        };
        let (sent, outcome) = oneshot::channel();
        self.link.command(Command::Prompt { id, content, room, sent });
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

    /// Whether the agent is gone.
    pub(crate) fn has_exited(&self) -> bool {
        self.link.has_ended()
    }

    /// The same as `exited`, without holding on to the agent.
    pub(crate) fn gone(&self) -> impl Future<Output = ()> + Send + 'static {
        let ended = self.link.said();
        async move {
            let mut ended = ended;
            // An error is the end of its runtime, and with that of the agent.
            let _ = ended.wait_for(Option::is_some).await;
        }
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
fn connect(transport: Transport, seams: Seams, limits: Limits) -> (Link, Events) {
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
        seams,
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
