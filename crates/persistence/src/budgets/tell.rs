//! What is to be told of an account whose row is locked, so that it is told once.

use super::account::{self, Key};
use crate::{
    alerts::raise,
    entity::spend,
    unit::Batch,
    value::{Reader, stored},
};
use domain::{Alert, AlertTopic, BudgetStatus, UserId, ports::StoreResult};
use jiff::Timestamp;
use sea_orm::{ActiveValue::Set, EntityTrait, QueryFilter};

/// Puts it on record, and that it was told. `owner` is whose session it is, if it is one's.
pub(super) fn tell(
    writes: &mut Batch,
    key: &Key,
    told_percent: i64,
    status: &BudgetStatus,
    owner: Option<UserId>,
    at: Timestamp,
) -> StoreResult<Vec<Alert>> {
    let told = u8::try_from(told_percent).map_err(|_| Reader("spend").inconsistent("told_percent"))?;
    let alerts = status.alerts(told, owner, at);
    let percents = alerts.iter().filter_map(|alert| match alert.topic {
        AlertTopic::Budget { threshold_percent, .. } => Some(threshold_percent),
        AlertTopic::Health { .. } => None,
    });
    if let Some(highest) = percents.max() {
        let told = spend::ActiveModel { told_percent: Set(stored(highest)), ..Default::default() };
        writes.run(spend::Entity::update_many().set(told).filter(account::row(key)));
        for alert in &alerts {
            raise(writes, alert)?;
        }
    }
    Ok(alerts)
}
