//! A store of hooks and MCP servers in which something happens between a look and the change that follows it.

use async_trait::async_trait;
use domain::{
    Event, Expected, Generation, HookDelivery, HookDeliveryId, HookEndpoint, HookEndpointId, HookRun,
    McpServer, McpServerId, Origin, Page, PageRequest, Scope, SessionId, UserId,
    hook::{DeliveryAttempt, HookEndpointPatch, HookRunFilter, SecretRotation},
    mcp::{McpCheck, McpServerPatch},
    ports::{HookDeliveries, HookEndpoints, HookRuns, McpServers, StoreResult},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::sync::{Arc, Mutex};
use testkit::MemoryStore;

/// Clones share what is going to happen.
#[derive(Clone, Default)]
pub struct Between {
    store: MemoryStore,
    next: Arc<Mutex<Option<BoxFuture<'static, ()>>>>,
}

impl Between {
    pub fn around(store: MemoryStore) -> Self {
        Self { store, next: Arc::default() }
    }

    /// Once somebody has looked at one thing, this happens before they learn what they saw.
    pub fn after_the_next_look(&self, happens: impl Future<Output = ()> + Send + 'static) {
        *self.next.lock().unwrap() = Some(Box::pin(happens));
    }

    async fn seen<T>(&self, seen: T) -> T {
        let next = self.next.lock().unwrap().take();
        if let Some(next) = next {
            next.await;
        }
        seen
    }
}

#[async_trait]
impl HookEndpoints for Between {
    async fn create_endpoint(&self, endpoint: &HookEndpoint, max: u32, origin: &Origin) -> StoreResult<bool> {
        self.store.create_endpoint(endpoint, max, origin).await
    }
    async fn endpoint(&self, scope: Scope, id: HookEndpointId) -> StoreResult<Option<HookEndpoint>> {
        let seen = self.store.endpoint(scope, id).await;
        self.seen(seen).await
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
        expected: &Expected,
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
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        self.store.rotate_secret(scope, id, rotation, expected, at, origin).await
    }
    async fn delete_endpoint(
        &self,
        scope: Scope,
        id: HookEndpointId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        self.store.delete_endpoint(scope, id, expected, at, origin).await
    }
}

#[async_trait]
impl HookRuns for Between {
    async fn record_hook_runs(
        &self,
        runs: Vec<(Generation, HookRun)>,
        deliveries: Vec<HookDelivery>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
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
impl HookDeliveries for Between {
    async fn take_due_delivery(
        &self,
        at: Timestamp,
        lease_until: Timestamp,
        except: &[HookEndpointId],
    ) -> StoreResult<Option<(HookDelivery, HookEndpoint)>> {
        self.store.take_due_delivery(at, lease_until, except).await
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

#[async_trait]
impl McpServers for Between {
    async fn create_mcp_server(&self, server: &McpServer, max: u32, origin: &Origin) -> StoreResult<bool> {
        self.store.create_mcp_server(server, max, origin).await
    }
    async fn mcp_server(&self, scope: Scope, id: McpServerId) -> StoreResult<Option<McpServer>> {
        let seen = self.store.mcp_server(scope, id).await;
        self.seen(seen).await
    }
    async fn mcp_servers(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<McpServer>> {
        self.store.mcp_servers(scope, page).await
    }
    async fn own_mcp_servers(&self, user: UserId, limit: u32) -> StoreResult<Vec<McpServer>> {
        self.store.own_mcp_servers(user, limit).await
    }
    async fn mcp_servers_named(&self, user: UserId, names: &[String]) -> StoreResult<Vec<McpServer>> {
        self.store.mcp_servers_named(user, names).await
    }
    async fn patch_mcp_server(
        &self,
        scope: Scope,
        id: McpServerId,
        patch: &McpServerPatch,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<McpServer>> {
        self.store.patch_mcp_server(scope, id, patch, expected, at, origin).await
    }
    async fn delete_mcp_server(
        &self,
        scope: Scope,
        id: McpServerId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        self.store.delete_mcp_server(scope, id, expected, at, origin).await
    }
    async fn note_mcp_check(&self, id: McpServerId, at: Timestamp, check: &McpCheck) -> StoreResult<()> {
        self.store.note_mcp_check(id, at, check).await
    }
    async fn mcp_servers_after(&self, after: Option<McpServerId>, limit: u32) -> StoreResult<Vec<McpServer>> {
        self.store.mcp_servers_after(after, limit).await
    }
    async fn reseal_mcp_server(
        &self,
        server: &McpServer,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        self.store.reseal_mcp_server(server, at, origin).await
    }
}
