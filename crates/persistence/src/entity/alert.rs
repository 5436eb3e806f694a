//! A row of `alerts`. What it is about is one word of parts with a slash between, so that the database keeps it unique.

use crate::value::{Reader, micros};
use domain::{
    Alert, AlertId, AlertTopic, BudgetPeriod, Severity, Spender, UserId,
    ports::{StoreError, StoreResult},
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alerts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub topic: String,
    pub severity: String,
    pub message: String,
    pub user_id: Option<Uuid>,
    pub session_id: Option<Uuid>,
    pub raised_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What may have a slash itself stands last.
fn topic(topic: &AlertTopic) -> String {
    match topic {
        AlertTopic::Budget { spender, period, threshold_percent } => {
            format!("budget/{}/{threshold_percent}/{}/{}", period.0, spender.kind(), spender.key())
        }
        AlertTopic::Health { check, since } => format!("health/{}/{check}", micros(*since)),
    }
}

fn read_topic(reader: Reader, word: &str) -> StoreResult<AlertTopic> {
    let parts: Vec<&str> = word.splitn(5, '/').collect();
    let topic = match parts[..] {
        ["budget", period, percent, kind, key] => {
            Spender::parse(kind, key).zip(percent.parse().ok()).map(|(spender, threshold_percent)| {
                AlertTopic::Budget { spender, period: BudgetPeriod(period.to_owned()), threshold_percent }
            })
        }
        ["health", since, ..] => {
            let check = word.splitn(3, '/').nth(2).map(str::to_owned);
            let since = since.parse().ok().and_then(|at| reader.instant("topic", at).ok());
            check.zip(since).map(|(check, since)| AlertTopic::Health { check, since })
        }
        _ => None,
    };
    topic.ok_or(reader.inconsistent("topic"))
}

impl From<&Alert> for Model {
    fn from(alert: &Alert) -> Self {
        let session_id = match &alert.topic {
            AlertTopic::Budget { spender: Spender::Session(id), .. } => Some(id.0),
            AlertTopic::Budget { .. } | AlertTopic::Health { .. } => None,
        };
        Self {
            id: alert.id.0,
            topic: topic(&alert.topic),
            severity: alert.severity.as_str().to_owned(),
            message: alert.message.clone(),
            user_id: alert.user_id.map(|id| id.0),
            session_id,
            raised_at: micros(alert.raised_at),
        }
    }
}

impl TryFrom<Model> for Alert {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("alerts");
        Ok(Self {
            id: AlertId(row.id),
            topic: read_topic(reader, &row.topic)?,
            severity: reader.word("severity", Severity::parse, &row.severity)?,
            message: row.message,
            user_id: row.user_id.map(UserId),
            raised_at: reader.instant("raised_at", row.raised_at)?,
        })
    }
}
