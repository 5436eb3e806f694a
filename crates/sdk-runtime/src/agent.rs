//! The agent: a handle to one running CLI.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    driver::{self, Command},
    error::{Error, Exit, Said},
    event::{self, Events},
    hook,
    initialized::Initialized,
    invocation::{self, Confirmations},
    launcher::{Haste, Invocation, Launcher, Life, Transport},
    limits::Limits,
    link::Link,
    mcp::{self, McpServerConfig, McpSetServers, Sessions},
    options::AgentOptions,
    prompt::Prompt,
    protocol::PromptRefusal,
    seams::Seams,
    store::{self, Materialized, Mirror, UnstoredLines},
    task,
    telemetry::Timed,
    turn_result::prompt_ids,
    writer::{Room, Rooms, Writer},
};

/// A running agent. Clones are handles to the same one; when the last is dropped, it is killed together
/// with everything it started.
#[derive(Debug, Clone)]
pub struct Agent {
    link: Arc<Link>,
    initialized: Arc<Initialized>,
    initialize_body: Arc<Value>,
    mcp: Arc<Sessions>,
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
#[non_exhaustive]
pub struct InterruptReceipt {
    /// Prompts that run next.
    pub still_queued: Vec<Uuid>,
    /// Prompts that were taken back.
    pub cancelled: Vec<Uuid>,
}

/// What an agent is started from: its options, taken apart.
struct Launch {
    invocation: Invocation,
    initialize_body: Value,
    to_confirm: Confirmations,
    has_hooks: bool,
    seams: Seams,
    servers: BTreeMap<String, McpServerConfig>,
    stored: Stored,
}

/// What an agent has to do with a session store.
#[derive(Default)]
struct Stored {
    mirror: Option<Mirror>,
    /// The folder it runs in, when it resumes from the store.
    materialized: Option<Materialized>,
}

impl Stored {
    async fn prepare(options: &mut AgentOptions) -> Result<Self, Error> {
        let materialized = store::materialize(options).await;
        let materialized = materialized.map_err(|source| Error::SessionStore { source: Arc::new(source) })?;
        Ok(Self { mirror: options.session_store.clone().map(Mirror::start), materialized })
    }
}

impl Launch {
    fn of(options: AgentOptions) -> Self {
        Self {
            invocation: invocation::invocation(&options),
            initialize_body: invocation::initialize_body(&options),
            to_confirm: invocation::to_confirm(&options),
            has_hooks: !options.hooks.is_empty(),
            seams: Seams::of(&options),
            servers: options.mcp,
            stored: Stored::default(),
        }
    }
}

impl Agent {
    /// Starts an agent and shakes hands. When this fails, or is dropped, nothing is left running.
    ///
    /// Options that contradict themselves are refused before anything starts, as [`Error::InvalidOption`].
    pub async fn start(launcher: &dyn Launcher, options: AgentOptions) -> Result<(Self, Events), Error> {
        // In a box: whoever may start an agent would have room for all of this while it does something else.
        Box::pin(Self::start_settled(launcher, settled(options)?)).await
    }

    /// Starts an agent from options that were [`settled`].
    pub(crate) async fn start_settled(
        launcher: &dyn Launcher,
        mut options: AgentOptions,
    ) -> Result<(Self, Events), Error> {
        let stored = Stored::prepare(&mut options).await?;
        Self::launch(launcher, Launch { stored, ..Launch::of(options) }).await
    }

    /// Starts an agent that waits to be claimed. Whatever it asks is denied.
    pub(crate) async fn park(
        launcher: &dyn Launcher,
        invocation: Invocation,
        initialize_body: Value,
        to_confirm: Confirmations,
    ) -> Result<(Self, Events), Error> {
        let nobody = Launch::of(AgentOptions::default());
        Self::launch(launcher, Launch { invocation, initialize_body, to_confirm, ..nobody }).await
    }

    /// Makes a parked agent the one that is wanted, as if it had been started with this body of `initialize`.
    /// When this fails, or is dropped, the agent is killed.
    pub(crate) async fn claim(self, seams: Seams, initialize: Value, body: Value) -> Result<Self, Error> {
        // Both go through the same queue: nobody of the former seams answers once the hooks are known.
        self.link.command(Command::Reseat(seams));
        let hooks = &initialize["hooks"];
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
        Ok(Self { link: self.link, initialized, initialize_body: Arc::new(initialize), mcp: self.mcp })
    }

