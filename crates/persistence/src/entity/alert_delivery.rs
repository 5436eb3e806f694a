//! A row of `alert_deliveries`: an alert, and how far one channel has got with telling it.

use domain::AlertChannel;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub alert_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel: String,
    pub attempts: i64,
    pub next_attempt_at: Option<i64>,
    pub told_at: Option<i64>,
    pub error: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Of an alert that this channel has to tell from now on.
    pub(crate) fn due(alert: &super::alert::Model, channel: AlertChannel) -> Self {
        Self {
            alert_id: alert.id,
            channel: channel.as_str().to_owned(),
            attempts: 0,
            next_attempt_at: Some(alert.raised_at),
            told_at: None,
            error: None,
        }
    }
}
