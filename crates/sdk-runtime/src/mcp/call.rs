//! One call as its handler sees it.

use std::{fmt, sync::Arc};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{jsonrpc, upstream::Upstream};

/// A call in progress. Clones are the same call.
#[derive(Clone)]
pub struct ToolCall(Arc<Inner>);

struct Inner {
    server: Arc<str>,
    tool: String,
    meta: Value,
    token: CancellationToken,
    upstream: Upstream,
}

impl ToolCall {
    pub(super) fn new(
        server: Arc<str>,
        tool: String,
        meta: Value,
        token: CancellationToken,
        upstream: Upstream,
    ) -> Self {
        Self(Arc::new(Inner { server, tool, meta, token, upstream }))
    }

    /// The name under which the agent knows the server.
    pub fn server(&self) -> &str {
        &self.0.server
    }

    /// The tool's own name, without `mcp__…__`.
    pub fn tool(&self) -> &str {
        &self.0.tool
    }

    /// The tool call of the model that led to this, as in `Frame`s, hooks and gates.
    pub fn tool_use_id(&self) -> Option<&str> {
        self.0.meta["claudecode/toolUseId"].as_str()
    }

    /// The `_meta` of the request; null when there is none.
    pub fn meta(&self) -> &Value {
        &self.0.meta
    }

    /// Whether the call was withdrawn, timed out, or lost its agent.
    pub fn is_cancelled(&self) -> bool {
        self.0.token.is_cancelled()
    }

    /// Waits until the call is withdrawn, times out, or loses its agent; forever once it has its answer. The
    /// handler itself is dropped then; this is for work it started elsewhere. Cancel safe.
    pub async fn cancelled(&self) {
        self.0.token.cancelled().await;
    }

    /// Reports progress: `progress` must grow with each report, `total` is its end if known. Waits only for
    /// room in the pipe; nothing happens when the agent did not ask for progress. Cancel safe: a report is
    /// sent whole or not at all.
    pub async fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let token = &self.0.meta["progressToken"];
        if token.is_null() {
            return;
        }
        let mut params = json!({ "progressToken": token, "progress": progress });
        if let Some(total) = total {
            params["total"] = total.into();
        }
        if let Some(message) = message {
            params["message"] = message.into();
        }
        let message = jsonrpc::notification("notifications/progress", params);
        self.0.upstream.tell(&self.0.server, message).await;
    }
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCall")
            .field("server", &self.0.server)
            .field("tool", &self.0.tool)
            .field("tool_use_id", &self.tool_use_id())
            .finish_non_exhaustive()
    }
}