    async fn launch(launcher: &dyn Launcher, launch: Launch) -> Result<(Self, Events), Error> {
        let timed = Timed::start(launch.invocation.agent_marker);
        let span = timed.span();
        let started = Self::shake_hands(launcher, launch).instrument(span.clone()).await;
        match &started {
            Ok((agent, _)) => {
                span.record("pid", agent.initialized.pid);
                span.record("version", tracing::field::display(&agent.initialized.version));
                timed.end("started");
            }
            Err(error) => timed.end(error.name()),
        }
        started
    }

    async fn shake_hands(launcher: &dyn Launcher, launch: Launch) -> Result<(Self, Events), Error> {
        let Launch { invocation, initialize_body, to_confirm, has_hooks, seams, servers, stored } = launch;
        let transport = launcher.launch(&invocation).await?;
        let has_jail = invocation.containment.jail.is_some();
        let (link, events, mcp) =
            connect(transport, seams, &servers, stored, invocation.limits, invocation.agent_marker);
        let link = Arc::new(link);
        let initialize_body = mcp.introduce(initialize_body, link.limits.mcp_manifest_timeout).await;
        let initialized = match shake_hands(&link, initialize_body.clone(), has_hooks, &to_confirm).await {
            Ok(initialized) => Arc::new(initialized),
            Err(error) => {
                end(&link, Haste::Now).await;
                return Err(if has_jail { error.or_not_contained() } else { error });
            }
        };
        mcp.ready(&initialized.raw);
        Ok((Self { link, initialized, initialize_body: Arc::new(initialize_body), mcp }, events))
    }

    /// What the agent said of itself.
    pub fn initialized(&self) -> &Initialized {
        &self.initialized
    }

    /// Process id, when there is a process.
    pub fn pid(&self) -> Option<u32> {
        self.link.life.pid()
    }

