//! `Prefer: return=minimal` (RFC 7240): a client that knows what it wrote is not told it again.

use crate::request;
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

/// Where something is created of which the answer tells nothing that cannot be read again.
const CREATES: [&str; 4] =
    ["/api/v1/sessions", "/api/v1/policies", "/api/v1/session-templates", "/api/v1/sessions/{id}/fork"];
/// Where an edit may be answered with a secret that is shown this once.
const SHOWS_SECRETS: &str = "/api/v1/tasks/{id}";

/// What the answer to a request is without the thing, by its status in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Minimal {
    /// 204 in place of 200.
    Edited,
    /// 201 with its `Location` alone.
    Created,
}

impl Minimal {
    /// How requests to this address, as the routes word it, can be answered with less; `None` if they cannot.
    pub fn of(method: &Method, route: &str) -> Option<Self> {
        match *method {
            Method::PATCH | Method::PUT if route != SHOWS_SECRETS => Some(Self::Edited),
            Method::POST if CREATES.contains(&route) => Some(Self::Created),
            _ => None,
        }
    }

    /// The status in place of this one; `None` if the answer stays as it is.
    fn status(self, full: StatusCode) -> Option<StatusCode> {
        match (self, full) {
            (Self::Edited, StatusCode::OK) => Some(StatusCode::NO_CONTENT),
            (Self::Edited | Self::Created, StatusCode::CREATED) => Some(full),
            _ => None,
        }
    }
}

/// The preferences of a request, over all lines that can be read, lower-cased, as `name` or `name=value`.
pub fn preferences(headers: &HeaderMap) -> impl Iterator<Item = String> {
    headers.get_all("prefer").filter_map(|value| value.to_str().ok()).flat_map(listed)
}

fn listed(line: &str) -> impl Iterator<Item = String> {
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
    let is_asked = preferences(request.headers()).any(|one| one == "return=minimal");
    let route = is_asked.then(|| request::route(&request)).flatten();
    let minimal = route.and_then(|route| Minimal::of(request.method(), &route));
    let response = next.call(request).await?;
    let Some(status) = minimal.and_then(|minimal| minimal.status(response.status())) else {
        return Ok(response.map_into_left_body());
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
