//! Alerts as a webhook of the operator's: the same signed messages that endpoints of people get.

use super::{Client, UrlRefused, message};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{Alert, AlertChannel, AlertTopic, Clock};
use monitoring::alerts::{NotTold, Teller};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{fmt, ops::RangeInclusive, sync::Arc};

/// The type of the messages.
const ALERT_EVENT: &str = "alert.raised";
/// Bytes of a signing secret, after Standard Webhooks.
const SECRET_BYTES: RangeInclusive<usize> = 24..=64;

/// A text that is no signing secret.
#[derive(Debug, thiserror::Error)]
#[error("read the signing secret")]
pub struct BadAlertSecret;

/// Whether a text is a signing secret: `whsec_` and the base64 of 24 to 64 bytes.
pub fn check_secret(text: &str) -> Result<(), BadAlertSecret> {
    let bytes = text.strip_prefix("whsec_").and_then(|rest| STANDARD.decode(rest).ok());
    bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len())).map(drop).ok_or(BadAlertSecret)
}

/// Tells alerts to one URL.
pub struct AlertWebhook {
    client: Client,
    clock: Arc<dyn Clock>,
    url: String,
    secret: SecretString,
}

impl AlertWebhook {
    /// To this URL, which must be one that endpoints of people may have too.
    pub fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        url: &str,
        secret: SecretString,
    ) -> Result<Self, UrlRefused> {
        let url = client.check_url(url)?;
        Ok(Self { client, clock, url, secret })
    }
}

#[async_trait]
impl Teller for AlertWebhook {
    fn channel(&self) -> AlertChannel {
        AlertChannel::Webhook
    }

    async fn tell(&self, alert: &Alert) -> Result<(), NotTold> {
        let payload = message(ALERT_EVENT, alert.raised_at, &data(alert));
        let id = alert.id.to_string();
        let sent = self.client.post_as(&self.secret, &self.url, &id, self.clock.now(), &payload).await;
        sent.map(drop).map_err(|error| NotTold(format!("was not taken: the endpoint {error}")))
    }
}

/// As `GET /monitoring/alerts` shows it.
fn data(alert: &Alert) -> Value {
    let topic = match &alert.topic {
        AlertTopic::Budget { spender, period, threshold_percent } => json!({
            "kind": "budget",
            "spender_kind": spender.kind(),
            "spender": spender.key(),
            "period": Some(&period.0).filter(|period| !period.is_empty()),
            "threshold_percent": threshold_percent,
        }),
        AlertTopic::Health { check, since } => json!({ "kind": "health", "check": check, "since": since }),
    };
    json!({
        "id": alert.id,
        "severity": alert.severity.as_str(),
        "message": alert.message,
        "topic": topic,
        "user_id": alert.user_id,
        "raised_at": alert.raised_at,
    })
}

impl fmt::Debug for AlertWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlertWebhook")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_secret_has_its_prefix_and_enough_bytes() {
        assert!(check_secret(super::super::fresh_secret().expose_secret()).is_ok());
        for text in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_?", "whsec_ AAAA"]
        {
            assert!(check_secret(text).is_err(), "{text}");
        }
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        assert!(check_secret(&long).is_err());
    }
}
