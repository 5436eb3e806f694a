//! A report on the wire.

use crate::word::Word;
use domain::{Report, ReportFormat};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// A session as it was when the report was made.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReportResponse {
    id: Uuid,
    /// The session's owner.
    user_id: Uuid,
    session_id: Uuid,
    /// As it was then.
    session_name: Option<String>,
    /// What a download is when it does not say.
    format: Word<ReportFormat>,
    include_messages: bool,
    include_tool_calls: bool,
    include_metrics: bool,
    /// Of the document that files are made of.
    size_bytes: u64,
    /// Whether something of the session was left out because the report would be too large; it says what.
    is_shortened: bool,
    created_at: Timestamp,
    #[serde(rename = "_links")]
    links: ReportLinks,
}

/// Where the rest of a report is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReportLinks {
    #[serde(rename = "self")]
    this: String,
    session: String,
    download: String,
}

impl From<Report> for ReportResponse {
    fn from(report: Report) -> Self {
        let this = format!("/api/v1/reports/{}", report.id);
        Self {
            id: report.id.0,
            user_id: report.user_id.0,
            session_id: report.session_id.0,
            session_name: report.session_name,
            format: Word(report.format),
            include_messages: report.parts.messages,
            include_tool_calls: report.parts.tool_calls,
            include_metrics: report.parts.metrics,
            size_bytes: report.size_bytes,
            is_shortened: report.is_shortened,
            created_at: report.created_at,
            links: ReportLinks {
                session: format!("/api/v1/sessions/{}", report.session_id),
                download: format!("{this}/download"),
                this,
            },
        }
    }
}
