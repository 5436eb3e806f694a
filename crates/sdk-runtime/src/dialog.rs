//! The dialog seam: the agent wants its user to see and answer a dialog. Nobody there means cancelled.

use std::{fmt, future::Future, sync::Arc};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::hook::SeamError;

/// Shows dialogs.
#[async_trait]
pub trait DialogHost: Send + Sync {
    /// Shows one and gives back its result, whose form depends on the kind. Dropped when the agent
    /// withdraws it. An error, a panic or a time-out (`Limits::gate_timeout`) cancels it.
    async fn show(&self, dialog: UserDialog) -> Result<DialogAnswer, SeamError>;
}

/// Who shows dialogs, and which. The agent asks for no other kind; without a dialog it does what it would
/// have done by default.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Dialogs {
    /// Kinds this host can show, such as `refusal_fallback_prompt`.
    pub kinds: Vec<String>,
    /// Who shows them.
    pub host: Arc<dyn DialogHost>,
}

/// A dialog to show.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UserDialog {
    /// Its kind.
    pub kind: String,
    /// What it shows, in a form of that kind.
    pub payload: Value,
    /// The tool call it belongs to.
    pub tool_use_id: Option<String>,
    /// Everything the agent said.
    pub raw: Value,
}

/// What became of a dialog.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DialogAnswer {
    /// The user answered, in a form of that kind.
    Completed(Value),
    /// The user closed it, or it could not be shown.
    Cancelled,
}

impl Dialogs {
    /// Dialogs of these kinds.
    pub fn new<T: Into<String>>(kinds: impl IntoIterator<Item = T>, host: Arc<dyn DialogHost>) -> Self {
        Self { kinds: kinds.into_iter().map(Into::into).collect(), host }
    }

    /// Dialogs of these kinds, shown by a closure.
    pub fn from_fn<K, F, T>(kinds: impl IntoIterator<Item = K>, show: F) -> Self
    where
        K: Into<String>,
        F: Fn(UserDialog) -> T + Send + Sync + 'static,
        T: Future<Output = Result<DialogAnswer, SeamError>> + Send + 'static,
    {
        Self::new(kinds, Arc::new(DialogFn(show)))
    }
}

impl UserDialog {
    pub(crate) fn read(raw: Value) -> Self {
        let text = |key: &str| raw[key].as_str().map(str::to_owned);
        Self {
            kind: text("dialog_kind").unwrap_or_default(),
            payload: raw["payload"].clone(),
            tool_use_id: text("tool_use_id"),
            raw,
        }
    }
}

impl DialogAnswer {
    pub(crate) fn into_wire(self) -> Value {
        match self {
            Self::Completed(result) => json!({ "behavior": "completed", "result": result }),
            Self::Cancelled => json!({ "behavior": "cancelled" }),
        }
    }
}

struct DialogFn<F>(F);

#[async_trait]
impl<F, T> DialogHost for DialogFn<F>
where
    F: Fn(UserDialog) -> T + Send + Sync,
    T: Future<Output = Result<DialogAnswer, SeamError>> + Send,
{
    async fn show(&self, dialog: UserDialog) -> Result<DialogAnswer, SeamError> {
        (self.0)(dialog).await
    }
}

impl fmt::Debug for dyn DialogHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DialogHost")
    }
}
