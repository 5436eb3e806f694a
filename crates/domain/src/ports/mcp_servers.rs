//! MCP servers that people have registered.

use super::StoreResult;
use crate::{
    Expected, McpServer, McpServerId, Origin, Page, PageRequest, Scope, UserId,
    mcp::{McpCheck, McpServerPatch},
};
use async_trait::async_trait;
use jiff::Timestamp;

/// The registry. What makes, changes or deletes a server leaves its entry in the audit log, in the same unit of work.
#[async_trait]
pub trait McpServers: Send + Sync {
    /// Stores a new server; false if its owner has `owned_max` already, however many are stored at once.
    /// [`super::StoreError::Conflict`] if its owner has one of that name, or if it is for everybody and another one of
    /// that name is.
    async fn create_mcp_server(
        &self,
        server: &McpServer,
        owned_max: u32,
        origin: &Origin,
    ) -> StoreResult<bool>;

    /// The server, if it is there and inside the scope, or for everybody.
    async fn mcp_server(&self, scope: Scope, id: McpServerId) -> StoreResult<Option<McpServer>>;

    /// Servers inside the scope and those for everybody, newest first.
    async fn mcp_servers(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<McpServer>>;

    /// Every server of this user's own, by name; at most `limit`.
    async fn own_mcp_servers(&self, user: UserId, limit: u32) -> StoreResult<Vec<McpServer>>;

    /// Of each name the server that this user's sessions mean by it, disabled ones too: their own, else the one for
    /// everybody.
    async fn mcp_servers_named(&self, user: UserId, names: &[String]) -> StoreResult<Vec<McpServer>>;

    /// Changes what a person may change; `None` if there is no such server inside the scope. A name that is taken is a
    /// [`super::StoreError::Conflict`].
    async fn patch_mcp_server(
        &self,
        scope: Scope,
        id: McpServerId,
        patch: &McpServerPatch,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<McpServer>>;

    /// Deletes the server; false if there is none inside the scope.
    async fn delete_mcp_server(
        &self,
        scope: Scope,
        id: McpServerId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool>;

    /// Notes what a check found of the server as it was changed last at `updated_at`. One that was changed or deleted
    /// meanwhile is passed over.
    async fn note_mcp_check(
        &self,
        id: McpServerId,
        updated_at: Timestamp,
        check: &McpCheck,
    ) -> StoreResult<()>;

    /// Servers of everybody in the order of their ids, those after `after`; at most `limit`.
    async fn mcp_servers_after(&self, after: Option<McpServerId>, limit: u32) -> StoreResult<Vec<McpServer>>;

    /// Puts the secrets of `server`, which were sealed anew, in the place of those it had at `server.updated_at`; false
    /// if it was changed or deleted meanwhile.
    async fn reseal_mcp_server(
        &self,
        server: &McpServer,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool>;
}
