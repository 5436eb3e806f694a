//! Retrying: what may be tried again, how long to wait, when to stop trying.
//!
//! Nothing that had effects is done twice. Whether it had is read off what the agent reported:
//! [`Error::is_retryable`] for a start that failed, [`TurnResult::retry_verdict`] and
//! [`Said::retry_verdict`](crate::Said::retry_verdict) for a turn, given its [`Footprint`]. A turn may be
//! repeated only if the model's API failed in a way that passes, no tool was called, nothing was written
//! and nothing the agent said was lost on the way. The CLI itself has by then retried the request, which
//! is safe and the first line; this is the second, for when it gave up.
//!
//! [`Retry`] waits between attempts with exponential back-off and jitter. Shared between all callers, a
//! [`RetryBudget`] keeps retries a fraction of the work, so that an outage is not answered with a storm,
//! and a [`CircuitBreaker`] stops attempts altogether after failures in a row and lets a single one
//! through to see whether things are better.
//!
//! ```no_run
//! use sdk_runtime::{
//!     AgentOptions, ProcessLauncher,
//!     retry::{CircuitBreaker, Retry, RetryBudget},
//! };
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let retry = Retry::default()
//!     .with_budget(Some(RetryBudget::default()))
//!     .with_breaker(Some(CircuitBreaker::default()));
//! let (agent, mut events) = retry.start(&ProcessLauncher, &AgentOptions::default()).await?;
//! let turn = retry.prompt(&agent, &mut events, "hello", |event| println!("{event:?}")).await?;
//! println!("{:?} after {} attempts", turn.result.text, turn.attempts);
//! # Ok(())
//! # }
//! ```
//!
//! The budget and the breaker are our own: the crates for them (tower's budget, `failsafe`, `recloser`)
//! read the system's clock, so nothing that uses them can be tested in virtual time.

mod breaker;
mod budget;
mod verdict;

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

pub use self::{
    breaker::{BreakerState, CircuitBreaker, CircuitOpen, Permit},
    budget::RetryBudget,
    verdict::{Footprint, NoRetry, RetryVerdict},
};
use crate::{
    agent::Agent,
    error::{Error, Said},
    event::{DropReason, Event, Events},
    launcher::Launcher,
    options::AgentOptions,
    prompt::Prompt,
    setters::setters,
    turn_result::{Outcome, TurnResult},
};

/// How to try again. Clones share the budget and the breaker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts_max: usize,
    /// Wait after the first failure; it doubles with each further one, and up to as much again is added at
    /// random.
    pub delay_min: Duration,
    /// The longest wait, before the random part.
    pub delay_max: Duration,
    /// How many retries all callers together may make.
    pub budget: Option<RetryBudget>,
    /// Stops attempts while nothing works.
    pub breaker: Option<CircuitBreaker>,
}

/// Why nothing came of it in the end.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// The breaker lets nothing through for now, and nothing was tried.
    #[error("try, too much has failed lately")]
    CircuitOpen(#[source] CircuitOpen),
    /// It failed, for good or for the last time.
    #[error("succeed in {attempts} attempts")]
    Failed {
        /// How often it was tried.
        attempts: usize,
        /// Why no further attempt was made.
        why: GaveUp,
        /// The last failure.
        #[source]
        source: Error,
    },
    /// The agent ended in the middle of the turn. The verdict says whether the prompt may be given to
    /// another one.
    #[error("finish the turn, the agent ended: {}", said.words())]
    AgentEnded {
        /// Its last words.
        said: std::sync::Arc<Said>,
        /// Whether the prompt may be repeated.
        verdict: RetryVerdict,
    },
    /// The turn ended and its result never came, so nobody knows what it did.
    #[error("learn how the turn ended")]
    ResultLost {
        /// Why.
        why: DropReason,
    },
}

