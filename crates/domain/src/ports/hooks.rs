//! What hooks did, the endpoints of people, and what is on its way to them.

use super::StoreResult;
use crate::{
    Event, Expected, Generation, HookDelivery, HookDeliveryId, HookEndpoint, HookEndpointId, HookRun, Origin,
    Page, PageRequest, Scope, SessionId, UserId,
    hook::{DeliveryAttempt, HookEndpointPatch, HookRunFilter, SecretRotation},
};
use async_trait::async_trait;
use jiff::Timestamp;

/// The record of what hooks did.
#[async_trait]
pub trait HookRuns: Send + Sync {
    /// Records runs of any sessions, counts them on their sessions and journals the notable ones, together with
    /// messages that are to go out because of them. Runs of a session that is not there, and those of a generation that
    /// is over, are passed over.
    async fn record_hook_runs(
        &self,
        runs: Vec<(Generation, HookRun)>,
        deliveries: Vec<HookDelivery>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>>;

    /// A session's runs, newest first.
    async fn hook_runs(
        &self,
        session: SessionId,
        filter: &HookRunFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<HookRun>>;
}

/// The endpoints of people.
#[async_trait]
pub trait HookEndpoints: Send + Sync {
    /// Stores a new endpoint; false if its owner has `owned_max` already, however many are stored at once.
    /// [`super::StoreError::Conflict`] if they have one of that name.
    async fn create_endpoint(
        &self,
        endpoint: &HookEndpoint,
        owned_max: u32,
        origin: &Origin,
    ) -> StoreResult<bool>;

    /// The endpoint, if it is there and inside the scope.
    async fn endpoint(&self, scope: Scope, id: HookEndpointId) -> StoreResult<Option<HookEndpoint>>;

    /// Endpoints inside the scope, newest first.
    async fn endpoints(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<HookEndpoint>>;

    /// Every endpoint that the user's sessions can have, disabled ones too: their own and the global ones.
    async fn endpoints_for(&self, user: UserId) -> StoreResult<Vec<HookEndpoint>>;

    /// Changes what a person may change; `None` if there is no such endpoint inside the scope. A name that its owner
    /// has already is a [`super::StoreError::Conflict`].
    async fn patch_endpoint(
        &self,
        scope: Scope,
        id: HookEndpointId,
        patch: &HookEndpointPatch,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<HookEndpoint>>;

    /// Gives the endpoint another secret; false if there is none inside the scope.
    async fn rotate_secret(
        &self,
        scope: Scope,
        id: HookEndpointId,
        rotation: &SecretRotation,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool>;

    /// Deletes the endpoint and its deliveries; false if there is none inside the scope.
    async fn delete_endpoint(
        &self,
        scope: Scope,
        id: HookEndpointId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool>;
}

/// Messages on their way to endpoints.
#[async_trait]
pub trait HookDeliveries: Send + Sync {
    /// Takes the delivery that has been due longest at `at`, together with its endpoint, and makes it due again at
    /// `lease_until`: whoever takes it and dies leaves it to be taken again. Deliveries to disabled endpoints and to
    /// those in `except` are passed over.
    async fn take_due_delivery(
        &self,
        at: Timestamp,
        lease_until: Timestamp,
        except: &[HookEndpointId],
    ) -> StoreResult<Option<(HookDelivery, HookEndpoint)>>;

    /// Notes what came of an attempt. A delivery that was deleted meanwhile is passed over.
    async fn settle_delivery(&self, id: HookDeliveryId, attempt: &DeliveryAttempt) -> StoreResult<()>;

    /// Makes a delivery due at `at`, whatever came of it before, and counts its attempts anew; `None` if that endpoint
    /// has no such delivery.
    async fn redeliver(
        &self,
        endpoint: HookEndpointId,
        id: HookDeliveryId,
        at: Timestamp,
    ) -> StoreResult<Option<HookDelivery>>;

    /// An endpoint's deliveries, newest first.
    async fn deliveries(
        &self,
        endpoint: HookEndpointId,
        page: &PageRequest,
    ) -> StoreResult<Page<HookDelivery>>;
}

/// All three in one.
pub trait HookStore: HookRuns + HookEndpoints + HookDeliveries {}

impl<S: HookRuns + HookEndpoints + HookDeliveries> HookStore for S {}
