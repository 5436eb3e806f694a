//! The doctor: looks at an installation and says what is wrong with it, what that means and what to do.
//!
//! ```no_run
//! use sdk_runtime::{AgentOptions, doctor::{DoctorOptions, doctor}};
//!
//! # async fn run() {
//! let options = AgentOptions::default().with_cwd("/srv/demo");
//! let report = doctor(&DoctorOptions::new(options)).await;
//! println!("{report}");
//! assert!(report.is_healthy());
//! # }
//! ```

mod checks;
mod report;

use std::{path::PathBuf, time::Instant};

pub use self::report::{Check, Finding, Report, Severity};
use crate::{
    agent::Agent,
    error::Error,
    hook::{Hook, HookInput, HookOutput, HookRegistration, SeamError},
    initialized::{Initialized, probe},
    options::{AgentOptions, SessionStart},
    process::{self, ProcessLauncher},
};

/// What to examine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DoctorOptions {
    /// The options agents are started with. An empty `cli` has it looked for.
    pub agent: AgentOptions,
    /// Whether an agent is started, spoken to and ended again. It asks the model nothing and has no
    /// session. Only this shows whether credentials are there and hooks are safe.
    pub has_handshake: bool,
}

impl DoctorOptions {
    /// Examines these options, with a handshake.
    pub fn new(agent: AgentOptions) -> Self {
        Self { agent, has_handshake: true }
    }

    /// Sets `has_handshake`.
    #[must_use]
    pub fn with_handshake(mut self, has_handshake: bool) -> Self {
        self.has_handshake = has_handshake;
        self
    }
}

/// Examines an installation. Bounded by the time-outs of the options; starts the CLI twice at most and
/// leaves nothing running. Makes the configuration directory if an agent of these options would.
///
/// Cancel safe.
pub async fn doctor(options: &DoctorOptions) -> Report {
    let mut report = Report::default();
    let mut agent = options.agent.clone();
    if let Some(cli) = find_cli(&agent, &mut report) {
        agent.cli = cli;
        check_version(&agent, &mut report).await;
    }
    let looked = tokio::task::spawn_blocking({
        let agent = agent.clone();
        move || checks::all(&agent)
    });
    // A check that panics is a fault of ours; the rest still counts.
    report.extend(looked.await.unwrap_or_default());
    check_jail(&agent, &mut report).await;
    let is_startable = !report.findings().iter().any(Finding::keeps_agents_from_starting);
    if options.has_handshake && is_startable {
        shake_hands(agent, &mut report).await;
    }
    report
}

fn find_cli(agent: &AgentOptions, report: &mut Report) -> Option<PathBuf> {
    let explicit = Some(agent.cli.as_path()).filter(|cli| !cli.as_os_str().is_empty());
    // A path is taken as it is: what is wrong with it is for the run to tell.
    if let Some(path) = explicit.filter(|cli| cli.components().count() > 1 && cli.exists()) {
        report.ok(Check::Cli, format!("the agent CLI is {}", path.display()));
        return Some(path.to_owned());
    }
    let found = match (explicit, agent.env.get("PATH")) {
        // A bare name is looked up in the agent's own PATH.
        (Some(name), Some(path)) => checks::find_program(name, path),
        _ => process::find_cli(explicit).ok(),
    };
    match found {
        Some(path) => {
            report.ok(Check::Cli, format!("the agent CLI is {}", path.display()));
            Some(path)
        }
        None => {
            let places = process::cli_places(explicit);
            let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
            report.error(
                Check::Cli,
                format!("no agent CLI was found; looked at {}", places.join(", ")),
                "install it with `npm install -g @anthropic-ai/claude-code`, or give its path in \
                 AgentOptions::cli",
            );
            None
        }
    }
}

async fn check_version(agent: &AgentOptions, report: &mut Report) {
    match probe(&agent.cli).await {
        Ok(version) => report.ok(Check::Version, format!("it is version {version}")),
        Err(error @ Error::CliTooOld { .. }) => report.error(
            Check::Version,
            could_not(&error),
            "update it: `npm install -g @anthropic-ai/claude-code@latest`",
        ),
        Err(Error::VersionUnreadable { printed }) => report.error(
            Check::Version,
            format!("asked for its version it printed {printed:?}, in time or not at all"),
            "run it with --version by hand; a package installed with --ignore-scripts leaves a stub in its place",
        ),
        Err(error) => report.error(
            Check::Runs,
            could_not(&error),
            "check the file: its mode, its interpreter, and that it is made for this machine and its C library",
        ),
    }
}

