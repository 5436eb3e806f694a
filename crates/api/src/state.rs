//! What the handlers work with, and the operator's decisions about HTTP.

use crate::{proxies::Proxies, rate_limit::RateLimiter};
use domain::Clock;
use engine::{
    AccountManager, AuditLog, CostManager, Idempotency, McpRegistry, OidcLogins, Overview, PolicyManager,
    ReportManager, SessionManager, TaskManager,
};
use monitoring::{Alerter, HealthChecker, MetricsCollector};
use secrecy::SecretString;
use std::{sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Everything a handler may reach; the server makes one and all workers share it.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub accounts: Arc<AccountManager>,
    /// Logins by way of an identity provider, if there is one.
    pub oidc: Option<OidcLogins>,
    pub sessions: SessionManager,
    pub mcp: McpRegistry,
    pub tasks: TaskManager,
    pub audit: Arc<AuditLog>,
    pub policies: PolicyManager,
    pub costs: CostManager,
    pub reports: ReportManager,
    pub overview: Overview,
    pub alerts: Alerter,
    pub idempotency: Idempotency,
    /// Counts how often callers ask, if that is limited.
    pub limiter: Option<Arc<RateLimiter>>,
    pub health: Arc<HealthChecker>,
    pub metrics: Arc<MetricsCollector>,
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the server begins to end: it is not ready any more, and works as before for a while.
    pub leaving: CancellationToken,
    pub settings: ApiSettings,
    /// The open WebSockets. They end by themselves once the engine has shut down; wait for them then.
    pub streams: TaskTracker,
}

/// What the operator decided about HTTP.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Largest request body and largest WebSocket message, in bytes.
    pub body_bytes_max: usize,
    pub cors_origins: CorsOrigins,
    /// How long a WebSocket may take none of what is sent before it is dropped.
    pub stream_send_timeout: Duration,
    /// How often the credential of an open stream is checked again, and its client asked whether it is there.
    pub stream_check_interval: Duration,
    pub metrics_access: MetricsAccess,
    /// Whose word counts about who is behind them.
    pub proxies: Proxies,
    /// For how long browsers that came over TLS are to come over nothing else.
    pub hsts_max_age: Option<Duration>,
}

/// Who may scrape the metrics of this listener.
#[derive(Debug, Clone, Default)]
pub enum MetricsAccess {
    /// Whoever reaches it.
    Open,
    /// Whoever has this token.
    Token(SecretString),
    /// Nobody, because nobody said who may.
    #[default]
    Refused,
    /// They are not here: they are off, or have a listener of their own.
    Elsewhere,
}

/// Whose pages may call this server from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Everybody's; credentials travel in a header that pages have to know, so this gives nothing away by itself.
    Any,
    /// These origins', each as a browser sends it: `https://app.example.com`.
    These(Vec<String>),
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 * 1024 * 1024,
            cors_origins: CorsOrigins::These(vec![]),
            stream_send_timeout: Duration::from_secs(30),
            stream_check_interval: Duration::from_secs(15),
            metrics_access: MetricsAccess::default(),
            proxies: Proxies::default(),
            hsts_max_age: None,
        }
    }
}
