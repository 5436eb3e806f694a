//! What every agent is started with so that nothing it does goes ungoverned: its hooks, and who is asked.
//!
//! Everything here fails closed: a hook that errs, hangs or panics denies, and a decision that cannot be put on record is
//! a no.

use crate::{
    agent::Directories,
    approvals::{desk::Desk, gate::ApprovalGate, listed::ListedTools},
    feed::Feed,
    settings::{BackgroundApprovals, EngineSettings, GovernanceSettings},
    waits::Waits,
};
use async_trait::async_trait;
use domain::{
    Clock, CurrentTurn, DecisionFilter, Event, Page, PageRequest, PermissionDecision, Session, SessionId,
    SessionMode,
    ports::{Decisions, StoreResult},
};
use jiff::Timestamp;
use permissions::{PermissionManager, Policy, PolicyEngine, Surroundings};
use sdk_runtime::{AgentOptions, Gate, HookEvent, HookRegistration, OnFailure};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// How long the agent waits for a verdict. Policies answer in far less; the store may be busy for a while.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(30);

/// Governs the agents of one server.
pub(crate) struct Governance {
    decisions: Arc<dyn Decisions>,
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
    gate: Arc<dyn Gate>,
}

impl Governance {
    /// Keeps its records in this store, and tells watchers of them.
    pub(crate) fn new(
        decisions: Arc<dyn Decisions>,
        desk: Arc<Desk>,
        feed: Arc<Feed>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let decisions = Arc::new(Watched { decisions, feed });
        Self { decisions, clock, desk }
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
            policies(settings, session),
            surroundings(session, directories),
            turn.clone(),
            self.decisions.clone(),
            self.clock.clone(),
        );
        let permissions = Arc::new(permissions);
        let waits = Waits::default();
        let gate = ApprovalGate {
            desk: self.desk.clone(),
            subject: session.into(),
            working_directory: PathBuf::from(&session.spec.working_directory),
            permissions: permissions.clone(),
            turn: turn.clone(),
            waits: waits.clone(),
        };
        Governed { permissions, turn, waits, gate: Arc::new(gate) }
    }
}

impl Governed {
    /// Puts the hooks and the gate into what an agent is started with.
    pub(crate) fn install(&self, options: AgentOptions) -> AgentOptions {
        let verdict = HookRegistration::new(HookEvent::PreToolUse, self.permissions.clone())
            .with_timeout(VERDICT_TIMEOUT)
            .with_on_failure(OnFailure::Block);
        options.with_hook(verdict).with_gate(self.gate.clone())
    }
}

fn policies(settings: &EngineSettings, session: &Session) -> PolicyEngine {
    let listed: Option<Arc<dyn Policy>> =
        only_listed(settings, session).then(|| Arc::new(ListedTools::new(&session.spec.allowed_tools)) as _);
    let GovernanceSettings { policies, further_policies, .. } = &settings.governance;
    PolicyEngine::built_in(policies, &session.spec.sdk_options.disallowed_tools)
        .with(further_policies.clone())
        .with(listed)
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

fn surroundings(session: &Session, directories: &Directories) -> Surroundings {
    let spec = &session.spec;
    Surroundings {
        session_id: session.id,
        user_id: session.user_id,
        working_directory: PathBuf::from(&spec.working_directory),
        add_dirs: spec.sdk_options.add_dirs.iter().map(PathBuf::from).collect(),
        home: directories.config.clone(),
        temporary: directories.temporary.clone(),
    }
}

/// The record of decisions, of which watchers are told.
struct Watched {
    decisions: Arc<dyn Decisions>,
    feed: Arc<Feed>,
}

#[async_trait]
impl Decisions for Watched {
    async fn record_decision(&self, decision: &PermissionDecision) -> StoreResult<Event> {
        let event = self.decisions.record_decision(decision).await?;
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
