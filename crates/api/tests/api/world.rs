//! A server with two members and an admin, whose agents do what their prompts say.

use crate::client::Client;
use actix_web::{HttpServer, dev::ServerHandle, web::Data};
use api::{ApiSettings, ApiState, CorsOrigins};
use domain::{
    AgentScope, ArchivePlace, Budget, MicroUsd, ModelAccess, ModelEndpoint, RehearsedCall, ServerId, TurnId,
    WhenExhausted, budget::UsedUp, ports::IdentityProvider,
};
use engine::{
    AccountManager, Aftercare, AgentSettings, ArchiveSettings, AuditLog, ContainmentSettings, CostManager,
    DirectorySettings, EngineSettings, GovernanceSettings, HookSettings, Idempotency, LimitSettings,
    McpRegistry, McpSettings, OidcLogins, OidcSettings, Overview, PolicyManager, Registrant, Registration,
    ReportManager, SelfTestSetting, SessionDefaults, SessionManager, Stores, TaskManager, TaskSettings,
    Tokens,
};
use jiff::SignedDuration;
use monitoring::{Alerter, Check, CostSettings, CostStores, CostTracker, HealthChecker, MetricsCollector};
use reports::{Renderer, RendererSettings};
use sdk_runtime::testing::{Say, ScriptedLauncher, ScriptedPrompt};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tempfile::TempDir;
use testkit::{MemoryArchives, MemoryStore, TestClock};
use tokio::runtime::Handle;

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery";

/// How a world differs from the usual one.
#[derive(Clone)]
pub struct Plan {
    pub settings: ApiSettings,
    pub registration: Registration,
    pub checks: Vec<Check>,
    pub cli: Result<std::path::PathBuf, String>,
    pub interactive_agents_max: usize,
    pub queue_max: u32,
    pub slot_queue_max: u32,
    pub launcher: ScriptedLauncher,
    pub governance: GovernanceSettings,
    pub archives: ArchiveSettings,
    pub archive_place: ArchivePlace,
    pub is_measured: bool,
    pub limiter: Option<Arc<api::RateLimiter>>,
    pub oidc: Option<(Arc<dyn IdentityProvider>, OidcSettings)>,
}

impl Default for Plan {
    fn default() -> Self {
        let cors_origins = CorsOrigins::These(vec!["https://app.example.com".into()]);
        let settings = ApiSettings { cors_origins, ..ApiSettings::default() };
        Self {
            settings,
            registration: Registration::Open,
            checks: vec![
                Check::required("database", || async { Ok(None) }),
                Check::required("claude_sdk", || async { Ok(Some("2.1.330".to_owned())) }),
            ],
            cli: Ok("claude".into()),
            interactive_agents_max: 8,
            queue_max: 2,
            slot_queue_max: 100,
            launcher: ScriptedLauncher::new(),
            governance: GovernanceSettings::default(),
            archives: ArchiveSettings { auto_cleanup: true, ..ArchiveSettings::default() },
            archive_place: ArchivePlace::Local,
            is_measured: true,
            limiter: None,
            oidc: None,
        }
    }
}

