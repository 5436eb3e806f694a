//! Settings from a map, from their three sources, and as the documents show them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

#[path = "config/contract.rs"]
mod contract;
#[path = "config/oidc.rs"]
mod oidc;

use std::{collections::BTreeMap, path::Path, time::Duration};

use domain::{Budget, MicroUsd, WhenExhausted};
use monitoring::telemetry::{AgentReports, Content, Protocol, Sampler, Share};
use secrecy::ExposeSecret;
use server::config::{Config, ConfigErrors, ConfigFile, CorsOrigins, Environment, Sandbox, Setting, Sources};

const EXAMPLE: &str = include_str!("../../../.env.example");
const DOCUMENT: &str = include_str!("../../../docs/configuration.md");
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn config(pairs: &[(&str, &str)]) -> Config {
    Config::from_map(&map(pairs)).unwrap()
}

fn mistake(name: &str, value: &str) -> String {
    let errors = Config::from_map(&map(&[(name, value)])).unwrap_err();
    let [mistake] = errors.mistakes() else { panic!("{errors}") };
    assert_eq!(mistake.name, name);
    mistake.to_string()
}

fn resolve(environment: &[(&str, &str)], dotenv: &str, toml: Option<&str>) -> Result<Config, ConfigErrors> {
    let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let file = toml.map(|text| ConfigFile { path: "steward.toml".into(), text: text.to_owned() });
    Sources::new(environment, dotenv.to_owned(), file).resolve()
}

#[test]
fn nothing_given_is_a_whole_configuration() {
    let config = config(&[]);
    assert_eq!(config.environment, Environment::Development);
    assert_eq!((config.http.host.to_string().as_str(), config.http.port), ("127.0.0.1", 8000));
    assert_eq!(config.http.cors, CorsOrigins::These(Vec::new()));
    assert_eq!(config.http.max_request_body_bytes, 32 * 1024 * 1024);
    assert_eq!(config.database.url, "sqlite://./data/steward.db");
    assert_eq!(config.auth.access_token_lifetime, Duration::from_secs(3600));
    assert_eq!(config.auth.refresh_token_lifetime, Duration::from_secs(7 * 86_400));
    assert!(config.auth.secret_key.is_none() && config.auth.admin_password.is_none());
    assert!(!config.auth.allow_registration);
    assert_eq!(config.upstream.url, "https://api.anthropic.com");
    assert_eq!(config.agent.default_model, "claude-sonnet-4-5");
    assert_eq!(config.agent.retry_delay, Duration::from_secs(2));
    assert_eq!(config.sessions.idle_timeout, Duration::from_secs(1800));
    assert_eq!((config.sessions.max_interactive, config.sessions.max_background), (10, 50));
    let budget = Budget { limit: MicroUsd(100_000_000), when_exhausted: WhenExhausted::Block };
    assert_eq!((config.costs.is_enabled, config.costs.user_budget), (true, Some(budget)));
    let traffic = &config.traffic;
    let limit = traffic.rate_limit.unwrap();
    assert_eq!((limit.per_minute.get(), limit.per_hour.get()), (600, 20_000));
    assert_eq!((traffic.proxies.trusted.len(), traffic.hsts_max_age), (0, None));
    assert_eq!(config.shutdown_delay, Duration::ZERO);
    assert_eq!(config.health.handshake_age, Some(Duration::from_secs(300)));
    assert_eq!(config.health.disk.free_bytes_min, 512 << 20);
}

