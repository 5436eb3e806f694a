//! A row of `mcp_servers`.

use crate::value::{Reader, micros, to_json};
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{
    McpCheck, McpCheckStatus, McpServer, McpServerId, McpTransport, UserId,
    hook::SealedSecret,
    ports::{StoreError, StoreResult},
};
use sea_orm::entity::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_servers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    pub description: Option<String>,
    pub transport: String,
    pub command: Option<String>,
    pub args: Json,
    pub env: Json,
    pub url: Option<String>,
    pub headers: Json,
    pub is_enabled: bool,
    pub is_global: bool,
    pub checked_at: Option<i64>,
    pub check_status: Option<String>,
    pub check_tools_count: Option<i64>,
    pub check_error: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn new(server: &McpServer) -> StoreResult<Self> {
        let check = server.check.as_ref();
        Ok(Self {
            id: server.id.0,
            user_id: server.user_id.0,
            name: server.name.clone(),
            description: server.description.clone(),
            transport: server.transport.as_str().to_owned(),
            command: server.command.clone(),
            args: to_json(&server.args)?,
            env: secrets_to_json(&server.env)?,
            url: server.url.clone(),
            headers: secrets_to_json(&server.headers)?,
            is_enabled: server.is_enabled,
            is_global: server.is_global,
            checked_at: check.map(|check| micros(check.at)),
            check_status: check.map(|check| check.status.as_str().to_owned()),
            check_tools_count: check.and_then(|check| check.tools_count).map(i64::from),
            check_error: check.and_then(|check| check.error.clone()),
            created_at: micros(server.created_at),
            updated_at: micros(server.updated_at),
        })
    }
}

/// Encrypted bytes are text in JSON.
pub(crate) fn secrets_to_json(secrets: &BTreeMap<String, SealedSecret>) -> StoreResult<Json> {
    let encoded: BTreeMap<_, _> =
        secrets.iter().map(|(name, secret)| (name, STANDARD.encode(&secret.0))).collect();
    to_json(&encoded)
}

fn secrets(reader: Reader, column: &'static str, json: Json) -> StoreResult<BTreeMap<String, SealedSecret>> {
    let encoded: BTreeMap<String, String> = reader.json(column, json)?;
    let decode = |(name, text): (String, String)| {
        let bytes = STANDARD.decode(text).map_err(|_| reader.inconsistent(column))?;
        Ok((name, SealedSecret(bytes)))
    };
    encoded.into_iter().map(decode).collect()
}

impl TryFrom<Model> for McpServer {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("mcp_servers");
        let at = reader.instant_if("checked_at", row.checked_at)?;
        let status = row.check_status.as_deref();
        let status =
            status.map(|word| reader.word("check_status", McpCheckStatus::parse, word)).transpose()?;
        let tools = row.check_tools_count;
        let tools_count = tools.map(|count| reader.figure("check_tools_count", count)).transpose()?;
        let check =
            at.zip(status).map(|(at, status)| McpCheck { at, status, tools_count, error: row.check_error });
        Ok(Self {
            id: McpServerId(row.id),
            user_id: UserId(row.user_id),
            name: row.name,
            description: row.description,
            transport: reader.word("transport", McpTransport::parse, &row.transport)?,
            command: row.command,
            args: reader.json("args", row.args)?,
            env: secrets(reader, "env", row.env)?,
            url: row.url,
            headers: secrets(reader, "headers", row.headers)?,
            is_enabled: row.is_enabled,
            is_global: row.is_global,
            check,
            created_at: reader.instant("created_at", row.created_at)?,
            updated_at: reader.instant("updated_at", row.updated_at)?,
        })
    }
}
