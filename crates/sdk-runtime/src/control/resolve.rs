//! The settings an agent would obey, without a conversation.

use serde_json::Value;

use super::SettingsInForce;
use crate::{agent::Agent, error::Error, launcher::Launcher, options::AgentOptions};

/// Modes that ask less than the usual one.
const ESCALATING_MODES: [&str; 3] = ["bypassPermissions", "auto", "acceptEdits"];
/// Those that not even a file beside the repository's own may choose.
const MOST_ESCALATING_MODES: [&str; 2] = ["bypassPermissions", "auto"];
/// Settings that come with a repository, and those beside them.
const PROJECT: &str = "projectSettings";
const LOCAL: &str = "localSettings";
/// Without the hooks, servers and plugins that settings name, which the CLI would run at its start.
const SAFE_MODE: &str = "safe-mode";

/// The settings that an agent with these options would obey, and where each comes from.
///
/// The CLI itself is asked, so they are merged as that version merges them, an administrator's policies included. It is
/// started for the question and ended; nothing that the settings name is run, no transcript is written, and of the options
/// only those count that choose settings: CLI, working directory, environment, sources, settings of each kind, model and
/// effort, limits and containment.
///
/// These are the settings as they are written, not what is granted by them: see
/// [`SettingsInForce::without_escalating_mode`].
///
/// When this is dropped, the CLI is killed.
///
/// # Errors
///
/// Those of [`Agent::start`] and of [`Agent::settings`].
pub async fn resolve_settings(
    launcher: &dyn Launcher,
    options: AgentOptions,
) -> Result<SettingsInForce, Error> {
    let (agent, _events) = Agent::start(launcher, only_settings(options)).await?;
    let settings = agent.settings().await;
    agent.kill().await;
    settings
}

fn only_settings(options: AgentOptions) -> AgentOptions {
    AgentOptions {
        cli: options.cli,
        cwd: options.cwd,
        env: options.env,
        inherit_env: options.inherit_env,
        host_marker: options.host_marker,
        project_config_root: options.project_config_root,
        setting_sources: options.setting_sources,
        settings: options.settings,
        managed_settings: options.managed_settings,
        sandbox: options.sandbox,
        model: options.model,
        effort: options.effort,
        limits: options.limits,
        containment: options.containment,
        is_ephemeral: true,
        strict_mcp_config: true,
        extra_args: vec![(SAFE_MODE.to_owned(), None)],
        ..AgentOptions::default()
    }
}

impl SettingsInForce {
    /// The strongest source that has a setting, by its name at the top: `userSettings`, `projectSettings`,
    /// `localSettings`, `flagSettings` or `policySettings`.
    pub fn source_of(&self, key: &str) -> Option<&str> {
        let source = self.sources.iter().rev().find(|source| source["settings"].get(key).is_some())?;
        source["source"].as_str()
    }

    /// The settings of one source alone; `None` when it has none.
    pub fn of_source(&self, name: &str) -> Option<&Value> {
        self.sources.iter().find(|source| source["source"] == name).map(|source| &source["settings"])
    }

    /// All of them together, without a usual permission mode that asks less, if it was chosen by a file of the project:
    /// such files come with a repository, and the CLI does not obey them in this.
    pub fn without_escalating_mode(&self) -> Value {
        let mode = |settings: &Value| settings["permissions"]["defaultMode"].as_str().map(str::to_owned);
        let mut effective = self.effective.clone();
        let Some(chosen) = mode(&effective).filter(|mode| ESCALATING_MODES.contains(&mode.as_str())) else {
            return effective;
        };
        let mut strongest = self.sources.iter().rev();
        let source = strongest.find(|source| mode(&source["settings"]).is_some());
        let source = source.and_then(|source| source["source"].as_str());
        let is_trusted = match source {
            Some(PROJECT) => false,
            Some(LOCAL) => !MOST_ESCALATING_MODES.contains(&chosen.as_str()),
            Some(_) => true,
            // Nobody says who chose it.
            None => false,
        };
        if !is_trusted && let Some(permissions) = effective["permissions"].as_object_mut() {
            permissions.remove("defaultMode");
        }
        effective
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(sources: &[(&str, Value)]) -> SettingsInForce {
        let effective = sources.last().map(|(_, settings)| settings.clone()).unwrap_or_default();
        let sources = sources.iter().map(|(name, settings)| json!({ "source": name, "settings": settings }));
        serde_json::from_value(json!({ "effective": effective, "sources": sources.collect::<Vec<_>>() }))
            .unwrap()
    }

    #[test]
    fn a_repository_chooses_no_mode_that_asks_less() {
        let of = |mode: &str| json!({ "permissions": { "defaultMode": mode, "allow": ["x"] } });
        let kept = |sources: &[(&str, Value)]| {
            let filtered = settings(sources).without_escalating_mode();
            assert_eq!(filtered["permissions"]["allow"], json!(["x"]), "nothing else is taken");
            filtered["permissions"].get("defaultMode").is_some()
        };
        for mode in ESCALATING_MODES {
            assert!(!kept(&[("projectSettings", of(mode))]), "{mode}");
            assert!(!kept(&[("userSettings", of(mode)), ("projectSettings", of(mode))]), "{mode}");
            assert!(kept(&[("projectSettings", of(mode)), ("flagSettings", of(mode))]), "{mode}");
            assert!(kept(&[("userSettings", of(mode))]), "{mode}");
        }
        assert!(kept(&[("projectSettings", of("plan"))]));
        assert!(kept(&[("localSettings", of("acceptEdits"))]));
        assert!(!kept(&[("localSettings", of("bypassPermissions"))]));
        let mut unknown = settings(&[("userSettings", of("auto"))]);
        unknown.sources.clear();
        assert_eq!(unknown.without_escalating_mode()["permissions"].get("defaultMode"), None);
    }
}
