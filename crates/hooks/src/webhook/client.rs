//! Calls endpoints: one signed POST, bounded in time and size, to where it was meant and nowhere else.

use super::{Outbound, SecretSealer, UrlRefused, outbound::is_refused};
use crate::limits::ANSWER_BYTES_MAX;
use domain::{HookDeliveryId, HookEndpoint, hook::SealedSecret};
use jiff::Timestamp;
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use std::{sync::Arc, time::Duration};

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why an endpoint did not take a message. Holds neither its URL nor its secret: the agent and its user read this.
#[derive(Debug, thiserror::Error)]
pub enum CallFailed {
    #[error("has an address that is not public, which this server does not call")]
    AddressRefused,
    #[error("did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("could not be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("answered with status {0}")]
    Status(u16),
    #[error("answered with more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    #[error("has a secret that this server's key does not open; rotate it")]
    SecretLost,
}

/// The client that speaks to endpoints; clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    outbound: Outbound,
    sealer: Arc<SecretSealer>,
}

impl Client {
    /// A client that calls public addresses over TLS, or, if the operator allows it, any address, and without TLS too.
    pub fn new(sealer: Arc<SecretSealer>, allows_private: bool) -> reqwest::Result<Self> {
        Ok(Self { outbound: Outbound::new(allows_private)?, sealer })
    }

    /// What seals the secrets this client signs with.
    #[must_use]
    pub fn sealer(&self) -> &SecretSealer {
        &self.sealer
    }

    /// Whether an endpoint may have this URL, and the URL as it is kept.
    pub fn check_url(&self, text: &str) -> Result<String, UrlRefused> {
        self.outbound.check_url(text)
    }

    /// Sends a message and reads the answer, within the endpoint's time-out.
    pub async fn call(
        &self,
        endpoint: &HookEndpoint,
        id: HookDeliveryId,
        at: Timestamp,
        payload: &str,
    ) -> Result<Delivered, CallFailed> {
        let limit = Duration::from_millis(endpoint.timeout_ms.into());
        let called = tokio::time::timeout(limit, self.post(endpoint, id, at, payload)).await;
        called.map_err(|_| CallFailed::TimedOut(limit))?
    }

    /// The same, however long it takes.
    pub(super) async fn post(
        &self,
        endpoint: &HookEndpoint,
        id: HookDeliveryId,
        at: Timestamp,
        payload: &str,
    ) -> Result<Delivered, CallFailed> {
        let signatures = self.signatures(endpoint, &id.to_string(), at, payload)?;
        self.send(&endpoint.url, &id.to_string(), at, payload, signatures).await
    }

    /// Sends a message of the server's own, signed by this one secret.
    pub(super) async fn post_as(
        &self,
        secret: &SecretString,
        url: &str,
        id: &str,
        at: Timestamp,
        payload: &str,
    ) -> Result<Delivered, CallFailed> {
        let signature = signature(secret, id, at, payload)?;
        self.send(url, id, at, payload, signature).await
    }

    async fn send(
        &self,
        url: &str,
        id: &str,
        at: Timestamp,
        payload: &str,
        signatures: String,
    ) -> Result<Delivered, CallFailed> {
        let url = self.outbound.target(url).ok_or(CallFailed::AddressRefused)?;
        let request = self
            .outbound
            .http()
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, id)
            .header(HEADER_WEBHOOK_TIMESTAMP, at.as_second())
            .header(HEADER_WEBHOOK_SIGNATURE, signatures)
            .body(payload.to_owned());
        let mut answer = request.send().await.map_err(failure)?;
        let mut body = vec![];
        while let Some(chunk) = answer.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(CallFailed::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        match answer.status() {
            status if status.is_success() => Ok(Delivered { status: status.as_u16(), body }),
            status => Err(CallFailed::Status(status.as_u16())),
        }
    }

    /// The signature by the secret, and for a while after a rotation by the one before it as well.
    fn signatures(
        &self,
        endpoint: &HookEndpoint,
        id: &str,
        at: Timestamp,
        payload: &str,
    ) -> Result<String, CallFailed> {
        let sign = |secret: &SealedSecret| {
            let secret = self.sealer.open(endpoint.id, secret).map_err(|_| CallFailed::SecretLost)?;
            signature(&secret, id, at, payload)
        };
        let mut signatures = sign(&endpoint.secret)?;
        if let Some((old, until)) = &endpoint.old_secret
            && at < *until
            && let Ok(old) = sign(old)
        {
            signatures.push(' ');
            signatures.push_str(&old);
        }
        Ok(signatures)
    }
}

fn signature(secret: &SecretString, id: &str, at: Timestamp, payload: &str) -> Result<String, CallFailed> {
    let signer = Webhook::new(secret.expose_secret()).map_err(|_| CallFailed::SecretLost)?;
    signer.sign(id, at.as_second(), payload.as_bytes()).map_err(|_| CallFailed::SecretLost)
}

fn failure(error: reqwest::Error) -> CallFailed {
    if is_refused(&error) {
        return CallFailed::AddressRefused;
    }
    CallFailed::Unreachable(error.without_url())
}
