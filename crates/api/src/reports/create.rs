//! `POST /reports`.

use super::response::ReportResponse;
use crate::{ApiState, caller::Caller, error::problem, word::Word};
use actix_web::web::Data;
use apidoc::{Conflict, Created, Fail, Forbidden, Invalid, NotFound, Unavailable, Valid};
use domain::{NewReport, ReportFormat, ReportParts, SessionId};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// What to make a report of.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ReportCreateRequest {
    session_id: Uuid,
    /// What a download is when it does not say.
    #[serde(default = "json")]
    format: Word<ReportFormat>,
    /// The conversation.
    #[serde(default = "yes")]
    include_messages: bool,
    /// Tool calls, what was decided about them, and what people were asked.
    #[serde(default = "yes")]
    include_tool_calls: bool,
    /// Figures, costs by model, turns, and a chart of what they cost.
    #[serde(default = "yes")]
    include_metrics: bool,
}

fn json() -> Word<ReportFormat> {
    Word(ReportFormat::Json)
}

fn yes() -> bool {
    true
}

/// Make a report
///
/// Of a session in whatever state it is. A report is a snapshot: it does not change when the session goes on, and it goes
/// when the session is removed for good. Of a very long session it tells the newest part, and says what it left out.
#[api_v2_operation(tags(Reports), operation_id = "createReport")]
pub async fn create(
    state: Data<ApiState>,
    caller: Caller,
    body: Valid<ReportCreateRequest>,
) -> Result<Created<ReportResponse>, Fail<(Forbidden, NotFound, Conflict, Invalid, Unavailable)>> {
    let request = body.0;
    let new = NewReport {
        session_id: SessionId(request.session_id),
        format: request.format.0,
        parts: ReportParts {
            messages: request.include_messages,
            tool_calls: request.include_tool_calls,
            metrics: request.include_metrics,
        },
    };
    let report = state.reports.create(&caller.0, new).await.map_err(problem)?;
    let location = format!("/api/v1/reports/{}", report.id);
    Ok(Created::at(report.into(), location))
}
