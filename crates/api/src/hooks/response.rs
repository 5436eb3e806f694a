//! Hooks and deliveries on the wire.

use crate::word::Word;
use domain::{FailMode, HookDelivery, HookDeliveryStatus, HookEndpoint, HookEndpointKind};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// An endpoint, without its secret.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HookResponse {
    id: Uuid,
    user_id: Uuid,
    /// What sessions name in `hooks_enabled`.
    name: String,
    url: String,
    kind: Word<HookEndpointKind>,
    event_types: Vec<String>,
    tool_matcher: Option<String>,
    timeout_ms: u32,
    order: i32,
    fail_mode: Word<FailMode>,
    is_enabled: bool,
    is_global: bool,
    /// Until when the secret before the last rotation signs too.
    old_secret_expires_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// An endpoint whose secret was just made.
#[derive(Serialize, JsonSchema)]
pub struct NewHookResponse {
    #[serde(flatten)]
    pub about: HookResponse,
    /// What messages are signed with, as Standard Webhooks has it. It is shown this once.
    pub secret: String,
}

/// One message to an endpoint.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HookDeliveryResponse {
    /// Its `webhook-id`, the same at every attempt.
    id: Uuid,
    hook_id: Uuid,
    session_id: Option<Uuid>,
    event_type: String,
    /// The body, as it is signed.
    payload: String,
    status: Word<HookDeliveryStatus>,
    attempts: u32,
    next_attempt_at: Option<Timestamp>,
    last_attempt_at: Option<Timestamp>,
    /// Of the last attempt that was answered.
    response_status: Option<u16>,
    /// Why the last attempt failed.
    error: Option<String>,
    created_at: Timestamp,
}

impl From<HookEndpoint> for HookResponse {
    fn from(hook: HookEndpoint) -> Self {
        Self {
            id: hook.id.0,
            user_id: hook.user_id.0,
            name: hook.name,
            url: hook.url,
            kind: Word(hook.kind),
            event_types: hook.event_types,
            tool_matcher: hook.tool_matcher,
            timeout_ms: hook.timeout_ms,
            order: hook.order,
            fail_mode: Word(hook.fail_mode),
            is_enabled: hook.is_enabled,
            is_global: hook.is_global,
            old_secret_expires_at: hook.old_secret.map(|(_, until)| until),
            created_at: hook.created_at,
            updated_at: hook.updated_at,
        }
    }
}

impl From<HookDelivery> for HookDeliveryResponse {
    fn from(delivery: HookDelivery) -> Self {
        Self {
            id: delivery.id.0,
            hook_id: delivery.endpoint_id.0,
            session_id: delivery.session_id.map(|id| id.0),
            event_type: delivery.event_type,
            payload: delivery.payload,
            status: Word(delivery.status),
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at,
            last_attempt_at: delivery.last_attempt_at,
            response_status: delivery.response_status,
            error: delivery.error,
            created_at: delivery.created_at,
        }
    }
}
