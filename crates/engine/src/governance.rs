//! What every agent is started with so that nothing it does goes ungoverned: its hooks, and who is asked.
//!
//! Everything here fails closed: a hook that errs, hangs or panics denies, and a decision that cannot be put on record is
//! a no.

use crate::{
    agent::Directories,
    approvals::{desk::Desk, gate::ApprovalGate, listed::ListedTools},
    feed::Feed,
    manager::Stores,
    settings::{BackgroundApprovals, EngineSettings, GovernanceSettings},
    waits::Waits,
};
use async_trait::async_trait;
use domain::{
    Clock, CurrentTurn, DecisionFilter, Event, Generation, Page, PageRequest, PermissionDecision, Session,
    SessionId, SessionMode,
    ports::{Decisions, StoreError, StoreResult},
};
use hooks::{Always, HookManager, Hooks, HooksError, Origin, SessionHook};
use jiff::Timestamp;
use monitoring::MetricsCollector;
use permissions::{CustomPolicies, PermissionManager, Policy, PolicyBook, PolicyEngine, Surroundings};
use sdk_runtime::{AgentOptions, Gate, HookEvent, OnFailure};
use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// How long the agent waits for a verdict. Policies answer in far less; the store may be busy for a while.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(30);

/// Governs the agents of one server.
pub(crate) struct Governance {
    decisions: Arc<dyn Decisions>,
    pub(crate) book: Arc<PolicyBook>,
    clock: Arc<dyn Clock>,
    desk: Arc<Desk>,
}

/// What governs one agent while it lives.
#[derive(Clone)]
pub(crate) struct Governed {
    pub permissions: Arc<PermissionManager>,
    /// The turn the agent works on, to be kept up to date by whoever runs its turns.
    pub turn: CurrentTurn,
    /// How long it waits for people.
    pub waits: Waits,
    /// Whether it was told that its plan is accepted, and so works in another mode than it was started in.
    pub left_plan_mode: Arc<AtomicBool>,
    gate: Arc<dyn Gate>,
}

impl Governance {
    /// Keeps its records in this store, and tells watchers of them.
    pub(crate) fn new(
        stores: &Stores,
        desk: Arc<Desk>,
        feed: Arc<Feed>,
        clock: Arc<dyn Clock>,
        metrics: Arc<MetricsCollector>,
    ) -> Self {
        let decisions = Arc::new(Watched { decisions: stores.decisions.clone(), feed, metrics });
        let book = Arc::new(PolicyBook::new(stores.policies.clone(), clock.clone()));
        Self { decisions, book, clock, desk }
    }

    /// What governs an agent of this session.
    pub(crate) fn of(
        &self,
        settings: &EngineSettings,
        session: &Session,
        directories: &Directories,
    ) -> Governed {
        let turn = CurrentTurn::default();
        let permissions = PermissionManager::new(
            built_in_policies(settings, session).with([self.custom_policies(session)]),
            surroundings(session, directories),
            turn.clone(),
            self.decisions.clone(),
            self.clock.clone(),
        );
        let permissions = Arc::new(permissions);
        let (waits, left_plan_mode) = (Waits::default(), Arc::<AtomicBool>::default());
        let gate = ApprovalGate {
            desk: self.desk.clone(),
            subject: session.into(),
            working_directory: PathBuf::from(&session.spec.working_directory),
            permissions: permissions.clone(),
            turn: turn.clone(),
            waits: waits.clone(),
            left_plan_mode: left_plan_mode.clone(),
        };
        Governed { permissions, turn, waits, left_plan_mode, gate: Arc::new(gate) }
    }

    fn custom_policies(&self, session: &Session) -> Arc<dyn Policy> {
        let chosen = session.spec.custom_policies.clone();
        Arc::new(CustomPolicies::new(self.book.clone(), chosen, self.clock.clone()))
    }
}

