//! A row of `holds`: money set aside for a request under way.

use super::request_usage;
use crate::value::{Reader, micros, to_json};
use domain::{
    RequestUsage, SessionId, TurnId,
    budget::NewHold,
    ports::{StoreError, StoreResult},
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "holds")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub turn_id: Option<Uuid>,
    pub server_id: Uuid,
    pub amount_micro_usd: i64,
    pub model: String,
    pub price_version: String,
    pub seen: Option<Json>,
    pub is_lost: bool,
    pub started_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&NewHold> for Model {
    fn from(hold: &NewHold) -> Self {
        Self {
            id: hold.id.0,
            session_id: hold.session_id.0,
            user_id: hold.user_id.0,
            turn_id: hold.turn_id.map(|id| id.0),
            server_id: hold.server_id.0,
            amount_micro_usd: hold.amount.0,
            model: hold.model.clone(),
            price_version: hold.price_version.clone(),
            seen: None,
            is_lost: false,
            started_at: micros(hold.started_at),
        }
    }
}

impl Model {
    /// What was seen of a request, as `seen` keeps it: as the row of the ledger that it would be.
    pub(crate) fn seen(usage: &RequestUsage) -> StoreResult<Json> {
        to_json(&request_usage::Model::from(usage))
    }

    /// The request as far as it was seen, to be booked as that. `None` if nothing was.
    pub(crate) fn lost(self) -> Result<Option<RequestUsage>, StoreError> {
        let Some(seen) = self.seen else { return Ok(None) };
        let row: request_usage::Model = Reader("holds").json("seen", seen)?;
        let seen = RequestUsage::try_from(row)?;
        Ok(Some(RequestUsage {
            session_id: SessionId(self.session_id),
            turn_id: self.turn_id.map(TurnId),
            is_complete: false,
            is_estimated: true,
            ..seen
        }))
    }
}
