//! Warm spares: agents that are started before anybody knows what for, and handed out in about 0.1 s.
//!
//! A spare is a process of the CLI that has done everything up to, but not including, its working
//! directory. It can be given that, and a few things more, once (`claim_session`); all else was fixed when
//! it was started. So a pool keeps spares by [profile](SparePool::prepare): the options without what a
//! claim can set. [`SparePool::claim`] gives out a spare of exactly the profile asked for, and starts an
//! agent in the ordinary way when there is none. It never gives one out that was started differently.
//!
//! Set by the claim: `cwd`, `permission_mode`, `add_dirs`, `agents`, the text appended to the system
//! prompt, the title, three variables of the environment (`CLAUDE_CODE_OAUTH_TOKEN`,
//! `CLAUDE_CODE_SESSION_ACCESS_TOKEN`, `CLAUDE_CODE_HOST_SESSION_ID`; the CLI refuses all others), and what
//! lives in this process: hooks, gate and their like. Part of the profile: all other flags, the rest of
//! the environment and of `initialize`, the model (switching it later would leave a trace in the session
//! and call the hooks for it), limits. Not to be had with a spare, and started cold: a conversation that
//! is continued or has an id given ([`SessionStart`](crate::SessionStart)), a jail, whose mounts depend on
//! the working directory, and relative paths, which would be looked up where spares wait.
//!
//! A parked spare has no hooks and no gate, so it would be denied whatever it asked; it cannot be prompted
//! either. Hooks are registered before the claim, and a spare that does not confirm them is killed. One
//! spare serves one claim: nothing a claim brings is ever seen by another.
//!
//! ```no_run
//! use std::sync::Arc;
//! use sdk_runtime::{AgentOptions, PromptContent, ProcessLauncher, SparePool, SpareSettings};
//!
//! # async fn run() -> Result<(), sdk_runtime::Error> {
//! let settings = SpareSettings::new("/var/lib/my-app/parking").with_size(2);
//! let pool = SparePool::new(Arc::new(ProcessLauncher), settings);
//! let usual = AgentOptions::default().with_cli("claude");
//! pool.prepare(&usual);
//! // Later, when somebody comes:
//! let claimed = pool.claim(usual.with_cwd("/srv/demo")).await?;
//! claimed.agent.prompt(PromptContent::Text("hello".into())).await?;
//! pool.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod keeper;
mod profile;
mod settings;
mod shelf;

use std::{fmt, sync::Arc, time::Duration};

use tokio::task::JoinHandle;

pub use self::settings::{SpareSettings, SpareStats};
use self::{
    profile::{Request, Split, split},
    shelf::{Shelf, Spare},
};
use crate::{
    agent::{self, Agent},
    error::Error,
    event::Events,
    launcher::Launcher,
    options::AgentOptions,
    task,
};

/// Keeps spares. Clones are the same pool; when the last is dropped, its spares are killed. Agents that
/// were handed out are not concerned.
#[derive(Debug, Clone)]
pub struct SparePool(Arc<Pool>);

/// An agent handed out by a pool.
#[derive(Debug)]
#[non_exhaustive]
pub struct Claimed {
    /// The agent, ready for its first prompt.
    pub agent: Agent,
    /// Its events. The first may stem from before the claim.
    pub events: Events,
    /// Where it came from.
    pub origin: Origin,
}

/// Where an agent came from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Origin {
    /// It was a spare.
    Spare {
        /// How long it was parked.
        parked: Duration,
    },
    /// It was started for this claim.
    Cold(ColdReason),
}

/// Why there was no spare for a claim.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ColdReason {
    /// None was ready.
    NoneReady,
    /// No spare can be that; the reason.
    NotClaimable(&'static str),
    /// The spare refused, or died over it, and was killed.
    Refused(Error),
    /// The pool is shut down.
    ShutDown,
}

