//! Builds HTTP responses: JSON, errors in the shape of the API, and bodies that are sent bit by bit.

use bytes::Bytes;
use futures::stream;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::answer::new_id;

/// The stream ends here without its end, as a script asked.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("keep the connection open: the script cuts it here")]
pub(crate) struct Cut;

pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, Cut>>;

/// A JSON body.
pub(crate) fn json(status: StatusCode, body: &Value) -> Reply {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}).boxed_unsync();
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    stamp(&mut reply);
    reply
}

/// An error as the API words it.
pub(crate) fn error(status: StatusCode, message: &str) -> Reply {
    let error = json!({"type": error_type(status), "message": message});
    json(status, &json!({"type": "error", "error": error, "request_id": new_id("req")}))
}

/// A stream of events fed from elsewhere.
pub(crate) fn events(mut feed: mpsc::Receiver<Result<Bytes, Cut>>) -> Reply {
    let frames =
        stream::poll_fn(move |cx| feed.poll_recv(cx).map(|next| next.map(|got| got.map(Frame::data))));
    let mut reply = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    stamp(&mut reply);
    reply
}

fn stamp(reply: &mut Reply) {
    if let Ok(id) = HeaderValue::try_from(new_id("req")) {
        reply.headers_mut().insert(HeaderName::from_static("request-id"), id);
    }
}

fn error_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        _ => "api_error",
    }
}
