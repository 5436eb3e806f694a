//! What follows the end of an execution, whatever it was: done at least once, also if a server dies in between.

use super::{TaskManager, at_work::Begun};
use crate::{Error, Result, SessionManager};
use async_trait::async_trait;
use domain::{Execution, Settlement};
use futures::{Stream, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use std::{collections::VecDeque, fmt::Debug, time::Duration};

/// Ends that are settled at a time, and that are looked at for it.
const AT_A_TIME: usize = 8;
const LOOKED_AT: u32 = 32;
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(600);
/// Attempts before it is given up: about a day.
const ATTEMPTS_MAX: u32 = 16;
/// Before the second attempt; it doubles with each.
const RETRY_DELAY: SignedDuration = SignedDuration::from_secs(5);
const RETRY_DELAY_MAX: SignedDuration = SignedDuration::from_hours(2);

/// What is done after the end of an execution.
#[async_trait]
pub trait AfterExecution: Send + Sync + Debug {
    /// Does what is left to do: at least once, by the worker that had the execution or, if that is gone, by another.
    /// What is noted in `steps` is kept, also if this fails and is tried again later.
    async fn after_end(
        &self,
        sessions: &SessionManager,
        execution: &Execution,
        steps: &mut Map<String, Value>,
    ) -> Result<()>;
}

impl TaskManager {
    /// What has ended and is not settled, for ever.
    pub(super) fn ended(self) -> impl Stream<Item = (Execution, Begun)> + Send {
        stream::unfold((self, VecDeque::new()), async |(this, mut found)| {
            loop {
                match this.next_ended(&mut found).await {
                    Ok(ended) => return Some((ended, (this, found))),
                    Err(error) => tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "what follows the end of executions could not be looked at"
                    ),
                }
            }
        })
    }

    async fn next_ended(&self, found: &mut VecDeque<Execution>) -> Result<(Execution, Begun)> {
        let (settling, interval) = (&self.inner.settling, self.inner.settings.look_interval);
        loop {
            while settling.count() < AT_A_TIME
                && let Some(ended) = found.pop_front()
            {
                if let Some(begun) = settling.begin(ended.id) {
                    return Ok((ended, begun));
                }
            }
            let _woken = tokio::time::timeout(interval, self.inner.ended.notified()).await;
            let server = self.inner.sessions.server();
            *found = self.store().unsettled_executions(server, self.now(), LOOKED_AT).await?.into();
        }
    }

    /// In a task of the sessions, so that it outlives the worker.
    pub(super) async fn see_settled(&self, ended: Execution, begun: Begun) {
        let (this, id) = (self.clone(), ended.id);
        let working = self.inner.sessions.spawn_watched(async move {
            let done = this.settle(&ended).await;
            drop(begun);
            if let Err(error) = done {
                tracing::warn!(execution_id = %ended.id, error = &error as &dyn std::error::Error,
                    "what follows the end of an execution has to wait for the next look");
            }
        });
        if working.await.is_err() {
            tracing::error!(execution_id = %id, "what follows the end of an execution panicked");
        }
        self.inner.ended.notify_one();
    }

    async fn settle(&self, execution: &Execution) -> Result<()> {
        let taken = execution.settling(self.inner.sessions.server());
        if !self.store().advance_execution(&taken, self.now(), None).await? {
            return Ok(());
        }
        fail::fail_point!("execution.settling");
        let mut steps = taken.settlement.steps.clone();
        let doing = self.inner.after.after_end(&self.inner.sessions, &taken, &mut steps);
        let done = match tokio::time::timeout(ATTEMPT_TIMEOUT, doing).await {
            Ok(done) => done,
            Err(_) => Err(Error::Internal("do in time what follows the end of an execution")),
        };
        let now = self.now();
        let after = match done {
            Ok(()) => Settlement { due_at: None, error: None, steps, ..taken.settlement.clone() },
            Err(error) => {
                tracing::warn!(execution_id = %execution.id, error = &error as &dyn std::error::Error,
                    "what follows the end of an execution failed");
                let due_at = next_attempt(taken.settlement.attempts, now);
                let error = Some(format!("could not {error}"));
                Settlement { due_at, error, steps, ..taken.settlement.clone() }
            }
        };
        // Whoever else has it by now does the same.
        self.store().advance_execution(&taken.settled(after), now, None).await?;
        Ok(())
    }
}

/// When to try again; `None` gives up.
fn next_attempt(attempts: u32, now: Timestamp) -> Option<Timestamp> {
    let doubled = RETRY_DELAY.checked_mul(1 << attempts.saturating_sub(1).min(16));
    let delay = doubled.unwrap_or(RETRY_DELAY_MAX).min(RETRY_DELAY_MAX);
    (attempts < ATTEMPTS_MAX).then(|| now.saturating_add(delay).unwrap_or(now))
}
