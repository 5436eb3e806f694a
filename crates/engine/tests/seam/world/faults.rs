//! A store that fails, or holds still, when it is told to.

use async_trait::async_trait;
use domain::{
    CustomPolicy, DecisionFilter, Entry, Event, Generation, Origin, Page, PageRequest, PermissionDecision,
    ServerId, SessionId, SessionStatus, Turn, TurnEnd, TurnId, UserId,
    policy::{NewPolicyVersion, PolicyInForce, Revision},
    ports::{Decisions, Journal, Policies, StoreError, StoreResult, Turns},
    turn::{Begin, EndedTurn, Enqueued, NewTurn, QueuePlace, WaitingTurn},
};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
};
use testkit::MemoryStore;
use tokio::sync::watch;

/// The turns, the journal and the decisions of a store, with a hand on them; clones share it.
#[derive(Clone)]
pub struct Faults {
    store: MemoryStore,
    /// So many calls of `record` fail from now on.
    pub records: Arc<AtomicU32>,
    /// So many calls of `end` fail from now on.
    pub ends: Arc<AtomicU32>,
    /// While true, `end` does not take messages.
    pub refuses_messages: Arc<AtomicBool>,
    /// While true, `end` does not take lines of transcripts.
    pub refuses_lines: Arc<AtomicBool>,
    /// Lines of transcripts that came with an end.
    pub lines_with_ends: Arc<AtomicUsize>,
    /// So many calls of `record_decision` fail from now on.
    pub decisions: Arc<AtomicU32>,
    /// So many readings of the policies in force fail from now on.
    pub policies: Arc<AtomicU32>,
    /// Whether `begin_queued` finds that the turn is not to begin.
    pub begins_nothing: Arc<AtomicBool>,
    /// While false, `begin` and `begin_queued` have done their work and do not answer.
    pub answers_begin: watch::Sender<bool>,
    /// While false, `running` has not looked yet.
    pub reads_running: watch::Sender<bool>,
    /// While false, `running` has looked and does not answer.
    pub answers_running: watch::Sender<bool>,
    /// While false, `record` has done nothing yet and does not answer.
    pub answers_record: watch::Sender<bool>,
    /// The prompts that waited, in the order in which they began.
    pub begun: Arc<Mutex<Vec<Value>>>,
}

impl Faults {
    pub fn around(store: MemoryStore) -> Self {
        let (records, ends, decisions) = (Arc::default(), Arc::default(), Arc::default());
        let policies = Arc::default();
        Self {
            store,
            records,
            ends,
            refuses_messages: Arc::default(),
            refuses_lines: Arc::default(),
            lines_with_ends: Arc::default(),
            decisions,
            policies,
            begins_nothing: Arc::default(),
            answers_begin: watch::Sender::new(true),
            reads_running: watch::Sender::new(true),
            answers_running: watch::Sender::new(true),
            answers_record: watch::Sender::new(true),
            begun: Arc::default(),
        }
    }
}

fn fail_if_told(left: &AtomicU32) -> StoreResult<()> {
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => Err(StoreError::Unavailable("the disk is full".into())),
        Err(_) => Ok(()),
    }
}

async fn may_answer(answers: &watch::Sender<bool>) {
    // The caller has the sender, so the wait can only end with success.
    let _ = answers.subscribe().wait_for(|answers| *answers).await;
}

#[async_trait]
impl Journal for Faults {
    async fn record(
        &self,
        session: SessionId,
        by: Generation,
        turn: Option<TurnId>,
        entries: Vec<Entry>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
        may_answer(&self.answers_record).await;
        fail_if_told(&self.records)?;
        self.store.record(session, by, turn, entries, at).await
    }

    async fn read_after(&self, session: SessionId, seq: u64, limit: u32) -> StoreResult<Vec<Event>> {
        // A reader that lets writers pass finds the races between reading and watching.
        tokio::task::yield_now().await;
        self.store.read_after(session, seq, limit).await
    }
}

#[async_trait]
impl Turns for Faults {
    async fn begin(&self, turn: &NewTurn, first_status: SessionStatus, home: ServerId) -> StoreResult<Begin> {
        let begin = self.store.begin(turn, first_status, home).await;
        may_answer(&self.answers_begin).await;
        begin
    }

    async fn enqueue(&self, turn: &NewTurn, place: QueuePlace, ahead: u64) -> StoreResult<Enqueued> {
        self.store.enqueue(turn, place, ahead).await
    }

