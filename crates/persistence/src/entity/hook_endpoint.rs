//! A row of `hook_endpoints`.

use crate::value::{Reader, micros, to_json};
use domain::{
    FailMode, HookEndpoint, HookEndpointId, HookEndpointKind, UserId,
    hook::SealedSecret,
    ports::{StoreError, StoreResult},
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hook_endpoints")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    pub url: String,
    pub kind: String,
    pub event_types: Json,
    pub tool_matcher: Option<String>,
    pub timeout_ms: i64,
    pub run_order: i64,
    pub fail_mode: String,
    pub is_enabled: bool,
    pub is_global: bool,
    pub secret: Vec<u8>,
    pub old_secret: Option<Vec<u8>>,
    pub old_secret_until: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn new(endpoint: &HookEndpoint) -> StoreResult<Self> {
        let (old_secret, old_secret_until) =
            endpoint.old_secret.clone().map(|(secret, until)| (secret.0, micros(until))).unzip();
        Ok(Self {
            id: endpoint.id.0,
            user_id: endpoint.user_id.0,
            name: endpoint.name.clone(),
            url: endpoint.url.clone(),
            kind: endpoint.kind.as_str().to_owned(),
            event_types: to_json(&endpoint.event_types)?,
            tool_matcher: endpoint.tool_matcher.clone(),
            timeout_ms: endpoint.timeout_ms.into(),
            run_order: endpoint.order.into(),
            fail_mode: endpoint.fail_mode.as_str().to_owned(),
            is_enabled: endpoint.is_enabled,
            is_global: endpoint.is_global,
            secret: endpoint.secret.0.clone(),
            old_secret,
            old_secret_until,
            created_at: micros(endpoint.created_at),
            updated_at: micros(endpoint.updated_at),
        })
    }
}

impl TryFrom<Model> for HookEndpoint {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("hook_endpoints");
        let old_until = reader.instant_if("old_secret_until", row.old_secret_until)?;
        Ok(Self {
            id: HookEndpointId(row.id),
            user_id: UserId(row.user_id),
            name: row.name,
            url: row.url,
            kind: reader.word("kind", HookEndpointKind::parse, &row.kind)?,
            event_types: reader.json("event_types", row.event_types)?,
            tool_matcher: row.tool_matcher,
            timeout_ms: reader.figure("timeout_ms", row.timeout_ms)?,
            order: reader.figure("run_order", row.run_order)?,
            fail_mode: reader.word("fail_mode", FailMode::parse, &row.fail_mode)?,
            is_enabled: row.is_enabled,
            is_global: row.is_global,
            secret: SealedSecret(row.secret),
            old_secret: row.old_secret.map(SealedSecret).zip(old_until),
            created_at: reader.instant("created_at", row.created_at)?,
            updated_at: reader.instant("updated_at", row.updated_at)?,
        })
    }
}
