//! The bytes of a body, as long as they keep coming.

use crate::problem::Problem;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::rt::time::timeout;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures::{Stream, StreamExt, stream};
use std::io;
use std::time::Duration;

/// How long a body may stand still.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a body may take in all: one that trickles never stands still.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);

/// Reads the whole body, within the app's `PayloadConfig` and the time that a body may take.
pub(crate) fn read(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + 'static {
    let mut chunks: Payload = Payload::Stream { payload: Box::pin(moving(payload.take())) };
    let bytes = Bytes::from_request(request, &mut chunks);
    async move {
        match timeout(BODY_TIMEOUT, bytes).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(unread(&error)),
            Err(_) => Err(too_slow()),
        }
    }
}

/// Reads the whole body, if it is not larger than `bytes_max`: for a middleware, which runs before it is known which
/// `PayloadConfig` holds.
pub async fn read_body(payload: &mut Payload, bytes_max: usize) -> Result<Bytes, Problem> {
    let collected = async {
        let mut chunks = std::pin::pin!(moving(payload.take()));
        let mut body = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| unread(&error.into()))?;
            if body.len() + chunk.len() > bytes_max {
                return Err(unread(&PayloadError::Overflow.into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    timeout(BODY_TIMEOUT, collected).await.unwrap_or_else(|_| Err(too_slow()))
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

fn unread(error: &actix_web::Error) -> Problem {
    match error.as_error() {
        Some(PayloadError::Overflow) => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Problem::new(status, "PAYLOAD_TOO_LARGE", "the body is larger than the server takes")
        }
        Some(PayloadError::Io(error)) if error.kind() == io::ErrorKind::TimedOut => too_slow(),
        _ => Problem::new(StatusCode::BAD_REQUEST, "BODY_INCOMPLETE", "the body did not arrive in full"),
    }
}

fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "the body did not arrive in time")
}
