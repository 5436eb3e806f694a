//! Puts runs on record behind a bounded queue, so that a turn does not wait for the store: one writer, many runs in one
//! unit of work. When the queue is full, whoever has one more waits; nothing is lost.

use crate::limits::{
    FLUSH_WAIT, RECORD_ATTEMPTS_MAX_AT_END, RECORD_BATCH_MAX, RECORD_QUEUE_MAX, RECORD_RETRY_DELAY,
    RECORD_WAIT,
};
use domain::{
    Clock, Event, Generation, HookDelivery, HookRun,
    ports::{HookStore, StoreError},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Who is told of journal events when they are on record.
pub type Publish = Arc<dyn Fn(Vec<Event>) + Send + Sync>;

/// Why runs are not on record.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    /// The store has not kept up for long.
    #[error("record what the hooks did within {RECORD_WAIT:?}")]
    QueueFull,
    #[error("record what the hooks did: the server is ending")]
    Ended,
}

/// The way to the writer; clones share it.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Item>,
    /// Events in the queue or being written.
    waiting: Arc<AtomicUsize>,
    keeps_runs: bool,
    ending: CancellationToken,
    tasks: TaskTracker,
}

enum Item {
    Records { runs: Vec<(Generation, HookRun)>, deliveries: Vec<HookDelivery> },
    Flush(oneshot::Sender<()>),
}

struct Writer {
    store: Arc<dyn HookStore>,
    clock: Arc<dyn Clock>,
    publish: Publish,
    /// Told when there are messages to be sent.
    sender: Arc<Notify>,
    waiting: Arc<AtomicUsize>,
    ending: CancellationToken,
}

impl Recorder {
    /// Starts the writer on this runtime. Without `keeps_runs` only messages that are to go out are written.
    pub fn start(
        store: Arc<dyn HookStore>,
        clock: Arc<dyn Clock>,
        publish: Publish,
        sender: Arc<Notify>,
        keeps_runs: bool,
        runtime: &Handle,
    ) -> Self {
        let (queue, items) = mpsc::channel(RECORD_QUEUE_MAX);
        let (waiting, ending) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let writer =
            Writer { store, clock, publish, sender, waiting: waiting.clone(), ending: ending.clone() };
        tasks.spawn_on(writer.run(items), runtime);
        tasks.close();
        Self { queue, waiting, keeps_runs, ending, tasks }
    }

    /// Hands runs and messages to the writer.
    pub async fn record(
        &self,
        by: Generation,
        runs: Vec<HookRun>,
        deliveries: Vec<HookDelivery>,
    ) -> Result<(), NotRecorded> {
        let runs = if self.keeps_runs { runs } else { vec![] };
        let runs: Vec<_> = runs.into_iter().map(|run| (by, run)).collect();
        if runs.is_empty() && deliveries.is_empty() {
            return Ok(());
        }
        let room = timeout(RECORD_WAIT, self.queue.reserve()).await;
        let room = room.map_err(|_| NotRecorded::QueueFull)?.map_err(|_| NotRecorded::Ended)?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        room.send(Item::Records { runs, deliveries });
        Ok(())
    }

    /// Waits until what was handed over so far is on record, but not for a store that does not answer.
    pub async fn flush(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let (done, is_done) = oneshot::channel();
        let flushed = async {
            if self.queue.send(Item::Flush(done)).await.is_ok() {
                // An error means that the writer has ended, and then everything is written.
                is_done.await.ok();
            }
        };
        if timeout(FLUSH_WAIT, flushed).await.is_err() {
            tracing::warn!("what hooks did is on record later than the turn they ran in");
        }
    }

    /// Takes nothing more, and waits until everything is on record.
    pub async fn shut_down(&self) {
        self.ending.cancel();
        self.tasks.wait().await;
    }
}

impl Writer {
    async fn run(self, mut items: mpsc::Receiver<Item>) {
        let mut batch = Vec::with_capacity(RECORD_BATCH_MAX);
        loop {
            tokio::select! {
                biased;
                count = items.recv_many(&mut batch, RECORD_BATCH_MAX) => {
                    if count == 0 {
                        return;
                    }
                    self.write(std::mem::take(&mut batch)).await;
                }
                // What is in the queue already is still written; after that there is nothing to receive.
                () = self.ending.cancelled(), if !items.is_closed() => items.close(),
            }
        }
    }

    async fn write(&self, items: Vec<Item>) {
        let (mut runs, mut deliveries, mut waiters) = (vec![], vec![], vec![]);
        let mut count = 0;
        for item in items {
            match item {
                Item::Records { runs: more_runs, deliveries: more_deliveries } => {
                    runs.extend(more_runs);
                    deliveries.extend(more_deliveries);
                    count += 1;
                }
                Item::Flush(waiter) => waiters.push(waiter),
            }
        }
        if count > 0 {
            self.write_all(runs, deliveries).await;
        }
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        for waiter in waiters {
            // Whoever asked may have stopped waiting.
            waiter.send(()).ok();
        }
    }

    /// Writes until the store has it. A store that is there and says no will say so again.
    async fn write_all(&self, runs: Vec<(Generation, HookRun)>, deliveries: Vec<HookDelivery>) {
        let has_news = !deliveries.is_empty();
        let mut attempts_at_end = 0;
        loop {
            let written =
                self.store.record_hook_runs(runs.clone(), deliveries.clone(), self.clock.now()).await;
            match written {
                Ok(events) => {
                    (self.publish)(events);
                    if has_news {
                        self.sender.notify_one();
                    }
                    return;
                }
                Err(error @ StoreError::Unavailable(_)) if attempts_at_end < RECORD_ATTEMPTS_MAX_AT_END => {
                    warn_of_delay(&error, runs.len());
                    attempts_at_end += u32::from(self.ending.is_cancelled());
                    tokio::time::sleep(RECORD_RETRY_DELAY).await;
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    let (runs, deliveries) = (runs.len(), deliveries.len());
                    tracing::error!(error, runs, deliveries, "what hooks did could not be recorded");
                    return;
                }
            }
        }
    }
}

fn warn_of_delay(error: &StoreError, runs: usize) {
    tracing::warn!(error = error as &dyn std::error::Error, runs, "what hooks did waits for the store");
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}
