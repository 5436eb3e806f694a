//! Settings given to an agent, and the sandbox settings merged into them as the TypeScript SDK does.

use std::{fmt, path::PathBuf};

use serde_json::{Map, Value};

use crate::hidden::Hidden;

/// Lists of restrictions: both sides count.
const JOINED: [&str; 3] = ["denyRead", "denyWrite", "deniedDomains"];
/// Objects that are replaced whole.
const REPLACED: [&str; 2] = ["ripgrep", "tlsTerminate"];

/// Settings for one agent, above those of user, project and local. `Debug` does not show what inline ones hold.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Settings {
    /// A settings file.
    File(PathBuf),
    /// A settings object. It travels inside `initialize`, so nobody reads it in a list of processes.
    Inline(Value),
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Inline(_) => f.debug_tuple("Inline").field(&Hidden).finish(),
        }
    }
}

/// The settings to send: `settings` with `sandbox` merged into its own `sandbox` block. Both are objects.
pub(crate) fn merged(settings: Option<&Value>, sandbox: Option<&Value>) -> Option<Value> {
    let Some(Value::Object(option)) = sandbox else {
        return settings.cloned();
    };
    let mut all = object(settings);
    let mut block = object(all.get("sandbox"));
    merge(&mut block, option);
    lift_what_the_option_restricts(&mut block, option);
    if option.get("enabled") == Some(&Value::Bool(true)) {
        // A sandbox that was asked for and cannot be had must not mean running without one.
        block.entry("failIfUnavailable").or_insert(true.into());
    }
    all.insert("sandbox".into(), block.into());
    Some(all.into())
}

fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) if !REPLACED.contains(&key.as_str()) => {
                if key == "credentials" {
                    merge_credentials(old, new);
                } else {
                    merge(old, new);
                }
            }
            (Some(Value::Array(old)), Value::Array(new)) if JOINED.contains(&key.as_str()) => {
                let added: Vec<_> = new.iter().filter(|item| !old.contains(item)).cloned().collect();
                old.extend(added);
            }
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Files and variables of both sides count; for the same one a `deny` wins over a `mask`, else the option.
fn merge_credentials(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        let name = match key.as_str() {
            "files" => "path",
            "envVars" => "name",
            _ => {
                into.insert(key.clone(), value.clone());
                continue;
            }
        };
        let (Some(Value::Array(old)), Value::Array(new)) = (into.get_mut(key), value) else {
            into.insert(key.clone(), value.clone());
            continue;
        };
        for item in new {
            match old.iter_mut().find(|known| known[name] == item[name]) {
                Some(known) if known["mode"] == "deny" && item["mode"] != "deny" => {}
                Some(known) => *known = item.clone(),
                None => old.push(item.clone()),
            }
        }
    }
}

/// Switches of the settings that would turn off what the option restricts do not survive.
fn lift_what_the_option_restricts(block: &mut Map<String, Value>, option: &Map<String, Value>) {
    let files = option.get("credentials").map(|credentials| &credentials["files"]);
    let denies_files =
        files.and_then(Value::as_array).is_some_and(|files| files.iter().any(|file| file["mode"] == "deny"));
    let sets = |block: &str, key: &str| option.get(block).is_some_and(|block| block.get(key).is_some());
    if (option.contains_key("filesystem") || denies_files)
        && !sets("filesystem", "disabled")
        && let Some(Value::Object(filesystem)) = block.get_mut("filesystem")
        && filesystem.get("disabled") == Some(&Value::Bool(true))
    {
        filesystem.remove("disabled");
    }
    let denies_domains = option
        .get("network")
        .and_then(|network| network["deniedDomains"].as_array())
        .is_some_and(|domains| !domains.is_empty());
    let is_strict = option.get("network").is_some_and(|network| network["strictAllowlist"] == true);
    if (sets("network", "allowedDomains") || denies_domains || is_strict)
        && let Some(Value::Object(network)) = block.get_mut("network")
    {
        // Traffic through a proxy of one's own is not checked against those lists.
        for port in ["httpProxyPort", "socksProxyPort"] {
            if !sets("network", port) {
                network.remove(port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sandbox_settings_are_laid_over_those_of_the_settings() {
        let settings = json!({ "model": "m", "sandbox": {
            "allowUnsandboxedCommands": false,
            "filesystem": { "disabled": true, "denyRead": ["/a"], "allowWrite": ["/w"] },
            "network": { "httpProxyPort": 1, "socksProxyPort": 2, "allowedDomains": ["old"] },
            "credentials": { "files": [{ "path": "/k", "mode": "deny" }] },
            "ripgrep": { "command": "rg", "args": ["x"] },
        }});
        let sandbox = json!({
            "enabled": true,
            "filesystem": { "denyRead": ["/a", "/b"], "allowWrite": ["/v"] },
            "network": { "allowedDomains": ["new"], "socksProxyPort": 3 },
            "credentials": { "files": [{ "path": "/k", "mode": "mask" }, { "path": "/l", "mode": "mask" }] },
            "ripgrep": { "command": "rg2" },
        });
        let all = merged(Some(&settings), Some(&sandbox)).unwrap();
        let wanted = json!({
            "enabled": true,
            "failIfUnavailable": true,
            "allowUnsandboxedCommands": false,
            "filesystem": { "denyRead": ["/a", "/b"], "allowWrite": ["/v"] },
            "network": { "socksProxyPort": 3, "allowedDomains": ["new"] },
            "credentials": { "files": [{ "path": "/k", "mode": "deny" }, { "path": "/l", "mode": "mask" }] },
            "ripgrep": { "command": "rg2" },
        });
        assert_eq!((&all["model"], &all["sandbox"]), (&json!("m"), &wanted));
    }

    #[test]
    fn a_sandbox_that_may_be_missing_stays_so_and_none_adds_nothing() {
        let sandbox = json!({ "enabled": true, "failIfUnavailable": false });
        assert_eq!(merged(None, Some(&sandbox)).unwrap()["sandbox"], sandbox);
        let settings = json!({ "a": 1 });
        assert_eq!(merged(Some(&settings), None), Some(settings));
        assert_eq!(merged(None, None), None);
    }
}
