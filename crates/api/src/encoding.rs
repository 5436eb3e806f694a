//! Which answers are compressed: texts of some length, and nothing that is compressed already, comes in events, is a part
//! of something, holds credentials, or has a tag that names its very bytes.

use crate::metrics_page;
use actix_web::{
    Error,
    body::{BodySize, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue},
    },
    middleware::Next,
};

/// Shorter answers do not get shorter by it.
const COMPRESSED_BYTES_MIN: u64 = 1024;
/// Under it are answers that hold tokens and keys: their length must not tell of them.
const SECRETS: &str = "/api/v1/auth/";
/// Says to the compressing middleware, and to nobody else, that an answer is to stay as it is.
const AS_IT_IS: HeaderValue = HeaderValue::from_static("identity");

/// Marks what is not to be compressed. It stands right inside of actix's middleware that compresses.
pub async fn choose(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    // Scrapers ask often, and from nearby.
    let is_exempt = request.path().starts_with(SECRETS) || request.path() == metrics_page::PATH;
    let mut response = next.call(request).await?;
    let size = response.response().body().size();
    if is_exempt || !is_compressible(response.status(), response.headers(), size) {
        let headers = response.headers_mut();
        if !headers.contains_key(CONTENT_ENCODING) {
            headers.insert(CONTENT_ENCODING, AS_IT_IS);
        }
    }
    Ok(response)
}

/// Takes the mark away.
pub fn unmark(headers: &mut HeaderMap) {
    if headers.get(CONTENT_ENCODING) == Some(&AS_IT_IS) {
        headers.remove(CONTENT_ENCODING);
    }
}

fn is_compressible(status: StatusCode, headers: &HeaderMap, size: BodySize) -> bool {
    let is_long = match size {
        BodySize::None => false,
        BodySize::Sized(bytes) => bytes >= COMPRESSED_BYTES_MIN,
        BodySize::Stream => true,
    };
    let is_whole = status != StatusCode::PARTIAL_CONTENT && !headers.contains_key(ETAG);
    is_long && is_whole && headers.get(CONTENT_TYPE).is_some_and(is_text)
}

fn is_text(media_type: &HeaderValue) -> bool {
    let media_type = media_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match media_type.split_once('/') {
        Some(("text", subtype)) => subtype != "event-stream",
        Some(("application", subtype)) => {
            ["json", "jsonl", "x-ndjson", "yaml", "javascript", "xml"].contains(&subtype)
                || subtype.ends_with("+json")
        }
        Some(("image", subtype)) => subtype == "svg+xml",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_some_length_are_compressed_and_nothing_else() {
        let long = BodySize::Sized(COMPRESSED_BYTES_MIN);
        let of = |media_type: &'static str, size| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            is_compressible(StatusCode::OK, &headers, size)
        };
        for text in ["application/json", "text/html; charset=utf-8", "application/problem+json"] {
            assert!(of(text, long) && of(text, BodySize::Stream), "{text}");
            assert!(
                !of(text, BodySize::Sized(COMPRESSED_BYTES_MIN - 1)) && !of(text, BodySize::None),
                "{text}"
            );
        }
        for other in
            ["text/event-stream", "application/gzip", "application/zstd", "application/zip", "image/png"]
        {
            assert!(!of(other, long), "{other}");
        }
        assert!(!is_compressible(StatusCode::OK, &HeaderMap::new(), long));
    }
}
