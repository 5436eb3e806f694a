//! What servers tell each other of how often callers asked: rows that live for seconds.

use crate::{
    Store,
    entity::rate_report::{self, Column as R},
    error::failure,
    value::micros,
};
use async_trait::async_trait;
use domain::{
    ServerId,
    ports::{RateReport, RateReports, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

#[async_trait]
impl RateReports for Store {
    async fn exchange_reports(
        &self,
        server: ServerId,
        report: Option<&RateReport>,
        forgotten_before: Timestamp,
    ) -> StoreResult<Vec<RateReport>> {
        let recent = R::ReportedAt.gte(micros(forgotten_before));
        let others = rate_report::Entity::find().filter(R::ServerId.ne(server.0)).filter(recent);
        let others = others.order_by_asc(R::Id).all(&self.read).await.map_err(failure)?;
        let mut writes = self.batch();
        writes.run(rate_report::Entity::delete_many().filter(R::ReportedAt.lt(micros(forgotten_before))));
        if let Some(report) = report {
            writes.insert::<rate_report::ActiveModel>(rate_report::Model::new(report)?.into());
        }
        self.write_whole(writes).await?;
        others.into_iter().map(RateReport::try_from).collect()
    }
}
