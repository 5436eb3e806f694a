//! Label values: known words, and one for all others. Whatever comes from outside is looked up here before it is a label,
//! so no request, prompt or tool makes a series of its own.

use domain::{DecidedBy, PermissionDecision, RequestUsage};
use std::sync::{Arc, PoisonError, RwLock};

/// What is on no list.
pub(crate) const OTHER: &str = "other";
/// All tools of all MCP servers.
const MCP: &str = "mcp";
/// Policies that people wrote.
const CUSTOM: &str = "custom";
/// Models that are told apart at most.
pub(crate) const MODELS_MAX: usize = 64;

/// The tools that the agent brings.
pub(crate) const TOOLS: &[&str] = &[
    "Agent",
    "AskUserQuestion",
    "Bash",
    "BashOutput",
    "Edit",
    "EnterPlanMode",
    "EnterWorktree",
    "ExitPlanMode",
    "ExitWorktree",
    "Glob",
    "Grep",
    "KillBash",
    "KillShell",
    "LS",
    "LSP",
    "ListMcpResources",
    "ListMcpResourcesTool",
    "Monitor",
    "MultiEdit",
    "NotebookEdit",
    "NotebookRead",
    "Read",
    "ReadMcpResource",
    "ReadMcpResourceTool",
    "SendMessage",
    "Skill",
    "SlashCommand",
    "StructuredOutput",
    "Task",
    "TaskCreate",
    "TaskGet",
    "TaskList",
    "TaskOutput",
    "TaskStop",
    "TaskUpdate",
    "TodoWrite",
    "ToolSearch",
    "WebFetch",
    "WebSearch",
    "Write",
];

/// The agent's own events.
pub(crate) const EVENTS: &[&str] = &[
    "ConfigChange",
    "CwdChanged",
    "DirectoryAdded",
    "Elicitation",
    "ElicitationResult",
    "FileChanged",
    "InstructionsLoaded",
    "MessageDisplay",
    "Notification",
    "PermissionDenied",
    "PermissionRequest",
    "PostCompact",
    "PostModelSwitch",
    "PostToolBatch",
    "PostToolUse",
    "PostToolUseFailure",
    "PreCompact",
    "PreModelSwitch",
    "PreToolUse",
    "SessionEnd",
    "SessionStart",
    "Setup",
    "Stop",
    "StopFailure",
    "SubagentStart",
    "SubagentStop",
    "TaskCompleted",
    "TaskCreated",
    "TeammateIdle",
    "UserPromptExpansion",
    "UserPromptSubmit",
    "WorktreeCreate",
    "WorktreeRemove",
];

/// The policies that every session has, and the server's own words.
const POLICIES: &[&str] =
    &["allowed_tools", "approvals", "canary", "commands", "network", "paths", "record", "tools"];

const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

fn known(words: &'static [&'static str], word: &str) -> Option<&'static str> {
    words.iter().copied().find(|known| *known == word)
}

pub(crate) fn tool(name: &str) -> &'static str {
    if name.starts_with("mcp__") { MCP } else { known(TOOLS, name).unwrap_or(OTHER) }
}

pub(crate) fn event(name: &str) -> &'static str {
    known(EVENTS, name).unwrap_or(OTHER)
}

pub(crate) fn method(name: &str) -> &'static str {
    // The word of the semantic conventions.
    known(METHODS, name).unwrap_or("_OTHER")
}

/// In place of a policy, where a decision could not be made or put on record.
pub(crate) const FAILURE: &str = "failure";

/// Who decided: the policy where one did by itself.
pub(crate) fn rule(decision: &PermissionDecision) -> &'static str {
    match decision.decided_by {
        DecidedBy::Policy => known(POLICIES, &decision.opinion.policy).unwrap_or(CUSTOM),
        DecidedBy::User(_) => "person",
        DecidedBy::Expiry => "expiry",
        DecidedBy::Failure => FAILURE,
    }
}

/// What came of a request to the model.
pub(crate) fn model_outcome(usage: &RequestUsage) -> &'static str {
    match usage.http_status {
        0 => "unreachable",
        200..=299 if usage.is_complete => "completed",
        200..=299 => "cut",
        429 => "rate_limited",
        400..=499 => "rejected",
        _ => "failed",
    }
}

/// The models that are told apart: those of the price table.
#[derive(Debug, Default)]
pub(crate) struct Models(RwLock<Vec<Arc<str>>>);

impl Models {
    pub(crate) fn set(&self, names: impl IntoIterator<Item = String>) {
        let names = names.into_iter().take(MODELS_MAX).map(Arc::from).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// The model as the table names it: without a date, `-latest` or the mark of the large context.
    pub(crate) fn label(&self, model: &str) -> Arc<str> {
        let models = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_variant = |known: &&Arc<str>| {
            let known: &str = known;
            model.strip_prefix(known).is_some_and(|rest| {
                let rest = rest.strip_suffix("[1m]").unwrap_or(rest);
                let is_date = rest
                    .strip_prefix('-')
                    .is_some_and(|date| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()));
                rest.is_empty() || rest == "-latest" || is_date
            })
        };
        models.iter().find(is_variant).cloned().unwrap_or_else(|| OTHER.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_the_one_of_the_table_or_another() {
        let models = Models::default();
        models.set(["claude-opus-4".to_owned(), "claude-opus-4-5".to_owned()]);
        for (model, label) in [
            ("claude-opus-4", "claude-opus-4"),
            ("claude-opus-4-5", "claude-opus-4-5"),
            ("claude-opus-4-5-20251101", "claude-opus-4-5"),
            ("claude-opus-4-5[1m]", "claude-opus-4-5"),
            ("claude-opus-4-latest", "claude-opus-4"),
            ("claude-opus-4-6", OTHER),
            ("claude-opus-4-5-mine", OTHER),
            ("", OTHER),
        ] {
            assert_eq!(models.label(model).as_ref(), label, "{model}");
        }
        models.set((0..1000).map(|n| format!("m{n}")));
        assert_eq!(models.label("m999").as_ref(), OTHER, "a table may be long, the label is not");
    }
}