#[test]
fn values_become_types() {
    let config = config(&[
        ("API_HOST", "::1"),
        ("API_PORT", " 0 "),
        ("CORS_ORIGINS", "https://App.example.com/, http://localhost:3000"),
        ("DATABASE_URL", "sqlite:///var/lib/steward/s.db"),
        ("SECRET_KEY", KEY),
        ("ANTHROPIC_UPSTREAM_URL", "http://127.0.0.1:9/base/"),
        ("SESSION_IDLE_TIMEOUT_MINUTES", "0.05"),
        ("WORKING_DIRECTORY_ROOTS", "/srv/a, /srv/b"),
        ("SANDBOX", "bwrap"),
        ("SANDBOX_READABLE", "/opt/go,/nix"),
        ("SANDBOX_MEMORY_MB", "0"),
        ("MAX_WORKING_DIR_SIZE_MB", "2"),
        ("DEFAULT_BLOCKED_COMMANDS", "none"),
        ("DEFAULT_RESTRICTED_PATHS", "~/.ssh, **/*.pem"),
        ("ALLOWED_HOSTS", "example.com, *.example.org, 10.0.0.0/8"),
        ("USER_MONTHLY_BUDGET_USD", "0.50"),
        ("BUDGET_WHEN_EXHAUSTED", "pause"),
        ("ALLOW_REGISTRATION", "True"),
        ("ADMIN_EMAIL", ""),
    ]);
    assert_eq!(config.http.host.to_string(), "::1");
    assert_eq!(config.http.port, 0);
    let origins = ["https://app.example.com", "http://localhost:3000"].map(str::to_owned).to_vec();
    assert_eq!(config.http.cors, CorsOrigins::These(origins));
    assert_eq!(config.database.url, "sqlite:///var/lib/steward/s.db");
    assert_eq!(config.auth.secret_key.unwrap().expose_secret(), KEY);
    assert_eq!(config.upstream.url, "http://127.0.0.1:9/base");
    assert_eq!(config.sessions.idle_timeout, Duration::from_secs(3));
    assert_eq!(config.sessions.working_directory_roots.len(), 2);
    assert_eq!(config.containment.sandbox, Some(Sandbox::Bubblewrap));
    assert_eq!(config.containment.readable, [Path::new("/opt/go"), Path::new("/nix")]);
    assert_eq!((config.containment.memory_bytes_max, config.containment.processes_max), (None, Some(512)));
    assert_eq!(config.containment.disk_bytes_max, Some(2 << 20));
    let lists = &config.governance;
    let lengths = (lists.blocked_commands.len(), lists.restricted_paths.len(), lists.allowed_hosts.len());
    assert_eq!(lengths, (0, 2, 3));
    let budget = Budget { limit: MicroUsd(500_000), when_exhausted: WhenExhausted::Pause };
    assert_eq!(config.costs.user_budget, Some(budget));
    assert!(self::config(&[("USER_MONTHLY_BUDGET_USD", "none")]).costs.user_budget.is_none());
    assert!(config.auth.allow_registration);
    assert_eq!(config.auth.admin_email, "admin@localhost");
}

#[test]
fn nothing_is_exported_before_somebody_says_where_to() {
    let telemetry = config(&[]).telemetry;
    assert!(telemetry.traces.is_none() && telemetry.metrics.is_none() && telemetry.logs.is_none());
    assert_eq!((telemetry.service.name.as_str(), telemetry.content), ("steward", Content::Hidden));
    assert_eq!(telemetry.agents, AgentReports::Off, "nobody asked for it");
    assert_eq!(config(&[("AGENT_TELEMETRY", "true")]).telemetry.agents, AgentReports::On);
}

#[test]
fn one_endpoint_is_for_all_signals_and_each_may_have_its_own() {
    let telemetry = config(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20verysecret"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "500"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/own.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/own.key"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=ours,deployment.environment.name=a%20b"),
    ])
    .telemetry;
    let (traces, metrics) = (telemetry.traces.unwrap(), telemetry.metrics.unwrap());
    assert_eq!((traces.endpoint.as_str(), traces.protocol), ("https://traces:4317", Protocol::Grpc));
    assert_eq!(traces.timeout, Duration::from_millis(500));
    assert_eq!(metrics.endpoint, "http://collector:4318/v1/metrics");
    assert_eq!(metrics.protocol, Protocol::HttpProtobuf);
    assert_eq!(metrics.headers[0].1.expose_secret(), "Bearer verysecret");
    assert!(!format!("{traces:?} {metrics:?}").contains("verysecret"));
    assert_eq!(traces.tls.certificate.as_deref(), Some(Path::new("/traces.pem")));
    assert_eq!(metrics.tls.certificate.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(traces.tls.client, metrics.tls.client);
    let client = traces.tls.client.unwrap();
    assert_eq!(
        (client.certificate.as_path(), client.key.as_path()),
        (Path::new("/own.pem"), Path::new("/own.key"))
    );
    assert!(telemetry.logs.is_none());
    assert_eq!(telemetry.agents, AgentReports::On);
    assert_eq!(telemetry.sampler, Sampler::ParentBased(Share::Ratio(0.25)));
    assert_eq!(telemetry.service.name, "ours");
    assert_eq!(telemetry.service.attributes[1].1, "a b");
}

