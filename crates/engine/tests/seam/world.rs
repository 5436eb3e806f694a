//! A small world for one test: a store, a clock, agents, the gateway's door, and a person.

pub mod access;
pub mod between;
pub mod faults;
pub mod leases;

use access::RecordedAccess;
use domain::{
    Access, ArchivePlace, Caller, Clock as _, Credential, Event, FamilyId, NewUser, Origin, PageRequest,
    Role, ServerId, Session, SessionId, SessionStatus, Source, Turn, User, UserId,
    ports::{Accounts as _, Journal as _, Sessions as _},
};
use engine::{
    AgentSettings, ArchiveSettings, ContainmentSettings, DirectorySettings, EngineSettings,
    GovernanceSettings, HookSettings, LimitSettings, McpSettings, Result, SelfTestSetting, ServerSettings,
    SessionDefaults, SessionDraft, SessionManager, StartedTurn, Stores, WhenBusy,
};
use faults::Faults;
use futures::FutureExt as _;
use leases::Leases;
use monitoring::{CostSettings, CostStores, CostTracker, MetricsCollector};
use sdk_runtime::{Launcher, testing::ScriptedLauncher};
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use testkit::{MemoryArchives, MemoryStore, TestClock};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
};

/// Far longer than anything here may take, also in paused time.
const PATIENCE: Duration = Duration::from_secs(3600);
const EVENTS_MAX: u32 = 10_000;

/// Everything a test needs around one manager.
pub struct World {
    pub manager: SessionManager,
    pub stores: Stores,
    pub launcher: ScriptedLauncher,
    pub store: MemoryStore,
    pub faults: Faults,
    pub archives: MemoryArchives,
    pub leases: Leases,
    pub clock: TestClock,
    pub access: Arc<RecordedAccess>,
    pub metrics: Arc<MetricsCollector>,
    pub settings: EngineSettings,
    pub caller: Caller,
    dir: Arc<tempfile::TempDir>,
}

impl World {
    /// A world whose agents are these.
    pub fn new(launcher: ScriptedLauncher) -> Self {
        Self::with(launcher, |_| {})
    }

    /// The same with some settings changed.
    pub fn with(launcher: ScriptedLauncher, change: impl FnOnce(&mut EngineSettings)) -> Self {
        let started_by = Arc::new(launcher.clone());
        Self::started_by(launcher, started_by, change)
    }