    async fn begin_queued(
        &self,
        session: SessionId,
        first_status: SessionStatus,
        at: Timestamp,
        home: ServerId,
    ) -> StoreResult<Option<Begin>> {
        if self.begins_nothing.load(Ordering::SeqCst) {
            may_answer(&self.answers_begin).await;
            return Ok(None);
        }
        let begin = self.store.begin_queued(session, first_status, at, home).await?;
        if let Some(Begin::Begun(begun)) = &begin {
            self.begun.lock().unwrap().push(begun.prompt.clone());
        }
        may_answer(&self.answers_begin).await;
        Ok(begin)
    }

    async fn end(&self, id: TurnId, by: Generation, end: &TurnEnd) -> StoreResult<Option<EndedTurn>> {
        fail_if_told(&self.ends)?;
        if self.refuses_messages.load(Ordering::SeqCst) && !end.last_messages.is_empty() {
            return Err(StoreError::Failed("such text is not stored".into()));
        }
        let lines = end.last_lines.iter().map(|lines| lines.entries.len()).sum();
        if self.refuses_lines.load(Ordering::SeqCst) && lines > 0 {
            return Err(StoreError::Failed("such lines are not stored".into()));
        }
        self.lines_with_ends.fetch_add(lines, Ordering::SeqCst);
        self.store.end(id, by, end).await
    }

    async fn cancel_queued(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
        self.store.cancel_queued(session, turn, at).await
    }

    async fn get(&self, session: SessionId, id: TurnId) -> StoreResult<Option<Turn>> {
        Turns::get(&self.store, session, id).await
    }

    async fn list(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<Turn>> {
        Turns::list(&self.store, session, page).await
    }

    async fn running(&self, home: ServerId) -> StoreResult<Vec<Turn>> {
        may_answer(&self.reads_running).await;
        let running = self.store.running(home).await;
        may_answer(&self.answers_running).await;
        running
    }

    async fn paused_by_budget(&self, home: ServerId, limit: u32) -> StoreResult<Vec<(SessionId, UserId)>> {
        self.store.paused_by_budget(home, limit).await
    }

    async fn go_on_with_money(&self, turn: &NewTurn) -> StoreResult<Vec<Event>> {
        self.store.go_on_with_money(turn).await
    }

    async fn queue(&self, session: SessionId) -> StoreResult<Vec<TurnId>> {
        self.store.queue(session).await
    }

    async fn waiting(&self, home: ServerId) -> StoreResult<Vec<WaitingTurn>> {
        self.store.waiting(home).await
    }
}

#[async_trait]
impl Decisions for Faults {
    async fn record_decision(&self, decision: &PermissionDecision, by: Generation) -> StoreResult<Event> {
        fail_if_told(&self.decisions)?;
        self.store.record_decision(decision, by).await
    }

    async fn decisions(
        &self,
        session: SessionId,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<PermissionDecision>> {
        self.store.decisions(session, filter, page).await
    }

    async fn decisions_since(
        &self,
        since: Timestamp,
        page: &PageRequest,
    ) -> StoreResult<Page<PermissionDecision>> {
        self.store.decisions_since(since, page).await
    }
}

#[async_trait]
impl Policies for Faults {
    async fn create_policy(&self, new: &NewPolicyVersion, origin: &Origin) -> StoreResult<CustomPolicy> {
        self.store.create_policy(new, origin).await
    }

    async fn revise_policy(
        &self,
        next: &NewPolicyVersion,
        expected: u32,
        origin: &Origin,
    ) -> StoreResult<Revision> {
        self.store.revise_policy(next, expected, origin).await
    }

    async fn policy(&self, name: &str) -> StoreResult<Option<CustomPolicy>> {
        self.store.policy(name).await
    }

    async fn policy_version(&self, name: &str, version: u32) -> StoreResult<Option<CustomPolicy>> {
        self.store.policy_version(name, version).await
    }

    async fn policies(&self, page: &PageRequest) -> StoreResult<Page<CustomPolicy>> {
        self.store.policies(page).await
    }

    async fn policy_versions(&self, name: &str, page: &PageRequest) -> StoreResult<Page<CustomPolicy>> {
        self.store.policy_versions(name, page).await
    }

    async fn policies_in_force(&self) -> StoreResult<Vec<PolicyInForce>> {
        fail_if_told(&self.policies)?;
        self.store.policies_in_force().await
    }

    async fn delete_policy(
        &self,
        name: &str,
        expected: &domain::Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        self.store.delete_policy(name, expected, at, origin).await
    }
}
