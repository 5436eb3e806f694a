//! Every setting of the server, read from a map of strings into types, all mistakes reported together.
//!
//! `Config::read` is the list of settings: what it asks for is what exists, and the tests hold `.env.example` and
//! `docs/configuration.md` to it.

mod alerts;
mod containment;
mod costs;
mod error;
mod governance;
mod health;
mod hooks;
mod mcp;
mod metrics;
mod oidc;
mod parse;
mod reader;
mod reports;
mod sources;
mod storage;
mod tasks;
mod telemetry;
mod traffic;

use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf, time::Duration};

use engine::{ApprovalSettings, BackgroundApprovals};
use monitoring::{LogFilter, LogFormat, TelemetrySettings};
use secrecy::SecretString;

pub use self::{
    alerts::{AlertWebhookConfig, AlertsConfig, MailConfig},
    containment::{ContainmentConfig, Sandbox},
    costs::CostsConfig,
    error::{ConfigErrors, Mistake},
    governance::GovernanceConfig,
    health::HealthConfig,
    hooks::HooksConfig,
    mcp::McpConfig,
    metrics::MetricsConfig,
    oidc::OidcConfig,
    parse::MIN_SECRET_KEY_BYTES,
    reader::Setting,
    reports::ReportsConfig,
    sources::{ConfigFile, Sources},
    storage::{S3Config, StorageConfig},
    tasks::{ServerRole, TasksConfig},
    telemetry::TelemetryConfig,
    traffic::{RateLimit, TrafficConfig},
};
use self::{
    parse::{absolute_directories, boolean, decimal, list, non_empty, number, path, secret_key},
    reader::Reader,
};

const DATABASE_FILE: &str = "steward.db";
const MAX_AGENT_RETRIES: u32 = 10;
const BYTES_PER_MB: usize = 1024 * 1024;
const SECONDS_PER_MINUTE: u64 = 60;
const SECONDS_PER_DAY: u64 = 86_400;

/// The settings of one server.
#[derive(Debug, Clone)]
pub struct Config {
    pub environment: Environment,
    pub log: LogConfig,
    pub http: HttpConfig,
    pub traffic: TrafficConfig,
    /// Database file, working directories, archives and generated keys; may be relative to where the server is started.
    pub data_dir: PathBuf,
    pub database: DatabaseConfig,
    pub auth: AuthConfig,
    /// The identity provider by way of which people log in, if there is one.
    pub oidc: Option<OidcConfig>,
    pub upstream: UpstreamConfig,
    pub agent: AgentConfig,
    pub sessions: SessionsConfig,
    pub tasks: TasksConfig,
    pub approvals: ApprovalSettings,
    pub containment: ContainmentConfig,
    pub governance: GovernanceConfig,
    pub hooks: HooksConfig,
    pub mcp: McpConfig,
    pub storage: StorageConfig,
    pub reports: ReportsConfig,
    pub costs: CostsConfig,
    pub alerts: AlertsConfig,
    pub metrics: MetricsConfig,
    pub health: HealthConfig,
    pub telemetry: TelemetryConfig,
    /// How long a server that ends is not ready any more and goes on as before, so that nothing is sent to it.
    pub shutdown_delay: Duration,
    /// How long a shutdown waits for turns to finish before it interrupts them.
    pub shutdown_grace: Duration,
}

/// Whether mistakes that are harmless on a laptop are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    Development,
    Production,
}

/// What is logged, and in which form.
#[derive(Debug, Clone)]
pub struct LogConfig {
    pub filter: LogFilter,
    /// `None`: text on a terminal, JSON elsewhere.
    pub format: Option<LogFormat>,
}

/// The listener of the API.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    pub host: IpAddr,
    /// 0 takes a free port.
    pub port: u16,
    pub cors: CorsOrigins,
    pub max_request_body_bytes: usize,
}

/// The web pages that may call the API from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Any page: only outside production.
    Any,
    /// Exactly these, each as a browser sends it (`https://app.example.com`); none is the default.
    These(Vec<String>),
}

