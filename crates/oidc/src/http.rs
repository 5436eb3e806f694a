//! The way to the provider: over TLS, without redirects, bounded in time and size.

use crate::settings::{Issuer, is_safe};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Url, redirect::Policy};
use std::{pin::Pin, time::Duration};

/// How long an answer may take, from the connection to its last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer: metadata and keys are a few kilobytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why there is no answer that could be looked at. It names no URL: one may hold a code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("call an address that is neither https nor, as its issuer, on this machine")]
    NotSafe,
    #[error("send the request")]
    Transport(#[source] reqwest::Error),
    #[error("get an answer: the status is {0}")]
    Status(u16),
    #[error("read an answer of more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
}

/// Calls the provider; clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    /// Whether the provider is on this machine and may do without TLS.
    allows_plain: bool,
}

impl Http {
    /// The way to the provider of this issuer. One with TLS leads to nothing without.
    pub(crate) fn new(issuer: &Issuer) -> reqwest::Result<Self> {
        let allows_plain = issuer.0.url().scheme() == "http";
        let builder = reqwest::Client::builder()
            .user_agent(concat!("steward/", env!("CARGO_PKG_VERSION")))
            // A redirect would take the client's secret to wherever it leads.
            .redirect(Policy::none())
            .timeout(TIMEOUT);
        // What is on this machine is not looked for behind a proxy.
        let builder = if allows_plain { builder.no_proxy() } else { builder };
        Ok(Self { client: builder.build()?, allows_plain })
    }

    /// Whether this provider may have that address.
    pub(crate) fn may_call(&self, url: &Url) -> bool {
        if self.allows_plain { is_safe(url) } else { url.scheme() == "https" }
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = reqwest::Request::try_from(request).map_err(HttpError::Transport)?;
        if !self.may_call(request.url()) {
            return Err(HttpError::NotSafe);
        }
        let failed = |error: reqwest::Error| HttpError::Transport(error.without_url());
        let mut answer = self.client.execute(request).await.map_err(failed)?;
        let status = answer.status();
        if status.is_server_error() {
            return Err(HttpError::Status(status.as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = HttpResponse::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl HttpError {
    /// Whether trying again later may help.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Status(_))
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}
