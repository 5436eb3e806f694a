//! The policies that every session has, in the order in which they are asked.

use crate::{
    CommandPattern, CommandPolicy, NetworkPolicy, NetworkSettings, PathPolicy, PathSettings, Policy,
    PolicyEngine, ToolPolicy,
};
use std::sync::Arc;

/// What the operator decided about what agents may do.
#[derive(Debug, Clone, Default)]
pub struct PolicySettings {
    pub blocked_commands: Vec<CommandPattern>,
    pub paths: PathSettings,
    pub network: NetworkSettings,
}

impl PolicyEngine {
    /// The built-in policies, for a session with these `disallowed_tools`. The cheap ones are asked first: the first
    /// no ends it.
    #[must_use]
    pub fn built_in(settings: &PolicySettings, disallowed_tools: &[String]) -> Self {
        let policies: Vec<Arc<dyn Policy>> = vec![
            Arc::new(ToolPolicy::denying(disallowed_tools)),
            Arc::new(CommandPolicy::new(settings.blocked_commands.clone())),
            Arc::new(NetworkPolicy::new(settings.network.clone())),
            Arc::new(PathPolicy::new(settings.paths.clone())),
        ];
        Self::new(policies)
    }
}
