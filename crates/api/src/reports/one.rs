//! `GET` and `DELETE /reports/{id}`.

use super::response::ReportResponse;
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Done, Fail, Fetched, Forbidden, NotFound, PathParams, Unavailable};
use domain::ReportId;
use paperclip::actix::api_v2_operation;
use uuid::Uuid;

/// Read a report
///
/// What is on record of it; the report itself is a download.
#[api_v2_operation(tags(Reports), operation_id = "getReport")]
pub async fn get(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<ReportResponse>, Fail<(NotFound, Unavailable)>> {
    let report = state.reports.report(&caller.0, ReportId(id.0)).await.map_err(problem)?;
    Ok(Fetched::new(report.into()))
}

/// Delete a report
///
/// The session stays as it is.
#[api_v2_operation(tags(Reports), operation_id = "deleteReport")]
pub async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Done, Fail<(Forbidden, NotFound, Unavailable)>> {
    state.reports.delete(&caller.0, ReportId(id.0)).await.map_err(problem)?;
    Ok(Done)
}
