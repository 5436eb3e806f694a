//! Alerts: each once for what it is about, and told once by every channel.

use crate::{
    Store,
    entity::{
        alert::{self, Column as A},
        alert_delivery::{self, Column as D},
    },
    error::failure,
    page::{Counting, List, ListName, read_page, try_map},
    unit::{Batch, Shape},
    value::{Reader, micros},
};
use async_trait::async_trait;
use domain::{
    Alert, AlertChannel, AlertId, Page, PageRequest, Scope,
    alert::DueAlert,
    ports::{Alerts, StoreResult},
};
use jiff::{SignedDuration, Timestamp};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait, UpdateMany,
    sea_query::{Expr, ExprTrait},
};
use std::collections::HashMap;

#[async_trait]
impl Alerts for Store {
    async fn raise(&self, alert: &Alert) -> StoreResult<bool> {
        let about = A::Topic.eq(alert::Model::from(alert).topic);
        let mut unit = self.batch();
        let before = unit.select(alert::Entity::find().filter(about));
        raise(&mut unit, alert)?;
        let after = unit.select(alert::Entity::find_by_id(alert.id.0));
        let mut answers = self.write_whole(unit).await?;
        Ok(answers.first(before)?.is_none() && answers.first(after)?.is_some())
    }

    async fn alerts(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<Alert>> {
        let list = List {
            name: ListName::Alerts,
            key: A::RaisedAt,
            id: A::Id,
            order: Order::Desc,
            position: |row: &alert::Model| (row.raised_at, row.id),
        };
        let shown = match scope {
            Scope::All => Condition::all(),
            Scope::Owner(user) => Condition::all().add(A::UserId.eq(user.0)),
        };
        let rows = alert::Entity::find().filter(shown);
        try_map(read_page(&self.read, rows, &list, Counting::Bounded, page).await?, Alert::try_from)
    }

    async fn take_due_alerts(
        &self,
        channel: AlertChannel,
        now: Timestamp,
        claim: SignedDuration,
        limit: u32,
    ) -> StoreResult<Vec<DueAlert>> {
        let due =
            Condition::all().add(D::Channel.eq(channel.as_str())).add(D::NextAttemptAt.lte(micros(now)));
        let first = alert_delivery::Entity::find()
            .select_only()
            .column(D::AlertId)
            .filter(due.clone())
            .order_by_asc(D::NextAttemptAt)
            .order_by_asc(D::AlertId)
            .limit(u64::from(limit));
        // Whoever meets another one here waits, and then finds them taken.
        let until = micros(now.saturating_add(claim).unwrap_or(now));
        let take = alert_delivery::Entity::update_many()
            .col_expr(D::NextAttemptAt, Expr::value(until))
            .filter(due)
            .filter(D::AlertId.in_subquery(first.into_query()));
        let mut writes = self.batch();
        let taken = writes.update_returning(take);
        let taken = self.write_whole(writes).await?.all(taken)?;
        let attempts: HashMap<_, _> = taken.into_iter().map(|row| (row.alert_id, row.attempts)).collect();
        let rows = alert::Entity::find()
            .filter(A::Id.is_in(attempts.keys().copied()))
            .order_by_asc(A::RaisedAt)
            .order_by_asc(A::Id);
        let rows = rows.all(&self.read).await.map_err(failure)?;
        let due = rows.into_iter().map(|row| {
            let attempts = attempts.get(&row.id).copied().unwrap_or_default();
            let attempts = Reader("alert_deliveries").figure("attempts", attempts)?;
            Ok(DueAlert { alert: row.try_into()?, attempts })
        });
        due.collect()
    }

    async fn alert_told(&self, id: AlertId, channel: AlertChannel, at: Timestamp) -> StoreResult<()> {
        let told = alert_delivery::ActiveModel {
            next_attempt_at: Set(None),
            told_at: Set(Some(micros(at))),
            error: Set(None),
            ..Default::default()
        };
        self.write_one(delivery(id, channel).set(told)).await.map(drop)
    }

    async fn alert_failed(
        &self,
        id: AlertId,
        channel: AlertChannel,
        error: &str,
        next: Option<Timestamp>,
    ) -> StoreResult<()> {
        let failed = alert_delivery::ActiveModel {
            next_attempt_at: Set(next.map(micros)),
            error: Set(Some(error.to_owned())),
            ..Default::default()
        };
        let attempts = D::Attempts.into_expr().add(1);
        let update = delivery(id, channel).set(failed).col_expr(D::Attempts, attempts);
        self.write_one(update).await.map(drop)
    }
}

fn delivery(id: AlertId, channel: AlertChannel) -> UpdateMany<alert_delivery::Entity> {
    alert_delivery::Entity::update_many().filter(D::AlertId.eq(id.0)).filter(D::Channel.eq(channel.as_str()))
}

/// Puts an alert on record for every channel to tell, unless there is one about the same.
pub(crate) fn raise(writes: &mut Batch, alert: &Alert) -> StoreResult<()> {
    let row = alert::Model::from(alert);
    let deliveries = AlertChannel::ALL.map(|channel| alert_delivery::Model::due(&row, channel));
    let id = row.id;
    let is_there = || {
        let row = alert::Entity::find_by_id(id).select_only().expr(Expr::val(1));
        Expr::exists(row.into_query())
    };
    writes.insert_if(Shape::named("an alert"), &[row], || Expr::value(true), &[true.into()])?;
    let shape = Shape::named("deliveries of an alert");
    writes.insert_if(shape, &deliveries, is_there, &[1.into(), id.into()])
}
