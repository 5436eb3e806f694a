//! What a session was asked to be: everything its agent is started with.

use crate::{fork::DirectorySource, whereabouts::Whereabouts};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The settings of one session, complete: defaults are already filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionSpec {
    /// Absolute path the agent works in.
    pub working_directory: String,
    /// Whether Steward made the directory itself, and so may remove it with the session.
    pub owns_directory: bool,
    /// Which server has the directory, where it was made by Steward.
    #[serde(default, skip_serializing_if = "Whereabouts::is_unknown")]
    pub whereabouts: Whereabouts,
    /// Where its files came from when it was forked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory_source: Option<DirectorySource>,
    pub allowed_tools: Vec<String>,
    pub system_prompt: Option<String>,
    pub sdk_options: SdkOptions,
    pub include_partial_messages: bool,
    pub max_retries: u32,
    pub retry_delay_ms: u64,
    pub timeout_seconds: u32,
    pub hooks_enabled: Vec<String>,
    pub permission_mode: String,
    pub custom_policies: Vec<String>,
}

/// What may be passed on to the agent; an option not named here is refused, not ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SdkOptions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disallowed_tools: Vec<String>,
    /// The base set of tools; absent means the CLI's default set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Added to the system prompt of Claude Code, when `system_prompt` is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append_system_prompt: Option<String>,
    /// MCP servers by name: a string names a registered server, an object is one as the CLI takes it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub mcp_servers: Map<String, Value>,
    /// Subagent definitions by name, as the CLI takes them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub agents: Map<String, Value>,
    /// Further directories the agent may work in; under the same rules as the working directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_dirs: Vec<String>,
    /// Environment variables for the agent and its tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub betas: Vec<String>,
}

/// The permission modes the CLI has.
pub const PERMISSION_MODES: [&str; 6] =
    ["default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions"];

/// The effort levels the CLI has.
pub const EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];

/// Whether a session may set this environment variable for its agent.
///
/// Refused are the variables that would lead the agent past the gateway, change whom it obeys, or load code into
/// it before it starts.
#[must_use]
pub fn may_set_env(name: &str) -> bool {
    const PREFIXES: [&str; 14] = [
        "ANTHROPIC_",
        "AWS_",
        "BUN_",
        "CLAUDE",
        "DYLD_",
        "GCONV_",
        "GLIBC_",
        "LD_",
        "MALLOC_",
        "NODE_",
        "SDK_RUNTIME_",
        "SSL_CERT_",
        "STEWARD_",
        "XDG_",
    ];
    const NAMES: [&str; 11] = [
        "BASH_ENV",
        "ENV",
        "HOME",
        "IS_SANDBOX",
        "NO_PROXY",
        "PATH",
        "SHELL",
        "TMPDIR",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ];
    let upper = name.to_ascii_uppercase();
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    well_formed && !PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) && !NAMES.contains(&&*upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_is_refused_by_name() {
        let error = serde_json::from_str::<SdkOptions>(r#"{"modle": "x"}"#).unwrap_err();
        assert!(error.to_string().contains("modle"), "{error}");
    }

    #[test]
    fn env_cannot_lead_around_the_gateway() {
        for name in [
            "ANTHROPIC_BASE_URL",
            "anthropic_api_key",
            "LD_PRELOAD",
            "CLAUDECODE",
            "PATH",
            "A=B",
            "",
            "https_proxy",
            "no_proxy",
            "BUN_INSPECT_PRELOAD",
            "BUN_OPTIONS",
            "NODE_OPTIONS",
            "NODE_TLS_REJECT_UNAUTHORIZED",
            "SSL_CERT_FILE",
            "GCONV_PATH",
            "GLIBC_TUNABLES",
            "MALLOC_CONF",
            "XDG_CONFIG_HOME",
        ] {
            assert!(!may_set_env(name), "{name}");
        }
        for name in ["MY_FLAG", "_x", "RUST_LOG", "NODEJS", "NO_PROXY_PLEASE"] {
            assert!(may_set_env(name), "{name}");
        }
    }
}
