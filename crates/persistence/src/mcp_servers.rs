//! MCP servers that people have registered.

use crate::{
    Store,
    entity::mcp_server::{self, Column as C, secrets_to_json},
    error::failure,
    literal::Literal,
    page::{Counting, List, ListName, read_page, try_map},
    value::micros,
};
use async_trait::async_trait;
use domain::{
    Expected, McpServer, McpServerId, Origin, Page, PageRequest, Scope, UserId,
    audit::events,
    mcp::{McpCheck, McpServerPatch},
    ports::{McpServers, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select, sea_query::Expr,
};
use std::collections::BTreeMap;

#[async_trait]
impl McpServers for Store {
    async fn create_mcp_server(
        &self,
        server: &McpServer,
        owned_max: u32,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let owned = mcp_server::Entity::find().filter(C::UserId.eq(server.user_id.0));
        let row = mcp_server::ActiveModel::from(mcp_server::Model::new(server)?);
        self.add_owned(owned, owned_max, events::mcp_server_created(server, origin), |writes| {
            writes.insert(row);
            writes.wake_agents(server.concerns());
        })
        .await
    }

    async fn mcp_server(&self, scope: Scope, id: McpServerId) -> StoreResult<Option<McpServer>> {
        let row = mcp_server::Entity::find().filter(in_sight(scope)).filter(C::Id.eq(id.0));
        row.one(&self.read).await.map_err(failure)?.map(McpServer::try_from).transpose()
    }

    async fn mcp_servers(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<McpServer>> {
        let list = List {
            name: ListName::McpServers,
            key: C::CreatedAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &mcp_server::Model| (row.created_at, row.id),
        };
        let rows = mcp_server::Entity::find().filter(in_sight(scope));
        try_map(read_page(&self.read, rows, &list, Counting::Bounded, page).await?, McpServer::try_from)
    }

    async fn own_mcp_servers(&self, user: UserId, limit: u32) -> StoreResult<Vec<McpServer>> {
        let rows = mcp_server::Entity::find().filter(C::UserId.eq(user.0)).order_by_asc(C::Name);
        let rows = rows.limit(u64::from(limit)).all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(McpServer::try_from).collect()
    }

    async fn mcp_servers_named(&self, user: UserId, names: &[String]) -> StoreResult<Vec<McpServer>> {
        let theirs = Condition::any().add(C::UserId.eq(user.0)).add(C::IsGlobal.eq_literal(true));
        let rows = mcp_server::Entity::find().filter(theirs).filter(C::Name.is_in(names));
        let rows = rows.all(&self.read).await.map_err(failure)?;
        let mut by_name: BTreeMap<String, McpServer> = BTreeMap::new();
        for row in rows {
            let server = McpServer::try_from(row)?;
            // Of two of a name one is their own.
            if server.user_id == user || !by_name.contains_key(&server.name) {
                by_name.insert(server.name.clone(), server);
            }
        }
        Ok(by_name.into_values().collect())
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
        let found = self.change_of::<_, McpServer>(one(scope, id)).await?;
        let Some((server, mut change)) = found else { return Ok(None) };
        expected.admit(&server)?;
        change.writes.wake_agents(server.concerns());
        let patched = patch.apply(server, at);
        change.writes.wake_agents(patched.concerns());
        let row: mcp_server::ActiveModel = mcp_server::Model::new(&patched)?.into();
        change.writes.replace(C::Id.eq(id.0), row);
        change.commit(self, [events::mcp_server_changed(&patched, patch, origin, at)]).await?;
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
        let found = self.change_of::<_, McpServer>(one(scope, id)).await?;
        let Some((server, mut change)) = found else { return Ok(false) };
        expected.admit(&server)?;
        change.writes.wake_agents(server.concerns());
        change.writes.run(mcp_server::Entity::delete_many().filter(C::Id.eq(id.0)));
        change.commit(self, [events::mcp_server_deleted(&server, origin, at)]).await?;
        Ok(true)
    }

    async fn note_mcp_check(
        &self,
        id: McpServerId,
        updated_at: Timestamp,
        check: &McpCheck,
    ) -> StoreResult<()> {
        let update = mcp_server::Entity::update_many()
            .col_expr(C::CheckedAt, Expr::value(micros(check.at)))
            .col_expr(C::CheckStatus, Expr::value(check.status.as_str()))
            .col_expr(C::CheckToolsCount, Expr::value(check.tools_count.map(i64::from)))
            .col_expr(C::CheckError, Expr::value(check.error.clone()))
            .filter(C::Id.eq(id.0))
            .filter(C::UpdatedAt.eq(micros(updated_at)));
        self.write_one(update).await.map(drop)
    }

    async fn mcp_servers_after(&self, after: Option<McpServerId>, limit: u32) -> StoreResult<Vec<McpServer>> {
        let mut rows = mcp_server::Entity::find().order_by_asc(C::Id).limit(u64::from(limit));
        if let Some(after) = after {
            rows = rows.filter(C::Id.gt(after.0));
        }
        let rows = rows.all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(McpServer::try_from).collect()
    }

    async fn reseal_mcp_server(
        &self,
        server: &McpServer,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let found = self.change_of::<_, McpServer>(one(Scope::All, server.id)).await?;
        let Some((found, mut change)) = found.filter(|(found, _)| found.updated_at == server.updated_at)
        else {
            return Ok(false);
        };
        let update = mcp_server::Entity::update_many()
            .col_expr(C::Env, Expr::value(secrets_to_json(&server.env)?))
            .col_expr(C::Headers, Expr::value(secrets_to_json(&server.headers)?))
            .filter(C::Id.eq(server.id.0));
        change.writes.run(update);
        change.commit(self, [events::mcp_server_resealed(&found, origin, at)]).await?;
        Ok(true)
    }
}

fn one(scope: Scope, id: McpServerId) -> Select<mcp_server::Entity> {
    mcp_server::Entity::find().filter(inside(scope)).filter(C::Id.eq(id.0))
}

fn inside(scope: Scope) -> Condition {
    match scope {
        Scope::All => Condition::all(),
        Scope::Owner(user) => Condition::all().add(C::UserId.eq(user.0)),
    }
}

/// What is inside, and what is for everybody.
fn in_sight(scope: Scope) -> Condition {
    match scope {
        Scope::All => Condition::all(),
        Scope::Owner(user) => Condition::any().add(C::UserId.eq(user.0)).add(C::IsGlobal.eq_literal(true)),
    }
}
