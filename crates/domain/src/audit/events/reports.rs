//! What the audit log says of reports: they hold what was said in a session, and are made to be passed on.

use crate::{AuditEvent, Origin, Report};
use jiff::Timestamp;

/// Somebody had a report made.
#[must_use]
pub fn report_created(report: &Report, origin: &Origin) -> AuditEvent {
    about_report("report.created", report, origin, report.created_at).with("format", report.format.as_str())
}

/// Somebody deleted a report.
#[must_use]
pub fn report_deleted(report: &Report, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_report("report.deleted", report, origin, at)
}

fn about_report(action: &'static str, report: &Report, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new(action, origin, at).about("report", report.id).in_session(report.session_id)
}
