//! A row of `hook_deliveries`.

use crate::value::{Reader, micros};
use domain::{
    HookDelivery, HookDeliveryId, HookDeliveryStatus, HookEndpointId, SessionId, ports::StoreError,
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hook_deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub endpoint_id: Uuid,
    pub session_id: Option<Uuid>,
    pub event_type: String,
    pub payload: String,
    pub status: String,
    pub attempts: i64,
    pub next_attempt_at: Option<i64>,
    pub last_attempt_at: Option<i64>,
    pub response_status: Option<i64>,
    pub error: Option<String>,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::hook_endpoint::Entity",
        from = "Column::EndpointId",
        to = "super::hook_endpoint::Column::Id"
    )]
    Endpoint,
}

impl Related<super::hook_endpoint::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Endpoint.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl From<HookDelivery> for Model {
    fn from(delivery: HookDelivery) -> Self {
        Self {
            id: delivery.id.0,
            endpoint_id: delivery.endpoint_id.0,
            session_id: delivery.session_id.map(|id| id.0),
            event_type: delivery.event_type,
            payload: delivery.payload,
            status: delivery.status.as_str().to_owned(),
            attempts: delivery.attempts.into(),
            next_attempt_at: delivery.next_attempt_at.map(micros),
            last_attempt_at: delivery.last_attempt_at.map(micros),
            response_status: delivery.response_status.map(i64::from),
            error: delivery.error,
            created_at: micros(delivery.created_at),
        }
    }
}

impl TryFrom<Model> for HookDelivery {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("hook_deliveries");
        let response_status = row.response_status.map(|status| reader.figure("response_status", status));
        Ok(Self {
            id: HookDeliveryId(row.id),
            endpoint_id: HookEndpointId(row.endpoint_id),
            session_id: row.session_id.map(SessionId),
            event_type: row.event_type,
            payload: row.payload,
            status: reader.word("status", HookDeliveryStatus::parse, &row.status)?,
            attempts: reader.figure("attempts", row.attempts)?,
            next_attempt_at: reader.instant_if("next_attempt_at", row.next_attempt_at)?,
            last_attempt_at: reader.instant_if("last_attempt_at", row.last_attempt_at)?,
            response_status: response_status.transpose()?,
            error: row.error,
            created_at: reader.instant("created_at", row.created_at)?,
        })
    }
}
