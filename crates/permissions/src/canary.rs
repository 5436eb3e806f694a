//! The canary: a call that must be denied, so that whoever makes it learns whether denying works.
//!
//! Nothing of that name exists, so denying it takes nothing from anybody.

use crate::{CannotJudge, Policy, Surroundings, ToolCall};
use async_trait::async_trait;
use domain::{Opinion, Verdict};
use sdk_runtime::HookInput;

/// The reserved program.
pub const PROGRAM: &str = "steward-canary";
/// The id of a call that only tries whether it is denied.
pub const CALL_ID: &str = "toolu_steward_canary";
/// The tool that is called.
pub const TOOL: &str = "Bash";
/// What the agent reads; a test of denying looks for it.
pub const REASON: &str = "steward-canary is reserved for trying whether tool calls can be denied";

/// The policy that denies the canary.
#[derive(Debug, Clone, Copy, Default)]
pub struct CanaryPolicy;

#[async_trait]
impl Policy for CanaryPolicy {
    fn name(&self) -> &str {
        "canary"
    }

    async fn judge(&self, call: &ToolCall, _: &Surroundings) -> Result<Opinion, CannotJudge> {
        if names_canary(call) {
            return Ok(Opinion::new(Verdict::Deny, self.name(), PROGRAM, REASON));
        }
        Ok(Opinion::abstain(self.name()))
    }
}

/// Whether this call was made by a test and denied as it has to be. It is kept out of the record: nobody wanted it.
#[must_use]
pub fn is_passed_trial(call: &ToolCall, opinion: &Opinion) -> bool {
    let is_trial = call.tool_use_id.as_deref() == Some(CALL_ID) && names_canary(call);
    is_trial && opinion.verdict == Verdict::Deny
}

/// Whether hooks are asked about the canary to see that it is denied.
#[must_use]
pub fn is_trial(input: &HookInput) -> bool {
    let names_canary = || input.tool_input["command"].as_str().is_some_and(|line| line.contains(PROGRAM));
    input.tool_use_id.as_deref() == Some(CALL_ID)
        && input.tool_name.as_deref() == Some(TOOL)
        && names_canary()
}

fn names_canary(call: &ToolCall) -> bool {
    call.tool_name == TOOL && call.input["command"].as_str().is_some_and(|command| command.contains(PROGRAM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{SessionId, UserId};
    use serde_json::json;

    fn call(tool_name: &str, command: &str) -> ToolCall {
        ToolCall {
            tool_name: tool_name.to_owned(),
            input: json!({ "command": command }),
            tool_use_id: Some(CALL_ID.to_owned()),
            agent_id: None,
            cwd: "/work".into(),
            permission_mode: Some("bypassPermissions".to_owned()),
        }
    }

    #[tokio::test]
    async fn the_canary_is_denied_wherever_it_stands_and_nothing_else_is() {
        let surroundings = Surroundings {
            session_id: SessionId::new(),
            user_id: UserId::new(),
            generation: domain::Generation::FIRST,
            working_directory: "/work".into(),
            add_dirs: vec![],
            home: "/home".into(),
            temporary: "/tmp".into(),
        };
        for command in ["steward-canary", "true; steward-canary > x", "$(steward-canary)"] {
            let call = call("Bash", command);
            let opinion = CanaryPolicy.judge(&call, &surroundings).await.unwrap();
            assert_eq!(opinion.verdict, Verdict::Deny, "{command}");
            assert!(is_passed_trial(&call, &opinion));
            let of_the_agent = ToolCall { tool_use_id: Some("toolu_1".to_owned()), ..call };
            assert!(!is_passed_trial(&of_the_agent, &opinion), "what an agent tries is on record");
        }
        for other in [call("Bash", "ls"), call("Write", "steward-canary")] {
            let opinion = CanaryPolicy.judge(&other, &surroundings).await.unwrap();
            assert_eq!(opinion.verdict, Verdict::Abstain);
            assert!(!is_passed_trial(&other, &Opinion { verdict: Verdict::Deny, ..opinion }));
        }
    }
}
