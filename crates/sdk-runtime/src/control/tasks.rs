//! Tasks in the background, and prompts that have not started.

use serde_json::json;
use uuid::Uuid;

use super::body;
use crate::{agent::Agent, error::Error, open::open_struct};

open_struct! {
    /// The end of what a background command has written.
    TaskOutput {
        /// At most its last 8 KiB.
        output: String,
        /// How much there was.
        total_bytes: u64,
        /// Whether there was more.
        truncated: bool,
    }
    /// What became of a prompt that was to be taken back.
    CancelledPrompt {
        /// Whether it had not started.
        cancelled: bool,
    }
}

impl Agent {
    /// Ends a background task. `system/task_notification` says `stopped`; an unknown id changes nothing and
    /// is no error.
    /// When it is dropped, the agent may still do it.
    pub async fn stop_task(&self, task_id: &str) -> Result<(), Error> {
        self.tell("stop_task", json!({ "task_id": task_id })).await
    }

    /// Moves what runs in the foreground to the background: the task of this tool call, or all.
    /// When it is dropped, the agent may still do it.
    pub async fn background_tasks(&self, tool_use_id: Option<&str>) -> Result<(), Error> {
        let body = body([("tool_use_id", tool_use_id.map(Into::into))]);
        self.tell("background_tasks", body).await
    }

    /// What a background command has written so far.
    /// Cancel safe.
    pub async fn task_output(&self, task_id: &str) -> Result<TaskOutput, Error> {
        self.ask("get_task_output", json!({ "task_id": task_id })).await
    }

    /// Takes a prompt back that has not started, and says whether that came in time. The prompt then ends
    /// as `Event::Dropped`.
    /// When it is dropped, the agent may still do it.
    pub async fn cancel_prompt(&self, prompt: Uuid) -> Result<bool, Error> {
        let answer: CancelledPrompt =
            self.ask("cancel_async_message", json!({ "message_uuid": prompt })).await?;
        Ok(answer.cancelled)
    }
}
