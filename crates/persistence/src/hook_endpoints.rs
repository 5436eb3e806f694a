//! The endpoints of people.

use crate::{
    Store, audit,
    entity::hook_endpoint::{self, Column as C},
    error::failure,
    page::{Counting, List, ListName, read_page, try_map},
    unit::{Batch, Unit},
};
use async_trait::async_trait;
use domain::{
    AuditEvent, AuditHead, Expected, HookEndpoint, HookEndpointId, Origin, Page, PageRequest, Scope, UserId,
    audit::events,
    hook::{HookEndpointPatch, SealedSecret},
    ports::{HookEndpoints, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect,
    sea_query::LockType,
};

#[async_trait]
impl HookEndpoints for Store {
    async fn create_endpoint(&self, endpoint: &HookEndpoint, origin: &Origin) -> StoreResult<()> {
        let row = hook_endpoint::Model::new(endpoint)?;
        let insert = hook_endpoint::Entity::insert::<hook_endpoint::ActiveModel>(row.into());
        let write = |writes: &mut Batch| writes.run(insert);
        self.write_audited(write, events::hook_created(endpoint, origin)).await
    }

    async fn endpoint(&self, scope: Scope, id: HookEndpointId) -> StoreResult<Option<HookEndpoint>> {
        let row = hook_endpoint::Entity::find().filter(inside(scope)).filter(C::Id.eq(id.0));
        row.one(&self.read).await.map_err(failure)?.map(HookEndpoint::try_from).transpose()
    }

    async fn endpoints(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<HookEndpoint>> {
        let list = List {
            name: ListName::HookEndpoints,
            key: C::CreatedAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &hook_endpoint::Model| (row.created_at, row.id),
        };
        let rows = hook_endpoint::Entity::find().filter(inside(scope));
        try_map(read_page(&self.read, rows, &list, Counting::Bounded, page).await?, HookEndpoint::try_from)
    }

    async fn endpoints_for(&self, user: UserId) -> StoreResult<Vec<HookEndpoint>> {
        let theirs = Condition::any().add(C::UserId.eq(user.0)).add(C::IsGlobal.eq(true));
        let rows =
            hook_endpoint::Entity::find().filter(theirs).order_by_asc(C::CreatedAt).order_by_asc(C::Id);
        let rows = rows.all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(HookEndpoint::try_from).collect()
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
        let Some(held) = hold(self, scope, id).await? else { return Ok(None) };
        expected.admit(&held.endpoint)?;
        let patched = patch.apply(held.endpoint.clone(), at);
        let event = events::hook_changed(&patched, patch, origin, at);
        held.replace(self, &patched, event).await?;
        Ok(Some(patched))
    }

    async fn rotate_secret(
        &self,
        scope: Scope,
        id: HookEndpointId,
        secret: &SealedSecret,
        old_until: Timestamp,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let Some(held) = hold(self, scope, id).await? else { return Ok(false) };
        let old = held.endpoint.secret.clone();
        let rotated = HookEndpoint {
            secret: secret.clone(),
            old_secret: Some((old, old_until)),
            updated_at: at,
            ..held.endpoint.clone()
        };
        let event = events::hook_secret_rotated(&rotated, origin, at);
        held.replace(self, &rotated, event).await?;
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
        let Some(held) = hold(self, scope, id).await? else { return Ok(false) };
        expected.admit(&held.endpoint)?;
        let mut writes = self.batch();
        writes.run(hook_endpoint::Entity::delete_many().filter(C::Id.eq(id.0)));
        self.chain(&mut writes, held.head, [events::hook_deleted(&held.endpoint, origin, at)])?;
        held.unit.commit(writes).await?;
        Ok(true)
    }
}

/// An endpoint that is about to change, and the end of the log that will say so.
struct Held {
    endpoint: HookEndpoint,
    head: AuditHead,
    unit: Unit,
}

async fn hold(store: &Store, scope: Scope, id: HookEndpointId) -> StoreResult<Option<Held>> {
    let mut reads = store.batch();
    let found = hook_endpoint::Entity::find().filter(inside(scope)).filter(C::Id.eq(id.0));
    let row = reads.select(found.lock(LockType::NoKeyUpdate));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let Some(row) = read.first(row)? else { return Ok(None) };
    Ok(Some(Held { endpoint: row.try_into()?, head: audit::head(&mut read, head)?, unit }))
}

impl Held {
    async fn replace(self, store: &Store, endpoint: &HookEndpoint, event: AuditEvent) -> StoreResult<()> {
        let row: hook_endpoint::ActiveModel = hook_endpoint::Model::new(endpoint)?.into();
        let mut writes = store.batch();
        let id = C::Id.eq(endpoint.id.0);
        writes.run(hook_endpoint::Entity::update_many().set(row.reset_all()).filter(id));
        store.chain(&mut writes, self.head, [event])?;
        self.unit.commit(writes).await.map(drop)
    }
}

fn inside(scope: Scope) -> Condition {
    match scope {
        Scope::All => Condition::all(),
        Scope::Owner(user) => Condition::all().add(C::UserId.eq(user.0)),
    }
}
