//! The endpoints of people.

use crate::{
    Store,
    entity::hook_endpoint::{self, Column as C},
    error::failure,
    page::{List, ListName, read_page, try_map},
    value::micros,
};
use async_trait::async_trait;
use domain::{
    HookEndpoint, HookEndpointId, Page, PageRequest, Scope, UserId,
    hook::{HookEndpointPatch, SealedSecret},
    ports::{HookEndpoints, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};

#[async_trait]
impl HookEndpoints for Store {
    async fn create_endpoint(&self, endpoint: &HookEndpoint) -> StoreResult<()> {
        let row = hook_endpoint::Model::new(endpoint)?;
        let insert = hook_endpoint::Entity::insert::<hook_endpoint::ActiveModel>(row.into());
        insert.exec_without_returning(&self.write).await.map_err(failure).map(drop)
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
        try_map(read_page(&self.read, rows, &list, page).await?, HookEndpoint::try_from)
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
        at: Timestamp,
    ) -> StoreResult<Option<HookEndpoint>> {
        let txn = self.begin_writing().await?;
        let found = hook_endpoint::Entity::find().filter(inside(scope)).filter(C::Id.eq(id.0));
        let Some(row) = found.lock_exclusive().one(&txn).await.map_err(failure)? else { return Ok(None) };
        let patched = patch.apply(row.try_into()?, at);
        let row: hook_endpoint::ActiveModel = hook_endpoint::Model::new(&patched)?.into();
        let update = hook_endpoint::Entity::update_many().set(row.reset_all()).filter(C::Id.eq(id.0));
        update.exec(&txn).await.map_err(failure)?;
        txn.commit().await.map_err(failure)?;
        Ok(Some(patched))
    }

    async fn rotate_secret(
        &self,
        scope: Scope,
        id: HookEndpointId,
        secret: &SealedSecret,
        old_until: Timestamp,
        at: Timestamp,
    ) -> StoreResult<bool> {
        let update = hook_endpoint::Entity::update_many()
            .col_expr(C::OldSecret, Expr::col(C::Secret))
            .col_expr(C::OldSecretUntil, Expr::value(micros(old_until)))
            .col_expr(C::Secret, Expr::value(secret.0.clone()))
            .col_expr(C::UpdatedAt, Expr::value(micros(at)))
            .filter(inside(scope))
            .filter(C::Id.eq(id.0));
        Ok(update.exec(&self.write).await.map_err(failure)?.rows_affected > 0)
    }

    async fn delete_endpoint(&self, scope: Scope, id: HookEndpointId) -> StoreResult<bool> {
        let delete = hook_endpoint::Entity::delete_many().filter(inside(scope)).filter(C::Id.eq(id.0));
        Ok(delete.exec(&self.write).await.map_err(failure)?.rows_affected > 0)
    }
}

fn inside(scope: Scope) -> Condition {
    match scope {
        Scope::All => Condition::all(),
        Scope::Owner(user) => Condition::all().add(C::UserId.eq(user.0)),
    }
}
