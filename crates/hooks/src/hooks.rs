//! The hooks of a server: what each session gets of them, and what works for all sessions in the background.

use crate::{
    BadMatcher, HookManager, HookScope, Matcher, Observer, Origin, Recorder, SessionHook,
    builtin::{AuditHook, AuditSink, MetricsHook, NotificationHook},
    recorder::Publish,
    session_hook::Always,
    webhook::{Client, DecisionHook, SecretSealer, Sender},
};
use domain::{
    Clock, CurrentTurn, FailMode, HookEndpoint, HookEndpointKind, Session, UserId,
    ports::{HookStore, StoreError},
};
use monitoring::MetricsCollector;
use sdk_runtime::{HookInput, OnFailure};
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::Notify};
use tokio_util::sync::CancellationToken;

/// Which hooks the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    pub audit: bool,
    pub metrics: bool,
    pub persistence: bool,
    pub notification: bool,
    pub custom: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self { audit: true, metrics: true, persistence: true, notification: true, custom: true }
    }
}

/// Why a session's hooks cannot be had; without them its agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    #[error("find the hook {0:?}, which the session has in hooks_enabled")]
    Missing(String),
    #[error("run the hook {0:?}, which the session has in hooks_enabled: custom hooks are switched off")]
    SwitchedOff(String),
    #[error(transparent)]
    Matcher(#[from] BadMatcher),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A name in `hooks_enabled` that leads nowhere: its place in the list, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    pub index: usize,
    pub message: String,
}

/// Everything about hooks that all sessions share; clones share it too.
#[derive(Clone)]
pub struct Hooks {
    store: Arc<dyn HookStore>,
    clock: Arc<dyn Clock>,
    switches: Switches,
    /// What the embedder brought.
    own: Arc<[SessionHook]>,
    audit: Arc<dyn AuditSink>,
    figures: Arc<MetricsCollector>,
    client: Client,
    recorder: Recorder,
    sender: Sender,
    is_trial: fn(&HookInput) -> bool,
}

impl Hooks {
    /// Starts the writer of runs on this runtime. `own` are the embedder's hooks; for `is_trial` see [`HookScope`].
    #[expect(clippy::too_many_arguments, reason = "each is another part of the server, met here once")]
    pub fn start(
        store: Arc<dyn HookStore>,
        clock: Arc<dyn Clock>,
        switches: Switches,
        own: Vec<SessionHook>,
        audit: Arc<dyn AuditSink>,
        client: Client,
        publish: Publish,
        is_trial: fn(&HookInput) -> bool,
        figures: Arc<MetricsCollector>,
        runtime: &Handle,
    ) -> Self {
        let news = Arc::new(Notify::new());
        let keeps_runs = switches.persistence;
        let recorder =
            Recorder::start(store.clone(), clock.clone(), publish, news.clone(), keeps_runs, runtime);
        let sender = Sender { store: store.clone(), clock: clock.clone(), client: client.clone(), news };
        Self { store, clock, switches, own: own.into(), audit, figures, client, recorder, sender, is_trial }
    }

    /// The hooks of a session's agent: the operator's, those it names, everybody's, and after them all the `verdicts`,
    /// which are the policies'.
    pub async fn for_session(
        &self,
        session: &Session,
        turn: &CurrentTurn,
        verdicts: Vec<SessionHook>,
    ) -> Result<HookManager, HooksError> {
        let scope = self.scope(session, turn);
        let mut hooks = vec![];
        let named: BTreeSet<&str> = session.spec.hooks_enabled.iter().map(String::as_str).collect();
        if !self.switches.custom
            && let Some(name) = named.first()
        {
            return Err(HooksError::SwitchedOff((*name).to_owned()));
        }
        let mine = self.own.iter().filter(|hook| match hook.always {
            Always::Yes => true,
            Always::IfEnabled => named.contains(hook.name.as_str()),
        });
        hooks.extend(mine.cloned());
        let mut told = vec![];
        if self.switches.custom {
            let endpoints = self.store.endpoints_for(session.user_id).await?;
            let missing = named.iter().find(|name| {
                !self.own.iter().any(|hook| hook.name == **name)
                    && find(&endpoints, session.user_id, name).is_none()
            });
            if let Some(name) = missing {
                return Err(HooksError::Missing((*name).to_owned()));
            }
            let wanted = endpoints.iter().filter(|endpoint| {
                let is_named = named.contains(endpoint.name.as_str()) && endpoint.user_id == session.user_id;
                endpoint.is_enabled && (endpoint.is_global || is_named)
            });
            for endpoint in wanted {
                match endpoint.kind {
                    HookEndpointKind::Decision => hooks.extend(self.ask(endpoint, &scope)),
                    HookEndpointKind::Notification => {
                        told.push((Matcher::parse(endpoint.tool_matcher.as_deref())?, endpoint.clone()));
                    }
                }
            }
        }
        let observers = self.observers(told);
        Ok(HookManager::new(&scope, hooks, verdicts, &observers, &self.recorder, &self.clock)?)
    }

