//! Alerts, and who was told of them.

use super::{
    MemoryStore, State,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    Alert, AlertChannel, AlertId, Page, PageRequest, Scope,
    alert::DueAlert,
    ports::{Alerts, StoreResult},
};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

#[derive(Debug)]
pub(super) struct StoredAlert {
    alert: Alert,
    deliveries: HashMap<AlertChannel, Delivery>,
}

#[derive(Debug)]
struct Delivery {
    attempts: u32,
    /// `None` when there is nothing more to do.
    next: Option<Timestamp>,
}

#[async_trait]
impl Alerts for MemoryStore {
    async fn raise(&self, alert: &Alert) -> StoreResult<bool> {
        Ok(self.state().raise(alert))
    }

    async fn alerts(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<Alert>> {
        let state = self.state();
        let alerts = state.alerts.iter().map(|stored| &stored.alert);
        let shown = alerts.filter(|alert| match scope {
            Scope::All => true,
            Scope::Owner(user) => alert.user_id == Some(user),
        });
        let key = |alert: &Alert| instant_key(alert.raised_at, alert.id.0);
        read_page("alerts", shown.cloned().collect(), key, Direction::Descending, page)
    }

    async fn take_due_alerts(
        &self,
        channel: AlertChannel,
        now: Timestamp,
        claim: SignedDuration,
        limit: u32,
    ) -> StoreResult<Vec<DueAlert>> {
        let mut state = self.state();
        let mut due: Vec<_> = state
            .alerts
            .iter_mut()
            .filter_map(|stored| {
                let delivery = stored.deliveries.get_mut(&channel)?;
                let next = delivery.next.filter(|next| *next <= now)?;
                Some((next, stored.alert.id, &stored.alert, delivery))
            })
            .collect();
        due.sort_by_key(|(next, id, ..)| (*next, *id));
        due.truncate(limit as usize);
        let taken = due.into_iter().map(|(_, _, alert, delivery)| {
            delivery.next = Some(now.saturating_add(claim).unwrap_or(now));
            DueAlert { alert: alert.clone(), attempts: delivery.attempts }
        });
        Ok(taken.collect())
    }

    async fn alert_told(&self, id: AlertId, channel: AlertChannel, _at: Timestamp) -> StoreResult<()> {
        self.state().settle_delivery(id, channel, |delivery| delivery.next = None);
        Ok(())
    }

    async fn alert_failed(
        &self,
        id: AlertId,
        channel: AlertChannel,
        _error: &str,
        next: Option<Timestamp>,
    ) -> StoreResult<()> {
        self.state().settle_delivery(id, channel, |delivery| {
            delivery.attempts += 1;
            delivery.next = next;
        });
        Ok(())
    }
}

impl State {
    pub(super) fn raise(&mut self, alert: &Alert) -> bool {
        if self.alerts.iter().any(|stored| stored.alert.topic == alert.topic) {
            return false;
        }
        let due = |channel| (channel, Delivery { attempts: 0, next: Some(alert.raised_at) });
        let deliveries = AlertChannel::ALL.into_iter().map(due).collect();
        self.alerts.push(StoredAlert { alert: alert.clone(), deliveries });
        true
    }

    /// Forgets the alerts that concern somebody or something that is gone.
    pub(super) fn forget_alerts(&mut self, goes: impl Fn(&Alert) -> bool) {
        self.alerts.retain(|stored| !goes(&stored.alert));
    }

    fn settle_delivery(&mut self, id: AlertId, channel: AlertChannel, change: impl FnOnce(&mut Delivery)) {
        let stored = self.alerts.iter_mut().find(|stored| stored.alert.id == id);
        if let Some(delivery) = stored.and_then(|stored| stored.deliveries.get_mut(&channel)) {
            change(delivery);
        }
    }
}
