//! The real API: where it is, the key it wants, and how it is asked.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header::ACCEPT_ENCODING};
use reqwest::{Client, Response, Url, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    gateway::{GatewayError, Options},
    headers::{self, API_KEY},
    limits::{UPSTREAM_CONNECT_TIMEOUT, UPSTREAM_POOL_IDLE},
};

/// The API and the client that speaks to it.
#[derive(Debug)]
pub(crate) struct Upstream {
    client: Client,
    /// Without a slash at its end.
    base: String,
    key: Option<HeaderValue>,
}

impl Upstream {
    pub(crate) fn new(options: &Options) -> Result<Self, GatewayError> {
        let base = options.upstream_url.trim_end_matches('/').to_owned();
        let is_http =
            Url::parse(&base).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_http {
            return Err(GatewayError::UpstreamUrl(options.upstream_url.clone()));
        }
        // No time-out for the whole: an answer may take as long as it keeps coming. A redirect would take the key
        // elsewhere.
        let client = Client::builder()
            .connect_timeout(UPSTREAM_CONNECT_TIMEOUT)
            .read_timeout(options.upstream_idle_timeout)
            .pool_idle_timeout(UPSTREAM_POOL_IDLE)
            .redirect(Policy::none())
            .build()
            .map_err(GatewayError::Client)?;
        Ok(Self { client, base, key: options.upstream_key.as_ref().map(key_header).transpose()? })
    }

    pub(crate) fn key(&self) -> Option<&HeaderValue> {
        self.key.as_ref()
    }

    /// Asks the API with our key in the place of the agent's token.
    pub(crate) async fn send(
        &self,
        method: Method,
        path_and_query: &str,
        mut headers: HeaderMap,
        body: Bytes,
        key: &HeaderValue,
    ) -> reqwest::Result<Response> {
        headers::strip_request(&mut headers);
        headers.insert(API_KEY, key.clone());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let url = format!("{}{path_and_query}", self.base);
        self.client.request(method, url).headers(headers).body(body).send().await
    }
}

fn key_header(key: &SecretString) -> Result<HeaderValue, GatewayError> {
    let mut header = HeaderValue::from_str(key.expose_secret()).map_err(|_| GatewayError::UpstreamKey)?;
    header.set_sensitive(true);
    Ok(header)
}
