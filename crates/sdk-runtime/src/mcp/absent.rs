//! The place of in-process servers in a build without them.

use std::{collections::BTreeMap, time::Duration};

use futures::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::McpServerConfig;
use crate::{driver::Command, protocol::Answer, writer::Rooms};

/// No sessions: every message is answered with the reason.
#[derive(Debug)]
pub(crate) struct Sessions;

/// Nothing that could come back.
pub(crate) struct Replaced;

impl Sessions {
    pub(crate) fn open(
        _servers: &BTreeMap<String, McpServerConfig>,
        _commands: mpsc::WeakUnboundedSender<Command>,
        _rooms: Rooms,
    ) -> Self {
        Self
    }

    pub(crate) fn introduce(&self, body: Value, _patience: Duration) -> impl Future<Output = Value> {
        std::future::ready(body)
    }

    pub(crate) fn ready(&self, _answer: &Value) {}

    pub(crate) fn take(&self, server_name: &str, _message: Value) -> BoxFuture<'static, Answer> {
        let answer = Answer::Error(format!(
            "no MCP server {server_name} runs in this host: it was built without the feature `mcp`"
        ));
        Box::pin(std::future::ready(answer))
    }

    pub(crate) async fn replace(
        &self,
        _servers: &BTreeMap<String, McpServerConfig>,
    ) -> (Map<String, Value>, Replaced) {
        (Map::new(), Replaced)
    }

    pub(crate) fn close(&self) {}
}

impl Replaced {
    pub(crate) fn keep(self, _servers: &BTreeMap<String, McpServerConfig>) {}
}
