//! The manager of sessions, as it is wired up: what it works with, and the tasks it runs.

use crate::{
    Error, Result,
    admission::Admission,
    approvals::desk::{Desk, Surrounding},
    archives::Workshop,
    canary::SelfTest,
    elsewhere::Missed,
    feed::Feed,
    files::DOWNLOADS_MAX,
    governance::Governance,
    handshake::Handshake,
    lease::Lease,
    live::{LiveAgent, LiveAgents},
    mcp_servers::McpAgents,
    settings::EngineSettings,
    through,
};
use domain::{
    Clock, ModelAccess, SessionId, TurnId, UserId,
    ports::{
        Approvals, ArchiveStore, Archives, Decisions, History, HookStore, Journal, Ledger, McpServers,
        Policies, Servers, Sessions, Snapshots, Templates, Transcripts, Turns,
    },
};
use hooks::{Hooks, builtin::LogSink};
use monitoring::{CostTracker, MetricsCollector};
use sdk_runtime::Launcher;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{runtime::Handle, sync::Semaphore, task::JoinHandle};
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
    /// Room for working directories that are downloaded.
    pub downloads: Arc<Semaphore>,
    pub missed: Mutex<Missed>,
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
            .field("watched", &self.inner.feed.open_channels())
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
            downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
            missed: Mutex::default(),
            lease,
            admission: Admission::default(),
            tasks,
            runtime,
            draining,
            running: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether what is denied does not run, as far as that was tried: what was found, or why no session starts.
    pub fn self_test(&self) -> std::result::Result<Option<String>, String> {
        self.inner.self_test.report()
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

    /// Agents know their hooks and MCP servers from their start on: with others for this user, or for everybody, they
    /// make room for new ones.
    pub(crate) fn renew_agents_of(&self, user: Option<UserId>) {
        for agent in self.inner.live.replace_all(user) {
            self.close_later(agent);
        }
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
    pub(crate) fn see_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> impl Future<Output = Result<T>> {
        // What it begins belongs to the request.
        let work = work.in_current_span();
        let seen = through::see_through(&self.inner.tasks, &self.inner.runtime, work);
        async { seen.await.unwrap_or(Err(Error::Internal("see the request through"))) }
    }

    /// Runs a task that shutdown waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn_on(task, &self.inner.runtime);
    }

    /// As [`SessionManager::spawn`], for whoever wants to know when it is over, or that it panicked.
    pub(crate) fn spawn_watched(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.inner.tasks.spawn_on(task, &self.inner.runtime)
    }
}
