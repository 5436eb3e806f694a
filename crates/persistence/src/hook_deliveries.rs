//! Messages on their way to endpoints.

use crate::{
    Store,
    entity::{
        hook_delivery::{self, Column as C},
        hook_endpoint,
    },
    error::failure,
    literal::Literal,
    page::{Counting, List, ListName, read_page, try_map},
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
    ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait, UpdateMany,
    sea_query::{Expr, LockType},
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
        let enabled = hook_endpoint::Entity::find()
            .select_only()
            .column(hook_endpoint::Column::Id)
            .filter(hook_endpoint::Column::IsEnabled.eq(true))
            .into_query();
        let due = Condition::all()
            .add(C::Status.eq_literal(HookDeliveryStatus::Pending.as_str()))
            .add(C::NextAttemptAt.lte(micros(at)))
            .add(C::EndpointId.in_subquery(enabled))
            .add_option((!except.is_empty()).then(|| C::EndpointId.is_not_in(except)));
        let first = hook_delivery::Entity::find()
            .find_also_related(hook_endpoint::Entity)
            .filter(due.clone())
            .order_by_asc(C::NextAttemptAt)
            .order_by_asc(C::Id);
        // Mostly nothing is due, and finding that out must not queue for the one writer. Whoever loses the race for
        // the first one looks again.
        while let Some((found, endpoint)) = first.clone().one(&self.read).await.map_err(failure)? {
            let endpoint = endpoint.ok_or(Reader("hook_deliveries").inconsistent("endpoint_id"))?;
            let lease = hook_delivery::Entity::update_many()
                .col_expr(C::NextAttemptAt, Expr::value(micros(lease_until)))
                .filter(C::Id.eq(found.id))
                .filter(due.clone());
            if let Some(delivery) = self.update_delivery(lease).await? {
                return Ok(Some((delivery, endpoint.try_into()?)));
            }
        }
        Ok(None)
    }

    async fn settle_delivery(&self, id: HookDeliveryId, attempt: &DeliveryAttempt) -> StoreResult<()> {
        let mut reads = self.batch();
        let row = reads.select(hook_delivery::Entity::find_by_id(id.0).lock(LockType::NoKeyUpdate));
        let (mut read, unit) = self.open(reads).await?;
        let Some(row) = read.first(row)? else { return Ok(()) };
        let settled = HookDelivery::try_from(row)?.after(attempt);
        let update = hook_delivery::Entity::update_many()
            .col_expr(C::Status, Expr::value(settled.status.as_str()))
            .col_expr(C::Attempts, Expr::value(i64::from(settled.attempts)))
            .col_expr(C::NextAttemptAt, Expr::value(settled.next_attempt_at.map(micros)))
            .col_expr(C::LastAttemptAt, Expr::value(settled.last_attempt_at.map(micros)))
            .col_expr(C::ResponseStatus, Expr::value(settled.response_status.map(stored)))
            .col_expr(C::Error, Expr::value(settled.error))
            .filter(C::Id.eq(id.0));
        let mut writes = self.batch();
        writes.run(update);
        unit.commit(writes).await.map(drop)
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
        self.update_delivery(update).await
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
        try_map(read_page(&self.read, rows, &list, Counting::No, page).await?, HookDelivery::try_from)
    }
}

impl Store {
    /// Changes one delivery and answers it as it is now, or nothing if the update found none.
    async fn update_delivery(
        &self,
        update: UpdateMany<hook_delivery::Entity>,
    ) -> StoreResult<Option<HookDelivery>> {
        let mut writes = self.batch();
        let row = writes.update_returning(update);
        self.write_whole(writes).await?.first(row)?.map(HookDelivery::try_from).transpose()
    }
}
