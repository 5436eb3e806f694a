//! Tool permissions of the servers an agent starts with. Of external ones the CLI reads them only when they are
//! set at run time and passes over them in `initialize`, which would fail open; of in-process ones it never
//! reads `AlwaysAllow`. So they are put in terms it does obey.

use async_trait::async_trait;

use super::{McpPermission, McpServerConfig};
use crate::{
    hook::{Hook, HookEvent, HookInput, HookOutput, HookRegistration, SeamError},
    options::AgentOptions,
};

/// Sends a tool call to the gate, whatever the rules say.
struct Ask;

#[async_trait]
impl Hook for Ask {
    async fn on(&self, _input: HookInput) -> Result<HookOutput, SeamError> {
        Ok(HookOutput::ask_gate("this tool is always asked about"))
    }
}

/// Puts permissions into rules and a hook.
pub(crate) fn apply(options: &mut AgentOptions) {
    let mut asked = Vec::new();
    for (server, config) in &options.mcp {
        let (permissions, is_obeyed) = match config {
            McpServerConfig::Remote(remote) => (remote.permissions(), false),
            #[cfg(feature = "mcp")]
            McpServerConfig::InProcess(server) => (server.permissions(), true),
            McpServerConfig::Stdio(_) | McpServerConfig::Raw(_) => continue,
        };
        for (tool, permission) in permissions {
            let name = format!("mcp__{}__{}", name_in_tools(server), name_in_tools(tool));
            match permission {
                McpPermission::AlwaysAllow => options.allowed_tools.push(name),
                McpPermission::AlwaysDeny | McpPermission::AlwaysAsk if is_obeyed => {}
                McpPermission::AlwaysDeny => options.disallowed_tools.push(name),
                McpPermission::AlwaysAsk => asked.push(name),
            }
        }
    }
    if !asked.is_empty() {
        let ask = HookRegistration::new(HookEvent::PreToolUse, std::sync::Arc::new(Ask));
        options.hooks.push(ask.with_matcher(asked.join("|")));
    }
}

/// A name as the CLI writes it in the names of tools.
pub(crate) fn name_in_tools(name: &str) -> String {
    let is_kept = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    name.chars().map(|letter| if is_kept(letter) { letter } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::McpRemoteServer;

    #[test]
    fn permissions_become_rules_and_a_hook() {
        let server = McpRemoteServer::http("http://h/")
            .with_tool_permission("see", McpPermission::AlwaysAllow)
            .with_tool_permission("rm all", McpPermission::AlwaysDeny)
            .with_tool_permission("write", McpPermission::AlwaysAsk);
        let mut options = AgentOptions::default().with_mcp_server("my.files", server);
        apply(&mut options);
        assert_eq!(options.allowed_tools, ["mcp__my_files__see"]);
        assert_eq!(options.disallowed_tools, ["mcp__my_files__rm_all"]);
        assert_eq!(options.hooks[0].matcher.as_deref(), Some("mcp__my_files__write"));
    }
}
