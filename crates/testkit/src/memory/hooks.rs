//! What hooks did, endpoints, and what is on its way to them.

use super::{
    MemoryStore, Place,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    Event, EventKind, Expected, Generation, HookDelivery, HookDeliveryId, HookDeliveryStatus, HookEndpoint,
    HookEndpointId, HookRun, Origin, Page, PageRequest, Scope, SessionId, UserId,
    audit::events as audited,
    hook::{DeliveryAttempt, HookEndpointPatch, HookRunFilter, SecretRotation},
    journal::data,
    ports::{HookDeliveries, HookEndpoints, HookRuns, StoreError, StoreResult},
};
use jiff::Timestamp;

#[async_trait]
impl HookRuns for MemoryStore {
    async fn record_hook_runs(
        &self,
        mut runs: Vec<(Generation, HookRun)>,
        deliveries: Vec<HookDelivery>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
        let mut state = self.state();
        runs.sort_by_key(|(_, run)| run.session_id);
        let mut events = vec![];
        for (by, run) in runs {
            let session = state.sessions.get_mut(&run.session_id);
            let Some(session) = session.filter(|session| session.generation == by) else { continue };
            session.counters.hook_executions += 1;
            if run.is_notable {
                let place = Place { session: run.session_id, turn: run.turn_id, at };
                events.push(state.journal_data(place, EventKind::HookExecuted, data::hook_executed(&run)));
            }
            if let Some(event) = audited::hook_run(&run) {
                state.audit(event)?;
            }
            state.hook_runs.push(run);
        }
        for delivery in deliveries {
            if state.endpoints.iter().any(|endpoint| endpoint.id == delivery.endpoint_id) {
                state.deliveries.push(delivery);
            }
        }
        Ok(events)
    }

    async fn hook_runs(
        &self,
        session: SessionId,
        filter: &HookRunFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<HookRun>> {
        let passes = |run: &&HookRun| {
            run.session_id == session
                && filter.hook_type.as_ref().is_none_or(|kind| *kind == run.hook_type)
                && (filter.tool_use_id.is_none() || filter.tool_use_id == run.tool_use_id)
        };
        let runs: Vec<HookRun> = self.state().hook_runs.iter().filter(passes).cloned().collect();
        let key = |run: &HookRun| instant_key(run.executed_at, run.id.0);
        read_page("hook-runs", runs, key, Direction::Descending, page)
    }
}

#[async_trait]
impl HookEndpoints for MemoryStore {
    async fn create_endpoint(
        &self,
        endpoint: &HookEndpoint,
        owned_max: u32,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let owned = state.endpoints.iter().filter(|one| one.user_id == endpoint.user_id).count();
        if owned >= owned_max as usize {
            return Ok(false);
        }
        if is_taken(&state.endpoints, endpoint) {
            return Err(StoreError::Conflict { what: "a hook of this name" });
        }
        state.endpoints.push(endpoint.clone());
        state.audit(audited::hook_created(endpoint, origin))?;
        Ok(true)
    }

    async fn endpoint(&self, scope: Scope, id: HookEndpointId) -> StoreResult<Option<HookEndpoint>> {
        let state = self.state();
        Ok(state.endpoints.iter().find(|one| one.id == id && scope.covers(one.user_id)).cloned())
    }

