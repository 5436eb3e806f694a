//! The elicitation seam: an MCP server wants an answer from a person. Nobody there means decline.

use std::{fmt, future::Future, sync::Arc};

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::{hook::SeamError, open::open_enum};

/// Answers MCP servers in place of, or on behalf of, a person.
#[async_trait]
pub trait Elicitor: Send + Sync {
    /// Answers. Dropped when the agent withdraws its question; several run at once. An error, a panic or
    /// a time-out (`Limits::gate_timeout`) cancels the question.
    async fn elicit(&self, question: ElicitationQuestion) -> Result<ElicitationAnswer, SeamError>;
}

open_enum! {
    /// How an MCP server wants to be answered.
    ElicitationMode {
        /// By a form after `requested_schema`.
        Form = "form",
        /// On a page at `url`; accepting means that the user was sent there.
        Url = "url",
    }
}

/// What an MCP server asks.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ElicitationQuestion {
    /// The server.
    pub server: String,
    /// The question.
    pub message: String,
    /// How it wants to be answered.
    pub mode: ElicitationMode,
    /// The page to open, for `Url`.
    pub url: Option<String>,
    /// Its id, for `Url`: `system/elicitation_complete` names it when the page is done.
    pub elicitation_id: Option<String>,
    /// JSON schema of the answer, for `Form`; null when there is none.
    pub requested_schema: Value,
    /// The fields of the form in the order of the server.
    pub property_order: Vec<String>,
    /// A heading.
    pub title: Option<String>,
    /// Everything the agent said.
    pub raw: Value,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ElicitationAnswer {
    /// These are the fields of the form; none for a page.
    Accept {
        /// Values by name.
        content: Option<Map<String, Value>>,
    },
    /// The person says no.
    Decline,
    /// The person did not decide.
    Cancel,
}

impl ElicitationAnswer {
    /// Fills in the form.
    pub fn accept(content: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self::Accept { content: Some(content.into_iter().collect()) }
    }

    pub(crate) fn into_wire(self) -> Value {
        match self {
            Self::Accept { content: Some(content) } => json!({ "action": "accept", "content": content }),
            Self::Accept { content: None } => json!({ "action": "accept" }),
            Self::Decline => json!({ "action": "decline" }),
            Self::Cancel => json!({ "action": "cancel" }),
        }
    }
}

impl ElicitationQuestion {
    pub(crate) fn read(raw: Value) -> Self {
        let text = |key: &str| raw[key].as_str().map(str::to_owned);
        let order = raw["property_order"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            server: text("mcp_server_name").unwrap_or_default(),
            message: text("message").unwrap_or_default(),
            mode: text("mode").map_or(ElicitationMode::Form, ElicitationMode::from),
            url: text("url"),
            elicitation_id: text("elicitation_id"),
            requested_schema: raw["requested_schema"].clone(),
            property_order: order.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            title: text("title"),
            raw,
        }
    }
}

/// Makes a closure an elicitor.
pub fn elicitor_fn<F, T>(elicitor: F) -> Arc<dyn Elicitor>
where
    F: Fn(ElicitationQuestion) -> T + Send + Sync + 'static,
    T: Future<Output = Result<ElicitationAnswer, SeamError>> + Send + 'static,
{
    Arc::new(ElicitorFn(elicitor))
}

struct ElicitorFn<F>(F);

#[async_trait]
impl<F, T> Elicitor for ElicitorFn<F>
where
    F: Fn(ElicitationQuestion) -> T + Send + Sync,
    T: Future<Output = Result<ElicitationAnswer, SeamError>> + Send,
{
    async fn elicit(&self, question: ElicitationQuestion) -> Result<ElicitationAnswer, SeamError> {
        (self.0)(question).await
    }
}

impl fmt::Debug for dyn Elicitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elicitor")
    }
}
