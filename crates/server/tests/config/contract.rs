//! Settings that operators use already: more may be added, and none of these is renamed or gets another default.

use server::config::Config;

/// A default that is nothing, made up, or found at start, is empty.
const KNOWN: &[(&str, &str)] = &[
    ("ENVIRONMENT", "development"),
    ("LOG_LEVEL", "info"),
    ("LOG_FORMAT", ""),
    ("API_HOST", "127.0.0.1"),
    ("API_PORT", "8000"),
    ("DATA_DIR", "./data"),
    ("DATABASE_URL", ""),
    ("DATABASE_POOL_SIZE", "20"),
    ("SECRET_KEY", ""),
    ("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "60"),
    ("JWT_REFRESH_TOKEN_EXPIRE_DAYS", "7"),
    ("ADMIN_EMAIL", "admin@localhost"),
    ("ADMIN_PASSWORD", ""),
    ("ALLOW_REGISTRATION", "false"),
    ("CORS_ORIGINS", ""),
    ("RATE_LIMIT_ENABLED", "true"),
    ("RATE_LIMIT_PER_MINUTE", "600"),
    ("RATE_LIMIT_PER_HOUR", "20000"),
    ("ANTHROPIC_API_KEY", ""),
    ("ANTHROPIC_UPSTREAM_URL", "https://api.anthropic.com"),
    ("CLAUDE_CLI_PATH", ""),
    ("CLAUDE_SDK_DEFAULT_MODEL", "claude-sonnet-4-5"),
    ("CLAUDE_SDK_MAX_RETRIES", "3"),
    ("CLAUDE_SDK_RETRY_DELAY", "2.0"),
    ("CLAUDE_SDK_TIMEOUT_SECONDS", "120"),
    ("CLAUDE_SDK_DEFAULT_PERMISSION_MODE", "default"),
    ("STORAGE_PROVIDER", "local"),
    ("AWS_S3_BUCKET", "ai-agent-archives"),
    ("AWS_S3_REGION", "us-east-1"),
    ("AWS_S3_ARCHIVE_PREFIX", "archives/"),
    ("AWS_S3_ENDPOINT", ""),
    ("AWS_ACCESS_KEY_ID", ""),
    ("AWS_SECRET_ACCESS_KEY", ""),
    ("ARCHIVE_COMPRESSION", "gzip"),
    ("ARCHIVE_AUTO_CLEANUP", "true"),
    ("ARCHIVE_RETENTION_DAYS", "90"),
    ("MAX_CONCURRENT_INTERACTIVE_SESSIONS", "10"),
    ("MAX_CONCURRENT_BACKGROUND_SESSIONS", "50"),
    ("SESSION_IDLE_TIMEOUT_MINUTES", "30"),
    ("SESSION_AUTO_ARCHIVE_DAYS", "180"),
    ("MAX_WORKING_DIR_SIZE_MB", "1024"),
    ("MAX_STORAGE_MB", "10240"),
    ("ENABLE_METRICS_COLLECTION", "true"),
    ("METRICS_SNAPSHOT_INTERVAL_SECONDS", "60"),
    ("ENABLE_COST_TRACKING", "true"),
    ("USER_MONTHLY_BUDGET_USD", "100.0"),
    ("ENABLE_AUDIT_HOOK", "true"),
    ("ENABLE_METRICS_HOOK", "true"),
    ("ENABLE_PERSISTENCE_HOOK", "true"),
    ("ENABLE_NOTIFICATION_HOOK", "true"),
    ("ENABLE_CUSTOM_HOOKS", "true"),
    ("ENABLE_CUSTOM_POLICIES", "true"),
    ("DEFAULT_BLOCKED_COMMANDS", "rm -rf, sudo rm, format, mkfs, dd"),
    ("DEFAULT_RESTRICTED_PATHS", "/etc/passwd, /etc/shadow, ~/.ssh, ~/.aws/credentials"),
    ("SANDBOX", ""),
    ("SANDBOX_NETWORK", "gateway"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
    ("OTEL_SERVICE_NAME", ""),
    ("SMTP_HOST", ""),
    ("SMTP_PORT", "587"),
    ("SMTP_USERNAME", ""),
    ("SMTP_PASSWORD", ""),
    ("SMTP_FROM_EMAIL", ""),
];

#[test]
fn settings_that_operators_know_stay_as_they_are() {
    let settings = Config::settings();
    for (name, default) in KNOWN {
        let setting = settings.iter().find(|setting| setting.name == *name);
        let setting = setting.unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!(setting.default.unwrap_or_default(), *default, "{name}");
    }
}
