//! What the provider says of itself: its endpoints, and the keys that it signs with. Both are kept for a while.

use crate::{
    http::{Http, HttpError},
    settings::Issuer,
};
use domain::{Clock, ports::ProviderError};
use jiff::{SignedDuration, Timestamp};
use openidconnect::{
    DiscoveryError, IssuerUrl,
    core::{CoreJsonWebKeySet, CoreProviderMetadata},
};
use std::{fmt, sync::Arc};
use tokio::sync::Mutex;
use url::Url;

/// How long what was discovered is taken for true. Keys that are not among it are looked for at once.
const FRESH_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long a provider that failed is left alone: whoever waits meanwhile is told so and does not wait in line.
const FAILED_FOR: SignedDuration = SignedDuration::from_secs(3);

/// What is wrong with an endpoint, or was wrong a moment ago.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("use its {0}: it is neither https nor, as its issuer, on this machine")]
    NotSafe(&'static str),
    #[error("use it without a token endpoint")]
    NoTokenEndpoint,
    #[error("wait for it: it failed a moment ago")]
    FailedBefore,
}

/// Looks a provider up.
pub(crate) struct Discovery {
    http: Http,
    issuer: IssuerUrl,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<(Arc<CoreProviderMetadata>, Timestamp)>,
    failed_at: Option<Timestamp>,
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Discovery {
    pub(crate) fn new(issuer: &Issuer, http: Http, clock: Arc<dyn Clock>) -> Self {
        Self { http, issuer: issuer.0.clone(), clock, state: Mutex::default() }
    }

    /// The provider as it is known, or as it says now.
    pub(crate) async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, ProviderError> {
        // Held while it is asked: those who come meanwhile want the same answer.
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let is_within = |at: Timestamp, span| (SignedDuration::ZERO..span).contains(&now.duration_since(at));
        if let Some((known, at)) = &state.known
            && is_within(*at, FRESH_FOR)
        {
            return Ok(known.clone());
        }
        if state.failed_at.is_some_and(|at| is_within(at, FAILED_FOR)) {
            return Err(ProviderError::Unavailable(Fault::FailedBefore.into()));
        }
        match self.discover().await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *state = State { known: Some((metadata.clone(), now)), failed_at: None };
                Ok(metadata)
            }
            Err(error) => {
                state.failed_at = Some(now);
                Err(error)
            }
        }
    }

    /// The provider with the keys that it has now. They are kept in place of those that `before` has.
    pub(crate) async fn with_new_keys(
        &self,
        before: &CoreProviderMetadata,
    ) -> Result<Arc<CoreProviderMetadata>, ProviderError> {
        let keys = CoreJsonWebKeySet::fetch_async(before.jwks_uri(), &self.http).await.map_err(failure)?;
        let metadata = Arc::new(before.clone().set_jwks(keys));
        let mut state = self.state.lock().await;
        let at = state.known.as_ref().map_or_else(|| self.clock.now(), |(_, at)| *at);
        state.known = Some((metadata.clone(), at));
        Ok(metadata)
    }

    async fn discover(&self) -> Result<CoreProviderMetadata, ProviderError> {
        let found =
            CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await.map_err(failure)?;
        let token = found.token_endpoint().map(|endpoint| endpoint.url());
        let userinfo = found.userinfo_endpoint().map(|endpoint| endpoint.url());
        let endpoints = [
            ("authorization endpoint", Some(found.authorization_endpoint().url())),
            ("token endpoint", token),
            ("userinfo endpoint", userinfo),
        ];
        let is_bad = |(_, url): &(_, Option<&Url>)| url.is_some_and(|url| !self.http.may_call(url));
        if let Some((name, _)) = endpoints.into_iter().find(is_bad) {
            return Err(ProviderError::Failed(Fault::NotSafe(name).into()));
        }
        if token.is_none() {
            return Err(ProviderError::Failed(Fault::NoTokenEndpoint.into()));
        }
        Ok(found)
    }
}

fn failure(error: DiscoveryError<HttpError>) -> ProviderError {
    match &error {
        DiscoveryError::Request(cause) if cause.is_passing() => ProviderError::Unavailable(error.into()),
        _ => ProviderError::Failed(error.into()),
    }
}
