//! Sessions as people manage them: create, find, change, set aside, end.

use crate::{
    Error, FieldError, Result,
    admission::{Admission, Room},
    approvals::desk::{Desk, Surrounding},
    archives::Workshop,
    canary::SelfTest,
    draft::{SessionDraft, start},
    feed::Feed,
    fork::ForkDraft,
    governance::Governance,
    handshake::Handshake,
    lease::Lease,
    live::{LiveAgent, LiveAgents, Stop},
    mcp_servers::McpAgents,
    settings::EngineSettings,
};
use domain::{
    Budget, Caller, Clock, Expected, MicroUsd, ModelAccess, Origin, Page, PageRequest, Role, Scope, Session,
    SessionId, SessionMode, SessionStatus, Spender, TurnId, UserId, WhenExhausted,
    ports::{
        Approvals, ArchiveStore, Archives, Decisions, History, HookStore, Journal, Ledger, McpServers, Moved,
        Policies, Servers, Sessions, Snapshots, Templates, Transcripts, Turns,
    },
    session::{SessionFilter, SessionPatch},
    spec::PERMISSION_MODES,
};
use hooks::{Hooks, builtin::LogSink};
use monitoring::{CostTracker, MetricsCollector};
use sdk_runtime::Launcher;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// The stores the engine works on.
#[derive(Clone)]
pub struct Stores {
    pub sessions: Arc<dyn Sessions>,
    pub servers: Arc<dyn Servers>,
    pub turns: Arc<dyn Turns>,
    pub journal: Arc<dyn Journal>,
    pub history: Arc<dyn History>,
    pub ledger: Arc<dyn Ledger>,
    pub decisions: Arc<dyn Decisions>,
    pub policies: Arc<dyn Policies>,
    pub hooks: Arc<dyn HookStore>,
    pub mcp_servers: Arc<dyn McpServers>,
    pub approvals: Arc<dyn Approvals>,
    pub transcripts: Arc<dyn Transcripts>,
    pub archives: Arc<dyn Archives>,
    pub archive_store: Arc<dyn ArchiveStore>,
    pub snapshots: Arc<dyn Snapshots>,
    pub templates: Arc<dyn Templates>,
}

/// Creates sessions, runs their turns, and keeps their agents; cheap to clone.
#[derive(Clone)]
pub struct SessionManager {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub stores: Stores,
    pub clock: Arc<dyn Clock>,
    pub settings: EngineSettings,
    pub launcher: Arc<dyn Launcher>,
    pub model_access: Arc<dyn ModelAccess>,
    pub costs: Arc<CostTracker>,
    pub metrics: Arc<MetricsCollector>,
    pub feed: Arc<Feed>,
    pub governance: Governance,
    pub hooks: Hooks,
    pub self_test: SelfTest,
    pub handshake: Handshake,
    pub mcp_agents: Arc<McpAgents>,
    pub desk: Arc<Desk>,
    pub live: Arc<LiveAgents>,
    pub archiving: Arc<Workshop>,
    pub lease: Arc<Lease>,
    pub admission: Admission,
    pub tasks: TaskTracker,
    /// Where tasks run. A web server's workers have small runtimes of their own, which end with them.
    pub runtime: Handle,
    /// Cancelled when no new work is taken any more.
    pub draining: CancellationToken,
    /// Turns that run in this process, from before they begin in the store until after they ended there.
    pub running: Mutex<HashMap<TurnId, SessionId>>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stores")
    }
}

impl std::fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is kept in memory of sessions: nothing of one that sleeps and that nobody watches.
        f.debug_struct("SessionManager")
            .field("live", &self.inner.live.count())
            .field("watched", &self.inner.feed.channels())
            .field("running", &self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).len())
            .finish_non_exhaustive()
    }
}

