//! `GET /monitoring/alerts`.

use crate::{
    ApiState,
    budgets::response::SpenderKind,
    caller::Caller,
    error::problem,
    page::{Collection, CollectionQuery, Here},
    word::Word,
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, Unavailable, ValidQuery};
use domain::{Alert, AlertTopic, Severity};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// Something that reached a bound or failed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AlertResponse {
    id: Uuid,
    severity: Word<Severity>,
    /// One sentence, with the figures.
    message: String,
    topic: AlertTopicResponse,
    /// The user it concerns.
    user_id: Option<Uuid>,
    raised_at: Timestamp,
}

/// What an alert is about.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AlertTopicResponse {
    /// A share of a budget was spent; told once for each share and period.
    Budget {
        spender_kind: SpenderKind,
        /// The user's or session's id, or the team's name.
        spender: String,
        /// The month, such as `2026-11`; null for sessions.
        period: Option<String>,
        threshold_percent: u8,
    },
    /// A health check failed.
    Health {
        check: String,
        /// When it began to.
        since: Timestamp,
    },
}

impl From<AlertTopic> for AlertTopicResponse {
    fn from(topic: AlertTopic) -> Self {
        match topic {
            AlertTopic::Budget { spender, period, threshold_percent } => Self::Budget {
                spender_kind: (&spender).into(),
                spender: spender.key(),
                period: Some(period.0).filter(|period| !period.is_empty()),
                threshold_percent,
            },
            AlertTopic::Health { check, since } => Self::Health { check, since },
        }
    }
}

impl From<Alert> for AlertResponse {
    fn from(alert: Alert) -> Self {
        Self {
            id: alert.id.0,
            severity: Word(alert.severity),
            message: alert.message,
            topic: alert.topic.into(),
            user_id: alert.user_id.map(|user| user.0),
            raised_at: alert.raised_at,
        }
    }
}

/// List alerts
///
/// Newest first: those that concern the caller, and for admins all.
#[api_v2_operation(tags(Costs), operation_id = "listAlerts")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<CollectionQuery>,
) -> Result<Fetched<Collection<AlertResponse>>, Fail<(Invalid, Unavailable)>> {
    let request = query.0.into();
    let listed = state.alerts.list(caller.0.scope(), &request).await;
    let page = listed.map_err(engine::Error::from).map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(AlertResponse::from), &request)))
}
