//! Which headers pass in which direction.

use http::{
    HeaderMap, HeaderName,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};

/// Where the API expects its key.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// Where a request belongs in a trace; of our traces the upstream is told nothing.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that belong to one connection and never pass.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The token an agent shows, in either of the two ways the API knows.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    text(API_KEY).or_else(|| text(AUTHORIZATION)?.strip_prefix("Bearer "))
}

/// Where an agent says its request belongs in the trace.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<&str> {
    headers.get(TRACEPARENT).and_then(|value| value.to_str().ok())
}

/// Takes out of a request what is meant for us, and what would let the answer come compressed, which could not be read.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    for name in
        [API_KEY, AUTHORIZATION, ACCEPT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, TRACEPARENT, TRACESTATE]
    {
        headers.remove(name);
    }
}

/// Takes out of an answer what belongs to the connection it came on.
pub(crate) fn strip_answer(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_what_is_meant_for_the_model_passes() {
        let mut request = headers(&[
            ("x-api-key", "t"),
            ("authorization", "Bearer t"),
            ("accept-encoding", "gzip"),
            ("connection", "keep-alive, x-private"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("host", "127.0.0.1"),
            ("content-length", "3"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("tracestate", "a=1"),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "a"),
            ("user-agent", "claude-cli"),
        ]);
        strip_request(&mut request);
        let expected = headers(&[
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "a"),
            ("user-agent", "claude-cli"),
        ]);
        assert_eq!(request, expected);
    }

    #[test]
    fn a_token_is_found_in_either_header() {
        assert_eq!(token(&headers(&[("x-api-key", "a")])), Some("a"));
        assert_eq!(token(&headers(&[("authorization", "Bearer b")])), Some("b"));
        assert_eq!(token(&headers(&[("authorization", "Basic b")])), None);
        assert_eq!(token(&HeaderMap::new()), None);
    }
}
