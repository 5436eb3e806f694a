//! A store with one session, and hooks around it.

use async_trait::async_trait;
use domain::{
    Clock, Counters, CurrentTurn, Event, FailMode, HookEndpoint, HookEndpointId, HookEndpointKind, HookRun,
    PageRequest, SdkOptions, Session, SessionId, SessionMode, SessionSpec, SessionStatus, UserId,
    hook::HookRunFilter,
    ports::{HookEndpoints as _, HookRuns as _, Sessions as _},
};
use hooks::{
    Always, Hooks, Origin, SessionHook, Switches,
    builtin::{AuditSink, SecurityEvent},
    webhook::{Client, SecretSealer, fresh_secret},
};
use sdk_runtime::{Hook, HookEvent, HookInput, HookOutput, HookRegistration, OnFailure, hook::SeamError};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::{MemoryStore, TestClock};
use tokio::runtime::Handle;

pub struct World {
    pub store: MemoryStore,
    pub clock: TestClock,
    pub sealer: Arc<SecretSealer>,
    pub session: Session,
    pub published: Arc<Mutex<Vec<Event>>>,
    pub audit: Arc<Noted>,
    pub metrics: Arc<monitoring::MetricsCollector>,
}

/// What the audit was told.
#[derive(Default)]
pub struct Noted(pub Mutex<Vec<SecurityEvent>>);

impl AuditSink for Noted {
    fn note(&self, event: SecurityEvent) {
        self.0.lock().unwrap().push(event);
    }
}

impl World {
    pub async fn new(hooks_enabled: &[&str]) -> Self {
        let (store, clock) = (MemoryStore::default(), TestClock::default());
        let session = session(hooks_enabled, clock.now());
        store.create(&session, &domain::Origin::system()).await.unwrap();
        let sealer = Arc::new(SecretSealer::new(b"a key of the server").unwrap());
        let metrics = Arc::new(monitoring::MetricsCollector::local("test").unwrap());
        Self { store, clock, sealer, session, metrics, published: Arc::default(), audit: Arc::default() }
    }

    /// The hooks of the server; endpoints may be here.
    pub fn hooks(&self, switches: Switches, own: Vec<SessionHook>) -> Hooks {
        self.hooks_on(Arc::new(self.store.clone()), switches, own)
    }

    pub fn hooks_on(
        &self,
        store: Arc<dyn domain::ports::HookStore>,
        switches: Switches,
        own: Vec<SessionHook>,
    ) -> Hooks {
        let published = self.published.clone();
        Hooks::start(
            store,
            Arc::new(self.clock.clone()),
            switches,
            own,
            self.audit.clone(),
            self.client(true),
            Arc::new(move |events| published.lock().unwrap().extend(events)),
            is_trial,
            self.metrics.clone(),
            &Handle::current(),
        )
    }

    pub fn client(&self, allows_private: bool) -> Client {
        Client::new(self.sealer.clone(), allows_private).unwrap()
    }

    pub async fn registrations(&self, hooks: &Hooks) -> Vec<HookRegistration> {
        let manager = hooks.for_session(&self.session, &CurrentTurn::default(), vec![]).await.unwrap();
        manager.into_registrations()
    }

    /// Everything on record, oldest first.
    pub async fn runs(&self) -> Vec<HookRun> {
        let all = PageRequest::first(1000);
        let mut runs =
            self.store.hook_runs(self.session.id, &HookRunFilter::default(), &all).await.unwrap().items;
        runs.reverse();
        runs
    }

