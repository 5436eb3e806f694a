//! Logins by way of the identity provider of the settings.

use std::sync::Arc;

use anyhow::Context;
use domain::Clock;
use engine::{AccountManager, OidcLogins};
use oidc::Provider;
use secrecy::{ExposeSecret, SecretString};

use crate::config::OidcConfig;

/// The logins, if there is a provider. Nothing is asked of it yet.
pub(crate) fn logins(
    config: Option<&OidcConfig>,
    accounts: &Arc<AccountManager>,
    store: &Arc<persistence::Store>,
    clock: &Arc<dyn Clock>,
    secret: &SecretString,
) -> anyhow::Result<Option<OidcLogins>> {
    let Some(OidcConfig { provider, logins }) = config else { return Ok(None) };
    let provider = Provider::new(provider.clone(), clock.clone())
        .context("could not set up the way to the identity provider")?;
    let logins = OidcLogins::new(
        accounts.clone(),
        store.clone(),
        Arc::new(provider),
        logins.clone(),
        secret.expose_secret().as_bytes(),
    );
    logins.map(Some).context("could not set up logins by way of the identity provider")
}