pub struct World {
    pub state: Data<ApiState>,
    pub store: Arc<MemoryStore>,
    pub launcher: ScriptedLauncher,
    pub archives: MemoryArchives,
    pub clock: TestClock,
    pub address: String,
    pub alice: Client,
    pub bob: Client,
    pub admin: Client,
    pub anonymous: Client,
    server: ServerHandle,
    directory: TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::of(Plan::default()).await
    }

    pub async fn of(plan: Plan) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::default());
        let archives = MemoryArchives::in_place(plan.archive_place);
        let clock = TestClock::default();
        let launcher = plan.launcher.clone().on_prompt(play);
        let tokens = Tokens::new(&[7; 32], SignedDuration::from_hours(1));
        let audit = Arc::new(AuditLog::new(store.clone(), Arc::new(clock.clone())));
        let accounts = AccountManager::new(
            store.clone(),
            Arc::new(clock.clone()),
            tokens,
            SignedDuration::from_hours(24),
            plan.registration,
            audit.clone(),
        );
        let accounts = Arc::new(accounts);
        let stores = Stores {
            sessions: store.clone(),
            servers: store.clone(),
            turns: store.clone(),
            journal: store.clone(),
            history: store.clone(),
            ledger: store.clone(),
            decisions: store.clone(),
            policies: store.clone(),
            hooks: store.clone(),
            mcp_servers: store.clone(),
            approvals: store.clone(),
            transcripts: store.clone(),
            archives: store.clone(),
            archive_store: Arc::new(archives.clone()),
            snapshots: store.clone(),
            templates: store.clone(),
        };
        let reports = ReportManager::new(
            stores.clone(),
            store.clone(),
            store.clone(),
            Arc::new(Renderer::new(RendererSettings::default())),
            Arc::new(clock.clone()),
        );
        let tracker = costs(&store, &clock);
        let metrics =
            if plan.is_measured { MetricsCollector::local("test").unwrap() } else { MetricsCollector::off() };
        let metrics = Arc::new(metrics);
        let sessions = SessionManager::new(
            stores,
            Arc::new(clock.clone()),
            engine_settings(&directory, &plan),
            Arc::new(launcher.clone()),
            Arc::new(NoGateway),
            tracker.clone(),
            metrics.clone(),
        );
        let own_clock = clock.clone();
        let oidc = plan.oidc.map(|(provider, settings)| {
            OidcLogins::new(accounts.clone(), store.clone(), provider, settings, &[7; 32]).unwrap()
        });
        let state = Data::new(ApiState {
            accounts,
            oidc,
            costs: CostManager::new(tracker, sessions.clone()),
            reports: reports.clone(),
            overview: Overview::new(store.clone(), Arc::new(clock.clone())),
            alerts: Alerter::new(store.clone(), Arc::new(clock.clone()), vec![], metrics.clone()),
            policies: PolicyManager::new(sessions.clone()),
            mcp: McpRegistry::new(sessions.clone()),
            tasks: TaskManager::new(
                sessions.clone(),
                store.clone(),
                TaskSettings::default(),
                Arc::new(Aftercare::new(store.clone(), reports.clone())),
            ),
            sessions,
            audit: audit.clone(),
            idempotency: Idempotency::new(store.clone(), Arc::new(clock.clone()), &[7; 32]).unwrap(),
            limiter: plan.limiter,
            leaving: tokio_util::sync::CancellationToken::new(),
            health: Arc::new(HealthChecker::new(plan.checks)),
            metrics,
            clock: Arc::new(clock),
            settings: plan.settings,
            streams: tokio_util::task::TaskTracker::new(),
        });
        let (address, server) = serve(state.clone());
        let anonymous = Client::new(&address, &directory);
        let admin = "admin@example.com";
        state.accounts.ensure_admin(admin, Some(PASSWORD.to_owned())).await.unwrap();
        let admin = anonymous.logged_in(admin).await;
        let (alice, bob) = if plan.registration == Registration::Open {
            register(&state, "alice@example.com").await;
            register(&state, "bob@example.com").await;
            (anonymous.logged_in("alice@example.com").await, anonymous.logged_in("bob@example.com").await)
        } else {
            (anonymous.clone(), anonymous.clone())
        };
        let clock = own_clock;
        Self {
            state,
            store,
            launcher,
            archives,
            clock,
            address,
            alice,
            bob,
            admin,
            anonymous,
            server,
            directory,
        }
    }

    /// A session of alice's.
    pub async fn session(&self) -> String {
        self.session_with(json!({})).await
    }

    pub async fn session_with(&self, request: serde_json::Value) -> String {
        let made = self.alice.post("/api/v1/sessions", request).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// The id of a client's user.
    pub async fn id(&self, client: &Client) -> String {
        client.get("/api/v1/auth/me").await.json()["id"].as_str().unwrap().to_owned()
    }

    /// Starts a turn that hangs until it is stopped.
    pub async fn hang(&self, session: &str) -> String {
        let path = format!("/api/v1/sessions/{session}/query");
        let started =
            self.alice.post_with(&path, json!({"message": "hang"}), &[("prefer", "respond-async")]).await;
        assert_eq!(started.status, 202, "{}", started.text());
        started.json()["turn_id"].as_str().unwrap().to_owned()
    }

    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The future is a formality: the server is told when it is made.
        drop(self.server.stop(false));
    }
}