impl Governed {
    /// The agent with its hooks, and somebody to ask. The verdict is the last of its event: it judges what would run.
    pub(crate) async fn install(
        &self,
        options: AgentOptions,
        hooks: &Hooks,
        session: &Session,
    ) -> Result<AgentOptions, HooksError> {
        Ok(self.with(options, hooks.for_session(session, &self.turn, vec![self.verdict()]).await?))
    }

    /// The same for an agent that nobody has and that is for trials alone.
    pub(crate) fn install_for_trial(
        &self,
        options: AgentOptions,
        hooks: &Hooks,
        session: &Session,
    ) -> Result<AgentOptions, HooksError> {
        Ok(self.with(options, hooks.for_trial(session, &self.turn, self.verdict())?))
    }

    fn with(&self, options: AgentOptions, hooks: HookManager) -> AgentOptions {
        let options = hooks.into_registrations().into_iter().fold(options, AgentOptions::with_hook);
        options.with_gate(self.gate.clone())
    }

    fn verdict(&self) -> SessionHook {
        SessionHook {
            name: hooks::builtin::VERDICT.to_owned(),
            event: HookEvent::PreToolUse,
            matcher: None,
            order: i32::MAX,
            timeout: VERDICT_TIMEOUT,
            on_failure: OnFailure::Block,
            always: Always::Yes,
            origin: Origin::BuiltIn,
            hook: self.permissions.clone(),
        }
    }
}

/// Whether the session may only use the tools it was given.
pub(crate) fn only_listed(settings: &EngineSettings, session: &Session) -> bool {
    session.mode == SessionMode::Background
        && settings.governance.approvals.background == BackgroundApprovals::AllowList
}

impl std::fmt::Debug for Governed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Governed").field("permissions", &self.permissions).finish_non_exhaustive()
    }
}

/// The policies of a session that are no custom ones.
pub(crate) fn built_in_policies(settings: &EngineSettings, session: &Session) -> PolicyEngine {
    let listed: Option<Arc<dyn Policy>> =
        only_listed(settings, session).then(|| Arc::new(ListedTools::new(&session.spec.allowed_tools)) as _);
    let GovernanceSettings { policies, further_policies, .. } = &settings.governance;
    PolicyEngine::built_in(policies, &session.spec.sdk_options.disallowed_tools)
        .with(further_policies.clone())
        .with(listed)
}

/// Where and for whom an agent of the session works.
pub(crate) fn surroundings(session: &Session, directories: &Directories) -> Surroundings {
    let spec = &session.spec;
    Surroundings {
        session_id: session.id,
        user_id: session.user_id,
        generation: session.generation,
        working_directory: PathBuf::from(&spec.working_directory),
        add_dirs: spec.sdk_options.add_dirs.iter().map(PathBuf::from).collect(),
        home: directories.config.clone(),
        temporary: directories.temporary.clone(),
    }
}

/// The record of decisions, of which watchers are told and which are counted.
struct Watched {
    decisions: Arc<dyn Decisions>,
    feed: Arc<Feed>,
    metrics: Arc<MetricsCollector>,
}

#[async_trait]
impl Decisions for Watched {
    async fn record_decision(&self, decision: &PermissionDecision, by: Generation) -> StoreResult<Event> {
        monitoring::spans::decided(decision);
        let recorded = self.decisions.record_decision(decision, by).await;
        let event = recorded.inspect_err(|error| {
            // A session that another server has taken over is no fault of the record.
            if !matches!(error, StoreError::Fenced) {
                self.metrics.record_unrecorded_decision();
            }
        })?;
        self.metrics.record_permission_decision(decision);
        self.feed.publish([event.clone()]);
        Ok(event)
    }

    async fn decisions(
        &self,
        session: SessionId,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<PermissionDecision>> {
        self.decisions.decisions(session, filter, page).await
    }

    async fn decisions_since(
        &self,
        since: Timestamp,
        page: &PageRequest,
    ) -> StoreResult<Page<PermissionDecision>> {
        self.decisions.decisions_since(since, page).await
    }
}
