//! Messages on their way to endpoints.

use crate::{
    Store,
    entity::{
        hook_delivery::{self, Column as C},
        hook_endpoint,
    },
    error::failure,
    page::{List, ListName, read_page, try_map},
    value::{Reader, micros, stored},
};
use async_trait::async_trait;
use domain::{
    HookDelivery, HookDeliveryId, HookDeliveryStatus, HookEndpoint, HookEndpointId, Page, PageRequest,
    hook::DeliveryAttempt,
    ports::{HookDeliveries, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, LockBehavior, LockType},
};

#[async_trait]
impl HookDeliveries for Store {
    async fn take_due_delivery(
        &self,
        at: Timestamp,
        lease_until: Timestamp,
        except: &[HookEndpointId],
    ) -> StoreResult<Option<(HookDelivery, HookEndpoint)>> {
        let except: Vec<_> = except.iter().map(|id| id.0).collect();
        let due = |at: Timestamp| {
            let rows = hook_delivery::Entity::find()
                .find_also_related(hook_endpoint::Entity)
                .filter(C::Status.eq(HookDeliveryStatus::Pending.as_str()))
                .filter(C::NextAttemptAt.lte(micros(at)))
                .filter(hook_endpoint::Column::IsEnabled.eq(true));
            if except.is_empty() { rows } else { rows.filter(C::EndpointId.is_not_in(except.clone())) }
        };
        // Mostly nothing is due, and finding that out must not queue for the one writer.
        if due(at).one(&self.read).await.map_err(failure)?.is_none() {
            return Ok(None);
        }
        let txn = self.begin_writing().await?;
        let first = due(at)
            .order_by_asc(C::NextAttemptAt)
            .order_by_asc(C::Id)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .one(&txn)
            .await
            .map_err(failure)?;
        let Some((delivery, endpoint)) = first else { return Ok(None) };
        let endpoint = endpoint.ok_or(Reader("hook_deliveries").inconsistent("endpoint_id"))?;
        let lease = hook_delivery::Entity::update_many()
            .col_expr(C::NextAttemptAt, Expr::value(micros(lease_until)))
            .filter(C::Id.eq(delivery.id));
        lease.exec(&txn).await.map_err(failure)?;
        txn.commit().await.map_err(failure)?;
        let delivery = hook_delivery::Model { next_attempt_at: Some(micros(lease_until)), ..delivery };
        Ok(Some((delivery.try_into()?, endpoint.try_into()?)))
    }

    async fn settle_delivery(&self, id: HookDeliveryId, attempt: &DeliveryAttempt) -> StoreResult<()> {
        let txn = self.begin_writing().await?;
        let row =
            hook_delivery::Entity::find_by_id(id.0).lock_exclusive().one(&txn).await.map_err(failure)?;
        let Some(row) = row else { return Ok(()) };
        let settled = HookDelivery::try_from(row)?.after(attempt);
        let update = hook_delivery::Entity::update_many()
            .col_expr(C::Status, Expr::value(settled.status.as_str()))
            .col_expr(C::Attempts, Expr::value(i64::from(settled.attempts)))
            .col_expr(C::NextAttemptAt, Expr::value(settled.next_attempt_at.map(micros)))
            .col_expr(C::LastAttemptAt, Expr::value(settled.last_attempt_at.map(micros)))
            .col_expr(C::ResponseStatus, Expr::value(settled.response_status.map(stored)))
            .col_expr(C::Error, Expr::value(settled.error))
            .filter(C::Id.eq(id.0));
        update.exec(&txn).await.map_err(failure)?;
        txn.commit().await.map_err(failure)
    }

    async fn redeliver(
        &self,
        endpoint: HookEndpointId,
        id: HookDeliveryId,
        at: Timestamp,
    ) -> StoreResult<Option<HookDelivery>> {
        let update = hook_delivery::Entity::update_many()
            .col_expr(C::Status, Expr::value(HookDeliveryStatus::Pending.as_str()))
            .col_expr(C::Attempts, Expr::value(0_i64))
            .col_expr(C::NextAttemptAt, Expr::value(micros(at)))
            .filter(C::Id.eq(id.0))
            .filter(C::EndpointId.eq(endpoint.0));
        let rows = update.exec_with_returning(&self.write).await.map_err(failure)?;
        rows.into_iter().next().map(HookDelivery::try_from).transpose()
    }

    async fn deliveries(
        &self,
        endpoint: HookEndpointId,
        page: &PageRequest,
    ) -> StoreResult<Page<HookDelivery>> {
        let list = List {
            name: ListName::HookDeliveries,
            key: C::CreatedAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &hook_delivery::Model| (row.created_at, row.id),
        };
        let rows = hook_delivery::Entity::find().filter(C::EndpointId.eq(endpoint.0));
        try_map(read_page(&self.read, rows, &list, page).await?, HookDelivery::try_from)
    }
}
