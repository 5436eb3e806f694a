//! How large a request may be, by address: prompts have pictures in them, and little else is large.
//!
//! A body is taken apart in memory, where small values take ten times the room that they have in it.

use crate::{ApiSettings, ApiState, request};
use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web::Data,
};
use apidoc::BodyLimit;

/// What strangers may send is held in memory.
const AUTH_BYTES_MAX: usize = 64 * 1024;
/// Names, terms, addresses: nothing of it is long.
const SMALL_BYTES_MAX: usize = 256 * 1024;
/// What people write down once: prompts for systems, variables, tools, secrets. Each of these has its own bounds, and
/// together they have this.
const DEFINITION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where strangers may send something.
const AUTH: &str = "/api/v1/auth/";
/// Where something is defined.
const DEFINED: [&str; 12] = [
    "/api/v1/sessions/{id}",
    "/api/v1/sessions/{id}/fork",
    "/api/v1/session-templates",
    "/api/v1/session-templates/{id}",
    "/api/v1/tasks",
    "/api/v1/tasks/{id}",
    "/api/v1/tasks/{id}/execute",
    "/api/v1/mcp-servers",
    "/api/v1/mcp-servers/{id}",
    "/api/v1/mcp-servers/import",
    "/api/v1/policies",
    "/api/v1/policies/{name}",
];
/// Where prompts come, and what people have a tool do in place of what was asked.
const PROMPTED: [&str; 3] =
    ["/api/v1/sessions", "/api/v1/sessions/{id}/query", "/api/v1/sessions/{id}/approvals/{approval_id}"];

/// Notes how large this request may be.
pub async fn bound<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    if let Some(state) = request.app_data::<Data<ApiState>>() {
        let limit = body_limit(request::route(&request).as_deref(), &state.settings);
        request.extensions_mut().insert(limit);
    }
    next.call(request).await
}

/// The largest body of a request to an address, as the routes word it.
fn body_limit(route: Option<&str>, settings: &ApiSettings) -> BodyLimit {
    let bytes = match route {
        Some(route) if PROMPTED.contains(&route) => settings.body_bytes_max,
        Some(route) if DEFINED.contains(&route) => DEFINITION_BYTES_MAX,
        Some(route) if route.starts_with(AUTH) => AUTH_BYTES_MAX,
        Some(_) | None => SMALL_BYTES_MAX,
    };
    BodyLimit(bytes.min(settings.body_bytes_max))
}
