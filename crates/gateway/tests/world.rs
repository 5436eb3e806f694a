//! The gateway between an agent and an upstream, looked at from both sides and from the ledger.
#![expect(clippy::unwrap_used, reason = "helpers of a test may panic too")]
#![expect(clippy::disallowed_methods, reason = "a test joins or aborts the tasks it starts")]

#[path = "world/ahead.rs"]
mod ahead;
#[path = "world/budgets.rs"]
mod budgets;
#[path = "world/canned.rs"]
mod canned;
#[path = "world/claude.rs"]
mod claude;
#[path = "world/ends.rs"]
mod ends;
#[path = "world/estimates.rs"]
mod estimates;
#[path = "world/money.rs"]
mod money;
#[path = "world/passing.rs"]
mod passing;
#[path = "world/prices.rs"]
mod prices;
#[path = "world/refusals.rs"]
mod refusals;
#[path = "world/rehearsals.rs"]
mod rehearsals;
#[path = "world/reports.rs"]
mod reports;

use std::{sync::Arc, time::Duration};

use budgets::TestBudgets;
use domain::{
    AgentScope, ModelAccess, ModelEndpoint, NewUser, Origin, Role, ServerId, SessionId, SystemClock, User,
    UserId, ports::Accounts,
};
use gateway::{Gateway, Options, Prices};
use monitoring::{CostSettings, CostStores, CostTracker};
use offline_model::Server;
use serde_json::{Value, json};
use testkit::MemoryStore;

/// The key that agents must never see.
const REAL_KEY: &str = "sk-ant-the-real-key";
/// For what must come sooner or later.
const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    gateway: Gateway,
    budgets: Arc<TestBudgets>,
    agent: ModelEndpoint,
    scope: AgentScope,
    client: reqwest::Client,
}

impl World {
    async fn new(upstream: &str) -> Self {
        Self::with(&Options::new(upstream, Some(REAL_KEY.into()))).await
    }

    async fn with(options: &Options) -> Self {
        Self::with_prices(options, Prices::built_in().unwrap()).await
    }

    async fn with_prices(options: &Options, prices: Prices) -> Self {
        let (budgets, scope) = (
            Arc::<TestBudgets>::default(),
            AgentScope { session_id: SessionId::new(), user_id: UserId::new() },
        );
        let costs = Arc::new(costs(&budgets, scope.user_id).await);
        let clock = Arc::new(SystemClock);
        let gateway = Gateway::start(options, costs, Arc::new(prices), clock).await.unwrap();
        let agent = gateway.admit(scope);
        Self { gateway, budgets, agent, scope, client: reqwest::Client::new() }
    }

    /// Until everything is booked whose answer is through.
    async fn settled(&self) {
        self.gateway.booked(&self.agent.token).await;
    }

    /// A request as the agent sends it.
    fn request(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.client
            .post(format!("{}/v1/messages?beta=true", self.agent.base_url))
            .header("x-api-key", &self.agent.token)
            .header("anthropic-version", "2023-06-01")
            .body(body)
    }

    async fn ask(&self, prompt: &str) -> reqwest::Response {
        self.request(body(prompt, false)).send().await.unwrap()
    }

    async fn ask_streaming(&self, prompt: &str) -> reqwest::Response {
        self.request(body(prompt, true)).send().await.unwrap()
    }

    async fn drained(&self) {
        tokio::time::timeout(PATIENCE, self.gateway.drained(&self.agent.token)).await.unwrap();
    }
}

/// Costs over these budgets, for this user.
async fn costs(budgets: &Arc<TestBudgets>, user: UserId) -> CostTracker {
    let (store, at) = (MemoryStore::default(), domain::Clock::now(&SystemClock));
    let user = User {
        id: user,
        email: "ada@example.com".into(),
        username: "ada".into(),
        full_name: None,
        role: Role::Member,
        is_active: true,
        team: None,
        time_zone: "UTC".into(),
        created_at: at,
        last_login_at: None,
    };
    let user = NewUser { user, password_hash: String::new() };
    store.create_user(&user, &Origin::system()).await.unwrap();
    let stores =
        CostStores { budgets: budgets.clone(), costs: Arc::new(store.clone()), accounts: Arc::new(store) };
    let settings = CostSettings { is_enabled: true, server: ServerId::new(), user_budget: None };
    CostTracker::new(stores, Arc::new(SystemClock), settings)
}

fn body(prompt: &str, stream: bool) -> String {
    let messages = json!([{"role": "user", "content": prompt}]);
    json!({"model": "claude-opus-5-5", "stream": stream, "messages": messages}).to_string()
}

async fn offline_model() -> Server {
    Server::start(offline_model::Options::default()).await.unwrap()
}

/// The kind of an error in the shape of the API.
async fn error_type(response: reqwest::Response) -> String {
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], "error");
    problem["error"]["type"].as_str().unwrap().to_owned()
}
