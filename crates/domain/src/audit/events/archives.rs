//! What the audit log says of archives.

use super::about_session;
use crate::{Archive, ArchiveId, AuditEvent, Origin, SessionId, archive::ArchiveContent, audit::Fact};
use jiff::Timestamp;

/// Somebody wanted a session archived.
#[must_use]
pub fn archive_requested(archive: &Archive, origin: &Origin) -> AuditEvent {
    about_archive("archive.requested", archive, origin, archive.created_at)
        .with("place", archive.place.as_str())
}

/// A session was archived; the object is the one of this hash.
#[must_use]
pub fn archive_completed(archive: &Archive, content: &ArchiveContent, at: Timestamp) -> AuditEvent {
    about_archive("archive.completed", archive, &Origin::system(), at)
        .with("sha256", Fact::Text(hex::encode(content.sha256)))
}

/// An archive was given up.
#[must_use]
pub fn archive_failed(archive: &Archive, at: Timestamp) -> AuditEvent {
    about_archive("archive.failed", archive, &Origin::system(), at)
}

/// An archive's time was up, and what it held is gone.
#[must_use]
pub fn archive_expired(archive: &Archive, at: Timestamp) -> AuditEvent {
    about_archive("archive.expired", archive, &Origin::system(), at)
}

/// Somebody wanted a session restored.
#[must_use]
pub fn restore_requested(id: SessionId, from: ArchiveId, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_session("session.restore_requested", id, origin, at)
        .with("archive_id", Fact::Text(from.to_string()))
}

/// A session was restored.
#[must_use]
pub fn session_restored(id: SessionId, from: ArchiveId, at: Timestamp) -> AuditEvent {
    about_session("session.restored", id, &Origin::system(), at)
        .with("archive_id", Fact::Text(from.to_string()))
}

fn about_archive(action: &'static str, archive: &Archive, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new(action, origin, at).about("archive", archive.id).in_session(archive.session_id)
}
