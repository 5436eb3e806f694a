//! `Prefer: return=minimal` (RFC 7240): a client that knows what it wrote is not told it again.

use actix_web::{
    Error,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};

/// Where something is created of which the answer tells nothing that cannot be read again: no secrets that are shown once.
const CREATES: [&str; 5] = [
    "/api/v1/sessions",
    "/api/v1/policies",
    "/api/v1/tasks",
    "/api/v1/session-templates",
    "/api/v1/sessions/{id}/fork",
];

/// The preferences of a request, as [`listed`] has them.
pub fn preferences(headers: &HeaderMap) -> impl Iterator<Item = String> {
    headers.get_all("prefer").filter_map(|value| value.to_str().ok()).flat_map(listed)
}

/// The preferences in one line, lower-cased, as `name` or `name=value`.
pub fn listed(line: &str) -> impl Iterator<Item = String> {
    line.split(',').map(|item| {
        let item = item.split(';').next().unwrap_or_default();
        let item: String = item.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
        item.to_ascii_lowercase()
    })
}

/// Leaves out what the client wrote itself: 204 in place of 200, and 201 with its `Location` alone.
pub async fn minimal<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let edits = [Method::PATCH, Method::PUT].contains(request.method());
    let creates = request.method() == Method::POST
        && request.match_pattern().is_some_and(|route| CREATES.contains(&route.as_str()));
    let prefers = (edits || creates) && preferences(request.headers()).any(|one| one == "return=minimal");
    let response = next.call(request).await?;
    let status = match response.status() {
        StatusCode::OK if prefers && edits => StatusCode::NO_CONTENT,
        StatusCode::CREATED if prefers => StatusCode::CREATED,
        _ => return Ok(response.map_into_left_body()),
    };
    let mut response = response.map_body(|head, _| {
        head.status = status;
        EitherBody::right(BoxBody::new(()))
    });
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.remove(CONTENT_LENGTH);
    headers.insert(HeaderName::from_static("preference-applied"), HeaderValue::from_static("return=minimal"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_over_all_lines() {
        let mut headers = HeaderMap::new();
        for line in ["respond-async, wait = 10", "Return=\"minimal\"; foo=1"] {
            headers.append(HeaderName::from_static("prefer"), HeaderValue::from_static(line));
        }
        assert_eq!(preferences(&headers).collect::<Vec<_>>(), ["respond-async", "wait=10", "return=minimal"]);
    }
}
