//! The mirror: brings the transcript lines an agent reports to the store, beside the driver, which never
//! waits for it.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use serde_json::Value;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    Flush, SessionKey, SessionStoreOptions, StoreError,
    batches::{Batch, Batches, key_of},
    line::{Report, TranscriptLine},
    unstored::UnstoredLines,
    witness::Witness,
};
use crate::task;

/// Waits before the second and the third attempt of an append.
const BACKOFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// Entries that did not reach the store. The agent's own file has them, as long as it exists.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MirrorLoss {
    /// Where they belong; both keys are empty when the file is no transcript.
    pub key: SessionKey,
    /// The agent's own file; empty when it never reported one.
    pub file: PathBuf,
    /// How many they are.
    pub entries: usize,
    /// The uuids of those that have one.
    pub uuids: Vec<String>,
    /// Why.
    pub reason: MirrorLossReason,
}

/// Why entries did not reach the store.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum MirrorLossReason {
    /// The store failed at every attempt.
    Failed {
        /// What it said last.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The store panicked.
    Panicked,
    /// The store did not answer within `SessionStoreOptions::append_timeout`. They may arrive yet.
    TimedOut {
        /// How long was waited.
        waited: Duration,
    },
    /// More than `SessionStoreOptions::pending_bytes_max` waited for the store already.
    Backlog,
    /// The agent was gone, and `SessionStoreOptions::close_timeout` over.
    Closed,
    /// The agent never reported that it wrote them: its disk is full or its folder gone, or it was ended
    /// before. Only messages of the model in the main conversation are noticed, when the agent is gone.
    NeverReported,
    /// The agent named a file that is no transcript.
    ForeignFile,
}

impl MirrorLossReason {
    /// The name of its kind, for records that must not hold what a store said.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "failed",
            Self::Panicked => "panicked",
            Self::TimedOut { .. } => "timed_out",
            Self::Backlog => "backlog",
            Self::Closed => "closed",
            Self::NeverReported => "never_reported",
            Self::ForeignFile => "foreign_file",
        }
    }
}

impl MirrorLossReason {
    /// Whether the store may have them in spite of all.
    pub fn may_arrive(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Closed)
    }
}

/// The driver's end. Nothing of it waits, but `close`.
#[derive(Debug)]
pub(crate) struct Mirror {
    shared: Arc<Shared>,
    losses: mpsc::UnboundedReceiver<MirrorLoss>,
    worker: JoinHandle<()>,
    witness: Witness,
    project_key: String,
    close_timeout: Duration,
    bytes_max: usize,
    flush: Flush,
}

/// For handles of the agent: what was heard so far is waited for, or taken out.
#[derive(Debug, Clone)]
pub(crate) struct MirrorFlush(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    wake: Notify,
    /// Frames done with, as counted by `State::taken`.
    done: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batches,
    /// What the store has been given, oldest first, and has not answered.
    given: VecDeque<Arc<Batch>>,
    /// Also of what was taken out.
    given_bytes: usize,
    /// The host takes out what waits: what comes after it waits until that is stored.
    is_held_back: bool,
    /// Frames taken so far.
    taken: u64,
    is_flush_wanted: bool,
    /// When what waits is to be stored at the latest.
    due: Option<Instant>,
    is_closing: bool,
}

impl Mirror {
    /// Starts to mirror an agent. Its transcripts are kept under the project key of the options.
    pub(crate) fn start(options: SessionStoreOptions) -> Self {
        let shared =
            Arc::new(Shared { state: Mutex::default(), wake: Notify::new(), done: watch::Sender::new(0) });
        let (lost, losses) = mpsc::unbounded_channel();
        let project_key = options.project_key.clone().unwrap_or_default();
        let (close_timeout, bytes_max) = (options.close_timeout, options.pending_bytes_max);
        let flush = options.flush;
        let worker = task::spawn(work(Arc::clone(&shared), options, lost));
        Self {
            shared,
            losses,
            worker,
            witness: Witness::default(),
            project_key,
            close_timeout,
            bytes_max,
            flush,
        }
    }

