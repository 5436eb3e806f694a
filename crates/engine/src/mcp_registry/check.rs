//! How a server is: a real handshake, from where an agent would have it.

use super::McpRegistry;
use crate::{Error, Result, SandboxNetwork, temporary};
use domain::{Caller, McpCheck, McpCheckStatus, McpServer, McpServerId, McpTransport};
use mcp::{Found, Recipe, Surroundings};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpCheckReport {
    pub check: McpCheck,
    pub took: Duration,
    /// What it said of itself, if it is healthy.
    pub found: Option<Found>,
    /// What stands between it and agents, although it is healthy.
    pub notice: Option<&'static str>,
}

impl McpRegistry {
    /// Shakes hands with a server, whether it is enabled or not, lists its tools, and notes what came of it.
    pub async fn check_health(&self, caller: &Caller, id: McpServerId) -> Result<McpCheckReport> {
        let server = self.get(caller, id).await?;
        let recipe = Recipe::open(&server, self.keys())?;
        self.sessions.admit_work()?;
        let this = self.clone();
        // Whoever asked may go; what was started is ended in order all the same.
        self.sessions.see_through(async move { this.checked(&server, &recipe).await }).await
    }

    async fn checked(&self, server: &McpServer, recipe: &Recipe) -> Result<McpCheckReport> {
        let _place = self.checks.acquire().await.map_err(|_| Error::ShuttingDown)?;
        let folder = self.folder().await?;
        let report = self.checked_in(&folder, server, recipe).await;
        let removed = tokio::task::spawn_blocking(move || trees::remove_tree(&folder)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(error = &error as &dyn std::error::Error, "the folder of a check is left");
        }
        report
    }

    async fn checked_in(&self, folder: &Path, server: &McpServer, recipe: &Recipe) -> Result<McpCheckReport> {
        let inner = &self.sessions.inner;
        let surroundings = Surroundings {
            folder: folder.to_owned(),
            env: inner.settings.agent.env.clone(),
            containment: inner.settings.containment.of_mcp_server(folder),
            host_marker: inner.settings.agent.host_marker.clone(),
        };
        let began = Instant::now();
        let probed = self.prober.probe(recipe, &surroundings).await;
        let (took, at) = (began.elapsed(), inner.clock.now());
        let check = match &probed {
            Ok(found) => McpCheck {
                at,
                status: McpCheckStatus::Healthy,
                tools_count: Some(u32::try_from(found.tools.len()).unwrap_or(u32::MAX)),
                error: None,
            },
            Err(why) => McpCheck {
                at,
                status: McpCheckStatus::Unhealthy,
                tools_count: None,
                error: Some(why.clone()),
            },
        };
        inner.stores.mcp_servers.note_mcp_check(server.id, server.updated_at, &check).await?;
        Ok(McpCheckReport { check, took, found: probed.ok(), notice: self.notice(server.transport) })
    }

    /// A folder that whoever asked for it removes: what a process has made in it may be too deep for a `TempDir` to.
    async fn folder(&self) -> Result<PathBuf> {
        let place = self.sessions.inner.settings.directories.temporary.clone();
        let made = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&place)?;
            tempfile::Builder::new().prefix(temporary::CHECK).tempdir_in(&place).map(TempDir::keep)
        });
        let made = made.await.map_err(|_| Error::Internal("make a folder for a check"))?;
        made.map_err(|source| Error::Files { action: "make a folder for a check", source })
    }

    /// The check goes out from this server; what agents can reach is another matter.
    fn notice(&self, transport: McpTransport) -> Option<&'static str> {
        let sandbox = self.sessions.inner.settings.containment.sandbox.as_ref()?;
        let is_remote = matches!(transport, McpTransport::Sse | McpTransport::Http);
        (is_remote && sandbox.network != SandboxNetwork::Open).then_some(
            "agents cannot reach it: their sandbox has no network, which only SANDBOX_NETWORK=open gives it",
        )
    }
}
