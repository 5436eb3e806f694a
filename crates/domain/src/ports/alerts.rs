//! Alerts, and who was told of them.

use super::StoreResult;
use crate::{
    Alert, AlertId, Page, PageRequest, Scope,
    alert::{AlertChannel, DueAlert},
};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

/// The list of alerts, and what is still to be told.
#[async_trait]
pub trait Alerts: Send + Sync {
    /// Puts an alert on record, once for each topic; false if it is there already.
    async fn raise(&self, alert: &Alert) -> StoreResult<bool>;

    /// Alerts that this scope may see, newest first.
    async fn alerts(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<Alert>>;

    /// Takes alerts that this channel has to tell, oldest first: not told, not given up, due at `now`, and taken by
    /// nobody else. They are the taker's for `claim`; after that they are due again.
    async fn take_due_alerts(
        &self,
        channel: AlertChannel,
        now: Timestamp,
        claim: SignedDuration,
        limit: u32,
    ) -> StoreResult<Vec<DueAlert>>;

    /// The channel has told it.
    async fn alert_told(&self, id: AlertId, channel: AlertChannel, at: Timestamp) -> StoreResult<()>;

    /// The channel could not tell it, for this reason: it is tried again at `next`, or never.
    async fn alert_failed(
        &self,
        id: AlertId,
        channel: AlertChannel,
        error: &str,
        next: Option<Timestamp>,
    ) -> StoreResult<()>;
}
