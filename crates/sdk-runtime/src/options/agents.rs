//! Subagents a host defines for its sessions.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Effort, PermissionMode};

/// A subagent the model may start by name. It travels inside `initialize`, so it may be long and hold
/// what other users of the machine should not read.
///
/// Fields of tomorrow go into `other`; made from a JSON value, a field that has another form than this
/// crate knows is kept there as well, and is sent as it came. `Debug` does not show its MCP servers.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "Value")]
#[non_exhaustive]
pub struct AgentDefinition {
    /// When the model should use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Its tools; `None` gives it those of its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Tools it does not get; `mcp__server` takes away a whole server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disallowed_tools: Option<Vec<String>>,
    /// Model name or alias, or `inherit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Skills that are loaded into its context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skills: Option<Vec<String>>,
    /// Where its memory is kept: `user`, `project` or `local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// MCP servers: names, or objects of configurations by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_servers: Option<Vec<Value>>,
    /// Its first turn, when it is the main agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_prompt: Option<String>,
    /// API rounds it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// Always run it in the background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<bool>,
    /// How much effort it puts into answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// How its tool calls are permitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<PermissionMode>,
    /// Run it without the CLAUDE.md files of user, project and local.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omit_claude_md: Option<bool>,
    /// Tokens at which it compacts its own conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_compact_window: Option<u64>,
    /// Agent that watches it from the background, or up to four, joined by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observer: Option<String>,
    /// Text that ends every digest its observer gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observer_message: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl AgentDefinition {
    /// A subagent with the tools and the model of its parent.
    pub fn new(description: impl Into<String>, prompt: impl Into<String>) -> Self {
        let (description, prompt) = (Some(description.into()), Some(prompt.into()));
        Self { description, prompt, ..Self::default() }
    }

    /// Gives it these tools only.
    #[must_use]
    pub fn with_tools<T: Into<String>>(mut self, tools: impl IntoIterator<Item = T>) -> Self {
        self.tools = Some(tools.into_iter().map(Into::into).collect());
        self
    }

    /// Runs it on this model.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Sets any field by its name on the wire.
    #[must_use]
    pub fn with_field(self, name: &str, value: Value) -> Self {
        let mut fields = self.into_fields();
        fields.insert(name.to_owned(), value);
        Self::from(Value::Object(fields))
    }

    fn into_fields(self) -> Map<String, Value> {
        // A struct of JSON values cannot fail to become one.
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) | Err(_) => Map::new(),
        }
    }
}

impl fmt::Debug for AgentDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = self.clone().into_fields();
        if let Some(servers) = fields.get_mut("mcpServers") {
            *servers = "***".into();
        }
        f.debug_tuple("AgentDefinition").field(&fields).finish()
    }
}

impl From<Value> for AgentDefinition {
    /// Reads a definition; what is no object is a definition without fields.
    fn from(value: Value) -> Self {
        let mut other = match value {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let fields = &mut other;
        Self {
            description: take(fields, "description"),
            prompt: take(fields, "prompt"),
            tools: take(fields, "tools"),
            disallowed_tools: take(fields, "disallowedTools"),
            model: take(fields, "model"),
            skills: take(fields, "skills"),
            memory: take(fields, "memory"),
            mcp_servers: take(fields, "mcpServers"),
            initial_prompt: take(fields, "initialPrompt"),
            max_turns: take(fields, "maxTurns"),
            background: take(fields, "background"),
            effort: take(fields, "effort"),
            permission_mode: take(fields, "permissionMode"),
            omit_claude_md: take(fields, "omitClaudeMd"),
            auto_compact_window: take(fields, "autoCompactWindow"),
            observer: take(fields, "observer"),
            observer_message: take(fields, "observerMessage"),
            other,
        }
    }
}

/// Takes a field out when it has the form it should have.
fn take<T: for<'de> Deserialize<'de>>(fields: &mut Map<String, Value>, name: &str) -> Option<T> {
    let value = T::deserialize(fields.get(name)?).ok()?;
    fields.remove(name);
    Some(value)
}

/// A plugin from a directory: commands, agents, skills, hooks and MCP servers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plugin {
    /// The directory that holds `.claude-plugin`.
    pub path: PathBuf,
    /// Leave its MCP servers alone.
    pub skip_mcp: bool,
}

impl Plugin {
    /// A plugin with all it brings.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), skip_mcp: false }
    }

    /// Leaves its MCP servers alone.
    #[must_use]
    pub fn without_mcp(mut self) -> Self {
        self.skip_mcp = true;
        self
    }

    pub(crate) fn to_wire(&self) -> Value {
        let mut wire = serde_json::json!({ "type": "local", "path": self.path.to_string_lossy() });
        if self.skip_mcp {
            wire["skipMcpDiscovery"] = true.into();
        }
        wire
    }
}

/// Which skills the main session is offered. A filter of what the model sees, not a sandbox: the files
/// of the others can still be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skills {
    /// Every skill the agent finds.
    All,
    /// These, by directory name or `plugin:skill`; an empty list hides all.
    Only(Vec<String>),
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn a_definition_keeps_what_it_does_not_know() {
        let raw = json!({
            "description": "d", "prompt": "p", "maxTurns": 3, "effort": 7, "tools": "Read", "tomorrow": [1],
        });
        let definition = AgentDefinition::from(raw.clone());
        assert_eq!(definition.max_turns, Some(3));
        assert_eq!(definition.effort, None, "a number is no level, and is kept as it is");
        assert_eq!(to_value(&definition).unwrap(), raw);
        let read: AgentDefinition = serde_json::from_value(raw).unwrap();
        assert_eq!(read, definition);
    }

    #[test]
    fn a_field_can_be_set_by_name() {
        let definition = AgentDefinition::new("d", "p").with_model("haiku").with_field("maxTurns", json!(2));
        assert_eq!(definition.max_turns, Some(2));
        let wanted = json!({ "description": "d", "prompt": "p", "model": "haiku", "maxTurns": 2 });
        assert_eq!(to_value(definition).unwrap(), wanted);
    }
}
