//! What every agent is started with so that nothing it does goes ungoverned: its hooks, and who is asked.
//!
//! Everything here fails closed: a hook that errs, hangs or panics denies, and a decision that cannot be put on record is
//! a no.

use crate::{
    agent::Directories,
    feed::Feed,
    sessions::Stores,
    settings::{EngineSettings, GovernanceSettings},
};
use async_trait::async_trait;
use domain::{
    Clock, CurrentTurn, DecisionFilter, Event, Page, PageRequest, PermissionDecision, Session, SessionId,
    ports::{Decisions, StoreResult},
};
use hooks::{Always, Hooks, HooksError, Origin, SessionHook};
use jiff::Timestamp;
use permissions::{CustomPolicies, PermissionManager, Policy, PolicyBook, PolicyEngine, Surroundings};
use sdk_runtime::{HookEvent, HookRegistration, OnFailure};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// How long the agent waits for a verdict. Policies answer in far less; the store may be busy for a while.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(30);

/// Governs the agents of one server.
pub(crate) struct Governance {
    decisions: Arc<dyn Decisions>,
    pub(crate) book: Arc<PolicyBook>,
    clock: Arc<dyn Clock>,
}

/// What governs one agent while it lives.
#[derive(Debug, Clone)]
pub(crate) struct Governed {
    pub permissions: Arc<PermissionManager>,
    /// The turn the agent works on, to be kept up to date by whoever runs its turns.
    pub turn: CurrentTurn,
}

impl Governance {
    /// Keeps its records in this store, and tells watchers of them.
    pub(crate) fn new(stores: &Stores, feed: Arc<Feed>, clock: Arc<dyn Clock>) -> Self {
        let decisions = Arc::new(Watched { decisions: stores.decisions.clone(), feed });
        let book = Arc::new(PolicyBook::new(stores.policies.clone(), clock.clone()));
        Self { decisions, book, clock }
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
        Governed { permissions: Arc::new(permissions), turn }
    }

    fn custom_policies(&self, session: &Session) -> Arc<dyn Policy> {
        let chosen = session.spec.custom_policies.clone();
        Arc::new(CustomPolicies::new(self.book.clone(), chosen, self.clock.clone()))
    }
}

impl Governed {
    /// The hooks to start the agent with. The verdict is the last of its event: it judges what would run.
    pub(crate) async fn hooks(
        &self,
        hooks: &Hooks,
        session: &Session,
    ) -> Result<Vec<HookRegistration>, HooksError> {
        Ok(hooks.for_session(session, &self.turn, vec![self.verdict()]).await?.into_registrations())
    }

    /// The hooks of an agent that nobody has and that is for trials alone.
    pub(crate) fn trial_hooks(
        &self,
        hooks: &Hooks,
        session: &Session,
    ) -> Result<Vec<HookRegistration>, HooksError> {
        Ok(hooks.for_trial(session, &self.turn, self.verdict())?.into_registrations())
    }

    fn verdict(&self) -> SessionHook {
        SessionHook {
            name: "permissions".to_owned(),
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

/// The policies of a session that are no custom ones.
pub(crate) fn built_in_policies(settings: &EngineSettings, session: &Session) -> PolicyEngine {
    let GovernanceSettings { policies, further_policies, .. } = &settings.governance;
    PolicyEngine::built_in(policies, &session.spec.sdk_options.disallowed_tools)
        .with(further_policies.clone())
}

/// Where and for whom an agent of the session works.
pub(crate) fn surroundings(session: &Session, directories: &Directories) -> Surroundings {
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
