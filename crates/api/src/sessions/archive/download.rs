//! `GET /sessions/{id}/archive/download` and `/manifest`: the archive as it is stored, whole or in ranges.

mod range;

use self::range::{ByteRange, IfRange, RangeError};
use super::hex;
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::{
    HttpResponse, HttpResponseBuilder,
    body::SizedStream,
    http::{
        StatusCode,
        header::{
            ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, ETAG,
            HeaderName, HeaderValue,
        },
    },
    web::Data,
};
use apidoc::{
    BadGateway, Download, Fail, Gone, Header, Media, NotFound, OneOf, Partial, PathParams, Problem,
    RangeNotSatisfiable, Redirect, Unavailable, ValidQuery,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{Archive, SessionId, archive::ArchiveContent};
use engine::Error;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// How to download an archive.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct DownloadQuery {
    /// Answer with the address of a signed download where the archive store can sign one.
    #[serde(default)]
    redirect: bool,
}

/// A packed archive.
#[derive(Debug)]
pub struct Packed;

impl Media for Packed {
    const TYPES: &'static [&'static str] =
        &["application/gzip", "application/zstd", "application/x-tar", "application/zip"];
}

/// The manifest.
#[derive(Debug)]
pub struct Manifest;

impl Media for Manifest {
    const TYPES: &'static [&'static str] = &["application/json"];
}

type Answer = OneOf<Download<Packed>, OneOf<Partial<Packed>, Redirect>>;
type Refused = Fail<(NotFound, Gone, RangeNotSatisfiable, BadGateway, Unavailable)>;

/// Download a session's archive
///
/// As it is stored. `Range` is honoured for one range, also under `If-Range` with the `ETag`; `Repr-Digest` has the
/// SHA-256 of the whole.
#[api_v2_operation(tags(Archives), operation_id = "downloadArchive")]
pub async fn download(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    query: ValidQuery<DownloadQuery>,
    range: Header<ByteRange>,
    if_range: Header<IfRange>,
) -> Result<Answer, Refused> {
    let archive = state.sessions.stored_archive(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    if query.0.redirect
        && let Some(address) = state.sessions.signed_address(&archive).await.map_err(problem)?
    {
        return Ok(OneOf::That(OneOf::That(Redirect(address))));
    }
    let content = content(&archive)?;
    let (etag, size) = (format!("\"{}\"", hex(&content.sha256)), content.size_bytes);
    let is_same = if_range.0.is_none_or(|IfRange(known)| known == etag);
    let range = match range.0.filter(|_| is_same).map(|range| range.of(size)) {
        None | Some(Ok(None)) => None,
        Some(Ok(Some(range))) => Some(range),
        Some(Err(RangeError)) => return Err(outside(size).into()),
    };
    let bytes = state.sessions.read_archive(&archive, range.clone()).await.map_err(problem)?;
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = HttpResponse::build(status);
    describe(&mut response, &archive, content, etag);
    Ok(match range {
        Some(range) => {
            let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            response.insert_header((CONTENT_RANGE, shown));
            let bytes = SizedStream::new(range.end - range.start, bytes);
            OneOf::That(OneOf::This(Partial::new(response.body(bytes))))
        }
        None => OneOf::This(Download::new(response.body(SizedStream::new(size, bytes)))),
    })
}

/// Read what a session's archive holds
///
/// The manifest: every entry's path, size, mode and SHA-256.
#[api_v2_operation(tags(Archives), operation_id = "getArchiveManifest")]
pub async fn manifest(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Download<Manifest>, Fail<(NotFound, Gone, BadGateway, Unavailable)>> {
    let archive = state.sessions.stored_archive(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    let bytes = state.sessions.read_manifest(&archive).await.map_err(problem)?;
    Ok(Download::new(HttpResponse::Ok().content_type("application/json").streaming(bytes)))
}

fn content(archive: &Archive) -> Result<&ArchiveContent, Problem> {
    archive.content.as_ref().ok_or_else(|| problem(Error::NotFound("archive")))
}

fn describe(response: &mut HttpResponseBuilder, archive: &Archive, content: &ArchiveContent, etag: String) {
    let extension = archive.compression.extension();
    let name = format!("attachment; filename=\"session-{}.{extension}\"", archive.session_id);
    let digest = format!("sha-256=:{}:", STANDARD.encode(content.sha256));
    response
        .content_type(archive.compression.media_type())
        .insert_header((CONTENT_DISPOSITION, name))
        // An agent wrote what is in it: no browser may take it for something of this server.
        .insert_header((CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"))
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((HeaderName::from_static("repr-digest"), digest))
        .insert_header((ETAG, etag));
}

/// 416, with how much there is.
fn outside(size: u64) -> Problem {
    let detail = format!("the archive has {size} bytes, and the range lies outside of them");
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_NOT_SATISFIABLE", detail);
    match HeaderValue::try_from(format!("bytes */{size}")) {
        Ok(value) => problem.with_header(CONTENT_RANGE, value),
        Err(_) => problem,
    }
}