    /// The hooks of a session that nobody has and that is for trials alone: this one, called as in any other session.
    pub fn for_trial(
        &self,
        session: &Session,
        turn: &CurrentTurn,
        hook: SessionHook,
    ) -> Result<HookManager, HooksError> {
        let scope = self.scope(session, turn);
        Ok(HookManager::new(&scope, vec![], vec![hook], &[], &self.recorder, &self.clock)?)
    }

    fn scope(&self, session: &Session, turn: &CurrentTurn) -> HookScope {
        HookScope {
            session_id: session.id,
            user_id: session.user_id,
            generation: session.generation,
            turn: turn.clone(),
            is_trial: self.is_trial,
        }
    }

    /// The names a user's session cannot have in `hooks_enabled`.
    pub async fn unknown(&self, user: UserId, names: &[String]) -> Result<Vec<Unknown>, StoreError> {
        if names.is_empty() {
            return Ok(vec![]);
        }
        let endpoints = self.store.endpoints_for(user).await?;
        let refused = names.iter().enumerate().filter_map(|(index, name)| {
            let own = self.own.iter().any(|hook| hook.name == *name);
            let endpoint = find(&endpoints, user, name);
            let message = if !self.switches.custom {
                "custom hooks are switched off on this server".to_owned()
            } else if !own && endpoint.is_none() {
                format!("there is no hook named {name:?} on this server")
            } else if endpoint.is_some_and(|one| one.kind == HookEndpointKind::Notification)
                && !self.switches.notification
            {
                "notifications are switched off on this server".to_owned()
            } else {
                return None;
            };
            Some(Unknown { index, message })
        });
        Ok(refused.collect())
    }

    /// Whether the embedder or Steward itself has a hook of this name.
    #[must_use]
    pub fn is_reserved(&self, name: &str) -> bool {
        crate::builtin::NAMES.contains(&name) || self.own.iter().any(|hook| hook.name == name)
    }

    #[must_use]
    pub fn switches(&self) -> Switches {
        self.switches
    }

    #[must_use]
    pub fn store(&self) -> &dyn HookStore {
        self.store.as_ref()
    }

    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    #[must_use]
    pub fn sealer(&self) -> &SecretSealer {
        self.client.sealer()
    }

    #[must_use]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Waits until what hooks did so far is on record, but not for a store that does not answer.
    pub async fn flush(&self) {
        self.recorder.flush().await;
    }

    /// Sends messages to endpoints until cancelled.
    pub async fn send(&self, cancelled: CancellationToken) {
        self.sender.run(cancelled).await;
    }

    /// Waits until everything is on record, and takes nothing more.
    pub async fn shut_down(&self) {
        self.recorder.shut_down().await;
    }

    fn ask(&self, endpoint: &HookEndpoint, scope: &HookScope) -> Vec<SessionHook> {
        let hook = Arc::new(DecisionHook {
            endpoint: Arc::new(endpoint.clone()),
            scope: scope.clone(),
            client: self.client.clone(),
            clock: self.clock.clone(),
        });
        let of_event = |event: &String| SessionHook {
            name: endpoint.name.clone(),
            event: event.as_str().into(),
            matcher: endpoint.tool_matcher.clone(),
            order: endpoint.order,
            timeout: Duration::from_millis(endpoint.timeout_ms.into()),
            on_failure: match endpoint.fail_mode {
                FailMode::Open => OnFailure::Continue,
                FailMode::Closed => OnFailure::Block,
            },
            always: Always::IfEnabled,
            origin: Origin::Custom,
            hook: hook.clone(),
        };
        endpoint.event_types.iter().map(of_event).collect()
    }

    fn observers(&self, told: Vec<(Matcher, HookEndpoint)>) -> Vec<Arc<dyn Observer>> {
        let mut observers: Vec<Arc<dyn Observer>> = vec![];
        if self.switches.audit {
            observers.push(Arc::new(AuditHook(self.audit.clone())));
        }
        if self.switches.metrics {
            observers.push(Arc::new(MetricsHook(self.figures.clone())));
        }
        if self.switches.notification && !told.is_empty() {
            observers.push(Arc::new(NotificationHook(told)));
        }
        observers
    }
}

/// The endpoint a name means to a user: their own before everybody's.
fn find<'a>(endpoints: &'a [HookEndpoint], user: UserId, name: &str) -> Option<&'a HookEndpoint> {
    let of_name = || endpoints.iter().filter(|endpoint| endpoint.name == name);
    of_name().find(|endpoint| endpoint.user_id == user).or_else(|| of_name().find(|one| one.is_global))
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("switches", &self.switches).finish_non_exhaustive()
    }
}