    /// Counts `cpu_time_max` of the agent's [`ProcessLimits`](crate::ProcessLimits) from the next look on, so
    /// that a bound can be one of each turn.
    pub fn restart_cpu_time(&self) {
        self.link.life.restart_cpu_time();
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
    /// When this is dropped, the prompt was sent or not; its id tells in the events.
    pub async fn prompt_with_id(&self, id: Uuid, prompt: impl Into<Prompt>) -> Result<(), Error> {
        let prompt = prompt.into();
        let room = self.link.room().await?;
        self.prompt_in(room, id, prompt).await
    }

    /// Room for one prompt. When waiting for it is given up, nothing was sent.
    pub(crate) async fn room(&self) -> Result<Room, Error> {
        self.link.room().await
    }

    /// Sends a prompt; it is on its way once this was polled.
    pub(crate) async fn prompt_in(&self, room: Room, id: Uuid, prompt: Prompt) -> Result<(), Error> {
        let prompt = Box::new(prompt);
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
    /// When this is dropped, the interrupt may still take place.
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
    /// When it is dropped, the agent may still do it.
    pub async fn control(&self, subtype: &str, body: Value) -> Result<Value, Error> {
        let patience = self.link.limits.control_timeout;
        self.link.control(subtype, body, patience).await
    }

    /// Shakes hands again, with the same options: hooks are registered anew, and `commands`, `models` and
    /// the rest are fresh. What may only be given at the start (MCP servers, plugins) stays as it is. The
    /// answer does not replace `initialized`.
    /// When it is dropped, the agent may still do it.
    pub async fn reinitialize(&self) -> Result<Initialized, Error> {
        let body = Value::clone(&self.initialize_body);
        let answer = self.link.control("initialize", body, self.link.limits.initialize_timeout).await?;
        Initialized::read(answer, self.link.life.pid())
    }

    /// Replaces the MCP servers that are in-process or were set this way before; those of the options that
    /// are external stay, and so do those of settings and plugins. In-process servers that stay the same keep
    /// their sessions.
    ///
    /// The answer comes before the agent has shaken hands with new in-process servers. When this fails, the
    /// in-process ones are as before. When it is dropped, the agent may still take the new set, and calls of
    /// servers that were not there before are then answered with an error.
    pub async fn set_mcp_servers(
        &self,
        servers: BTreeMap<String, McpServerConfig>,
    ) -> Result<McpSetServers, Error> {
        let (in_process, replaced) = self.mcp.replace(&servers).await;
        let mut wire = in_process;
        wire.extend(servers.iter().filter_map(|(name, server)| Some((name.clone(), server.external()?))));
        let answer = self.control("mcp_set_servers", json!({ "servers": wire })).await?;
        replaced.keep(&servers);
        Ok(McpSetServers::read(answer))
    }

    /// Waits until every transcript line heard so far is in the session store, or given up and told of in
    /// the events. The lines of a turn come before its result. Done at once without a store. Cancel safe.
    pub async fn flush_session_store(&self) {
        if let Some(flush) = &self.link.flush {
            flush.flush().await;
        }
    }

    /// Takes out the transcript lines that wait for the session store, to be stored by the caller instead: with
    /// the end of the turn, in one transaction. The lines of a turn come before its result. What the store was given
    /// already is waited for. `None` without a store, or when nothing waits. Cancel safe.
    pub async fn take_transcript_lines(&self) -> Option<UnstoredLines> {
        self.link.flush.as_ref()?.take().await
    }

    /// Closes the agent: it may finish its turn for `Limits::close_grace`, then it is ended. Returns when
    /// neither it nor anything it started is left. May be called again, and from several places.
    /// When this is dropped, the agent is closed all the same.
    pub async fn close(&self) -> Exit {
        end(&self.link, Haste::AfterGrace).await
    }

    /// Kills the agent and everything it started.
    /// When this is dropped, the agent is killed all the same.
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
    /// Cancel safe.
    pub async fn exited(&self) -> Arc<Said> {
        self.link.last_words().await
    }
}

/// Options that may be started or claimed: checked, and with everything the agent obeys only in other terms put in
/// those.
pub(crate) fn settled(mut options: AgentOptions) -> Result<AgentOptions, Error> {
    options.check()?;
    mcp::apply_policies(&mut options);
    hook::warn_of_late_hooks(&options.hooks);
    Ok(options)
}

async fn end(link: &Link, haste: Haste) -> Exit {
    // A closed stdin asks for an end in order, which would race with a kill.
    if haste == Haste::AfterGrace {
        link.command(Command::CloseStdin);
    }
    link.life.end(haste);
    link.last_words().await.exit.clone()
}

/// Starts the tasks that serve one agent.
fn connect(
    transport: Transport,
    seams: Seams,
    servers: &BTreeMap<String, McpServerConfig>,
    stored: Stored,
    limits: Limits,
    agent: Uuid,
) -> (Link, Events, Arc<Sessions>) {
    let Stored { mirror, materialized } = stored;
    let flush = mirror.as_ref().map(Mirror::flusher);
    let life: Arc<dyn Life> = Arc::from(transport.life);
    let (commands, commands_in) = mpsc::unbounded_channel();
    let rooms = Rooms::new(limits.write_queue_max);
    let (events_in, events) = event::queue(limits.event_bytes_max);
    let (said, said_out) = watch::channel(None);
    let mcp = Arc::new(Sessions::open(servers, commands.downgrade(), rooms.clone()));
    task::spawn(driver::run(driver::Parts {
        stdout: transport.stdout,
        life: Arc::clone(&life),
        commands: commands_in,
        commands_back: commands.downgrade(),
        writer: Writer::new(transport.stdin, rooms.clone()),
        events: events_in,
        seams,
        mcp: Arc::clone(&mcp),
        agent,
        said,
        limits: limits.clone(),
        mirror,
        materialized,
    }));
    let link = Link::new(life, commands, rooms, said_out, limits, agent, flush);
    (link, events, mcp)
}

async fn shake_hands(
    link: &Link,
    body: Value,
    has_hooks: bool,
    to_confirm: &Confirmations,
) -> Result<Initialized, Error> {
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
    for (field, confirmation) in to_confirm {
        if initialized.raw[*confirmation] != true {
            return Err(Error::NotApplied { field });
        }
    }
    Ok(initialized)
}
