//! `GET /sessions/{id}/workdir/download`, `/files` and `/files/content`: the working directory.

use crate::{ApiState, caller::Caller, error::problem};
use actix_web::{
    HttpResponse,
    body::SizedStream,
    http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY},
    web::Data,
};
use apidoc::{Download, Fail, Fetched, Media, NotFound, PathParams, Unavailable, ValidQuery};
use domain::SessionId;
use engine::files::{FileEntry, FileKind, Listing, OpenFile};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;
use uuid::Uuid;
use validator::Validate;

/// Bytes of a file read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is in a working directory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileListing {
    /// By path.
    items: Vec<FileResponse>,
    /// Whether there are more than are listed.
    is_truncated: bool,
}

/// One entry of a working directory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileResponse {
    /// Relative to the working directory.
    path: String,
    kind: Kind,
    /// 0 for anything but a file.
    size_bytes: u64,
    modified_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "FileKind")]
enum Kind {
    File,
    Directory,
    Symlink,
    /// A socket, a pipe or a device.
    Other,
}

/// Which file to read.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct FileQuery {
    /// Relative to the working directory.
    #[validate(length(min = 1, max = 4096))]
    path: String,
}

/// A gzipped tar archive.
#[derive(Debug)]
pub struct TarGz;

impl Media for TarGz {
    const TYPES: &'static [&'static str] = &["application/gzip"];
}

/// Bytes of whatever kind.
#[derive(Debug)]
pub struct Bytes;

impl Media for Bytes {
    const TYPES: &'static [&'static str] = &["application/octet-stream"];
}

impl From<FileEntry> for FileResponse {
    fn from(entry: FileEntry) -> Self {
        Self {
            path: entry.path,
            kind: match entry.kind {
                FileKind::File => Kind::File,
                FileKind::Directory => Kind::Directory,
                FileKind::Symlink => Kind::Symlink,
                FileKind::Other => Kind::Other,
            },
            size_bytes: entry.size_bytes,
            modified_at: entry.modified_at,
        }
    }
}

impl From<Listing> for FileListing {
    fn from(listing: Listing) -> Self {
        let items = listing.entries.into_iter().map(FileResponse::from).collect();
        Self { items, is_truncated: listing.is_truncated }
    }
}

/// List a session's files
///
/// Links are listed, not followed.
#[api_v2_operation(tags(Files), operation_id = "listFiles")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<FileListing>, Fail<(NotFound, Unavailable)>> {
    let listing = state.sessions.files(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    Ok(Fetched::new(listing.into()))
}

/// Read one of a session's files
///
/// A path that leads outside the working directory names no file.
#[api_v2_operation(tags(Files), operation_id = "readFile")]
pub async fn content(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    query: ValidQuery<FileQuery>,
) -> Result<Download<Bytes>, Fail<(NotFound, Unavailable)>> {
    let opened = state.sessions.open_file(&caller.0, SessionId(id.0), query.0.path).await;
    Ok(download_of(opened.map_err(problem)?))
}

/// The bytes of a file, to be kept and not to be shown.
pub fn download_of(opened: OpenFile) -> Download<Bytes> {
    // The length was promised: a file that grows meanwhile is cut there.
    let file = tokio::fs::File::from_std(opened.file).take(opened.size_bytes);
    let stream = ReaderStream::with_capacity(file, CHUNK_BYTES);
    let mut response = HttpResponse::Ok();
    // An agent wrote it: no browser may take it for a page of this server.
    response.insert_header((CONTENT_DISPOSITION, "attachment"));
    response.insert_header((CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"));
    response.content_type("application/octet-stream");
    Download::new(response.body(SizedStream::new(opened.size_bytes, stream)))
}

/// Download a session's working directory
///
/// As a gzipped tar archive, made while it is read.
#[api_v2_operation(tags(Files), operation_id = "downloadWorkdir")]
pub async fn download(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Download<TarGz>, Fail<(NotFound, Unavailable)>> {
    let archive = state.sessions.archive_files(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    let name = format!("attachment; filename=\"session-{}.tar.gz\"", id.0);
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_DISPOSITION, name)).content_type("application/gzip");
    Ok(Download::new(response.streaming(archive)))
}
