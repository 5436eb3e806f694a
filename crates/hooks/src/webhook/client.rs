//! Calls endpoints: one signed POST, bounded in time and size, to where it was meant and nowhere else.

use super::{AddressGuard, AddressRefused, SecretSealer, is_global};
use crate::limits::ANSWER_BYTES_MAX;
use domain::{HookDeliveryId, HookEndpoint, hook::SealedSecret};
use jiff::Timestamp;
use reqwest::{Url, header::CONTENT_TYPE, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use std::{error::Error, net::IpAddr, sync::Arc, time::Duration};
use url::Host;

/// Longest URL of an endpoint, in bytes.
const URL_BYTES_MAX: usize = 2048;

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

/// A URL that may not be an endpoint's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UrlRefused(pub &'static str);

/// The client that speaks to endpoints; clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    sealer: Arc<SecretSealer>,
    allows_private: bool,
}

impl Client {
    /// A client that calls public addresses over TLS, or, if the operator allows it, any address, and without TLS too.
    pub fn new(sealer: Arc<SecretSealer>, allows_private: bool) -> reqwest::Result<Self> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("steward/", env!("CARGO_PKG_VERSION")))
            // A proxy of the environment would resolve names by itself, and a redirect would lead elsewhere.
            .no_proxy()
            .redirect(Policy::none())
            .https_only(!allows_private);
        let builder = if allows_private { builder } else { builder.dns_resolver(Arc::new(AddressGuard)) };
        Ok(Self { http: builder.build()?, sealer, allows_private })
    }

    /// What seals the secrets this client signs with.
    #[must_use]
    pub fn sealer(&self) -> &SecretSealer {
        &self.sealer
    }

    /// Whether an endpoint may have this URL, and the URL as it is kept.
    pub fn check_url(&self, text: &str) -> Result<String, UrlRefused> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlRefused("must be at most 2048 bytes"));
        }
        let url = Url::parse(text).map_err(|_| UrlRefused("must be a URL"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allows_private => {}
            _ => return Err(UrlRefused("must begin with https://")),
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(UrlRefused("must have neither user, password nor fragment"));
        }
        if !self.may_call(&url) {
            return Err(UrlRefused("must have a public address"));
        }
        Ok(url.into())
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
        // Addresses written as such are not resolved, so the guard never sees them.
        let url = Url::parse(url).ok().filter(|url| self.may_call(url));
        let url = url.ok_or(CallFailed::AddressRefused)?;
        let request = self
            .http
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

    fn may_call(&self, url: &Url) -> bool {
        match url.host() {
            None => false,
            Some(Host::Ipv4(address)) => self.allows_private || is_global(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.allows_private || is_global(IpAddr::V6(address)),
            // What a name leads to is seen when it is resolved.
            Some(Host::Domain(_)) => true,
        }
    }
}

fn signature(secret: &SecretString, id: &str, at: Timestamp, payload: &str) -> Result<String, CallFailed> {
    let signer = Webhook::new(secret.expose_secret()).map_err(|_| CallFailed::SecretLost)?;
    signer.sign(id, at.as_second(), payload.as_bytes()).map_err(|_| CallFailed::SecretLost)
}

fn failure(error: reqwest::Error) -> CallFailed {
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(error) = cause {
        if error.is::<AddressRefused>() {
            return CallFailed::AddressRefused;
        }
        cause = error.source();
    }
    CallFailed::Unreachable(error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_refused_for_a_reason() {
        let sealer = Arc::new(SecretSealer::new(b"0123456789abcdef0123456789abcdef").unwrap());
        let public = Client::new(sealer.clone(), false).unwrap();
        let any = Client::new(sealer, true).unwrap();
        for url in [
            "http://example.org/",
            "ftp://example.org/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://017700000001/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://169.254.169.254/latest",
            "https://user:pass@example.org/",
            "https://example.org/#part",
            "https://",
            "example.org",
        ] {
            assert!(public.check_url(url).is_err(), "{url}");
        }
        assert!(public.check_url("https://example.org/hook?x=1").is_ok());
        assert_eq!(any.check_url("http://127.0.0.1:9/x").unwrap(), "http://127.0.0.1:9/x");
        assert!(any.check_url("file:///etc/passwd").is_err());
    }
}
