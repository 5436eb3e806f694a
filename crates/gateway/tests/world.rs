//! The gateway between an agent and an upstream, looked at from both sides and from the ledger.
#![expect(clippy::unwrap_used, reason = "helpers of a test may panic too")]
#![expect(clippy::disallowed_methods, reason = "a test joins or aborts the tasks it starts")]

#[path = "world/canned.rs"]
mod canned;
#[path = "world/claude.rs"]
mod claude;
#[path = "world/ends.rs"]
mod ends;
#[path = "world/ledger.rs"]
mod ledger;
#[path = "world/passing.rs"]
mod passing;
#[path = "world/refusals.rs"]
mod refusals;
#[path = "world/rehearsals.rs"]
mod rehearsals;

use std::{sync::Arc, time::Duration};

use domain::{AgentScope, ModelAccess, ModelEndpoint, SessionId, SystemClock, UserId};
use gateway::{Gateway, Options};
use ledger::MemoryLedger;
use offline_model::Server;
use serde_json::{Value, json};

/// The key that agents must never see.
const REAL_KEY: &str = "sk-ant-the-real-key";
/// For what must come sooner or later.
const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    gateway: Gateway,
    ledger: Arc<MemoryLedger>,
    agent: ModelEndpoint,
    scope: AgentScope,
    client: reqwest::Client,
}

impl World {
    async fn new(upstream: &str) -> Self {
        Self::with(&Options::new(upstream, Some(REAL_KEY.into()))).await
    }

    async fn with(options: &Options) -> Self {
        let ledger = Arc::new(MemoryLedger::default());
        let gateway = Gateway::start(options, ledger.clone(), Arc::new(SystemClock)).await.unwrap();
        let scope = AgentScope { session_id: SessionId::new(), user_id: UserId::new() };
        let agent = gateway.admit(scope);
        Self { gateway, ledger, agent, scope, client: reqwest::Client::new() }
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