    /// Stores an endpoint of the session's owner, and answers with its secret.
    pub async fn endpoint(
        &self,
        url: &str,
        change: impl FnOnce(&mut HookEndpoint),
    ) -> (HookEndpoint, String) {
        let (id, secret, at) = (HookEndpointId::new(), fresh_secret(), self.clock.now());
        let mut endpoint = HookEndpoint {
            id,
            user_id: self.session.user_id,
            name: "endpoint".to_owned(),
            url: url.to_owned(),
            kind: HookEndpointKind::Decision,
            event_types: vec!["PreToolUse".to_owned()],
            tool_matcher: None,
            timeout_ms: 20_000,
            order: 0,
            fail_mode: FailMode::Closed,
            is_enabled: true,
            is_global: false,
            secret: self.sealer.seal(id, &secret).unwrap(),
            old_secret: None,
            created_at: at,
            updated_at: at,
        };
        change(&mut endpoint);
        self.store.create_endpoint(&endpoint, u32::MAX, &domain::Origin::system()).await.unwrap();
        (endpoint, secret.expose_secret().to_owned())
    }
}

/// A hook that is a closure.
pub struct Does<F>(pub F);

#[async_trait]
impl<F, T> Hook for Does<F>
where
    F: Fn(HookInput) -> T + Send + Sync,
    T: Future<Output = Result<HookOutput, SeamError>> + Send,
{
    async fn on(&self, input: HookInput) -> Result<HookOutput, SeamError> {
        (self.0)(input).await
    }
}

/// A hook of every session that fails closed.
pub fn hook<F, T>(name: &str, order: i32, does: F) -> SessionHook
where
    F: Fn(HookInput) -> T + Send + Sync + 'static,
    T: Future<Output = Result<HookOutput, SeamError>> + Send + 'static,
{
    SessionHook {
        name: name.to_owned(),
        event: HookEvent::PreToolUse,
        matcher: None,
        order,
        timeout: Duration::from_secs(10),
        on_failure: OnFailure::Block,
        always: Always::Yes,
        origin: Origin::Custom,
        hook: Arc::new(Does(does)),
    }
}

/// A hook that answers so.
pub fn answers(name: &str, order: i32, output: Value) -> SessionHook {
    hook(name, order, move |_| {
        let output = output.clone();
        async move { Ok(HookOutput(output)) }
    })
}

/// A tool whose calls are trials.
pub const TRIAL: &str = "Trial";

fn is_trial(input: &HookInput) -> bool {
    input.tool_name.as_deref() == Some(TRIAL)
}

/// The answer of the one registration for an event.
pub async fn call(registrations: &[HookRegistration], event: &str, tool: &str) -> Result<Value, String> {
    let input = json!({
        "hook_event_name": event, "tool_name": tool, "tool_use_id": "toolu_1", "cwd": "/work",
        "tool_input": { "command": "first" }, "duration_ms": 40,
    });
    let mut of_event = registrations.iter().filter(|registration| registration.event.as_str() == event);
    let registration = of_event.next().unwrap();
    assert!(of_event.next().is_none(), "one registration per event");
    let answered = registration.hook.on(HookInput::from_raw(input)).await;
    answered.map(|output| output.0).map_err(|error| error.to_string())
}

fn session(hooks_enabled: &[&str], at: jiff::Timestamp) -> Session {
    Session {
        id: SessionId::new(),
        user_id: UserId::new(),
        name: None,
        description: None,
        mode: SessionMode::Interactive,
        status: SessionStatus::Active,
        spec: SessionSpec {
            working_directory: "/work".into(),
            owns_directory: true,
            whereabouts: Default::default(),
            directory_source: None,
            allowed_tools: vec![],
            system_prompt: None,
            sdk_options: SdkOptions::default(),
            include_partial_messages: false,
            max_retries: 0,
            retry_delay_ms: 0,
            timeout_seconds: 60,
            hooks_enabled: hooks_enabled.iter().map(|name| (*name).to_owned()).collect(),
            permission_mode: "default".into(),
            custom_policies: vec![],
        },
        metadata: json!({}),
        parent_session_id: None,
        fork_at_message: None,
        template_id: None,
        current_turn_id: None,
        operation: None,
        archive_id: None,
        server_id: None,
        generation: domain::Generation::FIRST,
        agent: None,
        counters: Counters::default(),
        error_message: None,
        budget_paused_at: None,
        created_at: at,
        updated_at: at,
        started_at: None,
        completed_at: None,
    }
}