/// The database.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// `sqlite://` and the path of a file, percent-encoded, or `postgres://`, perhaps with a password.
    pub url: String,
    /// Connections in all. With SQLite one writes and the others read.
    pub pool_size: u32,
}

/// Who may log in, and for how long.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Signs tokens; `None`: the generated key in the data directory.
    pub secret_key: Option<SecretString>,
    pub access_token_lifetime: Duration,
    pub refresh_token_lifetime: Duration,
    pub admin_email: String,
    /// Of the first admin; `None`: generated and printed once.
    pub admin_password: Option<SecretString>,
    pub allow_registration: bool,
}

/// The Messages API behind the gateway.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Never given to an agent.
    pub api_key: Option<SecretString>,
    /// Without a slash at its end.
    pub url: String,
}

/// How agents are started, unless a session says otherwise.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// `None`: looked for, see [`crate::cli`].
    pub cli_path: Option<PathBuf>,
    pub default_model: String,
    pub max_retries: u32,
    pub retry_delay: Duration,
    pub timeout: Duration,
    /// One of `domain::spec::PERMISSION_MODES`.
    pub default_permission_mode: String,
}

/// How many sessions run, how long, and where.
#[derive(Debug, Clone)]
pub struct SessionsConfig {
    pub max_interactive: usize,
    pub max_background: usize,
    /// An agent nobody prompts for this long is closed; the next prompt resumes it.
    pub idle_timeout: Duration,
    /// How long others wait for a server that is not heard of, before they take its sessions over.
    pub server_lease: Duration,
    /// Prompts that may wait behind the running turn of one session.
    pub queue_max: u32,
    /// Sessions of one kind that may wait for an agent.
    pub slot_queue_max: u32,
    /// Absolute directories in which users may place sessions, besides their own in the data directory.
    pub working_directory_roots: Vec<PathBuf>,
}

impl Config {
    /// Whether several servers can share the database.
    #[must_use]
    pub fn has_shared_database(&self) -> bool {
        !self.database.url.starts_with("sqlite:")
    }

    /// Reads the environment, `.env` in the working directory and the file named by `STEWARD_CONFIG`.
    pub fn load() -> Result<Self, ConfigErrors> {
        Sources::of_process().resolve()
    }

    /// Reads a map from names to values; names that are no settings are passed over.
    pub fn from_map(values: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(values);
        match Self::read(&mut reader) {
            Some(config) if reader.mistakes.is_empty() => Ok(config),
            _ => Err(ConfigErrors::new(reader.mistakes)),
        }
    }

    /// Every setting there is, in the order of the documentation.
    #[must_use]
    pub fn settings() -> Vec<Setting> {
        let nothing = BTreeMap::new();
        let mut reader = Reader::new(&nothing);
        let _defaults = Self::read(&mut reader);
        reader.asked
    }

    /// What logging and exporters are set up with.
    #[must_use]
    pub fn telemetry_settings(&self) -> TelemetrySettings {
        let telemetry = self.telemetry.clone();
        TelemetrySettings {
            filter: self.log.filter.clone(),
            format: self.log.format,
            service: telemetry.service,
            traces: telemetry.traces,
            metrics: telemetry.metrics,
            logs: telemetry.logs,
            sampler: telemetry.sampler,
            span_batches: telemetry.span_batches,
            log_batches: telemetry.log_batches,
            metric_interval: telemetry.metric_interval,
            propagation: telemetry.propagation,
            content: telemetry.content,
            agents: telemetry.agents,
        }
    }