impl SessionManager {
    /// Wires the manager up; nothing runs until it is asked to. Its tasks will run on the current tokio runtime.
    #[must_use]
    pub fn new(
        stores: Stores,
        clock: Arc<dyn Clock>,
        settings: EngineSettings,
        launcher: Arc<dyn Launcher>,
        model_access: Arc<dyn ModelAccess>,
        costs: Arc<CostTracker>,
        metrics: Arc<MetricsCollector>,
    ) -> Self {
        let live =
            LiveAgents::new(settings.limits.interactive_agents_max, settings.limits.background_agents_max);
        let feed = Arc::new(Feed::default());
        let (tasks, runtime, draining) = (TaskTracker::new(), Handle::current(), CancellationToken::new());
        let lease = Arc::new(Lease::new(&settings.server, stores.servers.clone()));
        let around = Surrounding {
            clock: clock.clone(),
            feed: feed.clone(),
            live: live.clone(),
            lease: lease.clone(),
            tasks: tasks.clone(),
            runtime: runtime.clone(),
            draining: draining.clone(),
        };
        let desk = Desk::new(stores.approvals.clone(), settings.governance.approvals, around);
        let governance = Governance::new(&stores, desk.clone(), feed.clone(), clock.clone(), metrics.clone());
        let hooks = Hooks::start(
            stores.hooks.clone(),
            clock.clone(),
            settings.hooks.switches,
            settings.hooks.own.clone(),
            Arc::new(LogSink),
            settings.hooks.client.clone(),
            Arc::new({
                let feed = feed.clone();
                move |events| feed.publish(events)
            }),
            permissions::canary::is_trial,
            metrics.clone(),
            &runtime,
        );
        let inner = Inner {
            stores,
            clock,
            settings,
            launcher,
            model_access,
            costs,
            metrics,
            feed,
            governance,
            self_test: SelfTest::default(),
            handshake: Handshake::default(),
            mcp_agents: Arc::default(),
            hooks,
            desk,
            live,
            archiving: Arc::default(),
            lease,
            admission: Admission::default(),
            tasks,
            runtime,
            draining,
            running: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Creates a session; one with a first message starts on it at once.
    pub async fn create(&self, caller: &Caller, draft: SessionDraft) -> Result<Session> {
        self.admit_work()?;
        let draft = self.filled_by_template(caller, draft).await?;
        if draft.mode == Some(SessionMode::Forked)
            && let Some(parent) = draft.parent_session_id
        {
            let at_message = draft.fork_at_message;
            return self
                .fork(caller, parent, ForkDraft { at_message, session: draft, ..ForkDraft::default() })
                .await;
        }
        let room = match draft.initial_message {
            // A session whose first turn has no place, or no money, is not created.
            Some(_) => {
                self.afford(caller.user_id, None).await?;
                self.room_in_line(draft.mode.unwrap_or(SessionMode::Interactive).into()).await?
            }
            None => Room::Ask,
        };
        let (session, initial_message) = self.create_as(caller.user_id, caller.origin(), draft).await?;
        if let Some(prompt) = initial_message {
            self.begin_first(&session, prompt, room).await?;
            return self.get(caller, session.id).await;
        }
        Ok(session)
    }

    /// Creates a session of this user's, and answers with it and the message it starts on.
    pub(crate) async fn create_as(
        &self,
        user_id: UserId,
        origin: Origin,
        draft: SessionDraft,
    ) -> Result<(Session, Option<Value>)> {
        // In a task of its own: whoever waits for the store's one writer must not hold it up with other work, as a web
        // server's busy worker would, and a request that is given up must not leave a directory without a session.
        let this = self.clone();
        let create = async move {
            let inner = &this.inner;
            let mut faults = this.policy_faults(draft.custom_policies.as_deref().unwrap_or_default()).await?;
            let hooks = draft.hooks_enabled.as_deref().unwrap_or_default();
            faults.extend(this.hook_faults(user_id, hooks).await?);
            faults.extend(this.mcp_faults(user_id, draft.sdk_options.as_ref()).await?);
            let budget = draft.budget;
            let created = draft.into_session(&inner.settings, user_id, inner.clock.now(), faults)?;
            this.bound(created.0.id, budget, &origin).await?;
            inner.stores.sessions.create(&created.0, &origin).await?;
            Ok(created)
        };
        self.see_through(create).await
    }

    /// Gives a session that is about to be stored its budget: there is no instant at which it is there without.
    pub(crate) async fn bound(&self, id: SessionId, budget: Option<MicroUsd>, origin: &Origin) -> Result<()> {
        if let Some(limit) = budget {
            let budget = Budget { limit, when_exhausted: WhenExhausted::Block };
            self.inner.costs.set_budget(Spender::Session(id), Some(budget), &Expected::ANY, origin).await?;
        }
        Ok(())
    }

    /// One of the caller's sessions.
    pub async fn get(&self, caller: &Caller, id: SessionId) -> Result<Session> {
        self.load(caller.scope(), id).await
    }

    /// The caller's sessions.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> Result<Page<Session>> {
        Ok(self.inner.stores.sessions.list(caller.scope(), filter, page).await?)
    }

    /// A user's sessions, or everybody's. Admins only.
    pub async fn list_of(
        &self,
        caller: &Caller,
        owner: Option<UserId>,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> Result<Page<Session>> {
        match caller.role {
            Role::Admin => {}
            Role::Member | Role::Viewer => {
                return Err(Error::Forbidden("only admins list the sessions of others"));
            }
        }
        let scope = owner.map_or(Scope::All, Scope::Owner);
        Ok(self.inner.stores.sessions.list(scope, filter, page).await?)
    }

    /// Changes what may be changed. A new model, mode or tool rules need a new agent, which the next prompt starts; a
    /// running turn ends with what it began with.
    pub async fn patch(&self, caller: &Caller, id: SessionId, patch: SessionPatch) -> Result<Session> {
        self.patch_if(caller, id, patch, &Expected::ANY).await
    }

    /// The same with a session in one of these states.
    pub async fn patch_if(
        &self,
        caller: &Caller,
        id: SessionId,
        patch: SessionPatch,
        expected: &Expected,
    ) -> Result<Session> {
        let mut faults = start::list("/allowed_tools", patch.allowed_tools.as_deref().unwrap_or_default());
        faults.extend(start::argument("/model", patch.model.as_deref()));
        if let Some(mode) = &patch.permission_mode
            && !PERMISSION_MODES.contains(&mode.as_str())
        {
            let message = format!("must be one of {}", PERMISSION_MODES.join(", "));
            faults.push(FieldError::new("/permission_mode", "enum", message));
        }
        faults.extend(self.policy_faults(patch.custom_policies.as_deref().unwrap_or_default()).await?);
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let now = self.inner.clock.now();
        let session = self
            .inner
            .stores
            .sessions
            .patch(caller.scope(), id, &patch, expected, now, &caller.origin())
            .await?
            .ok_or(Error::NotFound("session"))?;
        let concerns_agent = patch.permission_mode.is_some()
            || patch.model.is_some()
            || patch.allowed_tools.is_some()
            || patch.custom_policies.is_some();
        if concerns_agent && let Some(agent) = self.inner.live.replace(id) {
            self.close_later(agent);
        }
        Ok(session)
    }

    /// Sets a session aside: its running turn is interrupted, and prompts are refused until it is resumed.
    pub async fn pause(&self, caller: &Caller, id: SessionId) -> Result<Session> {
        self.load(caller.scope(), id).await?;
        let (now, origin) = (self.inner.clock.now(), caller.origin());
        let session = self.moved(self.inner.stores.sessions.pause(id, now, &origin).await?)?;
        self.inner.live.stop(id, Stop::Interrupt);
        self.settle_current(&session).await?;
        self.inner.live.woken(id).await;
        if let Some(agent) = self.inner.live.dismiss(id) {
            self.close_later(agent);
        }
        self.get(caller, id).await
    }

    /// Takes a paused, completed or failed session up again.
    pub async fn resume(&self, caller: &Caller, id: SessionId) -> Result<Session> {
        self.load(caller.scope(), id).await?;
        let (now, origin) = (self.inner.clock.now(), caller.origin());
        let resumed = self.moved(self.inner.stores.sessions.resume(id, now, &origin).await?)?;
        self.admit_later();
        self.wake_later((&resumed).into());
        self.get(caller, id).await
    }

    /// Ends a session for good and removes its files; its history stays. Ending it twice is fine.
    pub async fn terminate(&self, caller: &Caller, id: SessionId) -> Result<()> {
        self.terminate_if(caller, id, &Expected::ANY).await
    }

    /// The same with a session in one of these states.
    pub async fn terminate_if(&self, caller: &Caller, id: SessionId, expected: &Expected) -> Result<()> {
        self.load(caller.scope(), id).await?;
        let (this, scope, origin) = (self.clone(), caller.scope(), caller.origin());
        let expected = expected.clone();
        self.see_through(async move { this.terminate_loaded(scope, id, &expected, &origin).await }).await
    }

    async fn terminate_loaded(
        &self,
        scope: Scope,
        id: SessionId,
        expected: &Expected,
        origin: &Origin,
    ) -> Result<()> {
        // The turn to wait for is the one that runs now: none begins any more.
        let now = self.inner.clock.now();
        let moved = self.inner.stores.sessions.terminate(id, expected, now, origin).await?;
        let session = match self.moved(moved) {
            Err(Error::WrongState(SessionStatus::Terminated)) => self.load(scope, id).await?,
            moved => moved?,
        };
        let cancelled = self.inner.stores.turns.cancel_queued(id, None, self.inner.clock.now()).await?;
        self.inner.feed.publish(cancelled);
        self.inner.live.stop(id, Stop::Terminate);
        self.settle_current(&session).await?;
        self.inner.live.woken(id).await;
        self.withdraw_approvals(id, origin).await?;
        self.snapshot_last(id).await;
        self.clear_away(&session).await
    }

    /// Whether what is denied does not run, as far as that was tried: what was found, or why no session starts.
    pub fn self_test(&self) -> std::result::Result<Option<String>, String> {
        self.inner.self_test.report()
    }

    /// What is wrong with the names of hooks that a session is to have.
    pub(crate) async fn hook_faults(&self, user: UserId, names: &[String]) -> Result<Vec<FieldError>> {
        let unknown = self.inner.hooks.unknown(user, names).await?.into_iter();
        let fault = |name: hooks::Unknown| {
            FieldError::new(format!("/hooks_enabled/{}", name.index), "unknown", name.message)
        };
        Ok(unknown.map(fault).collect())
    }

    /// Whether the server is ending and takes no new work.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.draining.is_cancelled()
    }

    pub(crate) fn admit_work(&self) -> Result<()> {
        if self.inner.draining.is_cancelled() {
            Err(Error::ShuttingDown)
        } else {
            self.inner.lease.admit_work()
        }
    }

    pub(crate) async fn load(&self, scope: Scope, id: SessionId) -> Result<Session> {
        self.inner.stores.sessions.get(scope, id).await?.ok_or(Error::NotFound("session"))
    }

    pub(crate) async fn move_to(&self, session: &Session, to: SessionStatus) -> Result<Session> {
        let now = self.inner.clock.now();
        let moved = self.inner.stores.sessions.move_to(session.id, session.generation, to, now).await?;
        self.moved(moved)
    }

    /// The session, if it was moved; watchers are told.
    fn moved(&self, moved: Moved) -> Result<Session> {
        match moved {
            Moved::Moved(session, event) => {
                self.inner.feed.publish([event]);
                Ok(*session)
            }
            Moved::Refused(status) => Err(Error::WrongState(status)),
            Moved::Held(operation) => Err(Error::Held(operation)),
            Moved::NoSession => Err(Error::NotFound("session")),
        }
    }

    pub(crate) async fn close(&self, live: LiveAgent) {
        let _closing = self.inner.live.closing(live.subject.session_id);
        let exit = live.agent.close().await;
        tracing::debug!(%exit, swept = exit.swept, "closed an agent");
        self.inner.model_access.revoke(&live.token).await;
    }

    pub(crate) fn close_later(&self, live: LiveAgent) {
        let this = self.clone();
        // Noted before the task runs: whoever starts the session's next agent has to see it.
        let closing = self.inner.live.closing(live.subject.session_id);
        self.spawn(async move {
            this.close(live).await;
            drop(closing);
        });
    }

    /// As [`SessionManager::close_later`], without asking the agent.
    pub(crate) fn kill_later(&self, live: LiveAgent) {
        let this = self.clone();
        let closing = self.inner.live.closing(live.subject.session_id);
        self.spawn(async move {
            live.agent.kill().await;
            this.inner.model_access.revoke(&live.token).await;
            drop(closing);
        });
    }

    /// Does what must not stop half-way, although the request that asked for it may be given up.
    pub(crate) async fn see_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        // What it begins belongs to the request.
        let working = self.inner.tasks.spawn_on(work.in_current_span(), &self.inner.runtime);
        working.await.map_err(|_| Error::Internal("see the request through"))?
    }

    /// Runs a task that shutdown waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn_on(task, &self.inner.runtime);
    }
}
