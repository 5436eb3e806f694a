//! A scripted agent for the tests of hosts: it speaks the protocol in memory, without a process, and
//! works with tokio's paused time.
//!
//! ```
//! use sdk_runtime::{Agent, AgentOptions, Event, PromptContent, testing::ScriptedLauncher};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let launcher = ScriptedLauncher::new().on_prompt(|prompt, say| async move {
//!     say.delta("you said ");
//!     say.text(format!("you said {}", prompt.text()));
//! });
//! let (agent, mut events) = Agent::start(&launcher, AgentOptions::default()).await.unwrap();
//! let id = agent.prompt(PromptContent::Text("hello".into())).await.unwrap();
//! while let Some(event) = events.next().await {
//!     if let Event::Finished { prompts, result } = event {
//!         assert_eq!(prompts, [id]);
//!         assert_eq!(result.text.as_deref(), Some("you said hello"));
//!         break;
//!     }
//! }
//! agent.close().await;
//! # });
//! ```

mod frames;
mod run;
mod say;
mod scripted_agent;
mod store_conformance;

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;

pub use self::{
    say::{Say, ScriptedPrompt},
    scripted_agent::ScriptedAgent,
    store_conformance::{BrokenRule, StoreRule, store_conformance},
};
use crate::{
    error::Error,
    initialized::CLI_VERSION_MIN,
    launcher::{Invocation, Launcher, Transport},
};

type Script = Arc<dyn Fn(ScriptedPrompt, Say) -> BoxFuture<'static, ()> + Send + Sync>;
type Control = Arc<dyn Fn(&Value) -> Result<Value, String> + Send + Sync>;

/// Starts scripted agents. Clones share the script and the list of agents.
#[derive(Clone)]
pub struct ScriptedLauncher {
    scene: Scene,
    agents: Arc<Mutex<Vec<ScriptedAgent>>>,
    launched: watch::Sender<usize>,
}

/// What every agent of a launcher does.
#[derive(Clone)]
struct Scene {
    script: Script,
    controls: HashMap<String, Control>,
    start: Start,
    initialize: Value,
}

/// How an agent starts.
#[derive(Debug, Clone)]
enum Start {
    Answers,
    IsSilent,
    Exits { code: i32, stderr: String },
    Fails(Error),
}

impl ScriptedLauncher {
    /// Agents that answer every prompt with the text `done`.
    pub fn new() -> Self {
        let script: Script = Arc::new(|_, say| Box::pin(async move { say.text("done") }));
        Self {
            scene: Scene {
                script,
                controls: HashMap::new(),
                start: Start::Answers,
                initialize: json!({
                    "claude_code_version": CLI_VERSION_MIN,
                    "hook_on_failure_supported": true,
                    "capabilities": ["interrupt_receipt_v1", "interrupt_cancel_queued_v1"],
                }),
            },
            agents: Arc::default(),
            launched: watch::Sender::new(0),
        }
    }

    /// What agents do for each prompt. A script that ends without a result gets a plain one; prompts that
    /// come meanwhile wait; an interrupt drops the script and ends the turn as interrupted.
    #[must_use]
    pub fn on_prompt<F, T>(mut self, script: F) -> Self
    where
        F: Fn(ScriptedPrompt, Say) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        self.scene.script = Arc::new(move |prompt, say| Box::pin(script(prompt, say)));
        self
    }

    /// What agents answer to a control request; the others are answered with an empty success.
    #[must_use]
    pub fn on_control(
        mut self,
        subtype: &str,
        answer: impl Fn(&Value) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        let controls = &mut self.scene.controls;
        controls.insert(subtype.to_owned(), Arc::new(answer));
        self
    }

    /// Agents announce this version.
    #[must_use]
    pub fn with_version(self, version: &str) -> Self {
        self.with_initialize("claude_code_version", json!(version))
    }

    /// Sets one field of the answer to `initialize`.
    #[must_use]
    pub fn with_initialize(mut self, field: &str, value: Value) -> Self {
        self.scene.initialize[field] = value;
        self
    }

    /// Agents never answer `initialize`.
    #[must_use]
    pub fn silent_at_start(mut self) -> Self {
        self.scene.start = Start::IsSilent;
        self
    }

    /// Agents exit instead of answering `initialize`.
    #[must_use]
    pub fn exits_at_start(mut self, code: i32, stderr: &str) -> Self {
        let stderr = stderr.to_owned();
        self.scene.start = Start::Exits { code, stderr };
        self
    }

    /// Agents cannot be launched at all.
    #[must_use]
    pub fn fails_to_launch(mut self, error: Error) -> Self {
        self.scene.start = Start::Fails(error);
        self
    }

    /// The agents started so far, oldest first, ended ones too.
    pub fn agents(&self) -> Vec<ScriptedAgent> {
        self.lock().clone()
    }

    /// The agent started last.
    ///
    /// # Panics
    ///
    /// When none was started.
    #[expect(clippy::expect_used, reason = "a test that has no agent has to fail")]
    pub fn last_agent(&self) -> ScriptedAgent {
        let agents = self.lock();
        agents.last().expect("no agent was started").clone()
    }

    /// Waits until `count` agents were started.
    /// Cancel safe.
    pub async fn launched(&self, count: usize) -> Vec<ScriptedAgent> {
        let mut launched = self.launched.subscribe();
        // The sender lives in self, so the wait can only end with success.
        let _ = launched.wait_for(|started| *started >= count).await;
        self.agents()
    }

    /// The agents that have not ended.
    pub fn alive(&self) -> Vec<ScriptedAgent> {
        let agents = self.lock();
        let alive = agents.iter().filter(|agent| agent.is_alive());
        alive.cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ScriptedAgent>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Launcher for ScriptedLauncher {
    async fn launch(&self, invocation: &Invocation) -> Result<Transport, Error> {
        if let Start::Fails(error) = &self.scene.start {
            return Err(error.clone());
        }
        let number = self.launched.borrow().saturating_add(1);
        let (agent, transport) = run::start(self.scene.clone(), invocation, number);
        self.lock().push(agent);
        self.launched.send_modify(|count| *count += 1);
        Ok(transport)
    }
}

impl Default for ScriptedLauncher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ScriptedLauncher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedLauncher")
            .field("start", &self.scene.start)
            .field("agents", &self.agents)
            .finish_non_exhaustive()
    }
}
