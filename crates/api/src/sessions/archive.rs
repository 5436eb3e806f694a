//! `/sessions/{id}/archive`: put a session away, look at what was put away, bring it back.

pub mod download;

use super::{
    query::manner::{PreferenceApplied, RespondAsync},
    response::SessionResponse,
};
use crate::{ApiState, caller::Caller, error::problem, word::Word};
use actix_web::web::Data;
use apidoc::{
    Accepted, BadGateway, Conflict, Fail, Fetched, Forbidden, Gone, NotFound, OneOf, PathParams, StorageFull,
    Unavailable, ValidOr, With,
};
use domain::{Archive, ArchivePlace, ArchiveStatus, Compression, SessionId};
use engine::ArchiveRequest as Asked;
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use validator::Validate;

/// The form of the manifest.
const MANIFEST_VERSION: u32 = 1;

/// How to archive a session.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ArchiveRequest {
    /// Whether it goes to S3, where the server has one; else it stays on the server's own disk.
    #[serde(default = "yes")]
    upload_to_s3: bool,
    /// The server's own choice if there is none.
    compression: Option<Word<Compression>>,
}

impl Default for ArchiveRequest {
    fn default() -> Self {
        Self { upload_to_s3: yes(), compression: None }
    }
}

fn yes() -> bool {
    true
}

/// A session that was put away, or is being put away.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ArchiveMetadataResponse {
    id: Uuid,
    session_id: Uuid,
    /// Its name in the store.
    archive_path: String,
    storage: Word<ArchivePlace>,
    status: Word<ArchiveStatus>,
    /// Why it was given up, or why the last attempt failed.
    error_message: Option<String>,
    compression: Word<Compression>,
    /// The last message of the conversation that it holds.
    at_message: u64,
    size_bytes: Option<u64>,
    /// Of the whole, in hexadecimal.
    sha256: Option<String>,
    file_count: Option<u64>,
    /// What it holds, once it is completed.
    manifest: Option<ManifestSummary>,
    created_at: Timestamp,
    updated_at: Timestamp,
    archived_at: Option<Timestamp>,
    /// Since when it is gone: its time was up, or a newer one took its place.
    removed_at: Option<Timestamp>,
    #[serde(rename = "_links")]
    links: ArchiveLinks,
}

/// What an archive holds.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ManifestSummary {
    version: u32,
    file_count: u64,
    /// Of all files together.
    unpacked_bytes: u64,
    /// Files and folders that were left out.
    excluded_count: u64,
    /// Where the whole manifest is.
    link: String,
}

/// What can be done with an archive.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ArchiveLinks {
    #[serde(rename = "self")]
    this: String,
    session: String,
    download: String,
    restore: String,
}

pub type Archived =
    OneOf<Fetched<ArchiveMetadataResponse>, With<Accepted<ArchiveMetadataResponse>, PreferenceApplied>>;
type Restored = OneOf<Fetched<SessionResponse>, With<Accepted<SessionResponse>, PreferenceApplied>>;

impl From<Archive> for ArchiveMetadataResponse {
    fn from(archive: Archive) -> Self {
        let session = format!("/api/v1/sessions/{}", archive.session_id);
        let this = address(archive.session_id);
        let content = archive.content;
        Self {
            id: archive.id.0,
            session_id: archive.session_id.0,
            archive_path: archive.key,
            storage: Word(archive.place),
            status: Word(archive.status),
            error_message: archive.error_message,
            compression: Word(archive.compression),
            at_message: archive.at_message,
            size_bytes: content.as_ref().map(|content| content.size_bytes),
            sha256: content.as_ref().map(|content| hex(&content.sha256)),
            file_count: content.as_ref().map(|content| content.file_count),
            manifest: content.map(|content| ManifestSummary {
                version: MANIFEST_VERSION,
                file_count: content.file_count,
                unpacked_bytes: content.unpacked_bytes,
                excluded_count: content.excluded_count,
                link: format!("{this}/manifest"),
            }),
            created_at: archive.created_at,
            updated_at: archive.updated_at,
            archived_at: archive.archived_at,
            removed_at: archive.removed_at,
            links: ArchiveLinks {
                session,
                download: format!("{this}/download"),
                restore: format!("{this}/restore"),
                this,
            },
        }
    }
}

impl ArchiveRequest {
    /// Has a session of the caller's archived as this says.
    pub async fn of(
        self,
        state: &ApiState,
        caller: &Caller,
        id: SessionId,
        prefer: RespondAsync,
    ) -> engine::Result<Archived> {
        let waits = !prefer.0;
        let compression = self.compression.map(|word| word.0);
        let asked = Asked { compression, to_s3: self.upload_to_s3, waits };
        let archive = state.sessions.archive(&caller.0, id, asked).await?;
        Ok(match archive.status {
            ArchiveStatus::Completed | ArchiveStatus::Failed => OneOf::This(Fetched::new(archive.into())),
            ArchiveStatus::Pending | ArchiveStatus::InProgress => {
                OneOf::That(With::new(Accepted::at(archive.into(), address(id)), applied(waits)))
            }
        })
    }
}

/// Archive a session
///
/// Its agent is closed, and what it has on disk is stored with its transcript, read back and compared; then the
/// session is `archived`, and what it has on disk is removed. Meanwhile nothing else begins in it. 200 when it is done
/// soon, 202 while it goes on, at once with `Prefer: respond-async`. Asking again answers with the same archive. A
/// store that does not answer is waited for with growing pauses; then the session is given back as it was.
#[api_v2_operation(tags(Archives), operation_id = "archiveSession")]
pub async fn create(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    prefer: RespondAsync,
    body: ValidOr<ArchiveRequest>,
) -> Result<Archived, Fail<(Forbidden, NotFound, Conflict, StorageFull, Unavailable)>> {
    Ok(body.0.of(&state, &caller, SessionId(id.0), prefer).await.map_err(problem)?)
}

/// Look at a session's newest archive
///
/// Whatever became of it: one that was given up says why.
#[api_v2_operation(tags(Archives), operation_id = "getArchive")]
pub async fn read(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<ArchiveMetadataResponse>, Fail<(NotFound, Unavailable)>> {
    let archive = state.sessions.archive_of(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    Ok(Fetched::new(archive.into()))
}

/// Restore a session
///
/// What it had on disk is unpacked, compared with the manifest and put in its place; then the session is `active`, and
/// the next prompt goes on with the conversation. Also for a session at rest whose own working directory was lost.
/// 200 when it is done soon, 202 while it goes on (`operation` is `restoring`), at once with `Prefer: respond-async`.
#[api_v2_operation(tags(Archives), operation_id = "restoreSession")]
pub async fn restore(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    prefer: RespondAsync,
) -> Result<Restored, Fail<(Forbidden, NotFound, Conflict, Gone, BadGateway, Unavailable)>> {
    let waits = !prefer.0;
    let session = state.sessions.restore(&caller.0, SessionId(id.0), waits).await.map_err(problem)?;
    Ok(match session.operation {
        None => OneOf::This(Fetched::new(session.into())),
        Some(_) => {
            let address = format!("/api/v1/sessions/{}", session.id);
            OneOf::That(With::new(Accepted::at(session.into(), address), applied(waits)))
        }
    })
}

fn applied(waits: bool) -> Option<String> {
    (!waits).then(|| "respond-async".to_owned())
}

fn address(session: SessionId) -> String {
    format!("/api/v1/sessions/{session}/archive")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
