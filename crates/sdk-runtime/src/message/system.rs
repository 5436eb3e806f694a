//! `system` frames: what the agent says about itself.

use serde_json::Value;
use uuid::Uuid;

use super::{
    notices::{
        ApiRetry, CommandsChanged, CompactBoundary, ControlRequestProgress, ElicitationComplete,
        FilesPersisted, HookProgress, HookResponse, HookStarted, Informational, LocalCommandOutput,
        MemoryRecall, MirrorError, ModelRefusalFallback, ModelRefusalNoFallback, Notification,
        PermissionDenied, PluginInstall, SessionStateChanged, SessionTitleChanged, SessionWritesLost, Status,
        ThinkingTokens, UiInvalidate, WorkerShuttingDown,
    },
    shape::{frame, shape, tagged},
    tasks::{BackgroundTasksChanged, TaskNotification, TaskProgress, TaskStarted, TaskUpdated},
};

tagged! {
    /// A `system` frame.
    pub enum SystemMessage by "subtype" {
        /// A turn begins, in this setting.
        Init(Box<Init>) = "init",
        /// The agent asks the model, compacts, or its permission mode changed.
        Status(Status) = "status",
        /// A failed request to the model is about to be made again.
        ApiRetry(ApiRetry) = "api_retry",
        /// The conversation so far was replaced by a summary.
        CompactBoundary(Box<CompactBoundary>) = "compact_boundary",
        /// A task began.
        TaskStarted(TaskStarted) = "task_started",
        /// A task goes on.
        TaskProgress(TaskProgress) = "task_progress",
        /// Something about a task changed.
        TaskUpdated(TaskUpdated) = "task_updated",
        /// A task ended.
        TaskNotification(TaskNotification) = "task_notification",
        /// The set of background tasks, as it is now.
        BackgroundTasksChanged(BackgroundTasksChanged) = "background_tasks_changed",
        /// A command hook was started.
        HookStarted(HookStarted) = "hook_started",
        /// A command hook wrote something.
        HookProgress(HookProgress) = "hook_progress",
        /// A command hook ended.
        HookResponse(HookResponse) = "hook_response",
        /// Something people should read.
        Informational(Informational) = "informational",
        /// Something to show for a moment.
        Notification(Notification) = "notification",
        /// A tool call was denied without asking the host.
        PermissionDenied(PermissionDenied) = "permission_denied",
        /// The session runs, waits for a decision, or is idle.
        SessionStateChanged(SessionStateChanged) = "session_state_changed",
        /// The session has another title.
        SessionTitleChanged(SessionTitleChanged) = "session_title_changed",
        /// The set of slash commands changed.
        CommandsChanged(CommandsChanged) = "commands_changed",
        /// A control request of the host takes its time.
        ControlRequestProgress(ControlRequestProgress) = "control_request_progress",
        /// The model thinks.
        ThinkingTokens(ThinkingTokens) = "thinking_tokens",
        /// A user interface should draw again.
        UiInvalidate(UiInvalidate) = "ui_invalidate",
        /// Files were uploaded.
        FilesPersisted(FilesPersisted) = "files_persisted",
        /// Memories were recalled.
        MemoryRecall(MemoryRecall) = "memory_recall",
        /// An elicitation was completed elsewhere.
        ElicitationComplete(ElicitationComplete) = "elicitation_complete",
        /// A plugin is being installed.
        PluginInstall(PluginInstall) = "plugin_install",
        /// A slash command wrote something.
        LocalCommandOutput(LocalCommandOutput) = "local_command_output",
        /// The model refused and another took over.
        ModelRefusalFallback(ModelRefusalFallback) = "model_refusal_fallback",
        /// The model refused and no other took over.
        ModelRefusalNoFallback(ModelRefusalNoFallback) = "model_refusal_no_fallback",
        /// The agent is about to go.
        WorkerShuttingDown(WorkerShuttingDown) = "worker_shutting_down",
        /// The transcript could not be written.
        SessionWritesLost(SessionWritesLost) = "session_writes_lost",
        /// The transcript could not be mirrored. Made up by the host's side, never said by the agent.
        MirrorError(MirrorError) = "mirror_error",
    } else SystemMessage::Other
}

frame! {
    /// A turn begins, in this setting.
    pub struct Init {
        /// Working directory.
        cwd: String = "cwd",
        /// Tools the model has.
        tools: Vec<String> = "tools",
        /// MCP servers and how they are.
        mcp_servers: Vec<McpServer> = "mcp_servers",
        /// The model.
        model: String = "model",
        /// The permission mode.
        permission_mode: Option<String> = "permissionMode",
        /// Slash commands.
        slash_commands: Vec<String> = "slash_commands",
        /// Slash commands that need a terminal.
        terminal_slash_commands: Vec<String> = "terminal_slash_commands",
        /// Where the key comes from.
        api_key_source: Option<String> = "apiKeySource",
        /// Version of the CLI.
        claude_code_version: Option<String> = "claude_code_version",
        /// Style of the answers.
        output_style: Option<String> = "output_style",
        /// Subagents.
        agents: Vec<String> = "agents",
        /// Skills.
        skills: Vec<String> = "skills",
        /// Plugins.
        plugins: Vec<Plugin> = "plugins",
        /// Plugins that could not be loaded.
        plugin_errors: Vec<Value> = "plugin_errors",
        /// Features of the CLI; the set is open.
        capabilities: Vec<String> = "capabilities",
        /// Beta headers in use.
        betas: Vec<String> = "betas",
        /// Directories beside `cwd` the agent may work in.
        additional_directories: Vec<String> = "additional_directories",
        /// Working directory the session began in.
        original_cwd: Option<String> = "original_cwd",
        /// Folders of memories, by kind.
        memory_paths: Option<Value> = "memory_paths",
        /// `on`, `off`, …
        fast_mode_state: Option<String> = "fast_mode_state",
        /// The prompts this turn answers.
        prompts: Vec<Uuid> = "user_message_uuids",
    }
}

shape! {
    /// An MCP server.
    pub struct McpServer {
        /// Its name.
        name: String = "name",
        /// `connected`, `failed`, `pending`, `needs-auth`, `disabled`.
        status: String = "status",
        /// Where it is configured, such as `sdk`.
        source: Option<String> = "source",
    }
}

shape! {
    /// A plugin.
    pub struct Plugin {
        /// Its name.
        name: String = "name",
        /// Where it is.
        path: Option<String> = "path",
        /// Where it comes from.
        source: Option<String> = "source",
        /// Its version.
        version: Option<String> = "version",
    }
}
