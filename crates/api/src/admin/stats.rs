//! `GET /admin/stats`.

use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Unavailable};
use domain::ports::ServerStats;
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;

/// How much there is of everything. Days are those of UTC.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatsResponse {
    /// Accounts that are somebody's.
    total_users: u64,
    /// Of them, those that may come in.
    active_users: u64,
    /// All that are on record, in whatever state.
    total_sessions: u64,
    /// Those that can be talked to now: `connecting`, `active`, `processing` or `waiting_user`.
    active_sessions: u64,
    /// Those in which a turn is running.
    running_sessions: u64,
    total_sessions_today: u64,
    /// Requests to the model.
    total_api_calls_today: u64,
    total_cost_today_usd: f64,
    /// When the day began.
    today_since: Timestamp,
    timestamp: Timestamp,
}

impl From<ServerStats> for StatsResponse {
    fn from(stats: ServerStats) -> Self {
        Self {
            total_users: stats.users,
            active_users: stats.active_users,
            total_sessions: stats.sessions,
            active_sessions: stats.active_sessions,
            running_sessions: stats.running_sessions,
            total_sessions_today: stats.sessions_since,
            total_api_calls_today: stats.requests_since,
            total_cost_today_usd: stats.cost_since.as_usd(),
            today_since: stats.since,
            timestamp: stats.at,
        }
    }
}

/// Read how much there is
///
/// For admins.
#[api_v2_operation(tags(Admin), operation_id = "getStats")]
pub async fn read(
    state: Data<ApiState>,
    caller: Caller,
) -> Result<Fetched<StatsResponse>, Fail<(Forbidden, Unavailable)>> {
    let stats = state.overview.stats(&caller.0).await.map_err(problem)?;
    Ok(Fetched::new(stats.into()))
}
