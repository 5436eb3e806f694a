//! `steward secrets`: another key for secrets at rest, without a server or beside running ones.

use std::{io::Write, process::ExitCode};

use anyhow::Context;
use domain::{AuditKey, Clock, SystemClock};
use engine::{Resealed, reseal};
use persistence::{Database, DatabaseOptions};
use secrecy::ExposeSecret;

use crate::{command::Secrets, config::Config, keyring, secret_key};

/// Some secrets are sealed with a key that is not known.
const UNREADABLE: u8 = 1;

/// Does what it was asked.
pub async fn run(command: Secrets) -> anyhow::Result<ExitCode> {
    let config = Config::load().map_err(|errors| anyhow::anyhow!("failed to {errors}"))?;
    let at = match command {
        Secrets::Check => None,
        Secrets::Rotate => Some(SystemClock.now()),
    };
    let secret = match &config.auth.secret_key {
        Some(key) => Some(key.clone()),
        None => secret_key::SECRET.read_if_there(&config.data_dir).context("could not get the secret key")?,
    };
    // The audit log tells of it, signed as the server signs.
    let secret = secret.context("could not get the secret key: there is none in the data folder")?;
    let options = DatabaseOptions {
        audit_key: Some(AuditKey::derive(secret.expose_secret().as_bytes())),
        ..DatabaseOptions::new(&config.database.url)
    };
    let keys = keyring::of(&config, &config.data_dir)?;
    let database = Database::open(&options, migration::up).await.context("could not open the database")?;
    let outcome = reseal(&database.store(), &keys, at).await.context("could not go through the secrets")?;
    let Resealed { current, resealed, unreadable } = outcome;
    let did =
        if at.is_some() { "were encrypted anew" } else { "have an older key: run `steward secrets rotate`" };
    let mut out = std::io::stdout().lock();
    writeln!(out, "The key is {}.", keys.current_key_id())?;
    writeln!(out, "MCP servers: {current} have it, {resealed} {did}, {} cannot be read.", unreadable.len())?;
    for server in &unreadable {
        writeln!(out, "{server}")?;
    }
    Ok(if unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(UNREADABLE) })
}
