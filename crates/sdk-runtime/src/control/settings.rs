//! Settings, rules and hooks that are in force.

use serde_json::{Value, json};

use crate::{agent::Agent, error::Error, open::open_struct};

/// A settings file that `update_settings` may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingsFile {
    /// The project's, for this user only.
    Local,
    /// The user's own.
    User,
}

open_struct! {
    /// Settings in force.
    SettingsInForce {
        /// All of them together.
        effective: Value,
        /// Each source with its own, weakest first.
        sources: Vec<Value>,
        /// What the agent made of them.
        applied: AppliedSettings,
    }
    /// What the agent made of its settings.
    AppliedSettings {
        /// The model.
        model: Option<String>,
        /// The effort: a level or a number.
        effort: Option<Value>,
    }
    /// Permission rules in force.
    #[serde(rename_all = "camelCase")]
    PermissionRules {
        /// The rules: tool, content, behaviour, source.
        rules: Vec<Value>,
        /// Directories of the workspace.
        workspace_directories: Vec<Value>,
        /// The working directory at the start.
        original_cwd: String,
        /// Whether only an administrator's rules count.
        managed_only: bool,
    }
    /// Rules, as they are answered.
    PermissionRulesAnswer {
        /// The rules.
        state: PermissionRules,
    }
    /// Hooks in force; those of this host are not among them.
    #[serde(rename_all = "camelCase")]
    HooksListing {
        /// Events that have hooks.
        events: Vec<HookEventInfo>,
        /// The hooks.
        hooks: Vec<Value>,
        /// Every event there is.
        event_catalog: Vec<HookEventInfo>,
        /// What an administrator allows.
        policy: Option<Value>,
    }
    /// An event of hooks.
    #[serde(rename_all = "camelCase")]
    HookEventInfo {
        /// Its name.
        name: String,
        /// When it comes.
        summary: String,
        /// Whether matchers mean anything to it.
        supports_matcher: bool,
        /// How many hooks it has.
        hook_count: Option<u64>,
    }
}

impl Agent {
    /// Settings in force, and where each comes from.
    /// Cancel safe.
    pub async fn settings(&self) -> Result<SettingsInForce, Error> {
        self.ask("get_settings", json!({})).await
    }

    /// Lays settings over those given at the start, for this process. `settings` is an object; null values
    /// take a setting back.
    /// When it is dropped, the agent may still do it.
    pub async fn apply_flag_settings(&self, settings: Value) -> Result<(), Error> {
        self.tell("apply_flag_settings", json!({ "settings": settings })).await
    }

    /// Writes settings to a file; the agent takes those keys only that a user may set from outside.
    /// When it is dropped, the agent may still do it.
    pub async fn update_settings(&self, file: SettingsFile, settings: Value) -> Result<(), Error> {
        let source = match file {
            SettingsFile::Local => "localSettings",
            SettingsFile::User => "userSettings",
        };
        self.tell("update_settings", json!({ "source": source, "settings": settings })).await
    }

    /// Permission rules in force.
    /// Cancel safe.
    pub async fn permission_rules(&self) -> Result<PermissionRules, Error> {
        let answer: PermissionRulesAnswer = self.ask("list_permission_rules", json!({})).await?;
        Ok(answer.state)
    }

    /// Hooks from settings and plugins, and every event there is.
    /// Cancel safe.
    pub async fn hooks_listing(&self) -> Result<HooksListing, Error> {
        self.ask("get_hooks_listing", json!({})).await
    }
}