    async fn endpoints(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<HookEndpoint>> {
        let endpoints = self.state().endpoints.clone();
        let inside = endpoints.into_iter().filter(|endpoint| scope.covers(endpoint.user_id)).collect();
        let key = |endpoint: &HookEndpoint| instant_key(endpoint.created_at, endpoint.id.0);
        read_page("hook-endpoints", inside, key, Direction::Descending, page)
    }

    async fn endpoints_for(&self, user: UserId) -> StoreResult<Vec<HookEndpoint>> {
        let mut endpoints = self.state().endpoints.clone();
        endpoints.retain(|endpoint| endpoint.user_id == user || endpoint.is_global);
        endpoints.sort_by_key(|endpoint| (endpoint.created_at, endpoint.id));
        Ok(endpoints)
    }

    async fn patch_endpoint(
        &self,
        scope: Scope,
        id: HookEndpointId,
        patch: &HookEndpointPatch,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<HookEndpoint>> {
        let mut state = self.state();
        let found = state.endpoints.iter().position(|one| one.id == id && scope.covers(one.user_id));
        let Some(index) = found else { return Ok(None) };
        expected.admit(&state.endpoints[index])?;
        let patched = patch.apply(state.endpoints[index].clone(), at);
        if is_taken(&state.endpoints, &patched) {
            return Err(StoreError::Conflict { what: "a hook of this name" });
        }
        state.endpoints[index] = patched.clone();
        state.audit(audited::hook_changed(&patched, patch, origin, at))?;
        Ok(Some(patched))
    }

    async fn rotate_secret(
        &self,
        scope: Scope,
        id: HookEndpointId,
        rotation: &SecretRotation,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let found = state.endpoints.iter_mut().find(|one| one.id == id && scope.covers(one.user_id));
        let Some(endpoint) = found else { return Ok(false) };
        expected.admit(&*endpoint)?;
        let old = std::mem::replace(&mut endpoint.secret, rotation.secret.clone());
        endpoint.old_secret = Some((old, rotation.old_until));
        endpoint.updated_at = at;
        let event = audited::hook_secret_rotated(endpoint, origin, at);
        state.audit(event)?;
        Ok(true)
    }

    async fn delete_endpoint(
        &self,
        scope: Scope,
        id: HookEndpointId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let found = state.endpoints.iter().position(|one| one.id == id && scope.covers(one.user_id));
        let Some(index) = found else { return Ok(false) };
        expected.admit(&state.endpoints[index])?;
        let gone = state.endpoints.remove(index);
        state.deliveries.retain(|delivery| delivery.endpoint_id != id);
        state.audit(audited::hook_deleted(&gone, origin, at))?;
        Ok(true)
    }
}

#[async_trait]
impl HookDeliveries for MemoryStore {
    async fn take_due_delivery(
        &self,
        at: Timestamp,
        lease_until: Timestamp,
        except: &[HookEndpointId],
    ) -> StoreResult<Option<(HookDelivery, HookEndpoint)>> {
        let mut state = self.state();
        let endpoints = state.endpoints.clone();
        let takes = |id| endpoints.iter().find(|one| one.id == id && one.is_enabled && !except.contains(&id));
        let due = state.deliveries.iter_mut().filter(|delivery| {
            delivery.status == HookDeliveryStatus::Pending
                && delivery.next_attempt_at.is_some_and(|due| due <= at)
                && takes(delivery.endpoint_id).is_some()
        });
        let Some(delivery) = due.min_by_key(|delivery| (delivery.next_attempt_at, delivery.id)) else {
            return Ok(None);
        };
        delivery.next_attempt_at = Some(lease_until);
        Ok(takes(delivery.endpoint_id).map(|endpoint| (delivery.clone(), endpoint.clone())))
    }

    async fn settle_delivery(&self, id: HookDeliveryId, attempt: &DeliveryAttempt) -> StoreResult<()> {
        if let Some(delivery) = self.state().deliveries.iter_mut().find(|delivery| delivery.id == id) {
            *delivery = delivery.clone().after(attempt);
        }
        Ok(())
    }

    async fn redeliver(
        &self,
        endpoint: HookEndpointId,
        id: HookDeliveryId,
        at: Timestamp,
    ) -> StoreResult<Option<HookDelivery>> {
        let mut state = self.state();
        let found = state.deliveries.iter_mut().find(|one| one.id == id && one.endpoint_id == endpoint);
        Ok(found.map(|delivery| {
            delivery.status = HookDeliveryStatus::Pending;
            delivery.attempts = 0;
            delivery.next_attempt_at = Some(at);
            delivery.clone()
        }))
    }

    async fn deliveries(
        &self,
        endpoint: HookEndpointId,
        page: &PageRequest,
    ) -> StoreResult<Page<HookDelivery>> {
        let mut deliveries = self.state().deliveries.clone();
        deliveries.retain(|delivery| delivery.endpoint_id == endpoint);
        let key = |delivery: &HookDelivery| instant_key(delivery.created_at, delivery.id.0);
        read_page("hook-deliveries", deliveries, key, Direction::Descending, page)
    }
}

fn is_taken(endpoints: &[HookEndpoint], new: &HookEndpoint) -> bool {
    endpoints.iter().any(|one| one.id != new.id && one.user_id == new.user_id && one.name == new.name)
}
