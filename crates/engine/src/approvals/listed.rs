//! The policy of background sessions that may only do what their creator named.

use async_trait::async_trait;
use domain::{Opinion, Verdict};
use permissions::{CannotJudge, Policy, Surroundings, ToolCall};
use std::fmt;

/// Denies every tool that the session's `allowed_tools` do not name. A rule for some calls of a tool, such as
/// `Bash(git log:*)`, names it here; which of its calls run is left to the agent, in a mode that asks nobody.
#[derive(Clone)]
pub(crate) struct ListedTools {
    tools: Vec<String>,
}

impl ListedTools {
    /// Of these rules.
    pub(crate) fn new(allowed_tools: &[String]) -> Self {
        let name = |rule: &String| rule.split('(').next().unwrap_or_default().trim().to_owned();
        Self { tools: allowed_tools.iter().map(name).collect() }
    }

    fn names(&self, tool: &str) -> bool {
        // `mcp__server` is every tool of that server, as the agent reads it.
        self.tools.iter().any(|name| {
            name == tool
                || name.starts_with("mcp__")
                    && tool.strip_prefix(&**name).is_some_and(|rest| rest.starts_with("__"))
        })
    }
}

impl fmt::Debug for ListedTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListedTools").field(&self.tools).finish()
    }
}

#[async_trait]
impl Policy for ListedTools {
    fn name(&self) -> &str {
        "background"
    }

    async fn judge(&self, call: &ToolCall, _: &Surroundings) -> Result<Opinion, CannotJudge> {
        if self.names(&call.tool_name) {
            return Ok(Opinion::abstain(self.name()));
        }
        let reason = format!(
            "this background session may only use the tools it was given; {} is not one",
            call.tool_name
        );
        Ok(Opinion::new(Verdict::Deny, self.name(), "allowed_tools", reason))
    }
}
