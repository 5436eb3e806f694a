//! What the agent offers: commands, models, subagents, plugins, and whose account it uses.

use serde_json::{Value, json};

use super::list;
use crate::{
    agent::Agent,
    error::Error,
    initialized::Initialized,
    open::open_struct,
    options::{Effort, Plugin},
};

open_struct! {
    /// A slash command or skill.
    #[serde(rename_all = "camelCase")]
    SlashCommand {
        /// Its name, without the slash.
        name: String,
        /// What it does.
        description: String,
        /// What it takes.
        argument_hint: String,
        /// Its other names.
        aliases: Vec<String>,
        /// Whether it comes with the CLI.
        builtin: bool,
    }
    /// A model the agent can be switched to.
    #[serde(rename_all = "camelCase")]
    ModelInfo {
        /// What `set_model` takes.
        value: String,
        /// The model behind an alias.
        resolved_model: Option<String>,
        /// Its name for people.
        display_name: String,
        /// What it is good for.
        description: String,
        /// Whether it knows levels of effort.
        supports_effort: bool,
        /// Which.
        supported_effort_levels: Vec<Effort>,
        /// Whether it thinks as much as it sees fit.
        supports_adaptive_thinking: bool,
        /// Whether there is a faster mode.
        supports_fast_mode: bool,
        /// Whether permission mode `auto` works with it.
        supports_auto_mode: bool,
    }
    /// A subagent the model may start.
    AgentInfo {
        /// Its name.
        name: String,
        /// When it is used.
        description: String,
        /// Its model; `None` for the default.
        model: Option<String>,
    }
    /// Whose account the agent uses. Everything is empty with a provider that signs in by itself.
    #[serde(rename_all = "camelCase")]
    AccountInfo {
        /// Address of the user.
        email: Option<String>,
        /// The organisation.
        organization: Option<String>,
        /// The subscription.
        subscription_type: Option<String>,
        /// Where the token comes from.
        token_source: Option<String>,
        /// Where the key comes from.
        api_key_source: Option<String>,
        /// `firstParty`, `bedrock`, `vertex`, …
        api_provider: Option<String>,
    }
    /// A plugin that is loaded.
    PluginInfo {
        /// Its name.
        name: String,
        /// Its directory, or `builtin`.
        path: String,
        /// Where it comes from.
        source: Option<String>,
        /// Its version.
        version: Option<String>,
    }
    /// What loading plugins again led to.
    ReloadedPlugins {
        /// The commands now.
        commands: Vec<SlashCommand>,
        /// The subagents now.
        agents: Vec<AgentInfo>,
        /// The plugins now.
        plugins: Vec<PluginInfo>,
        /// The MCP servers now.
        #[serde(rename = "mcpServers")]
        mcp_servers: Vec<super::McpServerStatus>,
        /// How many could not be loaded.
        error_count: u64,
        /// It was not done, because the cache of the prompt would be lost; only when that was asked for.
        held: bool,
        /// What of the cache would be, or was, lost.
        cache_impact: Option<Value>,
    }
    /// A list of models.
    ModelList {
        /// The models.
        models: Vec<ModelInfo>,
    }
    /// A list of skills.
    SkillList {
        /// The skills.
        skills: Vec<SlashCommand>,
    }
    /// A list of output styles.
    OutputStyleList {
        /// Their names.
        available_output_styles: Vec<String>,
    }
}

/// How to load plugins again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginReload {
    /// Plugins to load besides.
    pub add: Vec<Plugin>,
    /// Refuse while a turn runs; the error has the code `reload_plugins_busy`.
    pub refuse_if_busy: bool,
    /// Do nothing when the cache of the prompt would be lost, and say so.
    pub hold_on_cache_impact: bool,
}

impl Initialized {
    /// Commands and skills, as the agent listed them at its start.
    pub fn commands(&self) -> Vec<SlashCommand> {
        list(&self.raw["commands"])
    }

    /// Models it can be switched to.
    pub fn models(&self) -> Vec<ModelInfo> {
        list(&self.raw["models"])
    }

    /// Subagents the model may start.
    pub fn agents(&self) -> Vec<AgentInfo> {
        list(&self.raw["agents"])
    }

    /// Whose account it uses.
    pub fn account(&self) -> AccountInfo {
        serde::Deserialize::deserialize(&self.raw["account"]).unwrap_or_default()
    }

    /// The output style, and those there are.
    pub fn output_styles(&self) -> (Option<&str>, Vec<String>) {
        (self.raw["output_style"].as_str(), list(&self.raw["available_output_styles"]))
    }

    /// How tool calls are permitted.
    pub fn permission_mode(&self) -> Option<crate::options::PermissionMode> {
        self.raw["current_permission_mode"].as_str().map(Into::into)
    }
}

impl Agent {
    /// Commands and skills as listed at the start; `reload_skills` and `reload_plugins` give fresh lists.
    pub fn supported_commands(&self) -> Vec<SlashCommand> {
        self.initialized().commands()
    }

    /// Models as listed at the start; `list_models` asks again.
    pub fn supported_models(&self) -> Vec<ModelInfo> {
        self.initialized().models()
    }

    /// Subagents as listed at the start.
    pub fn supported_agents(&self) -> Vec<AgentInfo> {
        self.initialized().agents()
    }

    /// Whose account the agent uses.
    pub fn account(&self) -> AccountInfo {
        self.initialized().account()
    }

    /// Models it can be switched to now.
    /// Cancel safe.
    pub async fn list_models(&self) -> Result<Vec<ModelInfo>, Error> {
        self.ask("list_models", json!({})).await.map(|list: ModelList| list.models)
    }

    /// Loads plugins again.
    /// When it is dropped, the agent may still do it.
    pub async fn reload_plugins(&self, reload: PluginReload) -> Result<ReloadedPlugins, Error> {
        let add: Vec<_> = reload.add.iter().map(Plugin::to_wire).collect();
        let body = super::body([
            ("add_plugins", (!add.is_empty()).then_some(add.into())),
            ("refuse_if_busy", reload.refuse_if_busy.then_some(true.into())),
            ("hold_on_cache_impact", reload.hold_on_cache_impact.then_some(true.into())),
        ]);
        self.ask("reload_plugins", body).await
    }

    /// Looks for skills again, and lists them.
    /// When it is dropped, the agent may still do it.
    pub async fn reload_skills(&self) -> Result<Vec<SlashCommand>, Error> {
        self.ask("reload_skills", json!({})).await.map(|list: SkillList| list.skills)
    }

    /// Looks for output styles again, and names them.
    /// When it is dropped, the agent may still do it.
    pub async fn reload_output_styles(&self) -> Result<Vec<String>, Error> {
        let list: OutputStyleList = self.ask("reload_output_styles", json!({})).await?;
        Ok(list.available_output_styles)
    }
}
