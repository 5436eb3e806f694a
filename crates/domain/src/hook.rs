//! What hooks did, and the HTTP endpoints of people that are hooks.

use crate::{HookEndpointId, HookRunId, SessionId, TurnId, UserId};
use jiff::Timestamp;
use serde_json::Value;

/// One hook, called once.
#[derive(Debug, Clone, PartialEq)]
pub struct HookRun {
    pub id: HookRunId,
    pub session_id: SessionId,
    pub turn_id: Option<TurnId>,
    /// The event of the agent: `PreToolUse`, `Stop`, …
    pub hook_type: String,
    pub hook_name: String,
    pub tool_use_id: Option<String>,
    pub tool_name: Option<String>,
    /// What the hook was told.
    pub input: Value,
    /// What it answered; `None` if it gave no answer.
    pub output: Option<Value>,
    /// Whether what was about to happen went on after it.
    pub continued: bool,
    pub status: HookRunStatus,
    pub error: Option<String>,
    pub duration_us: u64,
    /// Whether watchers are told: the runs of custom hooks, and any that blocked, changed something or failed.
    pub is_notable: bool,
    pub executed_at: Timestamp,
}

/// Which runs a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookRunFilter {
    pub hook_type: Option<String>,
    pub tool_use_id: Option<String>,
}

/// An HTTP endpoint that is asked or told when something happens in a session.
#[derive(Debug, Clone, PartialEq)]
pub struct HookEndpoint {
    pub id: HookEndpointId,
    pub user_id: UserId,
    /// Unique among its owner's; sessions name it in `hooks_enabled`.
    pub name: String,
    pub url: String,
    pub kind: HookEndpointKind,
    pub event_types: Vec<String>,
    /// Tool name, `A|B` or a regular expression over the whole name; `None` matches all.
    pub tool_matcher: Option<String>,
    pub timeout_ms: u32,
    /// Lower ones run first.
    pub order: i32,
    pub fail_mode: FailMode,
    pub is_enabled: bool,
    /// Whether every session has it, whoever owns the session.
    pub is_global: bool,
    pub secret: SealedSecret,
    /// The secret before the last rotation and until when it signs as well.
    pub old_secret: Option<(SealedSecret, Timestamp)>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl HookEndpoint {
    /// Whose agents may have it; `None` for everybody's.
    #[must_use]
    pub fn concerns(&self) -> Option<UserId> {
        (!self.is_global).then_some(self.user_id)
    }
}

/// A secret, encrypted; only who holds the server's key can open it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret(pub Vec<u8>);

impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedSecret")
    }
}

/// Another secret for an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRotation {
    /// What it signs with from now on.
    pub secret: SealedSecret,
    /// Until when the secret before it signs as well.
    pub old_until: Timestamp,
}

/// What a person may change of an endpoint; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HookEndpointPatch {
    pub name: Option<String>,
    pub url: Option<String>,
    pub kind: Option<HookEndpointKind>,
    pub event_types: Option<Vec<String>>,
    pub tool_matcher: Option<Option<String>>,
    pub timeout_ms: Option<u32>,
    pub order: Option<i32>,
    pub fail_mode: Option<FailMode>,
    pub is_enabled: Option<bool>,
    pub is_global: Option<bool>,
}

impl HookEndpointPatch {
    /// The endpoint as it is after this change.
    #[must_use]
    pub fn apply(&self, mut endpoint: HookEndpoint, at: Timestamp) -> HookEndpoint {
        let Self {
            name,
            url,
            kind,
            event_types,
            tool_matcher,
            timeout_ms,
            order,
            fail_mode,
            is_enabled,
            is_global,
        } = self.clone();
        endpoint.name = name.unwrap_or(endpoint.name);
        endpoint.url = url.unwrap_or(endpoint.url);
        endpoint.kind = kind.unwrap_or(endpoint.kind);
        endpoint.event_types = event_types.unwrap_or(endpoint.event_types);
        endpoint.tool_matcher = tool_matcher.unwrap_or(endpoint.tool_matcher);
        endpoint.timeout_ms = timeout_ms.unwrap_or(endpoint.timeout_ms);
        endpoint.order = order.unwrap_or(endpoint.order);
        endpoint.fail_mode = fail_mode.unwrap_or(endpoint.fail_mode);
        endpoint.is_enabled = is_enabled.unwrap_or(endpoint.is_enabled);
        endpoint.is_global = is_global.unwrap_or(endpoint.is_global);
        endpoint.updated_at = at;
        endpoint
    }
}

macro_rules! words {
    ($($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)* })*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word on the wire and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The one of that name.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }
    )* };
}

words! {
    /// What came of a run.
    HookRunStatus {
        /// It answered, and things went on.
        Completed = "completed",
        /// It answered no.
        Blocked = "blocked",
        /// It failed, or its answer made no sense.
        Failed = "failed",
        TimedOut = "timed_out",
    }

    /// What an endpoint is for.
    HookEndpointKind {
        /// It is asked, the agent waits, and its answer counts.
        Decision = "decision",
        /// It is told, some time soon, and nobody waits.
        Notification = "notification",
    }

    /// What a failure of a hook means.
    FailMode {
        /// Things go on as if there were no hook.
        Open = "open",
        /// What was asked about does not happen.
        Closed = "closed",
    }

    /// Where a delivery is.
    HookDeliveryStatus {
        /// To be sent, at once or after a pause.
        Pending = "pending",
        /// The endpoint took it.
        Delivered = "delivered",
        /// It was tried as often as is reasonable, or will not help.
        Failed = "failed",
    }
}

/// A message to an endpoint, until it is taken and afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct HookDelivery {
    /// Its `webhook-id`, the same at every attempt, so that receivers can tell repetitions.
    pub id: crate::HookDeliveryId,
    pub endpoint_id: HookEndpointId,
    pub session_id: Option<SessionId>,
    pub event_type: String,
    /// The body, byte for byte as it is signed.
    pub payload: String,
    pub status: HookDeliveryStatus,
    pub attempts: u32,
    /// When it is due; one that is being sent is due again when whoever sends it must have died.
    pub next_attempt_at: Option<Timestamp>,
    pub last_attempt_at: Option<Timestamp>,
    /// HTTP status of the last answer.
    pub response_status: Option<u16>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    pub created_at: Timestamp,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAttempt {
    pub at: Timestamp,
    pub response_status: Option<u16>,
    /// `None` if the endpoint took it.
    pub error: Option<String>,
    /// When to try again after a failure; `None` gives up.
    pub retry_at: Option<Timestamp>,
}

impl HookDelivery {
    /// The delivery as it is after an attempt.
    #[must_use]
    pub fn after(mut self, attempt: &DeliveryAttempt) -> Self {
        self.status = match (&attempt.error, attempt.retry_at) {
            (None, _) => HookDeliveryStatus::Delivered,
            (Some(_), Some(_)) => HookDeliveryStatus::Pending,
            (Some(_), None) => HookDeliveryStatus::Failed,
        };
        self.attempts += 1;
        self.next_attempt_at = attempt.error.as_ref().and(attempt.retry_at);
        self.last_attempt_at = Some(attempt.at);
        self.response_status = attempt.response_status;
        self.error = attempt.error.clone();
        self
    }
}