/// What agents do for each prompt.
async fn play(prompt: ScriptedPrompt, say: Say) {
    let text = prompt.text();
    match text.split(' ').collect::<Vec<_>>()[..] {
        ["hello"] => {
            say.delta("hello ");
            say.delta("there");
            say.text("hello there");
        }
        ["tool"] => {
            let id = say.tool_use("Bash", &json!({"command": "echo hi"}));
            say.tool_result(&id, "hi");
            say.text("it said hi");
        }
        ["hang"] => say.hang().await,
        ["die"] => say.exit(1, "it hurts").await,
        ["model"] => say.api_error(529, "overloaded"),
        ["rounds"] => say.error_result("error_max_turns", "max_turns", "too many rounds"),
        ["chat", messages, bytes] => {
            for _ in 0..messages.parse().unwrap() {
                say.text("x".repeat(bytes.parse().unwrap()));
            }
        }
        ["work", calls, bytes] => {
            for _ in 0..calls.parse().unwrap() {
                let id = say.tool_use("Bash", &json!({"command": "echo"}));
                say.tool_result(&id, &"x".repeat(bytes.parse().unwrap()));
            }
        }
        ["answer", bytes] => say.text("x".repeat(bytes.parse().unwrap())),
        _ => say.text(format!("{} bytes", text.len())),
    }
}

fn engine_settings(directory: &TempDir, plan: &Plan) -> EngineSettings {
    let below = |name: &str| directory.path().join(name);
    EngineSettings {
        server: engine::ServerSettings {
            id: domain::ServerId::new(),
            lease: Duration::from_secs(30),
            lease_runtime: Handle::current(),
        },
        agent: AgentSettings {
            cli: plan.cli.clone(),
            env: BTreeMap::new(),
            host_marker: "test".to_owned(),
            reporting: None,
        },
        directories: DirectorySettings {
            workspaces: below("workspaces"),
            shared_roots: vec![below("shared")],
            agents: below("agents"),
            temporary: below("tmp"),
        },
        defaults: SessionDefaults {
            model: "claude-sonnet-4-5".to_owned(),
            permission_mode: "default".to_owned(),
            max_retries: 3,
            retry_delay: Duration::from_secs(2),
            timeout_seconds: 120,
        },
        limits: LimitSettings {
            interactive_agents_max: plan.interactive_agents_max,
            background_agents_max: 2,
            idle_timeout: Duration::from_secs(60),
            queue_max: plan.queue_max,
            slot_queue_max: plan.slot_queue_max,
        },
        governance: GovernanceSettings { self_test: SelfTestSetting::Skip, ..plan.governance.clone() },

        containment: ContainmentSettings::default(),
        hooks: HookSettings::new(&[7; 32], true).unwrap(),
        mcp: McpSettings::new(mcp::Keyring::new(&[7; 32], []).unwrap(), false).unwrap(),
        archives: plan.archives.clone(),
        snapshots: engine::SnapshotSettings::default(),
    }
}

fn serve(state: Data<ApiState>) -> (String, ServerHandle) {
    let server = HttpServer::new(move || api::app(state.clone())).workers(1).disable_signals();
    let server = server.bind(("127.0.0.1", 0)).unwrap();
    let address = server.addrs()[0].to_string();
    let running = server.run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    (address, handle)
}

async fn register(state: &ApiState, email: &str) {
    let registrant = Registrant {
        email: email.to_owned(),
        username: None,
        full_name: None,
        password: PASSWORD.to_owned(),
        team: None,
        time_zone: None,
    };
    state.accounts.register(registrant, domain::Source::default()).await.unwrap();
}

/// Access to a model that no scripted agent asks.
struct NoGateway;

/// Budgets are asked, and that of a user who has none of their own is large.
fn costs(store: &Arc<MemoryStore>, clock: &TestClock) -> Arc<CostTracker> {
    let stores = CostStores { budgets: store.clone(), costs: store.clone(), accounts: store.clone() };
    let budget = Budget { limit: MicroUsd(100_000_000), when_exhausted: WhenExhausted::Pause };
    let settings = CostSettings { is_enabled: true, server: ServerId::new(), user_budget: Some(budget) };
    Arc::new(CostTracker::new(stores, Arc::new(clock.clone()), settings))
}

#[async_trait::async_trait]
impl ModelAccess for NoGateway {
    fn admit(&self, _: AgentScope) -> ModelEndpoint {
        ModelEndpoint { base_url: "http://127.0.0.1:1".to_owned(), token: "agent".to_owned() }
    }

    fn attribute(&self, _: &str, _: Option<TurnId>) {}

    fn expect_request(&self, _: &str) {}

    fn used_up(&self, _: &str) -> Option<UsedUp> {
        None
    }

    fn rehearse(&self, _: RehearsedCall) -> ModelEndpoint {
        unreachable!("agents of these tests are no CLI")
    }

    async fn booked(&self, _: &str) {}

    async fn revoke(&self, _: &str) {}
}