/// Why no further attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GaveUp {
    /// Trying again would not help, or could do something twice.
    NotRetryable,
    /// `attempts_max` is reached.
    Attempts,
    /// The budget is used up.
    Budget,
    /// The breaker has opened.
    Circuit,
}

/// A turn and how often it was tried.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Turn {
    /// The result of the last attempt, which may be a failure.
    pub result: Box<TurnResult>,
    /// How often it was tried.
    pub attempts: usize,
    /// Why a failed turn was not tried again; `None` for one that did not fail.
    pub gave_up: Option<GaveUp>,
}

impl Default for Retry {
    /// Three attempts, the first wait between half a second and a second; no budget and no breaker.
    fn default() -> Self {
        Self {
            attempts_max: 3,
            delay_min: Duration::from_millis(500),
            delay_max: Duration::from_secs(30),
            budget: None,
            breaker: None,
        }
    }
}

setters! { Retry:
    with_attempts_max, attempts_max: usize;
    with_delay_min, delay_min: Duration;
    with_delay_max, delay_max: Duration;
    with_budget, budget: Option<RetryBudget>;
    with_breaker, breaker: Option<CircuitBreaker>;
}

impl Retry {
    /// Starts an agent. What failed before an agent stood had no effects, so all that matters is whether
    /// it may pass ([`Error::is_retryable`]).
    ///
    /// Cancel safe: an attempt that is under way leaves nothing running.
    pub async fn start(
        &self,
        launcher: &dyn Launcher,
        options: &AgentOptions,
    ) -> Result<(Agent, Events), RetryError> {
        let mut attempts = self.attempts();
        loop {
            let permit = attempts.begin()?;
            let source = match Agent::start(launcher, options.clone()).await {
                Ok(started) => {
                    permit.succeeded();
                    return Ok(started);
                }
                Err(error) => error,
            };
            tracing::warn!(error = &source as &dyn std::error::Error, attempt = attempts.made, "no agent");
            if let Err(why) = attempts.failed(permit, source.is_retryable()).await {
                return Err(RetryError::Failed { attempts: attempts.made, why, source });
            }
        }
    }

    /// Sends a prompt and reads up to its result, again if that may be done. Every event passes by
    /// `on_event`, those of other prompts too. A failure that must not be repeated is an `Ok` with its
    /// result, like any other end of a turn. In the conversation a repeated prompt stands twice, the second
    /// time under a new id, because an agent answers an id once.
    ///
    /// When it is cancelled, the turn goes on; interrupt it if that is not wanted.
    pub async fn prompt(
        &self,
        agent: &Agent,
        events: &mut Events,
        prompt: impl Into<Prompt>,
        mut on_event: impl FnMut(&Event),
    ) -> Result<Turn, RetryError> {
        let mut prompt = prompt.into();
        let mut attempts = self.attempts();
        loop {
            let permit = attempts.begin()?;
            let (result, footprint) = match one_turn(agent, events, prompt.clone(), &mut on_event).await {
                Ok(turn) => turn,
                Err(TurnLost::Unsent(source)) => {
                    let (attempts, why) = (attempts.made, GaveUp::NotRetryable);
                    return Err(RetryError::Failed { attempts, why, source });
                }
                Err(TurnLost::Ended(error)) => return Err(error),
            };
            let verdict = result.retry_verdict(&footprint);
            if !matches!(result.outcome(), Outcome::ApiError { .. }) {
                permit.succeeded();
                return Ok(Turn { result, attempts: attempts.made, gave_up: None });
            }
            let is_transient = result.is_transient_failure();
            tracing::warn!(attempt = attempts.made, ?verdict, status = ?result.api_error_status, "a turn failed");
            if verdict != RetryVerdict::Retry {
                // What passes counts against the breaker even when this turn must not be repeated.
                if is_transient {
                    permit.failed()
                } else {
                    permit.succeeded()
                }
                let gave_up = Some(GaveUp::NotRetryable);
                return Ok(Turn { result, attempts: attempts.made, gave_up });
            }
            if let Err(why) = attempts.failed(permit, true).await {
                return Ok(Turn { result, attempts: attempts.made, gave_up: Some(why) });
            }
            prompt = prompt.without_id();
        }
    }

