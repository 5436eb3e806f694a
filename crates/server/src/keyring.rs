//! The keys of secrets at rest: those of the settings, or the one that is kept in the data folder.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use engine::{Resealed, reseal};
use mcp::Keyring;
use secrecy::ExposeSecret;

use crate::{config::Config, secret_key};

/// Reads them, and makes the one in the data folder if there is none.
pub fn of(config: &Config, data_dir: &Path) -> anyhow::Result<Keyring> {
    let key = match &config.mcp.encryption_key {
        Some(key) => key.clone(),
        None => {
            secret_key::ENCRYPTION.read_or_create(data_dir).context("could not get the encryption key")?
        }
    };
    let old = config.mcp.old_encryption_keys.iter().map(|key| key.expose_secret().as_bytes());
    Keyring::new(key.expose_secret().as_bytes(), old).context("could not use the encryption key")
}

/// Says at start what is encrypted with another key than it should be, before somebody finds out by a failure.
pub async fn look(store: &Arc<persistence::Store>, keys: &Keyring) -> anyhow::Result<()> {
    let outcome = reseal(store.as_ref(), keys, None).await.context("could not look at the secrets")?;
    let Resealed { resealed, unreadable, .. } = outcome;
    if resealed > 0 {
        tracing::info!(
            servers = resealed,
            "MCP servers have secrets under an older key: run `steward secrets rotate`"
        );
    }
    for server in unreadable {
        tracing::error!(
            server,
            "the secrets of an MCP server cannot be read; nothing is lost while its key is kept"
        );
    }
    Ok(())
}
