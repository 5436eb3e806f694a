//! `GET /monitoring/costs/session/{session_id}`.

use super::report::Figures;
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, Unavailable, ValidQuery};
use domain::SessionId;
use monitoring::costs::Breakdown;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use validator::Validate;

/// In which detail.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct SessionCostQuery {
    /// Adds `by_tool`.
    #[serde(default)]
    by_tool: bool,
    /// Adds `by_day`, by the clocks of the session's owner.
    #[serde(default)]
    by_day: bool,
}

/// What a session cost from its beginning until now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionCostsResponse {
    session_id: Uuid,
    user_id: Uuid,
    #[serde(flatten)]
    figures: Figures,
}

/// Read what a session cost
///
/// All of its life. For its owner and admins; to others it is not told whether there is such a session.
#[api_v2_operation(tags(Costs), operation_id = "getSessionCosts")]
pub async fn read(
    state: Data<ApiState>,
    caller: Caller,
    session_id: PathParams<Uuid>,
    query: ValidQuery<SessionCostQuery>,
) -> Result<Fetched<SessionCostsResponse>, Fail<(Forbidden, NotFound, Invalid, Unavailable)>> {
    let SessionCostQuery { by_tool, by_day } = query.0;
    let breakdown = Breakdown { by_session: false, by_tool, by_day };
    let found = state.costs.of_session(&caller.0, SessionId(session_id.0), breakdown).await;
    let (session, report) = found.map_err(problem)?;
    let costs =
        SessionCostsResponse { session_id: session.id.0, user_id: session.user_id.0, figures: report.into() };
    Ok(Fetched::new(costs))
}
