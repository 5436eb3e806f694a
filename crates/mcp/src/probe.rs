//! A handshake with a server, by which is seen how it is and what it offers: `initialize` and `tools/list`, within a
//! time, and with bounds for whatever it says.

mod http;
mod sse;
mod stdio;

use crate::Recipe;
use domain::McpTransport;
use futures::{FutureExt, future::ready};
use hooks::webhook::Outbound;
use rmcp::{
    RoleClient, ServiceError,
    model::{ClientCapabilities, Implementation, InitializeRequestParams, PaginatedRequestParams},
    service::{ClientInitializeError, RunningService},
    transport::IntoTransport,
};
use sdk_runtime::{Containment, Launcher};
use std::{collections::BTreeMap, error::Error, path::PathBuf, sync::Arc, time::Duration};

/// How long a check takes at most, starting a process included.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);
/// What a server may say in all, in bytes.
const SAID_BYTES_MAX: usize = 8 << 20;
/// Tools that are listed; a server with more has them counted up to here.
const TOOLS_MAX: usize = 1000;
/// Pages of tools that are asked for.
const PAGES_MAX: usize = 50;
/// What is kept of a text that a server gave, in characters.
const TEXT_CHARS_MAX: usize = 500;
/// What is told of why it is not healthy, in characters.
const WHY_CHARS_MAX: usize = 1000;

/// What a healthy server said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its name and version.
    pub server_name: String,
    pub server_version: String,
    pub protocol_version: String,
    pub tools: Vec<FoundTool>,
}

/// One of its tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTool {
    pub name: String,
    pub description: Option<String>,
}

/// Where a process of a `stdio` server runs: contained as agents are.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// A folder of its own, which is its home and where it works. Whoever made it removes it.
    pub folder: PathBuf,
    /// What it has of the host's environment.
    pub env: BTreeMap<String, String>,
    pub containment: Containment,
    /// Marks this host's processes.
    pub host_marker: String,
}

/// Shakes hands with servers.
#[derive(Clone)]
pub struct Prober {
    launcher: Arc<dyn Launcher>,
    outbound: Outbound,
    timeout: Duration,
}

impl std::fmt::Debug for Prober {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prober").field("outbound", &self.outbound).finish_non_exhaustive()
    }
}

impl Prober {
    /// One that starts processes with this launcher and goes out this way.
    #[must_use]
    pub fn new(launcher: Arc<dyn Launcher>, outbound: Outbound) -> Self {
        Self { launcher, outbound, timeout: CHECK_TIMEOUT }
    }

    /// The same with another bound of a whole check.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// What the server is, or why it is not healthy, without its secrets.
    pub async fn probe(&self, recipe: &Recipe, surroundings: &Surroundings) -> Result<Found, String> {
        // Boxed, because the compiler does not see through what the transports are made of.
        let probed = match recipe.transport {
            McpTransport::Stdio => {
                stdio::probe(self.launcher.as_ref(), recipe, surroundings, self.timeout).boxed()
            }
            McpTransport::Sse => sse::probe(&self.outbound, recipe).boxed(),
            McpTransport::Http => http::probe(&self.outbound, recipe).boxed(),
            McpTransport::Sdk => ready(Err("there are no servers inside this one".to_owned())).boxed(),
        };
        // A process has as long to answer, and some time more to be started and ended.
        let bound = if recipe.transport == McpTransport::Stdio { self.timeout * 2 } else { self.timeout };
        let probed = tokio::time::timeout(bound, probed).await;
        let probed = probed.unwrap_or_else(|_| Err(too_late(self.timeout)));
        probed.map_err(|why| cut(&recipe.redacted(&why), WHY_CHARS_MAX))
    }
}

/// Why a handshake came to nothing.
enum Failure {
    Initialize(Box<ClientInitializeError>),
    ListTools(ServiceError),
}

/// Speaks with a server as its client.
async fn ask<T, E, A>(transport: T) -> Result<Found, Failure>
where
    T: IntoTransport<RoleClient, E, A>,
    E: Error + Send + Sync + 'static,
{
    let us = Implementation::new("steward", env!("CARGO_PKG_VERSION"));
    let us = InitializeRequestParams::new(ClientCapabilities::default(), us);
    let client =
        rmcp::serve_client(us, transport).await.map_err(|error| Failure::Initialize(Box::new(error)))?;
    let found = listed(&client).await.map_err(Failure::ListTools);
    // It is only told that we go; what it answers to that is of no interest.
    let _ = client.cancel().await;
    found
}

async fn listed(client: &RunningService<RoleClient, InitializeRequestParams>) -> Result<Found, ServiceError> {
    let mut found = Found::default();
    let Some(info) = client.peer_info() else { return Ok(found) };
    if let Some(server) = &info.server_info {
        found.server_name = cut(&server.name, TEXT_CHARS_MAX);
        found.server_version = cut(&server.version, TEXT_CHARS_MAX);
    }
    found.protocol_version = cut(info.protocol_version.as_str(), TEXT_CHARS_MAX);
    if info.capabilities.tools.is_none() {
        return Ok(found);
    }
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let page = client.list_tools(Some(params)).await?;
        found.tools.extend(page.tools.into_iter().map(|tool| FoundTool {
            name: cut(&tool.name, TEXT_CHARS_MAX),
            description: tool.description.map(|text| cut(&text, TEXT_CHARS_MAX)),
        }));
        cursor = page.next_cursor;
        if cursor.is_none() || found.tools.len() >= TOOLS_MAX {
            break;
        }
    }
    found.tools.truncate(TOOLS_MAX);
    Ok(found)
}

fn too_late(timeout: Duration) -> String {
    format!("did not answer within {timeout:?}")
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').take(chars_max).collect()
}
