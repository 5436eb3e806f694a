//! Changes of permission rules: what the agent suggests, and what an answer may bring along.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{open::open_enum, options::PermissionMode};

/// Most updates the agent takes in one answer.
pub const PERMISSION_UPDATES_MAX: usize = 4096;

open_enum! {
    /// What a rule does.
    PermissionBehavior {
        /// The call runs.
        Allow = "allow",
        /// It does not.
        Deny = "deny",
        /// Somebody is asked.
        Ask = "ask",
    }
}

open_enum! {
    /// Where a change is kept.
    PermissionDestination {
        /// In this session, in memory.
        Session = "session",
        /// In `.claude/settings.local.json` of the working directory.
        LocalSettings = "localSettings",
        /// In `.claude/settings.json` of the working directory.
        ProjectSettings = "projectSettings",
        /// In the settings of the user.
        UserSettings = "userSettings",
        /// Beside the rules given at the start, in memory.
        CliArg = "cliArg",
    }
}

/// One rule: a tool, and which of its calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PermissionRule {
    /// Name of the tool.
    pub tool_name: String,
    /// Such as `git log:*`; `None` means every call. The agent refuses null here, so it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_content: Option<String>,
}

impl PermissionRule {
    /// Every call of a tool.
    pub fn tool(name: impl Into<String>) -> Self {
        Self { tool_name: name.into(), rule_content: None }
    }

    /// Some calls of a tool, such as `Bash` and `git log:*`.
    pub fn calls(name: impl Into<String>, content: impl Into<String>) -> Self {
        Self { tool_name: name.into(), rule_content: Some(content.into()) }
    }
}

/// A change of the rules. Those of one answer are all applied, or none is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[non_exhaustive]
pub enum PermissionUpdate {
    /// Rules are added.
    AddRules {
        /// The rules.
        rules: Vec<PermissionRule>,
        /// What they do.
        behavior: PermissionBehavior,
        /// Where they are kept.
        destination: PermissionDestination,
    },
    /// The rules of that behaviour are replaced.
    ReplaceRules {
        /// The rules.
        rules: Vec<PermissionRule>,
        /// What they do.
        behavior: PermissionBehavior,
        /// Where they are kept.
        destination: PermissionDestination,
    },
    /// Rules are removed.
    RemoveRules {
        /// The rules.
        rules: Vec<PermissionRule>,
        /// What they did.
        behavior: PermissionBehavior,
        /// Where they were kept.
        destination: PermissionDestination,
    },
    /// The permission mode is set.
    SetMode {
        /// The mode.
        mode: PermissionMode,
        /// Where it is kept.
        destination: PermissionDestination,
    },
    /// Directories are added to the workspace.
    AddDirectories {
        /// The directories.
        directories: Vec<PathBuf>,
        /// Where that is kept.
        destination: PermissionDestination,
    },
    /// Directories are taken from the workspace.
    RemoveDirectories {
        /// The directories.
        directories: Vec<PathBuf>,
        /// Where that was kept.
        destination: PermissionDestination,
    },
    /// A change of tomorrow, or in another form, as it is on the wire.
    #[serde(untagged)]
    Other(Value),
}

impl PermissionUpdate {
    /// Allows what these rules say.
    pub fn allow(rules: Vec<PermissionRule>, destination: PermissionDestination) -> Self {
        Self::AddRules { rules, behavior: PermissionBehavior::Allow, destination }
    }

    /// Sets the permission mode of this session.
    pub fn session_mode(mode: PermissionMode) -> Self {
        Self::SetMode { mode, destination: PermissionDestination::Session }
    }

    /// Where the change is kept, when that is known.
    pub fn destination(&self) -> Option<&PermissionDestination> {
        match self {
            Self::AddRules { destination, .. }
            | Self::ReplaceRules { destination, .. }
            | Self::RemoveRules { destination, .. }
            | Self::SetMode { destination, .. }
            | Self::AddDirectories { destination, .. }
            | Self::RemoveDirectories { destination, .. } => Some(destination),
            Self::Other(_) => None,
        }
    }

    /// The same change, kept elsewhere; one that is not known stays as it is.
    #[must_use]
    pub fn kept_in(mut self, place: PermissionDestination) -> Self {
        match &mut self {
            Self::AddRules { destination, .. }
            | Self::ReplaceRules { destination, .. }
            | Self::RemoveRules { destination, .. }
            | Self::SetMode { destination, .. }
            | Self::AddDirectories { destination, .. }
            | Self::RemoveDirectories { destination, .. } => *destination = place,
            Self::Other(_) => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn every_kind_is_written_as_the_agent_reads_it() {
        let rules = json!([{ "toolName": "Bash", "ruleContent": "ls:*" }, { "toolName": "Read" }]);
        let table = [
            json!({ "type": "addRules", "rules": rules, "behavior": "allow", "destination": "session" }),
            json!({ "type": "replaceRules", "rules": rules, "behavior": "deny", "destination": "localSettings" }),
            json!({ "type": "removeRules", "rules": [], "behavior": "ask", "destination": "cliArg" }),
            json!({ "type": "setMode", "mode": "plan", "destination": "userSettings" }),
            json!({ "type": "addDirectories", "directories": ["/a"], "destination": "projectSettings" }),
            json!({ "type": "removeDirectories", "directories": [], "destination": "elsewhere" }),
        ];
        for wire in table {
            let update: PermissionUpdate = from_value(wire.clone()).unwrap();
            assert!(update.destination().is_some(), "{wire}");
            assert_eq!(to_value(update).unwrap(), wire);
        }
    }

    #[test]
    fn a_kind_of_tomorrow_is_kept() {
        let wire = json!({ "type": "addWishes", "wishes": 3 });
        let update: PermissionUpdate = from_value(wire.clone()).unwrap();
        assert_eq!(update, PermissionUpdate::Other(wire.clone()));
        assert_eq!(to_value(update.kept_in(PermissionDestination::Session)).unwrap(), wire);
    }
}