    pub(crate) fn flusher(&self) -> MirrorFlush {
        MirrorFlush(Arc::clone(&self.shared))
    }

    /// Takes a report that was a line of `bytes`. A loss, if there is no room for it.
    pub(crate) fn put(&mut self, report: Report, bytes: usize) -> Option<MirrorLoss> {
        let Report { file, lines } = report;
        if lines.is_empty() {
            return None;
        }
        let file = PathBuf::from(file);
        lines.iter().for_each(|line| self.witness.heard(line));
        let Some(key) = key_of(&file, &self.project_key) else {
            let key = SessionKey::main("", "");
            return Some(Batch { key, file, lines, bytes }.lost(MirrorLossReason::ForeignFile));
        };
        let batch = Batch { key, file, lines, bytes };
        let mut state = self.shared.lock();
        let pending = state.waiting.bytes() + state.given_bytes;
        if pending > 0 && pending.saturating_add(bytes) > self.bytes_max {
            return Some(batch.lost(MirrorLossReason::Backlog));
        }
        state.waiting.put(batch);
        state.taken += 1;
        let is_due = match self.flush {
            Flush::Batched => false,
            Flush::Eager => true,
            Flush::Within(delay) => {
                if state.due.is_none() {
                    // A moment too far away to be told is never.
                    state.due = Instant::now().checked_add(delay);
                    self.shared.wake.notify_one();
                }
                false
            }
        };
        if is_due || state.waiting.are_many() {
            state.is_flush_wanted = true;
            self.shared.wake.notify_one();
        }
        None
    }

    /// A frame that is the host's.
    pub(crate) fn saw(&mut self, frame: &Value) {
        self.witness.saw(frame);
    }

    /// A turn ended: what waits shall be stored, unless it has its time.
    pub(crate) fn turn_ended(&self) {
        if !matches!(self.flush, Flush::Within(_)) {
            self.shared.flush();
        }
    }

    /// The next loss. Cancel safe.
    pub(crate) async fn loss(&mut self) -> Option<MirrorLoss> {
        self.losses.recv().await
    }

    /// Stores what waits, within the bound. What was lost since the last `loss`.
    pub(crate) async fn close(mut self) -> Vec<MirrorLoss> {
        self.shared.lock().is_closing = true;
        self.shared.wake.notify_one();
        let worker = &mut self.worker;
        if timeout(self.close_timeout, worker).await.is_err() {
            self.worker.abort();
        }
        let mut losses = self.witness.missing(&self.project_key);
        while let Ok(loss) = self.losses.try_recv() {
            losses.push(loss);
        }
        let mut state = self.shared.lock();
        let given = std::mem::take(&mut state.given);
        losses.extend(given.iter().map(|batch| batch.lost(MirrorLossReason::Closed)));
        losses.extend(state.waiting.take().iter().map(|batch| batch.lost(MirrorLossReason::Closed)));
        drop(state);
        losses
    }
}

impl Drop for Mirror {
    /// A driver that goes down with its runtime takes the worker along.
    fn drop(&mut self) {
        self.worker.abort();
        self.shared.lock().given.clear();
        self.shared.done.send_replace(u64::MAX);
    }
}

impl MirrorFlush {
    pub(crate) async fn flush(&self) {
        let taken = self.0.lock().taken;
        self.0.flush();
        let mut done = self.0.done.subscribe();
        // The sender lives in `self`, so the wait can only end with success.
        let _ = done.wait_for(|done| *done >= taken).await;
    }

    /// What waits, after the store has answered for what it was given. `None` if nothing does.
    pub(crate) async fn take(&self) -> Option<UnstoredLines> {
        let mut done = self.0.done.subscribe();
        while !self.0.hold_back() {
            // Never an error, as above.
            let _ = done.changed().await;
        }
        // Goes on when it is dropped, also here.
        let mut lines = UnstoredLines::none(Arc::clone(&self.0));
        loop {
            if let Some(batches) = self.0.take_waiting() {
                lines.batches = batches;
                return (!lines.batches.is_empty()).then_some(lines);
            }
            let _ = done.changed().await;
        }
    }
}

