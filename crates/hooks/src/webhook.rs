//! HTTP endpoints as hooks: messages signed after Standard Webhooks, and answers that count.

mod address;
mod alerts;
mod client;
mod completions;
mod decision;
mod outbound;
mod sealer;
mod sender;

pub use address::{AddressGuard, AddressRefused, is_global};
pub use alerts::{AlertWebhook, BadAlertSecret, check_secret};
pub use client::{CallFailed, Client, Delivered};
pub use decision::DecisionHook;
pub use outbound::{Outbound, UrlRefused, is_refused};
pub use sealer::{SecretSealer, SecretsLost, fresh_secret};
pub use sender::Sender;

use jiff::Timestamp;
use serde_json::{Value, json};

/// The body of a message: its `type`, when it happened, and what.
#[must_use]
pub fn message(event_type: &str, at: Timestamp, data: &Value) -> String {
    json!({ "type": event_type, "timestamp": at, "data": data }).to_string()
}
