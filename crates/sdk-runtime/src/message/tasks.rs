//! Tasks: subagents and commands, in the foreground and in the background.

use super::{
    shape::{frame, shape, words},
    usage::TaskUsage,
};

words! {
    /// Where a task stands. `Killed` in an update is `Stopped` in a notification.
    pub enum TaskStatus {
        Pending = "pending",
        Running = "running",
        Paused = "paused",
        Completed = "completed",
        Failed = "failed",
        Stopped = "stopped",
        Killed = "killed",
    }
}

frame! {
    /// A task began. A command in the foreground that takes more than a few seconds is one too.
    pub struct TaskStarted {
        /// The task.
        task_id: String = "task_id",
        /// This run of it.
        run_id: Option<String> = "run_id",
        /// The tool call that started it.
        tool_use_id: Option<String> = "tool_use_id",
        /// What it is for.
        description: Option<String> = "description",
        /// `local_agent`, `local_bash`, …
        task_type: Option<String> = "task_type",
        /// Type of the subagent.
        subagent_type: Option<String> = "subagent_type",
        /// Whether the turn goes on without it.
        is_backgrounded: bool = "is_backgrounded",
        /// How deep subagents are nested.
        spawn_depth: Option<u64> = "spawn_depth",
        /// What the subagent was told.
        prompt: Option<String> = "prompt",
        /// The task that started it.
        parent_task_id: Option<String> = "parent_task_id",
        /// The workflow it belongs to.
        workflow_name: Option<String> = "workflow_name",
        /// Part of the surroundings, not of the work.
        is_ambient: bool = "ambient",
    }
}

frame! {
    /// A task goes on.
    pub struct TaskProgress {
        /// The task.
        task_id: String = "task_id",
        /// This run of it.
        run_id: Option<String> = "run_id",
        /// The tool call that started it.
        tool_use_id: Option<String> = "tool_use_id",
        /// What it does now.
        description: Option<String> = "description",
        /// Type of the subagent.
        subagent_type: Option<String> = "subagent_type",
        /// What it used so far.
        usage: Option<TaskUsage> = "usage",
        /// The last tool it called.
        last_tool_name: Option<String> = "last_tool_name",
        /// What it did so far.
        summary: Option<String> = "summary",
    }
}

frame! {
    /// Something about a task changed; this may be the only word of its end.
    pub struct TaskUpdated {
        /// The task.
        task_id: String = "task_id",
        /// This run of it.
        run_id: Option<String> = "run_id",
        /// What changed.
        patch: TaskPatch = "patch",
    }
}

shape! {
    /// What changed about a task.
    pub struct TaskPatch {
        /// Where it stands now.
        status: Option<TaskStatus> = "status",
        /// What it does now.
        description: Option<String> = "description",
        /// When it ended, Unix time in milliseconds.
        end_time_ms: Option<u64> = "end_time",
        /// How long it was paused, in milliseconds.
        total_paused_ms: Option<u64> = "total_paused_ms",
        /// Why it failed.
        error: Option<String> = "error",
        /// Whether it went to the background.
        is_backgrounded: bool = "is_backgrounded",
    }
}

frame! {
    /// A task ended. The agent wakes up and tells the model.
    pub struct TaskNotification {
        /// The task.
        task_id: String = "task_id",
        /// This run of it.
        run_id: Option<String> = "run_id",
        /// The tool call that started it.
        tool_use_id: Option<String> = "tool_use_id",
        /// How it ended.
        status: TaskStatus = "status",
        /// Where its output is.
        output_file: Option<String> = "output_file",
        /// Its outcome in words.
        summary: Option<String> = "summary",
        /// Whether those words are the task's own report.
        is_summary_report: bool = "summary_is_report",
        /// What it used.
        usage: Option<TaskUsage> = "usage",
        /// Part of the surroundings, not of the work.
        is_ambient: bool = "ambient",
    }
}

frame! {
    /// The set of background tasks, as it is now.
    pub struct BackgroundTasksChanged {
        /// All of them.
        tasks: Vec<BackgroundTask> = "tasks",
    }
}

shape! {
    /// A background task.
    pub struct BackgroundTask {
        /// The task.
        task_id: String = "task_id",
        /// This run of it.
        run_id: Option<String> = "run_id",
        /// `local_agent`, `local_bash`, …
        task_type: Option<String> = "task_type",
        /// Type of the subagent.
        subagent_type: Option<String> = "subagent_type",
        /// What it is for.
        description: Option<String> = "description",
        /// The task that started it.
        parent_task_id: Option<String> = "parent_task_id",
        /// Part of the surroundings, not of the work.
        is_ambient: bool = "ambient",
    }
}

impl TaskStatus {
    /// Whether the task is over. A word this crate does not know is taken for a task that goes on.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Stopped | Self::Killed)
    }
}
