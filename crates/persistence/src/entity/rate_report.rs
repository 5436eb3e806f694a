//! A row of `rate_reports`.

use crate::value::{Reader, micros, to_json};
use domain::{
    ServerId,
    ports::{RateReport, StoreError, StoreResult},
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rate_reports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub server_id: Uuid,
    pub reported_at: i64,
    pub requests: Json,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn new(report: &RateReport) -> StoreResult<Self> {
        Ok(Self {
            id: report.id,
            server_id: report.server.0,
            reported_at: micros(report.at),
            requests: to_json(&report.requests)?,
        })
    }
}

impl TryFrom<Model> for RateReport {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("rate_reports");
        Ok(Self {
            id: row.id,
            server: ServerId(row.server_id),
            at: reader.instant("reported_at", row.reported_at)?,
            requests: reader.json("requests", row.requests)?,
        })
    }
}
