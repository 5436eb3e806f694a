//! The worker: apalis runs what it takes from the rows, as long as it has slots.

use super::{TaskManager, at_work::Begun, backend::Rows};
use crate::Result;
use apalis_core::{monitor::Monitor, worker::builder::WorkerBuilder};
use domain::{Execution, Origin};
use futures::{FutureExt, Stream, stream};
use std::collections::VecDeque;
use tokio_util::sync::CancellationToken;

/// Executions that are taken over in one round.
const TAKEN_OVER_MAX: u32 = 50;

/// Why a worker may take an execution.
#[derive(Debug, Clone, Copy)]
enum Cause {
    /// Its time has come.
    Due,
    /// Whoever had it is gone.
    Lost,
}

/// What a look has found, in the order in which it is taken.
type Found = VecDeque<(Cause, Execution)>;

/// An execution that is this worker's.
struct Taken {
    cause: Cause,
    execution: Execution,
    begun: Begun,
}

impl TaskManager {
    /// Works until cancelled: takes what is due, takes over what others lost, runs schedules, and does what follows an
    /// end. What runs then goes on, as every turn does when its server ends.
    pub async fn work(&self, cancelled: CancellationToken) {
        let (executions, ends) = (self.clone(), self.clone());
        let monitor = Monitor::new()
            .register(move |_| {
                let (rows, this) = (Rows::new(executions.clone().taken()), executions.clone());
                WorkerBuilder::new("executions").backend(rows).build(move |taken: Taken| {
                    let this = this.clone();
                    async move { this.see_taken_through(taken).await }
                })
            })
            .register(move |_| {
                let (rows, this) = (Rows::new(ends.clone().ended()), ends.clone());
                WorkerBuilder::new("ends").backend(rows).build(move |(ended, begun): (Execution, Begun)| {
                    let this = this.clone();
                    async move { this.see_settled(ended, begun).await }
                })
            })
            // It waits before its first look, so that this does not spin.
            .should_restart(|worker, error| {
                let (worker, error) = (worker.name(), error as &dyn std::error::Error);
                tracing::error!(worker, error, "a worker broke, and begins anew");
                true
            })
            // What runs is a task of the sessions, which know how long it may go on.
            .with_terminator(std::future::ready(()));
        // The first look is at once.
        self.inner.more.notify_one();
        self.inner.ended.notify_one();
        let working = monitor.run_with_signal(cancelled.cancelled().map(Ok));
        let looking = async { tokio::join!(self.keep_schedules(), self.keep_levels()) };
        let (worked, _) = tokio::join!(working, cancelled.run_until_cancelled(looking));
        if let Err(error) = worked {
            tracing::error!(error = &error as &dyn std::error::Error, "the workers did not end in order");
        }
    }

    /// What this worker takes, for ever.
    fn taken(self) -> impl Stream<Item = Taken> + Send {
        stream::unfold((self, Found::new()), async |(this, mut found)| {
            loop {
                match this.take_next(&mut found).await {
                    Ok(taken) => return Some((taken, (this, found))),
                    Err(error) => tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "nothing could be taken from the queue"
                    ),
                }
                found.clear();
            }
        })
    }

    async fn take_next(&self, found: &mut Found) -> Result<Taken> {
        loop {
            while let Some((cause, execution)) = found.pop_front() {
                if let Some(taken) = self.take(cause, &execution).await? {
                    return Ok(taken);
                }
            }
            let interval = self.inner.settings.look_interval;
            // Woken or not, it looks.
            let _woken = tokio::time::timeout(interval, self.inner.more.notified()).await;
            fail::fail_point!("executions.look");
            *found = self.look().await?;
        }
    }

    async fn look(&self) -> Result<Found> {
        if self.inner.sessions.admit_work().is_err() {
            return Ok(Found::new());
        }
        let (server, mine) = (self.inner.sessions.server(), self.inner.mine.ids());
        let lost = self.store().lost_executions(server, &mine, TAKEN_OVER_MAX).await?;
        let free = self.inner.sessions.free_task_slots(mine.len() + lost.len());
        let due = match free {
            0 => vec![],
            _ => self.store().due_executions(self.now(), u32::try_from(free).unwrap_or(u32::MAX)).await?,
        };
        let lost = lost.into_iter().map(|execution| (Cause::Lost, execution));
        Ok(lost.chain(due.into_iter().map(|execution| (Cause::Due, execution))).collect())
    }

    /// Makes it this worker's; `None` if it is not to be had.
    async fn take(&self, cause: Cause, found: &Execution) -> Result<Option<Taken>> {
        let (server, now) = (self.inner.sessions.server(), self.now());
        let successor = match cause {
            Cause::Due => found.claimed(server, now),
            Cause::Lost => found.taken_over(server),
        };
        let (Some(execution), Some(begun)) = (successor, self.inner.mine.begin(found.id)) else {
            return Ok(None);
        };
        let is_taken = match cause {
            Cause::Due => self.store().claim_execution(&execution, self.inner.settings.running_max).await?,
            Cause::Lost => {
                // What was its own before is nobody's business.
                let by = (found.worker != Some(server)).then(Origin::system);
                self.store().advance_execution(&execution, now, by.as_ref()).await?
            }
        };
        Ok(is_taken.then_some(Taken { cause, execution, begun }))
    }

    /// In a task of the sessions, so that it outlives the worker.
    async fn see_taken_through(&self, taken: Taken) {
        let Taken { cause, execution, begun } = taken;
        let (this, id) = (self.clone(), execution.id);
        let working = self.inner.sessions.spawn_watched(async move {
            let done = match cause {
                Cause::Due => this.attempt(&execution).await,
                Cause::Lost => this.settle_lost(&execution).await,
            };
            drop(begun);
            if let Err(error) = done {
                tracing::warn!(execution_id = %execution.id, error = &error as &dyn std::error::Error,
                    "an execution was left as it is, to be taken up by whoever looks for it");
            }
        });
        if working.await.is_err() {
            tracing::error!(execution_id = %id, "an attempt panicked");
        }
        self.inner.more.notify_one();
    }
}
