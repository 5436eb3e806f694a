//! From the settings to the archive store, and whether it works.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use domain::ports::ArchiveStore;
use engine::{ArchiveSettings, SessionManager};
use jiff::SignedDuration;
use monitoring::Check;
use persistence::{ArchiverOptions, S3Options, StorageArchiver};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    compose::chain,
    config::{S3Config, StorageConfig},
    data_dir::DataDir,
};

/// Three requests to S3.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
const CHECK_FRESH_FOR: Duration = Duration::from_secs(60);

/// Opens the archive store; nothing is asked of S3 yet.
pub fn open(config: &StorageConfig, data_dir: &DataDir) -> anyhow::Result<Arc<dyn ArchiveStore>> {
    let options =
        ArchiverOptions { folder: data_dir.path.join("archives"), s3: config.s3.as_ref().map(s3_options) };
    Ok(Arc::new(StorageArchiver::new(&options).context("could not open the archive store")?))
}

/// What the engine needs to know.
pub fn settings(config: &StorageConfig) -> anyhow::Result<ArchiveSettings> {
    let signed = |duration: Option<Duration>| duration.map(SignedDuration::try_from).transpose();
    Ok(ArchiveSettings {
        compression: config.compression,
        s3_prefix: config.s3.as_ref().map(|s3| s3.prefix.clone()).unwrap_or_default(),
        excludes: config.excludes.clone(),
        file_bytes_max: config.file_bytes_max,
        auto_cleanup: config.auto_cleanup,
        retention: signed(config.retention)?,
        auto_archive_after: signed(config.auto_archive_after)?,
        local_bytes_max: config.local_bytes_max,
    })
}

/// Writes, reads and deletes something, seldom. Sessions run without the archive store, so it is not required.
pub fn check(config: &StorageConfig, sessions: &SessionManager) -> Check {
    let name = if config.s3.is_some() { api::S3_STORAGE } else { api::STORAGE };
    let sessions = sessions.clone();
    let check = Check::optional(name, move || {
        let sessions = sessions.clone();
        async move {
            let checked = sessions.check_archive_store().await;
            checked.map(Some).map_err(|error| format!("could not {}", chain(&error)))
        }
    });
    check.within(CHECK_TIMEOUT).fresh_for(CHECK_FRESH_FOR).slow()
}

fn s3_options(config: &S3Config) -> S3Options {
    let (access_key_id, secret_access_key) = match config.credentials.clone() {
        Some((id, secret)) => (Some(id.expose_secret().to_owned()), Some(secret)),
        None => (None, None),
    };
    // The names that the usual chain of credentials goes by.
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        name.starts_with("AWS_").then(|| (name, SecretString::from(value)))
    });
    S3Options {
        bucket: config.bucket.clone(),
        region: Some(config.region.clone()),
        endpoint: config.endpoint.clone(),
        access_key_id,
        secret_access_key,
        environment: environment.collect(),
    }
}
