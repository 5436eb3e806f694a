//! A handshake over streamable HTTP, and the words for what goes wrong over HTTP.

use super::{Failure, Found, SAID_BYTES_MAX, ask};
use crate::Recipe;
use ::http::{HeaderMap, HeaderName, HeaderValue};
use hooks::webhook::{Outbound, is_refused};
use reqwest::Url;
use rmcp::{
    ServiceError,
    service::ClientInitializeError,
    transport::{
        DynamicTransportError, StreamableHttpClientTransport,
        streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError},
    },
};
use std::error::Error;

const NOT_PUBLIC: &str = "has an address that is not public, which this server does not call";

/// Connects, shakes hands and goes.
pub(super) async fn probe(outbound: &Outbound, recipe: &Recipe) -> Result<Found, String> {
    let target = target(outbound, recipe)?;
    let mut config = StreamableHttpClientTransportConfig::with_uri(target.as_str())
        .custom_headers(
            headers(recipe)?.into_iter().filter_map(|(name, value)| Some((name?, value))).collect(),
        )
        .max_sse_event_size(SAID_BYTES_MAX);
    config.max_json_response_size = SAID_BYTES_MAX;
    let transport = StreamableHttpClientTransport::with_client(outbound.http().clone(), config);
    ask(transport).await.map_err(|failure| words(&failure))
}

/// Where it is, if that may be called.
pub(super) fn target(outbound: &Outbound, recipe: &Recipe) -> Result<Url, String> {
    let url = recipe.filled_url().ok_or_else(|| "has no URL".to_owned())?;
    // Once more, because the rules may have changed since it was registered.
    outbound.check_url(&url).map_err(|refused| format!("has a URL that is not allowed: it {refused}"))?;
    outbound.target(&url).ok_or_else(|| NOT_PUBLIC.to_owned())
}

/// The headers of every request.
pub(super) fn headers(recipe: &Recipe) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in recipe.filled_headers() {
        let parsed = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value));
        let (Ok(header), Ok(value)) = parsed else { return Err(format!("has an impossible header {name}")) };
        headers.insert(header, value);
    }
    Ok(headers)
}

/// Why a handshake came to nothing.
pub(super) fn words(failure: &Failure) -> String {
    match failure {
        Failure::Initialize(error) => match error.as_ref() {
            ClientInitializeError::TransportError { error, .. } => of_error(error),
            error => of_error(error),
        },
        Failure::ListTools(ServiceError::TransportSend(error)) => {
            format!("shook hands, but then {}", of_error(error))
        }
        Failure::ListTools(error) => format!("shook hands, but did not list its tools: {error}"),
    }
}

fn of_error(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
            return of_streamable(error);
        }
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            return of_request(error);
        }
        cause = error.source();
    }
    match error.downcast_ref::<DynamicTransportError>() {
        Some(error) => error.error.to_string(),
        None => error.to_string(),
    }
}

fn of_streamable(error: &StreamableHttpError<reqwest::Error>) -> String {
    match error {
        StreamableHttpError::Client(error) => of_request(error),
        StreamableHttpError::AuthRequired(_) => "asks for credentials (status 401)".to_owned(),
        StreamableHttpError::InsufficientScope(_) => "refuses these credentials (status 403)".to_owned(),
        error => error.to_string(),
    }
}

/// Never with the URL, whose query may hold a secret.
pub(super) fn of_request(error: &reqwest::Error) -> String {
    if is_refused(error) {
        return NOT_PUBLIC.to_owned();
    }
    match error.status() {
        Some(status) => format!("answered with status {}", status.as_u16()),
        None if error.is_connect() => "could not be reached".to_owned(),
        None if error.is_builder() => "has a URL that cannot be called".to_owned(),
        None => "broke the connection off, or said what makes no sense".to_owned(),
    }
}