#[test]
fn disabled_is_disabled_whatever_else_is_set() {
    let telemetry = config(&[
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
    ])
    .telemetry;
    assert!(telemetry.traces.is_none() && telemetry.metrics.is_none() && telemetry.logs.is_none());
    assert_eq!(telemetry.agents, AgentReports::Off);
}

#[test]
fn each_wrong_value_is_named_with_what_is_allowed() {
    for (name, value, allowed) in [
        ("ENVIRONMENT", "staging", "development or production"),
        ("LOG_LEVEL", "verbose", "error, warn, info"),
        ("LOG_FORMAT", "xml", "text or json"),
        ("API_HOST", "localhost", "an IP address"),
        ("API_PORT", "65536", "from 0 to 65535"),
        ("RATE_LIMIT_PER_MINUTE", "0", "from 1 to 10000000"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, proxy", "addresses and networks such as 10.0.0.0/8, between commas"),
        ("TRUSTED_PROXY_HEADER", "via", "x-forwarded-for or forwarded"),
        ("CORS_ORIGINS", "example.com", "origins such as"),
        ("CORS_ORIGINS", "https://a.example/x", "origins such as"),
        ("CORS_ORIGINS", "*, https://a.example", "either * alone"),
        ("DATABASE_POOL_SIZE", "1", "from 2 to 1000"),
        ("DATABASE_URL", "mysql://x", "sqlite://"),
        ("DATABASE_URL", "postgres://host", "postgres://user:password@host:port/database"),
        ("DATABASE_URL", "sqlite::memory:", "path of a file"),
        ("DATABASE_URL", "sqlite://", "path of a file"),
        ("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "1.5", "a whole number"),
        ("ADMIN_EMAIL", "admin", "an e-mail address"),
        ("ALLOW_REGISTRATION", "maybe", "true or false"),
        ("ANTHROPIC_UPSTREAM_URL", "ftp://a", "http://"),
        ("CLAUDE_SDK_RETRY_DELAY", "NaN", "from 0 to 300"),
        ("CLAUDE_SDK_DEFAULT_PERMISSION_MODE", "yolo", "acceptEdits"),
        ("SESSION_IDLE_TIMEOUT_MINUTES", "0", "from 0.01 to"),
        ("WORKING_DIRECTORY_ROOTS", "/srv/a,b", "absolute directories"),
        ("WORKING_DIRECTORY_ROOTS", "/", "absolute directories"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "http:// or https://"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "grpc or http/protobuf"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "soon", "in milliseconds"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "br", "none or gzip"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "otlp or none"),
        ("OTEL_RESOURCE_ATTRIBUTES", "prod", "key=value"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "from 0 to 1"),
        ("OTEL_PROPAGATORS", "b3", "tracecontext"),
        ("AGENT_TELEMETRY", "perhaps", "true or false"),
        ("SANDBOX", "on", "bwrap or off"),
        ("SANDBOX_NETWORK", "none", "open, gateway or off"),
        ("SANDBOX_READABLE", "/opt,tools", "absolute paths"),
        ("SANDBOX_MEMORY_MB", "-1", "from 0 to"),
        ("WORKING_DIRECTORY_ROOTS", "/srv/../etc", "absolute directories"),
        ("DEFAULT_RESTRICTED_PATHS", "/etc/passwd, etc/shadow", "absolute paths"),
        ("DEFAULT_RESTRICTED_PATHS", "/etc/../x", "without .."),
        ("DEFAULT_BLOCKED_COMMANDS", "rm | cat", "one simple command"),
        ("ALLOWED_HOSTS", "https://example.com", "host names"),
        ("BLOCKED_HOSTS", "10.0.0.0/40", "networks"),
        ("ENABLE_COST_TRACKING", "sometimes", "true or false"),
        ("USER_MONTHLY_BUDGET_USD", "-1", "from 0 to 1000000000"),
        ("USER_MONTHLY_BUDGET_USD", "0.1234567", "at most 6 decimals"),
        ("BUDGET_WHEN_EXHAUSTED", "stop", "block, pause or warn"),
        ("UNKNOWN_MODEL", "free", "deny or highest"),
        ("STORAGE_PROVIDER", "gcs", "local or s3"),
        ("AWS_S3_BUCKET", "My_Bucket", "lower-case letters"),
        ("AWS_S3_ARCHIVE_PREFIX", "../up", "folders such as"),
        ("AWS_S3_ENDPOINT", "localhost:9000", "http://"),
        ("ARCHIVE_COMPRESSION", "rar", "gzip, zstd, none, zip"),
        ("ARCHIVE_RETENTION_DAYS", "-1", "from 0 to"),
        ("ARCHIVE_MAX_FILE_SIZE_MB", "0", "from 1 to"),
        ("REPORTS_AT_ONCE_MAX", "0", "from 1 to"),
        ("REPORT_TIMEOUT_SECONDS", "601", "from 1 to 600"),
        ("REPORT_FONTS_DIR", "/nowhere/fonts", "a folder that is there"),
        ("SMTP_TLS", "ssl", "starttls, tls or off"),
        ("SMTP_PORT", "0", "from 1 to 65535"),
        ("SMTP_FROM_EMAIL", "Steward", "mail addresses such as"),
        ("ALERT_EMAIL_TO", "ops@example.com, nobody", "mail addresses such as"),
        ("ALERT_WEBHOOK_URL", "example.com/alerts", "http:// or https://"),
        ("METRICS_SNAPSHOT_INTERVAL_SECONDS", "0", "from 1 to"),
        ("METRICS_RETENTION_DAYS", "-1", "from 0 to"),
        ("METRICS_HOST", "everywhere", "an IP address"),
        ("METRICS_PORT", "65536", "from 0 to 65535"),
        ("HEALTH_INTERVAL_SECONDS", "0", "from 1 to"),
        ("HEALTH_ALERT_ROUNDS", "0", "from 1 to"),
        ("HEALTH_FREE_DISK_MB", "-1", "from 0 to"),
    ] {
        let text = mistake(name, value);
        assert!(text.starts_with(&format!("{name}={value}: ")) && text.contains(allowed), "{text}");
    }
}

#[test]
fn the_database_is_in_the_data_directory_whatever_its_name() {
    let config = config(&[("DATA_DIR", "/srv/100%? #1")]);
    assert_eq!(config.database.url, "sqlite:///srv/100%25%3F %231/steward.db");
}

#[test]
fn a_postgres_is_taken_as_it_is_and_its_password_is_never_shown() {
    let url = "postgres://steward:hunter2@db/steward?sslmode=verify-full";
    let config = config(&[("DATABASE_URL", url)]);
    assert_eq!(config.database.url, url);
    assert!(!format!("{config:?}").contains("hunter2"));
    let text = mistake("DATABASE_URL", "postgres://steward:hunter2@db");
    assert!(text.contains("postgres://***@db") && !text.contains("hunter2"), "{text}");
}

#[test]
fn archives_go_to_a_bucket_if_that_is_asked_for() {
    let credentials = [("AWS_ACCESS_KEY_ID", "AKIDVERYSECRET"), ("AWS_SECRET_ACCESS_KEY", "hush-hush-hush")];
    assert!(config(&credentials).storage.s3.is_none(), "a bucket's settings alone ask for nothing");
    let asked = [
        ("STORAGE_PROVIDER", "s3"),
        ("AWS_S3_ARCHIVE_PREFIX", "/team/a"),
        ("ARCHIVE_RETENTION_DAYS", "0"),
        ("SESSION_AUTO_ARCHIVE_DAYS", "2"),
        ("ARCHIVE_EXCLUDE", "node_modules/, *.o"),
    ];
    let storage = config(&[&credentials[..], &asked].concat()).storage;
    let debug = format!("{storage:?}");
    assert!(!debug.contains("VERYSECRET") && !debug.contains("hush"), "{debug}");
    let s3 = storage.s3.unwrap();
    assert_eq!((s3.bucket.as_str(), s3.prefix.as_str()), ("ai-agent-archives", "team/a/"));
    assert_eq!(s3.credentials.unwrap().0.expose_secret(), "AKIDVERYSECRET");
    assert_eq!(storage.retention, None);
    assert_eq!(storage.auto_archive_after, Some(Duration::from_secs(2 * 86_400)));
    assert_eq!(storage.excludes, ["node_modules/", "*.o"]);
    for half in credentials {
        let errors = Config::from_map(&map(&[half])).unwrap_err().to_string();
        assert!(errors.contains("or neither") && !errors.contains(half.1), "{errors}");
    }
}

#[test]
fn a_client_certificate_comes_with_its_key() {
    for (given, missing) in [
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
        ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE"),
    ] {
        let errors = Config::from_map(&map(&[(given, "/own.pem")])).unwrap_err().to_string();
        assert!(errors.contains(missing) && errors.contains("go together"), "{errors}");
    }
}

#[test]
fn alerts_are_told_as_far_as_that_is_set_up() {
    let none = config(&[("SMTP_PORT", "25"), ("SMTP_USERNAME", "x")]).alerts;
    assert!(none.webhook.is_none() && none.mail.is_none(), "nobody is asked to tell anything");

    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
    let mail = [
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_TLS", "off"),
        ("SMTP_USERNAME", "steward"),
        ("SMTP_PASSWORD", "hush-hush-hush"),
        ("SMTP_FROM_EMAIL", "Steward <steward@example.com>"),
        ("ALERT_EMAIL_TO", "ops@example.com, Boss <boss@example.com>"),
    ];
    let webhook =
        [("ALERT_WEBHOOK_URL", "https://example.com/alerts?to=ops"), ("ALERT_WEBHOOK_SECRET", secret)];
    let alerts = config(&[&mail[..], &webhook].concat()).alerts;
    let debug = format!("{alerts:?}");
    assert!(!debug.contains("hush") && !debug.contains(secret), "{debug}");
    let told = alerts.mail.unwrap();
    assert_eq!((told.host.as_str(), told.port, told.operators.len()), ("127.0.0.1", 587, 2));
    assert_eq!(alerts.webhook.unwrap().url, "https://example.com/alerts?to=ops");

    for (without, named) in [
        ("SMTP_FROM_EMAIL", "SMTP_FROM_EMAIL"),
        ("SMTP_PASSWORD", "or neither"),
        ("SMTP_USERNAME", "or neither"),
        ("SMTP_HOST", "SMTP_HOST"),
        ("ALERT_WEBHOOK_SECRET", "or neither"),
        ("ALERT_WEBHOOK_URL", "or neither"),
    ] {
        let given: Vec<_> =
            mail.iter().chain(&webhook).filter(|(name, _)| *name != without).copied().collect();
        let errors = Config::from_map(&map(&given)).unwrap_err().to_string();
        assert!(errors.contains(named) && !errors.contains("hush"), "{errors}");
    }
    let elsewhere = [&mail[1..], &[("SMTP_HOST", "mail.example.com")]].concat();
    let errors = Config::from_map(&map(&elsewhere)).unwrap_err().to_string();
    assert!(errors.contains("SMTP_TLS"), "a password in clear over the network: {errors}");
    let text = mistake("ALERT_WEBHOOK_SECRET", "whsec_c2hvcnQ=");
    assert!(!text.contains("c2hvcnQ"), "{text}");
}

#[test]
fn any_origin_is_for_development_only() {
    assert_eq!(config(&[("CORS_ORIGINS", "*")]).http.cors, CorsOrigins::Any);
    let errors = Config::from_map(&map(&[("CORS_ORIGINS", "*"), ("ENVIRONMENT", "production")])).unwrap_err();
    assert!(errors.to_string().contains("not allowed in production"), "{errors}");
}

#[test]
fn a_guessable_secret_is_refused_and_never_shown() {
    for (name, value) in [
        ("SECRET_KEY", "changeme-changeme"),
        ("SECRET_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("ADMIN_PASSWORD", "short-pass"),
        ("ADMIN_PASSWORD", "111111111111111"),
        ("ANTHROPIC_API_KEY", "sk-ant spaced"),
        ("METRICS_TOKEN", "too-short"),
        ("METRICS_TOKEN", "a token with spaces in it"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a-token-without-a-name"),
    ] {
        let text = mistake(name, value);
        assert!(!text.contains(value), "{text}");
    }
    let config = config(&[("SECRET_KEY", KEY), ("ANTHROPIC_API_KEY", "sk-ant-verysecret")]);
    let debug = format!("{config:?}");
    assert!(!debug.contains(KEY) && !debug.contains("verysecret"), "{debug}");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let errors = resolve(
        &[("API_PORT", "x"), ("SECRET_KEY", "short"), ("LOG_LEVEL", "loud")],
        "this is not a pair\nAPI_HOST=nowhere\n",
        Some("database_pool_size = 0\nnot_a_setting = 1\n"),
    )
    .unwrap_err();
    let named: Vec<&str> = errors.mistakes().iter().map(|mistake| mistake.name.as_str()).collect();
    assert_eq!(
        named,
        [
            "not_a_setting in steward.toml",
            ".env",
            "LOG_LEVEL",
            "API_HOST",
            "API_PORT",
            "DATABASE_POOL_SIZE",
            "SECRET_KEY"
        ]
    );
    assert!(errors.to_string().starts_with("read the settings:\n  not_a_setting"), "{errors}");
}

#[test]
fn the_environment_wins_over_dotenv_and_that_over_the_file() {
    let toml = "api_port = 1\nLOG_FORMAT = \"json\"\ndata_dir = \"/from/file\"\n\
                cors_origins = [\"https://a.example\", \"https://b.example\"]";
    let dotenv = "# comment\nexport API_PORT=2\nDATA_DIR='/from/dotenv'\nUNRELATED=1\n";
    let config = resolve(&[("API_PORT", "3"), ("DATA_DIR", ""), ("HOME", "/x")], dotenv, Some(toml)).unwrap();
    assert_eq!(config.http.port, 3);
    assert_eq!(config.data_dir.to_str(), Some("/from/dotenv"));
    assert!(config.log.format.is_some());
    assert!(matches!(config.http.cors, CorsOrigins::These(origins) if origins.len() == 2));
}

#[test]
fn a_broken_file_is_reported_without_showing_its_lines() {
    let toml = resolve(&[], "", Some("api_port = 1\nsecret_key = \"hunter2hunter2\" oops\n")).unwrap_err();
    assert!(toml.to_string().contains("steward.toml: line 2: "), "{toml}");
    assert!(!toml.to_string().contains("hunter2"), "{toml}");

    let dotenv = resolve(&[], "SECRET_KEY hunter2hunter2\n", None).unwrap_err();
    assert!(dotenv.to_string().contains(".env: "), "{dotenv}");
    assert!(!dotenv.to_string().contains("hunter2"), "{dotenv}");
}

#[test]
fn toml_names_are_settings_in_one_spelling_each_and_values_are_flat() {
    for (toml, problem) in [
        ("Api_Port = 1", "Api_Port in steward.toml: is not a setting"),
        ("api_port = 1\nAPI_PORT = 2", "api_port in steward.toml: is given twice"),
        ("[api_port]\nx = 1", "api_port in steward.toml: must be a text"),
        ("cors_origins = [\"a,b\"]", "cors_origins in steward.toml: must be a text"),
    ] {
        let errors = resolve(&[], "", Some(toml)).unwrap_err();
        assert!(errors.to_string().contains(problem), "{errors}");
    }
}

#[test]
fn no_setting_is_asked_for_twice() {
    let mut names: Vec<&str> = Config::settings().iter().map(|setting| setting.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// Each setting is one line of meaning, then the setting with its default, ready to be uncommented.
#[test]
fn the_example_file_shows_every_setting_with_its_default() {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let mut shown = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some((name, default)) = line.strip_prefix('#').and_then(|line| line.split_once('=')) else {
            continue;
        };
        if name.contains(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_') {
            continue;
        }
        assert!(lines[index - 1].starts_with("# "), "{name} has no line of meaning");
        // A value with spaces in it has to be quoted there.
        shown.push((name, default.trim_matches('"')));
    }
    let wanted: Vec<(&str, &str)> =
        Config::settings().iter().map(|setting| (setting.name, setting.default.unwrap_or(""))).collect();
    assert_eq!(shown, wanted);
}

#[test]
fn the_example_file_uncommented_changes_nothing() {
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| if line.starts_with("# ") { "" } else { line.trim_start_matches('#') })
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(uncommented.contains("\nAPI_PORT=8000\n"));
    let config = resolve(&[], &uncommented, None).unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", self::config(&[])));
}

/// Rows of the form: | `NAME` | default | meaning |.
#[test]
fn the_document_has_a_row_for_every_setting_with_its_default() {
    let rows: Vec<(String, String)> = DOCUMENT
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, default, meaning] = cells[..] else { panic!("three cells are wanted: {line}") };
            assert!(meaning.len() > 5, "{name} has no meaning");
            (name.trim_matches('`').to_owned(), default.to_owned())
        })
        .collect();
    let named: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
    let settings = Config::settings();
    assert_eq!(named, settings.iter().map(|setting| setting.name).collect::<Vec<_>>());
    for (Setting { name, default, .. }, (_, shown)) in settings.iter().zip(&rows) {
        match default {
            Some(default) => assert_eq!(shown, &format!("`{default}`"), "{name}"),
            None => assert!(!shown.contains('`'), "{name} has no default, but {shown} is shown"),
        }
    }
}
