//! Runs on record: many at once, behind a queue, and none lost.

use crate::world::{World, answers, call};
use async_trait::async_trait;
use domain::{
    Event, Generation, HookDelivery, HookDeliveryId, HookEndpoint, HookEndpointId, HookRun, Origin, Page,
    PageRequest, Scope, SessionId, UserId,
    hook::{DeliveryAttempt, HookEndpointPatch, HookRunFilter, SecretRotation},
    ports::{HookDeliveries, HookEndpoints, HookRuns, StoreError, StoreResult},
};
use hooks::{
    Switches,
    limits::{RECORD_BATCH_MAX, RECORD_QUEUE_MAX},
};
use jiff::Timestamp;
use serde_json::json;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};
use testkit::MemoryStore;
use tokio::sync::Semaphore;

/// A store whose record is open only as often as it is let.
#[derive(Clone)]
struct Slow {
    store: MemoryStore,
    turns: Arc<Semaphore>,
    failures: Arc<AtomicU32>,
    batches: Arc<Mutex<Vec<usize>>>,
}

#[async_trait]
impl HookRuns for Slow {
    async fn record_hook_runs(
        &self,
        runs: Vec<(Generation, HookRun)>,
        deliveries: Vec<HookDelivery>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
        self.turns.acquire().await.unwrap().forget();
        let failures_left = self.failures.load(Ordering::Relaxed);
        if failures_left > 0 {
            self.failures.store(failures_left - 1, Ordering::Relaxed);
            return Err(StoreError::Unavailable("on purpose".into()));
        }
        self.batches.lock().unwrap().push(runs.len());
        self.store.record_hook_runs(runs, deliveries, at).await
    }

    async fn hook_runs(
        &self,
        session: SessionId,
        filter: &HookRunFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<HookRun>> {
        self.store.hook_runs(session, filter, page).await
    }
}

#[async_trait]
impl HookEndpoints for Slow {
    async fn create_endpoint(
        &self,
        endpoint: &HookEndpoint,
        owned_max: u32,
        origin: &Origin,
    ) -> StoreResult<bool> {
        self.store.create_endpoint(endpoint, owned_max, origin).await
    }
    async fn endpoint(&self, scope: Scope, id: HookEndpointId) -> StoreResult<Option<HookEndpoint>> {
        self.store.endpoint(scope, id).await
    }
    async fn endpoints(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<HookEndpoint>> {
        self.store.endpoints(scope, page).await
    }
    async fn endpoints_for(&self, user: UserId) -> StoreResult<Vec<HookEndpoint>> {
        self.store.endpoints_for(user).await
    }
    async fn patch_endpoint(
        &self,
        scope: Scope,
        id: HookEndpointId,
        patch: &HookEndpointPatch,
        expected: &domain::Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<HookEndpoint>> {
        self.store.patch_endpoint(scope, id, patch, expected, at, origin).await
    }
    async fn rotate_secret(
        &self,
        scope: Scope,
        id: HookEndpointId,
        rotation: &SecretRotation,
        expected: &domain::Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        self.store.rotate_secret(scope, id, rotation, expected, at, origin).await
    }
    async fn delete_endpoint(
        &self,
        scope: Scope,
        id: HookEndpointId,
        expected: &domain::Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        self.store.delete_endpoint(scope, id, expected, at, origin).await
    }
}

#[async_trait]
impl HookDeliveries for Slow {
    async fn take_due_delivery(
        &self,
        at: Timestamp,
        until: Timestamp,
        except: &[HookEndpointId],
    ) -> StoreResult<Option<(HookDelivery, HookEndpoint)>> {
        self.store.take_due_delivery(at, until, except).await
    }
    async fn settle_delivery(&self, id: HookDeliveryId, attempt: &DeliveryAttempt) -> StoreResult<()> {
        self.store.settle_delivery(id, attempt).await
    }
    async fn redeliver(
        &self,
        endpoint: HookEndpointId,
        id: HookDeliveryId,
        at: Timestamp,
    ) -> StoreResult<Option<HookDelivery>> {
        self.store.redeliver(endpoint, id, at).await
    }
    async fn deliveries(
        &self,
        endpoint: HookEndpointId,
        page: &PageRequest,
    ) -> StoreResult<Page<HookDelivery>> {
        self.store.deliveries(endpoint, page).await
    }
}

fn slow(world: &World, turns: usize, failures: u32) -> Slow {
    Slow {
        store: world.store.clone(),
        turns: Arc::new(Semaphore::new(turns)),
        failures: Arc::new(AtomicU32::new(failures)),
        batches: Arc::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_holds_up_nobody_until_the_queue_is_full_and_then_denies() {
    let world = World::new(&[]).await;
    let store = slow(&world, 0, 0);
    let hooks =
        world.hooks_on(Arc::new(store.clone()), Switches::default(), vec![answers("x", 0, json!({}))]);
    let registrations = world.registrations(&hooks).await;
    // What the writer has taken out already, and what fits into the queue.
    let mut answered = 0;
    let refused = loop {
        match call(&registrations, "PreToolUse", "Bash").await {
            Ok(_) => answered += 1,
            Err(error) => break error,
        }
    };
    assert!((RECORD_QUEUE_MAX..=RECORD_QUEUE_MAX + RECORD_BATCH_MAX).contains(&answered), "{answered}");
    assert!(refused.contains("record what the hooks did"), "{refused}");

    store.turns.add_permits(Semaphore::MAX_PERMITS);
    hooks.shut_down().await;
    assert_eq!(world.runs().await.len(), answered, "what was taken is on record");
    let batches = store.batches.lock().unwrap().clone();
    assert!(batches.iter().any(|size| *size > 1), "many in one unit of work: {batches:?}");
}

#[tokio::test(start_paused = true)]
async fn runs_wait_for_a_store_that_comes_back() {
    let world = World::new(&[]).await;
    let store = slow(&world, Semaphore::MAX_PERMITS, 3);
    let hooks = world.hooks_on(Arc::new(store), Switches::default(), vec![answers("x", 0, json!({}))]);
    call(&world.registrations(&hooks).await, "PreToolUse", "Bash").await.unwrap();
    hooks.shut_down().await;
    assert_eq!(world.runs().await.len(), 1);
}

#[tokio::test]
async fn without_persistence_nothing_is_on_record() {
    let world = World::new(&[]).await;
    let hooks =
        world.hooks(Switches { persistence: false, ..Switches::default() }, vec![answers("x", 0, json!({}))]);
    call(&world.registrations(&hooks).await, "PreToolUse", "Bash").await.unwrap();
    hooks.shut_down().await;
    assert_eq!(world.runs().await, []);
}
