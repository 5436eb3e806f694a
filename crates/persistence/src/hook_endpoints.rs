//! The endpoints of people.

use crate::{
    Store,
    entity::hook_endpoint::{self, Column as C},
    error::failure,
    page::{Counting, List, ListName, read_page, try_map},
};
use async_trait::async_trait;
use domain::{
    Expected, HookEndpoint, HookEndpointId, Origin, Page, PageRequest, Scope, UserId,
    audit::events,
    hook::{HookEndpointPatch, SecretRotation},
    ports::{HookEndpoints, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, Select};

#[async_trait]
impl HookEndpoints for Store {
    async fn create_endpoint(
        &self,
        endpoint: &HookEndpoint,
        owned_max: u32,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let owned = hook_endpoint::Entity::find().filter(inside(Scope::Owner(endpoint.user_id)));
        let row = row(endpoint)?;
        self.add_owned(owned, owned_max, events::hook_created(endpoint, origin), |writes| {
            writes.insert(row);
            writes.wake_agents(endpoint.concerns());
        })
        .await
    }

    async fn endpoint(&self, scope: Scope, id: HookEndpointId) -> StoreResult<Option<HookEndpoint>> {
        one(scope, id).one(&self.read).await.map_err(failure)?.map(HookEndpoint::try_from).transpose()
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
        let found = self.change_of::<_, HookEndpoint>(one(scope, id)).await?;
        let Some((endpoint, mut change)) = found else { return Ok(None) };
        expected.admit(&endpoint)?;
        change.writes.wake_agents(endpoint.concerns());
        let patched = patch.apply(endpoint, at);
        change.writes.wake_agents(patched.concerns());
        change.writes.replace(C::Id.eq(id.0), row(&patched)?);
        change.commit(self, [events::hook_changed(&patched, patch, origin, at)]).await?;
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
        let found = self.change_of::<_, HookEndpoint>(one(scope, id)).await?;
        let Some((endpoint, mut change)) = found else { return Ok(false) };
        expected.admit(&endpoint)?;
        change.writes.wake_agents(endpoint.concerns());
        let SecretRotation { secret, old_until } = rotation.clone();
        let old_secret = Some((endpoint.secret, old_until));
        let rotated = HookEndpoint { secret, old_secret, updated_at: at, ..endpoint };
        change.writes.replace(C::Id.eq(id.0), row(&rotated)?);
        change.commit(self, [events::hook_secret_rotated(&rotated, origin, at)]).await?;
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
        let found = self.change_of::<_, HookEndpoint>(one(scope, id)).await?;
        let Some((endpoint, mut change)) = found else { return Ok(false) };
        expected.admit(&endpoint)?;
        change.writes.wake_agents(endpoint.concerns());
        change.writes.run(hook_endpoint::Entity::delete_many().filter(C::Id.eq(id.0)));
        change.commit(self, [events::hook_deleted(&endpoint, origin, at)]).await?;
        Ok(true)
    }
}

fn row(endpoint: &HookEndpoint) -> StoreResult<hook_endpoint::ActiveModel> {
    Ok(hook_endpoint::Model::new(endpoint)?.into())
}

fn one(scope: Scope, id: HookEndpointId) -> Select<hook_endpoint::Entity> {
    hook_endpoint::Entity::find().filter(inside(scope)).filter(C::Id.eq(id.0))
}

fn inside(scope: Scope) -> Condition {
    match scope {
        Scope::All => Condition::all(),
        Scope::Owner(user) => Condition::all().add(C::UserId.eq(user.0)),
    }
}
