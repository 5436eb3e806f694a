//! The session itself: model, mode, title, working directory, and what is said beside it.

use std::path::Path;

use serde_json::{Value, json};

use super::body;
use crate::{
    agent::Agent,
    error::Error,
    open::open_struct,
    options::{PermissionMode, ThinkingDisplay},
};

open_struct! {
    /// The answer to a question beside the conversation.
    SideAnswer {
        /// The answer; `None` when the model gave none.
        response: Option<String>,
        /// Whether the agent made it up without the model.
        synthetic: bool,
    }
    /// The model after a switch.
    ModelSet {
        /// The model, an alias resolved.
        model: Option<String>,
    }
    /// The mode after a switch.
    PermissionModeSet {
        /// The mode.
        mode: Option<PermissionMode>,
    }
    /// A title.
    SessionTitle {
        /// The title; `None` when none came of it.
        title: Option<String>,
    }
    /// The plan of plan mode.
    Plan {
        /// Whether there is one.
        exists: bool,
        /// Its text.
        content: Option<String>,
    }
    /// What the agent shows as its status.
    SessionStatus {
        /// Sections.
        sections: Vec<StatusSection>,
    }
    /// A section of a status.
    StatusSection {
        /// Its heading.
        title: String,
        /// Its rows.
        rows: Vec<StatusRow>,
    }
    /// A row of a status.
    StatusRow {
        /// What.
        label: String,
        /// How.
        value: Value,
    }
    /// The conversation as text.
    ExportedConversation {
        /// As a terminal would show it.
        text: String,
    }
}

impl Agent {
    /// Changes the model from the next request on; `None` goes back to the default. The agent takes any
    /// name, and only the API says that there is no such model. The answer is the model, an alias resolved.
    /// When it is dropped, the agent may still do it.
    pub async fn set_model(&self, model: Option<&str>) -> Result<Option<String>, Error> {
        self.ask("set_model", json!({ "model": model })).await.map(|set: ModelSet| set.model)
    }

    /// Changes the permission mode, and says which it is now. `BypassPermissions` is refused with the code
    /// `bypass_not_launched`, unless `AgentOptions::allow_bypass_permissions` was set.
    /// When it is dropped, the agent may still do it.
    pub async fn set_permission_mode(
        &self,
        mode: impl Into<PermissionMode> + Send,
    ) -> Result<PermissionMode, Error> {
        let mode = mode.into();
        let set: PermissionModeSet = self.ask("set_permission_mode", json!({ "mode": mode })).await?;
        Ok(set.mode.unwrap_or(mode))
    }

    /// Bounds thinking; `None` goes back to the default, zero turns it off.
    /// When it is dropped, the agent may still do it.
    pub async fn set_max_thinking_tokens(
        &self,
        tokens: Option<u32>,
        display: Option<ThinkingDisplay>,
    ) -> Result<(), Error> {
        let display = display.map(|display| json!(display));
        let body = body([("max_thinking_tokens", Some(json!(tokens))), ("thinking_display", display)]);
        self.tell("set_max_thinking_tokens", body).await
    }

    /// Renames the session; `system/session_title_changed` follows.
    /// When it is dropped, the agent may still do it.
    pub async fn rename_session(&self, title: &str) -> Result<(), Error> {
        self.tell("rename_session", json!({ "title": title })).await
    }

    /// Has the model make a title from a description, and gives it to the session when `persist` is set.
    /// When it is dropped, the agent may still do it.
    pub async fn generate_title(&self, description: &str, persist: bool) -> Result<Option<String>, Error> {
        let body = json!({ "description": description, "persist": persist });
        self.ask("generate_session_title", body).await.map(|answer: SessionTitle| answer.title)
    }

    /// Asks the model something beside the conversation, which it knows and which does not change. Works
    /// while a turn runs.
    /// When it is dropped, the agent may still do it.
    pub async fn side_question(&self, question: &str) -> Result<SideAnswer, Error> {
        self.ask("side_question", json!({ "question": question })).await
    }

    /// Moves the session to another working directory.
    /// When it is dropped, the agent may still do it.
    pub async fn set_cwd(&self, path: &Path) -> Result<Value, Error> {
        self.control("set_cwd", json!({ "path": path.to_string_lossy() })).await
    }

    /// The plan of plan mode.
    /// Cancel safe.
    pub async fn plan(&self) -> Result<Plan, Error> {
        self.ask("get_plan", json!({})).await
    }

    /// What the agent shows as its status.
    /// Cancel safe.
    pub async fn status(&self) -> Result<SessionStatus, Error> {
        self.ask("get_status", json!({})).await
    }

    /// The conversation as text.
    /// Cancel safe.
    pub async fn export_conversation(&self) -> Result<String, Error> {
        let exported: ExportedConversation = self.ask("export_conversation", json!({})).await?;
        Ok(exported.text)
    }

    /// Tells the agent whether anybody watches; it saves itself what only watchers see. `None` leaves it
    /// open.
    /// When it is dropped, the agent may still do it.
    pub async fn set_has_subscribers(&self, has_subscribers: Option<bool>) -> Result<(), Error> {
        self.tell("set_has_subscribers", json!({ "has_subscribers": has_subscribers })).await
    }

    /// Asks the agent to end itself. [`Agent::close`] does more: it waits until nothing is left.
    /// When it is dropped, the agent may still do it.
    pub async fn end_session(&self) -> Result<(), Error> {
        self.tell("end_session", json!({})).await
    }
}
