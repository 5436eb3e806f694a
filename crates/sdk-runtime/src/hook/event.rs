//! The events of an agent that hooks can be registered for.

use super::HookRegistration;
use crate::{open::open_enum, options::Fault};

open_enum! {
    /// An event of the agent. The set is open: an event of tomorrow is `HookEvent::from("Name")`.
    HookEvent {
        /// A tool is about to run.
        PreToolUse = "PreToolUse",
        /// A tool has run.
        PostToolUse = "PostToolUse",
        /// A tool has failed.
        PostToolUseFailure = "PostToolUseFailure",
        /// All tool calls of one answer of the model have ended.
        PostToolBatch = "PostToolBatch",
        /// Somebody is to be asked for permission.
        PermissionRequest = "PermissionRequest",
        /// Auto mode denied a tool call.
        PermissionDenied = "PermissionDenied",
        /// A prompt, or the report of a background task, is about to be taken in.
        UserPromptSubmit = "UserPromptSubmit",
        /// A command or an MCP prompt became text.
        UserPromptExpansion = "UserPromptExpansion",
        /// A session begins. A host's hook is registered too late for `startup`, `resume` and `fork`; it
        /// hears of `clear` and `compact`.
        SessionStart = "SessionStart",
        /// A session ends. A host's hook cannot be called any more; `Event::Exited` says the same.
        SessionEnd = "SessionEnd",
        /// The installation is set up, before a host's hook is registered.
        Setup = "Setup",
        /// The agent is about to end its turn.
        Stop = "Stop",
        /// A turn ends for an error of the API.
        StopFailure = "StopFailure",
        /// A subagent starts.
        SubagentStart = "SubagentStart",
        /// A subagent is about to end, helpers of `/compact` among them.
        SubagentStop = "SubagentStop",
        /// The conversation is about to be compacted.
        PreCompact = "PreCompact",
        /// It was.
        PostCompact = "PostCompact",
        /// The model is about to be switched.
        PreModelSwitch = "PreModelSwitch",
        /// It was.
        PostModelSwitch = "PostModelSwitch",
        /// A piece of the answer is shown.
        MessageDisplay = "MessageDisplay",
        /// A CLAUDE.md or rules file was loaded. Those of the start are often loaded before hooks are registered.
        InstructionsLoaded = "InstructionsLoaded",
        /// The agent has something to tell its user.
        Notification = "Notification",
        /// Settings have changed on disk.
        ConfigChange = "ConfigChange",
        /// The working directory has changed.
        CwdChanged = "CwdChanged",
        /// A watched file has changed.
        FileChanged = "FileChanged",
        /// A directory was added to the workspace.
        DirectoryAdded = "DirectoryAdded",
        /// A worktree is wanted.
        WorktreeCreate = "WorktreeCreate",
        /// A worktree is no longer wanted.
        WorktreeRemove = "WorktreeRemove",
        /// A task was written down.
        TaskCreated = "TaskCreated",
        /// A task was ticked off.
        TaskCompleted = "TaskCompleted",
        /// A member of a team has nothing to do.
        TeammateIdle = "TeammateIdle",
        /// An MCP server asks the user, before `Elicitor` is asked.
        Elicitation = "Elicitation",
        /// Somebody has answered an MCP server.
        ElicitationResult = "ElicitationResult",
    }
}

/// Sources of `SessionStart` that lie before the registration of a host's hooks.
const TOO_EARLY: [&str; 3] = ["startup", "resume", "fork"];

/// The first hook that could never be called.
pub(crate) fn unreachable(hooks: &[HookRegistration]) -> Option<Fault> {
    hooks.iter().find_map(|hook| {
        let is_too_early = |matcher: &str| matcher.split('|').all(|source| TOO_EARLY.contains(&source.trim()));
        let why = match hook.event {
            HookEvent::SessionEnd => {
                "SessionEnd comes when the agent can no longer ask: wait for Event::Exited, or use a command hook"
            }
            HookEvent::SessionStart if hook.matcher.as_deref().is_some_and(is_too_early) => {
                "SessionStart for startup, resume and fork comes before hooks are registered: use a command hook"
            }
            _ => return None,
        };
        Some(("hooks", why.to_owned()))
    })
}

/// Says so when a hook will be called more seldom than its event happens.
pub(crate) fn warn_of_late_hooks(hooks: &[HookRegistration]) {
    for hook in hooks {
        if matches!(hook.event, HookEvent::SessionStart | HookEvent::Setup) {
            tracing::warn!(
                hook.event = hook.event.as_str(),
                "this hook is registered after the agent's start and only hears of what comes later"
            );
        }
    }
}
