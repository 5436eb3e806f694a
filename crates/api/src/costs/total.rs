//! `GET /monitoring/costs/total`.

use super::report::{CostQuery, Figures};
use crate::{ApiState, caller::Caller, error::problem, word::Word};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, Unavailable, ValidQuery};
use monitoring::costs::{CostAsked, Period};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;

/// What everybody spent in a period of UTC.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TotalCosts {
    period: Word<Period>,
    #[serde(flatten)]
    figures: Figures,
}

/// Read what everybody spent
///
/// For admins.
#[api_v2_operation(tags(Costs), operation_id = "getTotalCosts")]
pub async fn read(
    state: Data<ApiState>,
    caller: Caller,
    query: ValidQuery<CostQuery>,
) -> Result<Fetched<TotalCosts>, Fail<(Forbidden, Invalid, Unavailable)>> {
    let asked = CostAsked::from(query.0);
    let report = state.costs.of_all(&caller.0, &asked).await.map_err(problem)?;
    Ok(Fetched::new(TotalCosts { period: Word(asked.period), figures: report.into() }))
}