async fn check_jail(agent: &AgentOptions, report: &mut Report) {
    let wanted = agent.containment.jail.clone();
    let is_wanted = wanted.is_some();
    match process::try_jail(&wanted.unwrap_or_default()).await {
        Ok(()) => report.ok(Check::Jail, "a bubblewrap jail can be had".to_owned()),
        Err(error) if is_wanted => report.error(Check::Jail, could_not(&error), checks::JAIL_ADVICE),
        Err(error) => report.note(Check::Jail, could_not(&error), checks::JAIL_ADVICE),
    }
    let max = std::fs::read_to_string("/proc/sys/user/max_user_namespaces");
    let apparmor = std::fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    let clone = std::fs::read_to_string("/proc/sys/kernel/unprivileged_userns_clone");
    let severity = if is_wanted { Severity::Warning } else { Severity::Note };
    report.extend(checks::user_namespaces(
        [max.ok(), clone.ok(), apparmor.ok()].map(Option::unwrap_or_default),
        checks::is_root(),
        severity,
    ));
}

struct Silent;

#[async_trait::async_trait]
impl Hook for Silent {
    async fn on(&self, _input: HookInput) -> Result<HookOutput, SeamError> {
        Ok(HookOutput::proceed())
    }
}

async fn shake_hands(agent: AgentOptions, report: &mut Report) {
    let began = Instant::now();
    // Hooks as a host would have them, so that a CLI that ignores their failures is found out.
    let hook = HookRegistration::new("PreToolUse", std::sync::Arc::new(Silent));
    let options = agent.with_session(SessionStart::Unspecified).with_hook(hook);
    match Agent::start(&ProcessLauncher, options).await {
        Ok((agent, _events)) => {
            let took = began.elapsed();
            report.ok(Check::Handshake, format!("an agent started and answered within {took:.1?}"));
            report.ok(Check::Hooks, "a hook that fails stops its tool".to_owned());
            report.extend(credentials(agent.initialized()));
            agent.kill().await;
        }
        Err(error @ Error::HooksFailOpen { .. }) => report.error(
            Check::Hooks,
            could_not(&error),
            "update the CLI; hooks of this one are no protection",
        ),
        Err(error) => {
            let advice = match &error {
                Error::HandshakeTimeout { .. } => {
                    "look whether the machine is overloaded or the CLI waits for the network, or raise \
                     Limits::initialize_timeout"
                }
                Error::NotContained { .. } => checks::JAIL_ADVICE,
                Error::Spawn { .. } => "look at the limits of the user: processes, open files, memory",
                _ => "what the CLI said is the reason; run it by hand with the same environment",
            };
            report.error(Check::Handshake, could_not(&error), advice);
        }
    }
}

fn credentials(initialized: &Initialized) -> Vec<Finding> {
    let account = &initialized.raw["account"];
    let named = |key: &str| account[key].as_str().filter(|source| !source.is_empty() && *source != "none");
    let provider = account["apiProvider"].as_str().unwrap_or("firstParty");
    match named("tokenSource").or_else(|| named("apiKeySource")) {
        Some(source) => vec![Finding::ok(Check::Credentials, format!("credentials come from {source}"))],
        None if provider != "firstParty" => {
            vec![Finding::ok(Check::Credentials, format!("the model is reached through {provider}"))]
        }
        None => vec![Finding::new(
            Check::Credentials,
            Severity::Error,
            "the CLI has no credentials for the model, so every turn would fail".to_owned(),
            "set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN in AgentOptions::env (with EnvMode::Replace \
             nothing is inherited), or log in once with the same configuration directory",
        )],
    }
}

fn could_not(error: &Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("could not {error}{}", source.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_read_off_what_the_cli_says_of_itself() {
        let severity = |account: serde_json::Value| {
            let raw = json!({ "claude_code_version": "9.9.9", "account": account });
            let initialized = Initialized::read(raw, None).unwrap();
            credentials(&initialized)[0].severity()
        };
        let none = json!({ "tokenSource": "none", "apiKeySource": "none", "apiProvider": "firstParty" });
        assert_eq!(severity(none), Severity::Error);
        assert_eq!(severity(json!({ "tokenSource": "none", "apiKeySource": "X" })), Severity::Ok);
        assert_eq!(severity(json!({ "tokenSource": "CLAUDE_CODE_OAUTH_TOKEN" })), Severity::Ok);
        assert_eq!(severity(json!({ "tokenSource": "none", "apiProvider": "bedrock" })), Severity::Ok);
    }
}