struct Pool {
    shelf: Arc<Shelf>,
    launcher: Arc<dyn Launcher>,
    keeper: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl SparePool {
    /// A pool that starts its spares with this launcher. It is empty until [`SparePool::prepare`] or the
    /// first claim. Needs a tokio runtime, and its spares end with that.
    pub fn new(launcher: Arc<dyn Launcher>, settings: SpareSettings) -> Self {
        let shelf = Arc::new(Shelf::new(settings));
        let keeper = task::spawn(keeper::run(Arc::clone(&shelf), Arc::clone(&launcher)));
        Self(Arc::new(Pool { shelf, launcher, keeper: Some(keeper).into() }))
    }

    /// Has spares for options like these made ready, in the background. `cwd` and whatever else a claim can
    /// set is not looked at. Returns `false` for options no spare can serve, and for those that are refused.
    pub fn prepare(&self, options: &AgentOptions) -> bool {
        // What a claim settles belongs to the profile too.
        let Ok(options) = agent::settled(options.clone()) else {
            return false;
        };
        match split(&options, &self.0.shelf.settings.parking) {
            Split::Claimable { profile, .. } => {
                self.0.shelf.want(*profile);
                true
            }
            Split::Cold(_) => false,
        }
    }

    /// An agent with these options: a spare when one is ready, else one that is started now. Either way it
    /// has these options' hooks and gate before it can do anything.
    ///
    /// # Errors
    ///
    /// Those of [`Agent::start`]. What goes wrong with a spare is no error: it is killed, an agent is
    /// started in its place, and [`Claimed::origin`] says why.
    ///
    /// Cancel safe: the spare that was taken is killed, and replaced in the background.
    pub async fn claim(&self, options: AgentOptions) -> Result<Claimed, Error> {
        let options = agent::settled(options)?;
        let reason = match self.warm(&options).await {
            Ok(claimed) => return Ok(claimed),
            Err(reason) => reason,
        };
        tracing::debug!(?reason, "no spare for a claim");
        let (agent, events) = Agent::start_settled(&*self.0.launcher, options).await?;
        self.0.shelf.count(|stats| stats.cold += 1);
        Ok(Claimed { agent, events, origin: Origin::Cold(reason) })
    }

    /// What there is and what was.
    pub fn stats(&self) -> SpareStats {
        self.0.shelf.stats()
    }

    /// Waits until this many spares are ready, or the pool is shut down. Cancel safe.
    pub async fn ready(&self, count: usize) {
        self.0.shelf.ready(count).await;
    }

    /// Ends all spares, those being started too, and returns when none is left. Claims are served cold from
    /// then on. May be called again. When it is cancelled, the spares still end, in the background.
    pub async fn shutdown(&self) {
        self.0.shelf.shut();
        let keeper = self.0.keeper.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            // It ends when the last spare has.
            let _ = keeper.await;
        }
    }

    async fn warm(&self, options: &AgentOptions) -> Result<Claimed, ColdReason> {
        let shelf = &self.0.shelf;
        let (profile, request) = match split(options, &shelf.settings.parking) {
            Split::Claimable { profile, request } => (*profile, *request),
            Split::Cold(why) => return Err(ColdReason::NotClaimable(why)),
        };
        if shelf.is_shut() {
            return Err(ColdReason::ShutDown);
        }
        shelf.want(profile.clone());
        let spare = shelf.take(&profile).ok_or(ColdReason::NoneReady)?;
        let Spare { agent, events, since, .. } = spare;
        let parked = since.elapsed();
        let Request { body, initialize, seams } = request;
        let claiming = agent.claim(seams, initialize, body);
        let claimed = tokio::time::timeout(shelf.settings.claim_timeout, claiming).await;
        let refused = match claimed {
            Ok(Ok(agent)) => {
                shelf.count(|stats| stats.claimed += 1);
                return Ok(Claimed { agent, events, origin: Origin::Spare { parked } });
            }
            Ok(Err(error)) => error,
            Err(_) => Error::ControlTimeout {
                subtype: "claim_session".to_owned(),
                waited: shelf.settings.claim_timeout,
            },
        };
        tracing::warn!(error = &refused as &dyn std::error::Error, "a spare would not be claimed");
        shelf.count(|stats| stats.discarded_refused += 1);
        Err(ColdReason::Refused(refused))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shelf.shut();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("stats", &self.shelf.stats()).finish_non_exhaustive()
    }
}