    /// `None` when there are mistakes; it still asks for everything, so that all of them are found.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let environment = read_environment(reader);
        let log = LogConfig::read(reader);
        let http = HttpConfig::read(reader, environment);
        let traffic = TrafficConfig::read(reader);
        let data_dir = reader.value("DATA_DIR", "./data", path);
        let database = DatabaseConfig::read(reader, data_dir.as_ref());
        let auth = AuthConfig::read(reader);
        let oidc = OidcConfig::read(reader, auth.as_ref().is_some_and(|auth| auth.allow_registration));
        let upstream = UpstreamConfig::read(reader);
        let agent = AgentConfig::read(reader);
        let sessions = SessionsConfig::read(reader);
        let tasks = TasksConfig::read(reader);
        let approvals = read_approvals(reader);
        let governance = GovernanceConfig::read(reader);
        let containment = ContainmentConfig::read(reader);
        let hooks = HooksConfig::read(reader);
        let mcp = McpConfig::read(reader);
        let storage = StorageConfig::read(reader);
        let reports = ReportsConfig::read(reader);
        let costs = CostsConfig::read(reader);
        let alerts = AlertsConfig::read(reader);
        let metrics = MetricsConfig::read(reader);
        let health = HealthConfig::read(reader);
        let telemetry = TelemetryConfig::read(reader);
        let shutdown_delay = reader.value("SHUTDOWN_DELAY_SECONDS", "0", seconds(0..=300));
        let shutdown_grace = reader.value("SHUTDOWN_GRACE_SECONDS", "20", seconds(0..=3600));
        Some(Self {
            environment: environment?,
            log: log?,
            http: http?,
            traffic: traffic?,
            data_dir: data_dir?,
            database: database?,
            auth: auth?,
            oidc: oidc?,
            upstream: upstream?,
            agent: agent?,
            sessions: sessions?,
            tasks: tasks?,
            approvals: approvals?,
            governance: governance?,
            containment: containment?,
            hooks: hooks?,
            mcp: mcp?,
            storage: storage?,
            reports: reports?,
            costs: costs?,
            alerts: alerts?,
            metrics: metrics?,
            health: health?,
            telemetry: telemetry?,
            shutdown_delay: shutdown_delay?,
            shutdown_grace: shutdown_grace?,
        })
    }
}

fn read_environment(reader: &mut Reader<'_>) -> Option<Environment> {
    reader.value("ENVIRONMENT", "development", |text| match text {
        "development" => Ok(Environment::Development),
        "production" => Ok(Environment::Production),
        _ => Err("development or production".to_owned()),
    })
}

/// How people are asked; the engine's own type says it all.
fn read_approvals(reader: &mut Reader<'_>) -> Option<ApprovalSettings> {
    let timeout = reader.value("APPROVAL_TIMEOUT_SECONDS", "300", seconds(1..=30 * SECONDS_PER_DAY));
    let background = reader.value("BACKGROUND_APPROVALS", "deny", |text| match text {
        "wait" => Ok(BackgroundApprovals::Wait),
        "deny" => Ok(BackgroundApprovals::Deny),
        "allowlist" => Ok(BackgroundApprovals::AllowList),
        _ => Err("wait, deny or allowlist".to_owned()),
    });
    Some(ApprovalSettings { timeout: timeout?, background: background? })
}

impl LogConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let filter = reader.value("LOG_LEVEL", "info", |text| {
            text.parse().map_err(|_| {
                "error, warn, info, debug, trace or off, and exceptions such as info,sqlx=warn".to_owned()
            })
        });
        let format = reader.option("LOG_FORMAT", |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("text or json".to_owned()),
        });
        Some(Self { filter: filter?, format: format? })
    }
}

impl HttpConfig {
    fn read(reader: &mut Reader<'_>, environment: Option<Environment>) -> Option<Self> {
        let host = reader.value("API_HOST", "127.0.0.1", |text| {
            text.parse().map_err(|_| "an IP address, such as 127.0.0.1, 0.0.0.0 or ::1".to_owned())
        });
        let port = reader.value("API_PORT", "8000", number(0..=u16::MAX));
        let cors = reader.option("CORS_ORIGINS", |text| parse::cors_origins(text, environment));
        let body_mb = reader.value("MAX_REQUEST_BODY_MB", "32", number(1..=1024_usize));
        Some(Self {
            host: host?,
            port: port?,
            cors: cors?.unwrap_or(CorsOrigins::These(Vec::new())),
            max_request_body_bytes: body_mb? * BYTES_PER_MB,
        })
    }
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig").field("pool_size", &self.pool_size).finish_non_exhaustive()
    }
}

