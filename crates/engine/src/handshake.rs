//! The handshake: whether an agent starts here and answers, found out without a model, a session or anybody's prompt.
//!
//! It is made the way agents are started, in their sandbox and with their hooks. An agent that a session needed anyway
//! has shown as much, so a busy server makes none. Nobody waits for the first one: a server is ready as soon as the
//! CLI has told its version.

use crate::{
    SessionDraft, SessionManager,
    agent::{self, Launch, TakeUp},
    trial::Trial,
};
use domain::AgentScope;
use sdk_runtime::{Agent, probe};
use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{sync::oneshot, time::Instant};

/// How long an agent may take to start and answer; a cold disk takes a while to read the CLI.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A handshake that failed is not repeated for so long: each costs what the start of an agent costs.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// How long the version is believed where no handshakes are made.
const VERSION_MAX_AGE: Duration = Duration::from_secs(60);

/// What is known of the CLI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentHealth {
    /// Of the CLI.
    pub version: String,
    /// How long it took to answer; `None` if it was only asked for its version, or has not answered yet.
    pub answered_within: Option<Duration>,
}

/// A file that is another one when it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// The latest handshake.
#[derive(Debug, Default)]
pub(crate) struct Handshake(Mutex<Option<Latest>>);

#[derive(Debug, Clone)]
struct Latest {
    program: Program,
    at: Instant,
    outcome: Result<AgentHealth, String>,
}

impl Program {
    /// The CLI as it is now, or why there is none.
    pub(crate) fn of(manager: &SessionManager) -> Result<Self, String> {
        let path = manager.inner.settings.agent.cli.clone()?;
        let metadata =
            std::fs::metadata(&path).map_err(|error| format!("the CLI cannot be read: {error}"))?;
        Ok(Self { path, bytes: metadata.len(), modified: metadata.modified().ok() })
    }
}

impl Handshake {
    /// An agent has started for a session, and taken so long.
    pub(crate) fn note_start(&self, manager: &SessionManager, agent: &Agent, took: Duration) {
        if let Ok(program) = Program::of(manager) {
            let version = agent.initialized().version.to_string();
            self.note(program, Ok(AgentHealth { version, answered_within: Some(took) }));
        }
    }

    fn note(&self, program: Program, outcome: Result<AgentHealth, String>) {
        *self.latest() = Some(Latest { program, at: Instant::now(), outcome });
    }

    /// What the latest one says of this program, if that is still to be believed.
    fn known(&self, program: &Program, good_for: Duration) -> Option<Result<AgentHealth, String>> {
        let latest = self.latest().clone().filter(|latest| latest.program == *program)?;
        let good_for = match &latest.outcome {
            Ok(health) if health.answered_within.is_some() => good_for,
            // A handshake that is under way says more before that.
            Ok(_) => VERSION_MAX_AGE.min(good_for),
            Err(_) => RETRY_DELAY.min(good_for),
        };
        (latest.at.elapsed() < good_for).then_some(latest.outcome)
    }

    /// Whether one was ever made with this program.
    fn has_met(&self, program: &Program) -> bool {
        self.latest().as_ref().is_some_and(|latest| latest.program == *program)
    }

    fn latest(&self) -> MutexGuard<'_, Option<Latest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionManager {
    /// Whether agents can be started here: with a handshake at most `handshake_age` ago, or by the CLI's version alone.
    /// The first handshake with a CLI goes on behind the answer, which is by its version until then. Takes at most 45 s;
    /// the reason of a no is in words for an operator.
    pub async fn check_agent(&self, handshake_age: Option<Duration>) -> Result<AgentHealth, String> {
        if let Err(why) = &self.inner.settings.agent.cli {
            return Err(format!("could not {why}"));
        }
        let program = Program::of(self)?;
        let good_for = handshake_age.unwrap_or(VERSION_MAX_AGE);
        if let Some(known) = self.inner.handshake.known(&program, good_for) {
            return known;
        }
        let version = probe(&program.path).await;
        let version = version.map_err(|error| format!("could not {}", with_causes(&error)))?.to_string();
        let by_version = Ok(AgentHealth { version: version.clone(), answered_within: None });
        let is_first = !self.inner.handshake.has_met(&program);
        let outcome = match handshake_age {
            Some(_) if !is_first => self.shake_hands(version.clone()).await,
            _ => by_version,
        };
        self.inner.handshake.note(program.clone(), outcome.clone());
        if is_first && handshake_age.is_some() {
            let this = self.clone();
            self.spawn(async move {
                let outcome = this.shake_hands(version).await;
                this.inner.handshake.note(program, outcome);
            });
        }
        outcome
    }

    async fn shake_hands(&self, version: String) -> Result<AgentHealth, String> {
        // What is being ended is not tried any more, and its disappearance is no fault.
        self.admit_work().map_err(|error| format!("could not {error}"))?;
        let (told, shaken) = oneshot::channel();
        let this = self.clone();
        // A task, because whoever asked may give up, and what was begun has to be cleaned up all the same.
        self.spawn(async move {
            let trial = Trial::new(&this, SessionDraft::default());
            let outcome = match trial {
                Ok(trial) => {
                    let outcome = start_in(&this, &trial).await;
                    trial.end(&this).await;
                    outcome
                }
                Err(why) => Err(why),
            };
            // Nobody may be left to be told.
            let _ = told.send(outcome);
        });
        let outcome = shaken.await.unwrap_or_else(|_| Err("the handshake broke off".to_owned()));
        let took = outcome.map_err(|why| format!("an agent of version {version} does not start: {why}"))?;
        Ok(AgentHealth { version, answered_within: Some(took) })
    }
}

/// Starts an agent in the trial's session and ends it; how long it took to answer.
async fn start_in(manager: &SessionManager, trial: &Trial) -> Result<Duration, String> {
    let inner = &manager.inner;
    let session = &trial.session;
    let scope = AgentScope { session_id: session.id, user_id: session.user_id };
    let endpoint = inner.model_access.admit(scope);
    let prepared =
        agent::prepare(&inner.settings, &inner.governance, session, &endpoint, TakeUp::Continue, false);
    let options = prepared.map_err(|error| format!("could not {error}")).and_then(|launch| {
        let Launch { options, governed, .. } = launch;
        let installed = governed.install_for_trial(options, &inner.hooks, session);
        installed.map_err(|error| format!("could not {error}"))
    });
    let outcome = match options {
        Ok(options) => {
            let began = Instant::now();
            match tokio::time::timeout(TIMEOUT, Agent::start(inner.launcher.as_ref(), options)).await {
                Ok(Ok((agent, _events))) => {
                    let took = began.elapsed();
                    // It was asked nothing, so it has nothing to finish.
                    agent.kill().await;
                    Ok(took)
                }
                Ok(Err(error)) => Err(format!("could not {}", with_causes(&error))),
                // It was killed when nobody waited for it any more.
                Err(_elapsed) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
            }
        }
        Err(why) => Err(why),
    };
    inner.model_access.revoke(&endpoint.token).await;
    outcome
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
