//! `GET /reports/{id}/download`.

use crate::{ApiState, caller::Caller, error::problem, word::Word};
use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY},
    web::Data,
};
use apidoc::{Download, Fail, Invalid, Media, NotFound, PathParams, Unavailable, ValidQuery};
use domain::{ReportFormat, ReportId};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// Agents and people wrote what is in it: wherever it is opened, it runs nothing and loads nothing.
const POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// How to download a report.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ReportDownloadQuery {
    /// Left out: the one it was made in.
    format: Option<Word<ReportFormat>>,
}

/// A report as a file.
#[derive(Debug)]
pub struct ReportFile;

impl Media for ReportFile {
    const TYPES: &'static [&'static str] =
        &["application/json", "text/markdown; charset=utf-8", "text/html; charset=utf-8", "application/pdf"];
}

/// Download a report
///
/// In any format, whatever it was made in: all are made of the same document.
#[api_v2_operation(tags(Reports), operation_id = "downloadReport")]
pub async fn download(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    query: ValidQuery<ReportDownloadQuery>,
) -> Result<Download<ReportFile>, Fail<(NotFound, Invalid, Unavailable)>> {
    let format = query.0.format.map(|format| format.0);
    let written = state.reports.download(&caller.0, ReportId(id.0), format).await;
    let (report, format, file) = written.map_err(problem)?;
    let name = format!("attachment; filename=\"report-{}.{}\"", report.id, format.extension());
    let response = HttpResponse::Ok()
        .content_type(format.media_type())
        .insert_header((CONTENT_DISPOSITION, name))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .body(file);
    Ok(Download::new(response))
}
