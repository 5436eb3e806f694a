//! Sends what is due: each message until it is taken or has failed for good, also after the death of a server.

use super::{CallFailed, Client};
use crate::limits::{
    DELIVERY_POLL, LEASE, RETRY_DELAYS, SENDING_MAX, SENDING_TO_ONE_MAX, SENDING_WAIT_AT_END,
};
use domain::{Clock, HookDelivery, HookEndpoint, HookEndpointId, hook::DeliveryAttempt, ports::HookStore};
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use std::{collections::HashMap, fmt, sync::Arc};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

/// HTTP status of an endpoint that wants nothing any more.
const GONE: u16 = 410;

/// Sends the messages of all sessions.
#[derive(Clone)]
pub struct Sender {
    pub store: Arc<dyn HookStore>,
    pub clock: Arc<dyn Clock>,
    pub client: Client,
    /// Told when there may be something to send.
    pub news: Arc<Notify>,
}

impl Sender {
    /// Sends until cancelled. It looks at what is due and not at what led to it.
    pub async fn run(&self, cancelled: CancellationToken) {
        let mut sending = FuturesUnordered::new();
        let mut per_endpoint: HashMap<HookEndpointId, usize> = HashMap::new();
        while !cancelled.is_cancelled() {
            while sending.len() < SENDING_MAX {
                let Some((delivery, endpoint)) = self.take(&per_endpoint).await else { break };
                *per_endpoint.entry(endpoint.id).or_default() += 1;
                sending.push(async move {
                    self.attempt(&delivery, &endpoint).await;
                    endpoint.id
                });
            }
            tokio::select! {
                () = cancelled.cancelled() => {}
                Some(endpoint) = sending.next() => release(&mut per_endpoint, endpoint),
                () = self.news.notified(), if sending.len() < SENDING_MAX => {}
                () = tokio::time::sleep(DELIVERY_POLL) => {}
            }
        }
        // Whatever does not end in time is sent again by the next life, under the same id.
        let ended = async { while sending.next().await.is_some() {} };
        if timeout(SENDING_WAIT_AT_END, ended).await.is_err() {
            tracing::info!("some messages to hooks are sent again after the restart");
        }
    }

    /// Tries a message that is not tried again if it fails.
    pub async fn attempt_once(&self, delivery: &HookDelivery, endpoint: &HookEndpoint) -> DeliveryAttempt {
        let attempt = DeliveryAttempt { retry_at: None, ..self.call(delivery, endpoint).await };
        self.settle(delivery, &attempt).await;
        attempt
    }

    async fn attempt(&self, delivery: &HookDelivery, endpoint: &HookEndpoint) {
        let attempt = self.call(delivery, endpoint).await;
        self.settle(delivery, &attempt).await;
    }

    async fn call(&self, delivery: &HookDelivery, endpoint: &HookEndpoint) -> DeliveryAttempt {
        let at = self.clock.now();
        let called = self.client.call(endpoint, delivery.id, at, &delivery.payload).await;
        match called {
            Ok(answer) => {
                DeliveryAttempt { at, response_status: Some(answer.status), error: None, retry_at: None }
            }
            Err(error) => {
                let response_status = match &error {
                    CallFailed::Status(status) => Some(*status),
                    _ => None,
                };
                let retry_at = (response_status != Some(GONE)).then(|| self.retry_at(delivery)).flatten();
                let error = format!("the endpoint {error}");
                DeliveryAttempt { at, response_status, error: Some(error), retry_at }
            }
        }
    }

    async fn settle(&self, delivery: &HookDelivery, attempt: &DeliveryAttempt) {
        if let Err(error) = self.store.settle_delivery(delivery.id, attempt).await {
            // It is due again when the lease is over.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, delivery_id = %delivery.id, "what came of a message to a hook is not on record");
        }
    }

    async fn take(
        &self,
        per_endpoint: &HashMap<HookEndpointId, usize>,
    ) -> Option<(HookDelivery, HookEndpoint)> {
        let now = self.clock.now();
        let busy = per_endpoint.iter().filter(|(_, count)| **count >= SENDING_TO_ONE_MAX);
        let busy: Vec<HookEndpointId> = busy.map(|(endpoint, _)| *endpoint).collect();
        match self.store.take_due_delivery(now, now + LEASE, &busy).await {
            Ok(due) => due,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "could not look for messages to hooks");
                None
            }
        }
    }

    /// When a delivery that has failed is tried again; a tenth later at most, so that many do not come back at once.
    fn retry_at(&self, delivery: &HookDelivery) -> Option<Timestamp> {
        let delay: SignedDuration = *RETRY_DELAYS.get(delivery.attempts as usize)?;
        let later = delay.mul_f64(rand::rng().random_range(0.0..=0.1));
        self.clock.now().checked_add(delay).ok()?.checked_add(later).ok()
    }
}

fn release(per_endpoint: &mut HashMap<HookEndpointId, usize>, endpoint: HookEndpointId) {
    if let Some(count) = per_endpoint.get_mut(&endpoint) {
        *count -= 1;
        if *count == 0 {
            per_endpoint.remove(&endpoint);
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}
