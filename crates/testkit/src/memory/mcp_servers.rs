//! MCP servers that people have registered.

use super::{
    MemoryStore,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    Expected, McpServer, McpServerId, Origin, Page, PageRequest, Scope, UserId,
    audit::events,
    mcp::{McpCheck, McpServerPatch},
    ports::{McpServers, StoreError, StoreResult},
};
use jiff::Timestamp;

#[async_trait]
impl McpServers for MemoryStore {
    async fn create_mcp_server(
        &self,
        server: &McpServer,
        owned_max: u32,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let owned = state.mcp_servers.iter().filter(|one| one.user_id == server.user_id).count();
        if owned >= owned_max as usize {
            return Ok(false);
        }
        refuse_taken(&state.mcp_servers, server)?;
        state.mcp_servers.push(server.clone());
        state.audit(events::mcp_server_created(server, origin))?;
        Ok(true)
    }

    async fn mcp_server(&self, scope: Scope, id: McpServerId) -> StoreResult<Option<McpServer>> {
        Ok(self.state().mcp_servers.iter().find(|one| one.id == id && is_in_sight(scope, one)).cloned())
    }

    async fn mcp_servers(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<McpServer>> {
        let servers = self.state().mcp_servers.clone();
        let seen = servers.into_iter().filter(|server| is_in_sight(scope, server)).collect();
        let key = |server: &McpServer| instant_key(server.created_at, server.id.0);
        read_page("mcp-servers", seen, key, Direction::Descending, page)
    }

    async fn own_mcp_servers(&self, user: UserId, limit: u32) -> StoreResult<Vec<McpServer>> {
        let mut servers = self.state().mcp_servers.clone();
        servers.retain(|server| server.user_id == user);
        servers.sort_by(|one, other| one.name.cmp(&other.name));
        servers.truncate(limit as usize);
        Ok(servers)
    }

    async fn mcp_servers_named(&self, user: UserId, names: &[String]) -> StoreResult<Vec<McpServer>> {
        let state = self.state();
        let meant = |name: &String| {
            let own = state.mcp_servers.iter().find(|one| one.user_id == user && one.name == *name);
            own.or_else(|| state.mcp_servers.iter().find(|one| one.is_global && one.name == *name)).cloned()
        };
        let mut names = names.to_vec();
        names.sort();
        names.dedup();
        Ok(names.iter().filter_map(meant).collect())
    }

    async fn patch_mcp_server(
        &self,
        scope: Scope,
        id: McpServerId,
        patch: &McpServerPatch,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<McpServer>> {
        let mut state = self.state();
        let found = state.mcp_servers.iter().position(|one| one.id == id && scope.covers(one.user_id));
        let Some(index) = found else { return Ok(None) };
        expected.admit(&state.mcp_servers[index])?;
        let patched = patch.apply(state.mcp_servers[index].clone(), at);
        refuse_taken(&state.mcp_servers, &patched)?;
        state.mcp_servers[index] = patched.clone();
        state.audit(events::mcp_server_changed(&patched, patch, origin, at))?;
        Ok(Some(patched))
    }

    async fn delete_mcp_server(
        &self,
        scope: Scope,
        id: McpServerId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let found = state.mcp_servers.iter().position(|one| one.id == id && scope.covers(one.user_id));
        let Some(index) = found else { return Ok(false) };
        expected.admit(&state.mcp_servers[index])?;
        let gone = state.mcp_servers.remove(index);
        state.audit(events::mcp_server_deleted(&gone, origin, at))?;
        Ok(true)
    }

    async fn note_mcp_check(
        &self,
        id: McpServerId,
        updated_at: Timestamp,
        check: &McpCheck,
    ) -> StoreResult<()> {
        let mut state = self.state();
        let found = state.mcp_servers.iter_mut().find(|one| one.id == id && one.updated_at == updated_at);
        if let Some(server) = found {
            server.check = Some(check.clone());
        }
        Ok(())
    }

    async fn mcp_servers_after(&self, after: Option<McpServerId>, limit: u32) -> StoreResult<Vec<McpServer>> {
        let mut servers = self.state().mcp_servers.clone();
        servers.retain(|server| after.is_none_or(|after| server.id > after));
        servers.sort_by_key(|server| server.id);
        servers.truncate(limit as usize);
        Ok(servers)
    }

    async fn reseal_mcp_server(
        &self,
        server: &McpServer,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let found = state.mcp_servers.iter_mut();
        let found = found.into_iter().find(|one| one.id == server.id && one.updated_at == server.updated_at);
        let Some(held) = found else { return Ok(false) };
        held.env.clone_from(&server.env);
        held.headers.clone_from(&server.headers);
        let event = events::mcp_server_resealed(held, origin, at);
        state.audit(event)?;
        Ok(true)
    }
}

fn is_in_sight(scope: Scope, server: &McpServer) -> bool {
    server.is_global || scope.covers(server.user_id)
}

fn refuse_taken(servers: &[McpServer], wanted: &McpServer) -> StoreResult<()> {
    let others = || servers.iter().filter(|one| one.id != wanted.id && one.name == wanted.name);
    if others().any(|one| one.user_id == wanted.user_id) {
        return Err(StoreError::Conflict { what: "an MCP server of this name" });
    }
    if wanted.is_global && others().any(|one| one.is_global) {
        return Err(StoreError::Conflict { what: "an MCP server for everybody of this name" });
    }
    Ok(())
}
