//! What a session passes on to its agent.

use crate::plain;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use validator::{Validate, ValidationError};

/// Longest name of a tool, a directory or the like, in characters.
const ITEM_CHARS_MAX: usize = 1024;

/// Options of the agent. One that is not named here is refused, not ignored.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct SdkOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 100))]
    #[schemars(extend("pattern" = plain::WITHOUT_NUL))]
    model: Option<String>,
    /// Used when the model is overloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 100))]
    #[schemars(extend("pattern" = plain::WITHOUT_NUL))]
    fallback_model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [null, "low", "medium", "high", "xhigh", "max"]))]
    effort: Option<String>,
    /// Rounds of the model in one turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(range(min = 1, max = 10_000))]
    max_turns: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 500), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    disallowed_tools: Vec<String>,
    /// The base set of tools; absent means all of the agent's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(length(max = 500), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    tools: Option<Vec<String>>,
    /// Added to the built-in system prompt, when the session's `system_prompt` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(length(max = 100_000))]
    #[schemars(extend("pattern" = plain::WITHOUT_NUL))]
    append_system_prompt: Option<String>,
    /// MCP servers by the names that agents know them by: each the name of a registered one, or one as the CLI takes it.
    /// A list of names means the registered servers of these names.
    #[serde(default, deserialize_with = "by_name", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "McpServers")]
    #[validate(length(max = 50))]
    mcp_servers: BTreeMap<String, Value>,
    /// Subagents by name, as the CLI takes them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[validate(length(max = 100))]
    agents: BTreeMap<String, Value>,
    /// Further directories the agent may work in, under the rules of `working_directory`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 50), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    add_dirs: Vec<String>,
    /// Environment variables for the agent and its tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[validate(length(max = 200))]
    env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 50), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    betas: Vec<String>,
}

/// What `mcp_servers` may be.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum McpServers {
    ByName(BTreeMap<String, McpServer>),
    Names(Vec<String>),
}

/// One of them.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "McpServerChoice")]
enum McpServer {
    /// The name of a registered server.
    Registered(String),
    /// A server as the CLI takes it.
    Inline(Map<String, Value>),
}

fn by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Value>, D::Error> {
    let wrong = "expected an object of names and servers, or a list of names";
    let servers = McpServers::deserialize(deserializer).map_err(|_| D::Error::custom(wrong))?;
    Ok(match servers {
        McpServers::Names(names) => names.into_iter().map(|name| (name.clone(), name.into())).collect(),
        McpServers::ByName(servers) => {
            let value = |server| match server {
                McpServer::Registered(name) => name.into(),
                McpServer::Inline(server) => server.into(),
            };
            servers.into_iter().map(|(name, server)| (name, value(server))).collect()
        }
    })
}

/// Every item of the list must have 1 to 1024 characters.
pub fn short_items(items: &[String]) -> Result<(), ValidationError> {
    if items.iter().all(|item| (1..=ITEM_CHARS_MAX).contains(&item.chars().count())) {
        return Ok(());
    }
    Err(ValidationError::new("item_length").with_message("each must have 1 to 1024 characters".into()))
}

impl From<SdkOptions> for domain::SdkOptions {
    fn from(options: SdkOptions) -> Self {
        let SdkOptions {
            model,
            fallback_model,
            effort,
            max_turns,
            disallowed_tools,
            tools,
            append_system_prompt,
            mcp_servers,
            agents,
            add_dirs,
            env,
            betas,
        } = options;
        Self {
            model,
            fallback_model,
            effort,
            max_turns,
            disallowed_tools,
            tools,
            append_system_prompt,
            mcp_servers: mcp_servers.into_iter().collect(),
            agents: agents.into_iter().collect(),
            add_dirs,
            env,
            betas,
        }
    }
}

impl From<domain::SdkOptions> for SdkOptions {
    fn from(options: domain::SdkOptions) -> Self {
        let domain::SdkOptions {
            model,
            fallback_model,
            effort,
            max_turns,
            disallowed_tools,
            tools,
            append_system_prompt,
            mcp_servers,
            agents,
            add_dirs,
            env,
            betas,
        } = options;
        Self {
            model,
            fallback_model,
            effort,
            max_turns,
            disallowed_tools,
            tools,
            append_system_prompt,
            mcp_servers: mcp_servers.into_iter().collect(),
            agents: agents.into_iter().collect(),
            add_dirs,
            env,
            betas,
        }
    }
}
