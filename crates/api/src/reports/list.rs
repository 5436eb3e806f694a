//! `GET /reports`.

use super::response::ReportResponse;
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{COLLECTION_LIMIT_DEFAULT, Collection, Here},
    word::Word,
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, Unavailable, ValidQuery};
use domain::{PageRequest, ReportFormat, SessionId, report::ReportFilter};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// Which reports to list.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ReportListQuery {
    session_id: Option<Uuid>,
    /// The one it was made in.
    format: Option<Word<ReportFormat>>,
    #[serde(default = "limit_default")]
    #[validate(range(min = 1, max = 100))]
    limit: u32,
    /// `next_cursor` of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
    #[serde(default)]
    skip: u32,
}

fn limit_default() -> u32 {
    COLLECTION_LIMIT_DEFAULT
}

/// List the caller's reports
///
/// Newest first. An admin sees everybody's.
#[api_v2_operation(tags(Reports), operation_id = "listReports")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<ReportListQuery>,
) -> Result<Fetched<Collection<ReportResponse>>, Fail<(Invalid, Unavailable)>> {
    let ReportListQuery { session_id, format, limit, cursor, skip } = query.0;
    let request = PageRequest { limit, cursor, skip };
    let filter =
        ReportFilter { session_id: session_id.map(SessionId), format: format.map(|format| format.0) };
    let page = state.reports.reports(&caller.0, &filter, &request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(ReportResponse::from), &request)))
}