    /// The same with agents started by something around the scripted launcher.
    pub fn started_by(
        launcher: ScriptedLauncher,
        started_by: Arc<dyn Launcher>,
        change: impl FnOnce(&mut EngineSettings),
    ) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let mut settings = settings(dir.path());
        change(&mut settings);
        let (store, archives) = (MemoryStore::default(), MemoryArchives::default());
        let faults = Faults::around(store.clone());
        Self::build(launcher, started_by, faults, store, archives, settings, caller(), dir)
    }

    /// A world whose archives go to this place. One server's disk is not another's, although tests share the store.
    pub fn with_archives_in(place: ArchivePlace, launcher: ScriptedLauncher) -> Self {
        let world = Self::new(launcher);
        Self { archives: MemoryArchives::in_place(place), ..world }.next_life()
    }

    /// The server's next life: another manager on the same store, disk and person.
    pub fn next_life(&self) -> Self {
        let started_by = Arc::new(self.launcher.clone());
        let faults = Faults::around(self.store.clone());
        let (settings, dir) = (self.settings.clone(), self.dir.clone());
        let (launcher, archives) = (self.launcher.clone(), self.archives.clone());
        let (store, caller) = (self.store.clone(), self.caller.clone());
        Self::build(launcher, started_by, faults, store, archives, settings, caller, dir)
    }

    #[expect(clippy::too_many_arguments, reason = "all that one world takes from the one before")]
    fn build(
        launcher: ScriptedLauncher,
        started_by: Arc<dyn Launcher>,
        faults: Faults,
        store: MemoryStore,
        archives: MemoryArchives,
        settings: EngineSettings,
        caller: Caller,
        dir: Arc<tempfile::TempDir>,
    ) -> Self {
        let clock = TestClock::default();
        let access = Arc::new(RecordedAccess::default());
        let metrics = Arc::new(MetricsCollector::local("test").unwrap());
        let leases = Leases::around(store.clone());
        let stores = Stores {
            sessions: Arc::new(store.clone()),
            servers: Arc::new(leases.clone()),
            turns: Arc::new(faults.clone()),
            journal: Arc::new(faults.clone()),
            history: Arc::new(store.clone()),
            ledger: Arc::new(store.clone()),
            decisions: Arc::new(faults.clone()),
            policies: Arc::new(faults.clone()),
            hooks: Arc::new(store.clone()),
            mcp_servers: Arc::new(store.clone()),
            approvals: Arc::new(store.clone()),
            transcripts: Arc::new(store.clone()),
            archives: Arc::new(store.clone()),
            archive_store: Arc::new(archives.clone()),
            snapshots: Arc::new(store.clone()),
            templates: Arc::new(store.clone()),
        };
        let manager = SessionManager::new(
            stores.clone(),
            Arc::new(clock.clone()),
            settings.clone(),
            started_by,
            access.clone(),
            costs(&store, &clock, &settings, caller.user_id),
            metrics.clone(),
        );
        Self {
            manager,
            stores,
            launcher,
            store,
            faults,
            archives,
            leases,
            clock,
            access,
            metrics,
            settings,
            caller,
            dir,
        }
    }

    /// Another manager on the same disk, some of whose stores are others.
    pub fn manager_on(&self, change: impl FnOnce(&mut Stores)) -> SessionManager {
        let mut stores = self.stores.clone();
        change(&mut stores);
        SessionManager::new(
            stores,
            Arc::new(self.clock.clone()),
            self.settings.clone(),
            Arc::new(self.launcher.clone()),
            self.access.clone(),
            costs(&self.store, &self.clock, &self.settings, self.caller.user_id),
            self.metrics.clone(),
        )
    }

    /// Another server on the same store, with a data folder of its own.
    pub fn another_server(&self, launcher: ScriptedLauncher) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let faults = Faults::around(self.store.clone());
        let (started_by, settings) = (Arc::new(launcher.clone()), settings(dir.path()));
        let (store, caller) = (self.store.clone(), self.caller.clone());
        let archives = self.archives.of_another_server();
        Self::build(launcher, started_by, faults, store, archives, settings, caller, dir)
    }

    /// Somebody else has an account here too.
    pub fn knows(&self, somebody: &Caller) {
        know(&self.store, &self.clock, somebody.user_id);
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().to_path_buf()
    }

    pub async fn session(&self) -> SessionId {
        self.session_of(SessionDraft::default()).await
    }

    pub async fn session_of(&self, draft: SessionDraft) -> SessionId {
        self.manager.create(&self.caller, draft).await.unwrap().id
    }

    pub async fn get(&self, id: SessionId) -> Session {
        self.store.get(self.caller.scope(), id).await.unwrap().unwrap()
    }

    pub async fn status(&self, id: SessionId) -> SessionStatus {
        self.get(id).await.status
    }

    pub async fn prompt(&self, id: SessionId, text: &str) -> Result<StartedTurn> {
        self.write_transcript(id).await;
        self.manager.start_turn(&self.caller, id, json!(text), WhenBusy::Reject).await
    }

    pub async fn queue(&self, id: SessionId, text: &str) -> Result<StartedTurn> {
        self.manager.start_turn(&self.caller, id, json!(text), WhenBusy::Queue).await
    }

    /// Prompts, and interrupts the turn that runs.
    pub async fn interrupt_with(&self, id: SessionId, text: &str) -> Result<StartedTurn> {
        self.manager.start_turn(&self.caller, id, json!(text), WhenBusy::Interrupt).await
    }

    /// The turn, when it is over.
    pub async fn end(&self, started: StartedTurn) -> Turn {
        soon(self.manager.wait_for_turn(started.session_id, started.turn_id)).await.unwrap()
    }

    /// Prompts and waits for the end of the turn.
    pub async fn ask(&self, id: SessionId, text: &str) -> Turn {
        let started = self.prompt(id, text).await.unwrap();
        self.end(started).await
    }

    /// Prompts, and waits until the agent has the prompt.
    pub async fn ask_and_leave(&self, id: SessionId, text: &str) -> StartedTurn {
        let before: usize = self.launcher.agents().iter().map(|agent| agent.prompts().len()).sum();
        let started = self.prompt(id, text).await.unwrap();
        soon(async {
            while self.launcher.agents().iter().map(|agent| agent.prompts().len()).sum::<usize>() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        started
    }

    /// Waits until the session is in this state.
    pub async fn reaches(&self, id: SessionId, status: SessionStatus) {
        soon(async {
            while self.status(id).await != status {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    pub async fn journal(&self, id: SessionId) -> Vec<Event> {
        self.store.read_after(id, 0, EVENTS_MAX).await.unwrap()
    }

    /// The prompts of all agents, as texts, in the order they were given.
    pub fn told(&self) -> Vec<String> {
        let agents = self.launcher.agents();
        let prompts = agents.iter().flat_map(|agent| agent.prompts());
        prompts.map(|prompt| prompt["message"]["content"].as_str().unwrap().to_owned()).collect()
    }

    /// Puts the transcript of what was said so far where the CLI would have written it.
    pub async fn write_transcript(&self, session: SessionId) {
        let Some(conversation) = self.get(session).await.agent.map(|agent| agent.id) else { return };
        let project = self.settings.directories.agents.join(session.to_string()).join("projects/-somewhere");
        std::fs::create_dir_all(&project).unwrap();
        std::fs::write(
            project.join(format!("{conversation}.jsonl")),
            "{\"type\":\"user\",\"uuid\":\"said\"}\n",
        )
        .unwrap();
    }

    /// Waits until nothing of this manager is left alive but what waits for prompts.
    pub async fn alive(&self, count: usize) {
        soon(async {
            while self.launcher.alive().len() != count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

/// Agents that answer one prompt for each permit they are given.
pub fn on_permit() -> (ScriptedLauncher, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let given = permits.clone();
    let launcher = ScriptedLauncher::new().on_prompt(move |_, say| {
        let permits = given.clone();
        async move {
            permits.acquire().await.unwrap().forget();
            say.text("done");
        }
    });
    (launcher, permits)
}

/// Waits until somebody is kept waiting at this fault, or nobody is any more.
pub async fn kept_waiting(at: &watch::Sender<bool>, is: bool) {
    soon(async {
        while (at.receiver_count() > 0) != is {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Waits, but not for ever.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap()
}

/// The kinds of events as watchers read them.
pub fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

/// One page that holds everything.
pub fn all() -> PageRequest {
    PageRequest::first(1000)
}

/// A person who was never seen before.
pub fn caller() -> Caller {
    Caller {
        user_id: UserId::new(),
        role: Role::Member,
        access: Access::WRITE,
        credential: Credential::Login(FamilyId::new()),
        source: Source::default(),
    }
}

/// Budgets are asked, and nobody has one unless a test sets it.
fn costs(
    store: &MemoryStore,
    clock: &TestClock,
    settings: &EngineSettings,
    user: UserId,
) -> Arc<CostTracker> {
    know(store, clock, user);
    let stores = CostStores {
        budgets: Arc::new(store.clone()),
        costs: Arc::new(store.clone()),
        accounts: Arc::new(store.clone()),
    };
    let settings = CostSettings { is_enabled: true, server: settings.server.id, user_budget: None };
    Arc::new(CostTracker::new(stores, Arc::new(clock.clone()), settings))
}

/// Puts a person into the store, unless they are there already.
fn know(store: &MemoryStore, clock: &TestClock, user: UserId) {
    let user = User {
        id: user,
        email: format!("{user}@example.com"),
        username: user.to_string(),
        full_name: None,
        role: Role::Member,
        is_active: true,
        team: None,
        time_zone: "UTC".into(),
        created_at: clock.now(),
        last_login_at: None,
    };
    let user = NewUser { user, password_hash: String::new() };
    // A store in memory answers at once. The next life finds the user there already.
    let _there = store.create_user(&user, &Origin::system()).now_or_never();
}

fn settings(root: &std::path::Path) -> EngineSettings {
    EngineSettings {
        server: ServerSettings {
            id: ServerId::new(),
            lease: Duration::from_secs(30),
            lease_runtime: Handle::current(),
        },
        agent: AgentSettings {
            cli: Ok(PathBuf::from("/opt/claude")),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin".to_owned())]),
            host_marker: "this-server".to_owned(),
            reporting: None,
        },
        directories: DirectorySettings {
            workspaces: root.join("workspaces"),
            shared_roots: vec![root.join("shared")],
            agents: root.join("agents"),
            temporary: root.join("tmp"),
        },
        defaults: SessionDefaults {
            model: "claude-default".to_owned(),
            permission_mode: "default".to_owned(),
            max_retries: 2,
            retry_delay: Duration::from_secs(1),
            timeout_seconds: 120,
        },
        limits: LimitSettings {
            interactive_agents_max: 4,
            background_agents_max: 2,
            idle_timeout: Duration::from_secs(300),
            queue_max: 3,
            slot_queue_max: 100,
        },
        governance: GovernanceSettings { self_test: SelfTestSetting::Skip, ..GovernanceSettings::default() },
        containment: ContainmentSettings::default(),
        hooks: HookSettings::new(&[7; 32], true).unwrap(),
        mcp: McpSettings::new(mcp::Keyring::new(&[7; 32], []).unwrap(), true).unwrap(),
        archives: ArchiveSettings { auto_cleanup: true, ..ArchiveSettings::default() },
        snapshots: engine::SnapshotSettings::default(),
    }
}
