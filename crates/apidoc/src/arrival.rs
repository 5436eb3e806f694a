//! The bytes of a body, as long as they keep coming.

use crate::problem::Problem;
use actix_web::error::PayloadError;
use actix_web::http::{
    StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue},
};
use actix_web::rt::time::timeout;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{HttpMessage, HttpRequest, dev::Payload};
use futures::{Stream, StreamExt, stream};
use std::io;
use std::time::Duration;

/// How long a body may stand still.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a body may take in all: one that trickles never stands still.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);

/// The one coding that bodies come in.
const PLAIN: &str = "identity";

/// The largest body of a request, in bytes, among the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub usize);

/// Of a request for which nobody says.
impl Default for BodyLimit {
    fn default() -> Self {
        Self(256 * 1024)
    }
}

/// Reads the whole body, within its [`BodyLimit`] and the time that a body may take.
pub fn read_body(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + 'static {
    let BodyLimit(bytes_max) = request.extensions().get().copied().unwrap_or_default();
    let refused = plain(request.headers()).and_then(|()| announced(request.headers(), bytes_max));
    let chunks = payload.take();
    async move {
        refused?;
        let collected = timeout(BODY_TIMEOUT, collected(chunks, bytes_max)).await;
        collected.unwrap_or_else(|_| Err(too_slow()))
    }
}

async fn collected(chunks: Payload, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut chunks = std::pin::pin!(moving(chunks));
    let mut body = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| unread(&error))?;
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Refuses a body that says that it is too large.
fn announced(headers: &HeaderMap, bytes_max: usize) -> Result<(), Problem> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let fits = length.is_none_or(|length| usize::try_from(length).is_ok_and(|length| length <= bytes_max));
    if fits { Ok(()) } else { Err(too_large()) }
}

/// Refuses a body that is compressed: a decoder unpacks all that a chunk holds before anybody can look at how much that is,
/// and a few kilobytes may hold gigabytes.
fn plain(headers: &HeaderMap) -> Result<(), Problem> {
    let is_plain = |value: &HeaderValue| {
        let codings = value.to_str().ok()?.split(',');
        Some(codings.map(str::trim).all(|coding| coding.eq_ignore_ascii_case(PLAIN)))
    };
    if headers.get_all(CONTENT_ENCODING).all(|value| is_plain(value) == Some(true)) {
        return Ok(());
    }
    let problem = Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UNSUPPORTED_CONTENT_ENCODING",
        "send the body as it is, without a Content-Encoding",
    );
    Err(problem.with_header(ACCEPT_ENCODING, HeaderValue::from_static(PLAIN)))
}

/// The chunks of a payload; an error in place of one that does not come.
fn moving(chunks: Payload) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    stream::unfold(Some(chunks), |chunks| async move {
        let mut chunks = chunks?;
        match timeout(CHUNK_TIMEOUT, chunks.next()).await {
            Ok(chunk) => Some((chunk?, Some(chunks))),
            Err(_) => Some((Err(PayloadError::Io(io::ErrorKind::TimedOut.into())), None)),
        }
    })
}

fn unread(error: &PayloadError) -> Problem {
    match error {
        PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut => too_slow(),
        _ => Problem::new(StatusCode::BAD_REQUEST, "BODY_INCOMPLETE", "the body did not arrive in full"),
    }
}

fn too_large() -> Problem {
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    Problem::new(status, "PAYLOAD_TOO_LARGE", "the body is larger than the server takes")
}

fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "the body did not arrive in time")
}
