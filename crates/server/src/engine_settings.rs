//! The engine's settings: from what the operator wrote to what the engine takes.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use anyhow::Context;
use engine::{
    AgentSettings, ContainmentSettings, DirectorySettings, EngineSettings, GovernanceSettings, HookSettings,
    LimitSettings, McpSettings, PolicyChoice, Reporting, ServerSettings, SessionDefaults, SnapshotSettings,
};
use monitoring::telemetry::{AgentReports, Content};
use permissions::{NetworkSettings, PathSettings, PolicySettings};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    archives,
    config::{Config, HooksConfig, TelemetryConfig},
    data_dir::DataDir,
    keyring,
    sandbox::Decided,
};

/// All of them. `cli` is the agent's program or why there is none, `key` what webhooks' secrets are sealed with.
pub(crate) fn engine_settings(
    config: &Config,
    data_dir: &DataDir,
    key: &SecretString,
    server: ServerSettings,
    cli: Result<PathBuf, String>,
    sandbox: &Decided,
) -> anyhow::Result<EngineSettings> {
    let containment = &config.containment;
    let directories = data_dir.directories(config.sessions.working_directory_roots.clone())?;
    Ok(EngineSettings {
        server,
        agent: AgentSettings {
            cli,
            env: agent_env(),
            host_marker: data_dir.host_marker.clone(),
            reporting: reporting(&config.telemetry),
        },
        defaults: SessionDefaults {
            model: config.agent.default_model.clone(),
            permission_mode: config.agent.default_permission_mode.clone(),
            max_retries: config.agent.max_retries,
            retry_delay: config.agent.retry_delay,
            timeout_seconds: u32::try_from(config.agent.timeout.as_secs())?,
        },
        limits: LimitSettings {
            interactive_agents_max: config.sessions.max_interactive,
            background_agents_max: config.sessions.max_background,
            idle_timeout: config.sessions.idle_timeout,
            queue_max: config.sessions.queue_max,
            slot_queue_max: config.sessions.slot_queue_max,
        },
        governance: governance(config, data_dir, &directories),
        hooks: hooks(config, key)?,
        mcp: mcp_settings(config, data_dir)?,
        archives: archives::settings(&config.storage)?,
        snapshots: SnapshotSettings {
            interval: config.metrics.snapshot_interval,
            retention: config.metrics.retention,
        },
        directories,
        containment: ContainmentSettings {
            sandbox: sandbox.settings(),
            memory_bytes_max: containment.memory_bytes_max,
            processes_max: containment.processes_max,
            turn_cpu_time_max: containment.turn_cpu_time_max,
            niceness: containment.niceness,
            disk_bytes_max: containment.disk_bytes_max,
        },
    })
}

/// What agents may do.
fn governance(config: &Config, data_dir: &DataDir, directories: &DirectorySettings) -> GovernanceSettings {
    let lists = config.governance.clone();
    let paths = PathSettings {
        restricted: lists.restricted_paths,
        user_home: std::env::home_dir(),
        writable: Vec::new(),
        hidden: vec![data_dir.path.clone(), directories.temporary.clone()],
    };
    let network = NetworkSettings { allowed: lists.allowed_hosts, blocked: lists.blocked_hosts };
    let policies = PolicySettings { blocked_commands: lists.blocked_commands, paths, network };
    let policy_choice = if lists.custom_policies { PolicyChoice::Open } else { PolicyChoice::Closed };
    GovernanceSettings {
        policies,
        policy_choice,
        approvals: config.approvals,
        ..GovernanceSettings::default()
    }
}

fn hooks(config: &Config, key: &SecretString) -> anyhow::Result<HookSettings> {
    let HooksConfig { switches, allow_private_addresses } = config.hooks;
    let settings = HookSettings::new(key.expose_secret().as_bytes(), allow_private_addresses);
    let settings = settings.map_err(anyhow::Error::from_boxed).context("could not set up hooks")?;
    Ok(HookSettings { switches, ..settings })
}

/// How the MCP servers of people are kept and reached.
fn mcp_settings(config: &Config, data_dir: &DataDir) -> anyhow::Result<McpSettings> {
    let keys = keyring::of(config, &data_dir.path)?;
    let settings = McpSettings::new(keys, config.mcp.allow_private_addresses);
    settings.map_err(anyhow::Error::from_boxed).context("could not set up MCP servers")
}

/// What agents report about themselves: of spans and log records, what somebody takes.
fn reporting(telemetry: &TelemetryConfig) -> Option<Reporting> {
    (telemetry.agents == AgentReports::On).then(|| Reporting {
        traces: telemetry.traces.is_some(),
        logs: telemetry.logs.is_some(),
        content: telemetry.content == Content::Captured,
    })
}

/// What agents see of this process's environment: enough to find programs, and no secret.
fn agent_env() -> BTreeMap<String, String> {
    let passed_on = ["PATH", "LANG", "LC_ALL", "TZ", "SHELL", "SSL_CERT_FILE", "SSL_CERT_DIR"];
    let text = |value: OsString| value.into_string().ok();
    let mut env: BTreeMap<String, String> = passed_on
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var_os(name).and_then(text)?)))
        .collect();
    env.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
    env.insert("TERM".to_owned(), "dumb".to_owned());
    env
}