impl Shared {
    /// Gives the store nothing more until `resume`; false if somebody else has it held back.
    fn hold_back(&self) -> bool {
        !std::mem::replace(&mut self.lock().is_held_back, true)
    }

    /// Takes out what waits, unless the store has still to answer.
    fn take_waiting(&self) -> Option<Vec<Batch>> {
        let mut state = self.lock();
        if !state.given.is_empty() {
            return None;
        }
        (state.given_bytes, state.due) = (state.waiting.bytes(), None);
        Some(state.waiting.take())
    }

    /// Goes on with what came meanwhile, behind what was taken out and is given back.
    pub(super) fn resume(&self, given_back: Vec<Batch>) {
        let mut state = self.lock();
        let later = state.waiting.take();
        given_back.into_iter().chain(later).for_each(|batch| state.waiting.put(batch));
        (state.is_held_back, state.given_bytes, state.is_flush_wanted) = (false, 0, true);
        drop(state);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self) {
        self.lock().is_flush_wanted = true;
        self.wake.notify_one();
    }

    /// Waits until something is to be stored. `None` when nothing will be any more.
    async fn next(&self) -> Option<u64> {
        loop {
            let due = {
                let mut state = self.lock();
                let is_due = state.due.is_some_and(|due| due <= Instant::now());
                let is_wanted = !state.is_held_back
                    && (std::mem::take(&mut state.is_flush_wanted) || state.is_closing || is_due);
                if is_wanted && !state.waiting.is_empty() {
                    state.given_bytes = state.waiting.bytes();
                    state.given = state.waiting.take().into_iter().map(Arc::new).collect();
                    state.due = None;
                    return Some(state.taken);
                }
                if is_wanted {
                    self.done.send_replace(state.taken);
                }
                if state.is_held_back {
                    None
                } else if state.is_closing {
                    return None;
                } else {
                    state.due
                }
            };
            match due {
                // Late or not, the next round looks.
                Some(due) => drop(timeout_at(due, self.wake.notified()).await),
                None => self.wake.notified().await,
            }
        }
    }

    fn given(&self) -> Option<Arc<Batch>> {
        self.lock().given.front().cloned()
    }

    /// The oldest batch was answered for; what a closing driver took away is its affair.
    fn settle(&self) {
        let mut state = self.lock();
        if let Some(batch) = state.given.pop_front() {
            state.given_bytes = state.given_bytes.saturating_sub(batch.bytes);
        }
    }
}

async fn work(shared: Arc<Shared>, options: SessionStoreOptions, lost: mpsc::UnboundedSender<MirrorLoss>) {
    while let Some(taken) = shared.next().await {
        while let Some(batch) = shared.given() {
            if let Err(reason) = append(&options, &batch).await {
                tracing::warn!(key = %batch.key, entries = batch.lines.len(), ?reason, "not mirrored");
                // Without a driver nobody is left to be told.
                let _ = lost.send(batch.lost(reason));
            }
            shared.settle();
        }
        shared.done.send_replace(taken);
    }
}

/// Brings one batch to the store, with three attempts. One that timed out may be under way still, so it
/// is not tried again.
async fn append(options: &SessionStoreOptions, batch: &Batch) -> Result<(), MirrorLossReason> {
    let mut waits = BACKOFF.into_iter();
    let entries: Vec<Value> = batch.lines.iter().map(TranscriptLine::value).collect();
    loop {
        let appended = AssertUnwindSafe(options.store.append(&batch.key, &entries)).catch_unwind();
        let error: StoreError = match timeout(options.append_timeout, appended).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => error,
            Ok(Err(_panic)) => return Err(MirrorLossReason::Panicked),
            Err(_) => return Err(MirrorLossReason::TimedOut { waited: options.append_timeout }),
        };
        match waits.next() {
            Some(wait) => sleep(wait).await,
            None => return Err(MirrorLossReason::Failed { source: Arc::from(error) }),
        }
    }
}
