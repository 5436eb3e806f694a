//! `GET /monitoring/costs/budgets`.

use super::response::OwnBudget;
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{Collection, CollectionQuery, Here},
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, Unavailable, ValidQuery};
use paperclip::actix::api_v2_operation;

/// List the budgets that somebody set
///
/// For admins: users first, then teams, then sessions. Whoever is not in the list has the default.
#[api_v2_operation(tags(Costs), operation_id = "listBudgets")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<CollectionQuery>,
) -> Result<Fetched<Collection<OwnBudget>>, Fail<(Forbidden, Invalid, Unavailable)>> {
    let request = query.0.into();
    let page = state.costs.own_budgets(&caller.0, &request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(OwnBudget::from), &request)))
}