    /// For loops of one's own.
    pub fn attempts(&self) -> Attempts<'_> {
        let delays = ExponentialBuilder::default()
            .with_min_delay(self.delay_min)
            .with_max_delay(self.delay_max)
            .with_factor(2.0)
            .with_jitter()
            .with_max_times(self.attempts_max.saturating_sub(1));
        Attempts { retry: self, delays: delays.build(), made: 0 }
    }
}

/// The attempts at one thing.
#[derive(Debug)]
pub struct Attempts<'a> {
    retry: &'a Retry,
    delays: ExponentialBackoff,
    made: usize,
}

impl Attempts<'_> {
    /// Begins an attempt, if the breaker lets it. Tell the permit how it went.
    ///
    /// # Errors
    ///
    /// [`RetryError::CircuitOpen`].
    pub fn begin(&mut self) -> Result<Permit, RetryError> {
        let permit = match &self.retry.breaker {
            Some(breaker) => breaker.begin().map_err(RetryError::CircuitOpen)?,
            None => Permit::free(),
        };
        if self.made == 0
            && let Some(budget) = &self.retry.budget
        {
            budget.deposit();
        }
        self.made += 1;
        Ok(permit)
    }

    /// How many were begun.
    pub fn made(&self) -> usize {
        self.made
    }

    /// Notes a failure, and waits until the next attempt is due. One that is not retryable is not counted
    /// by the breaker.
    ///
    /// # Errors
    ///
    /// Why there is to be none.
    ///
    /// Cancel safe.
    pub async fn failed(&mut self, permit: Permit, is_retryable: bool) -> Result<(), GaveUp> {
        if !is_retryable {
            // What is wrong with one caller's wishes says nothing about how things are for the others.
            drop(permit);
            return Err(GaveUp::NotRetryable);
        }
        permit.failed();
        let delay = self.delays.next().ok_or(GaveUp::Attempts)?;
        if self.retry.breaker.as_ref().is_some_and(|breaker| breaker.state() == BreakerState::Open) {
            return Err(GaveUp::Circuit);
        }
        if self.retry.budget.as_ref().is_some_and(|budget| !budget.withdraw()) {
            return Err(GaveUp::Budget);
        }
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

enum TurnLost {
    /// The prompt never reached the agent.
    Unsent(Error),
    Ended(RetryError),
}

async fn one_turn(
    agent: &Agent,
    events: &mut Events,
    prompt: Prompt,
    on_event: &mut impl FnMut(&Event),
) -> Result<(Box<TurnResult>, Footprint), TurnLost> {
    let id = agent.prompt(prompt).await.map_err(TurnLost::Unsent)?;
    let mut footprint = Footprint::from_here(events);
    while let Some(event) = events.next().await {
        on_event(&event);
        footprint.observe(&event);
        match event {
            Event::Finished { prompts, result } if prompts.contains(&id) => return Ok((result, footprint)),
            Event::Dropped { prompts, why } if prompts.contains(&id) => {
                return Err(TurnLost::Ended(RetryError::ResultLost { why }));
            }
            Event::Exited(said) => {
                let verdict = said.retry_verdict(&footprint);
                return Err(TurnLost::Ended(RetryError::AgentEnded { said, verdict }));
            }
            Event::Frame(_)
            | Event::Finished { .. }
            | Event::Dropped { .. }
            | Event::Skipped { .. }
            | Event::Overrun { .. }
            | Event::MirrorFailed(_) => {}
        }
    }
    let said = agent.exited().await;
    let verdict = said.retry_verdict(&footprint);
    Err(TurnLost::Ended(RetryError::AgentEnded { said, verdict }))
}