impl DatabaseConfig {
    fn read(reader: &mut Reader<'_>, data_dir: Option<&PathBuf>) -> Option<Self> {
        let url = reader.option("DATABASE_URL", parse::database_url);
        let pool_size = reader.value("DATABASE_POOL_SIZE", "20", number(2..=1000));
        let url = match url? {
            Some(url) => url,
            None => parse::sqlite_url_of(&data_dir?.join(DATABASE_FILE)),
        };
        Some(Self { url, pool_size: pool_size? })
    }
}

impl AuthConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let secret_key = reader.secret("SECRET_KEY", secret_key);
        let access =
            reader.value("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "60", number(1..=30 * 24 * SECONDS_PER_MINUTE));
        let refresh = reader.value("JWT_REFRESH_TOKEN_EXPIRE_DAYS", "7", number(1..=365_u64));
        let admin_email = reader.value("ADMIN_EMAIL", "admin@localhost", parse::email);
        let admin_password = reader.secret("ADMIN_PASSWORD", parse::password);
        let allow_registration = reader.value("ALLOW_REGISTRATION", "false", boolean);
        Some(Self {
            secret_key: secret_key?,
            access_token_lifetime: Duration::from_secs(access? * SECONDS_PER_MINUTE),
            refresh_token_lifetime: Duration::from_secs(refresh? * SECONDS_PER_DAY),
            admin_email: admin_email?,
            admin_password: admin_password?,
            allow_registration: allow_registration?,
        })
    }
}

impl UpstreamConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let api_key = reader.secret("ANTHROPIC_API_KEY", parse::header_value);
        let url = reader.value("ANTHROPIC_UPSTREAM_URL", "https://api.anthropic.com", parse::http_url);
        Some(Self { api_key: api_key?, url: url? })
    }
}

impl AgentConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let cli_path = reader.option("CLAUDE_CLI_PATH", path);
        let default_model = reader.value("CLAUDE_SDK_DEFAULT_MODEL", "claude-sonnet-4-5", non_empty);
        let max_retries = reader.value("CLAUDE_SDK_MAX_RETRIES", "3", number(0..=MAX_AGENT_RETRIES));
        let retry_delay = reader.value("CLAUDE_SDK_RETRY_DELAY", "2.0", decimal(0.0..=300.0));
        let timeout = reader.value("CLAUDE_SDK_TIMEOUT_SECONDS", "120", seconds(1..=SECONDS_PER_DAY));
        let mode = reader.value("CLAUDE_SDK_DEFAULT_PERMISSION_MODE", "default", parse::permission_mode);
        Some(Self {
            cli_path: cli_path?,
            default_model: default_model?,
            max_retries: max_retries?,
            retry_delay: Duration::from_secs_f64(retry_delay?),
            timeout: timeout?,
            default_permission_mode: mode?,
        })
    }
}

impl SessionsConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let interactive = reader.value("MAX_CONCURRENT_INTERACTIVE_SESSIONS", "10", number(1..=10_000));
        let background = reader.value("MAX_CONCURRENT_BACKGROUND_SESSIONS", "50", number(1..=10_000));
        // Minutes, as operators know it; a fraction is allowed because a test cannot wait for a whole one.
        let idle_minutes = reader.value("SESSION_IDLE_TIMEOUT_MINUTES", "30", decimal(0.01..=10_080.0));
        let queue_max = reader.value("SESSION_QUEUE_MAX", "16", number(0..=1000));
        let lease = reader.value("SERVER_LEASE_SECONDS", "30", seconds(3..=3600));
        let slot_queue_max = reader.value("SLOT_QUEUE_MAX", "1000", number(0..=10_000));
        let roots = reader.option("WORKING_DIRECTORY_ROOTS", |text| absolute_directories(&list(text)));
        Some(Self {
            max_interactive: interactive?,
            max_background: background?,
            idle_timeout: Duration::from_secs_f64(idle_minutes? * 60.0),
            server_lease: lease?,
            queue_max: queue_max?,
            slot_queue_max: slot_queue_max?,
            working_directory_roots: roots?.unwrap_or_default(),
        })
    }
}

fn seconds(allowed: std::ops::RangeInclusive<u64>) -> impl Fn(&str) -> Result<Duration, String> {
    let read = number(allowed);
    move |text| read(text).map(Duration::from_secs)
}
