//! Which places there are: the local disk always, S3 where it is configured.

use super::place::{Place, failed};
use domain::{ArchivePlace, ports::ArchiveError};
use object_store::{
    BackoffConfig, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    local::LocalFileSystem,
    path::Path,
    signer::Signer,
};
use secrecy::{ExposeSecret, SecretString};
use std::{fs, io, os::unix::fs::DirBuilderExt, path::PathBuf, sync::Arc, time::Duration};
use tokio::task::spawn_blocking;

/// How often a request to S3 that failed is made again, and for how long.
const RETRIES_MAX: usize = 4;
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Where archives are kept.
#[derive(Debug, Clone)]
pub struct ArchiverOptions {
    /// On the local disk; made if it is not there.
    pub folder: PathBuf,
    /// New archives go there where there is one.
    pub s3: Option<S3Options>,
}

/// Where in S3, and with whose rights.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    pub bucket: String,
    pub region: Option<String>,
    /// Of a server that is not Amazon's; `http://` only if it says so.
    pub endpoint: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<SecretString>,
    /// The `AWS_*` variables of the environment, for the usual chain of credentials: session tokens, roles by web
    /// identity, containers. What is named above goes before them.
    pub environment: Vec<(String, SecretString)>,
}

#[derive(Debug)]
pub(super) struct Places {
    local: Place,
    local_store: Arc<LocalFileSystem>,
    s3: Option<Place>,
}

impl Places {
    pub(super) fn open(options: &ArchiverOptions) -> Result<Self, ArchiveError> {
        let folder = &options.folder;
        // What is in there is everybody's conversations.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| ArchiveError::Files { action: "make", path: folder.clone(), source })?;
        // What was archived is removed afterwards, so it must be on the disk and not on its way there.
        let store = LocalFileSystem::new_with_prefix(folder).map_err(failed)?.with_fsync(true);
        let local_store = Arc::new(store);
        let local = Place {
            kind: ArchivePlace::Local,
            store: local_store.clone(),
            signer: None,
            name: folder.display().to_string(),
        };
        Ok(Self { local, local_store, s3: options.s3.as_ref().map(s3).transpose()? })
    }

    pub(super) fn get(&self, place: ArchivePlace) -> Result<&Place, ArchiveError> {
        match place {
            ArchivePlace::Local => Ok(&self.local),
            ArchivePlace::S3 => {
                self.s3.as_ref().ok_or_else(|| ArchiveError::Unavailable("S3 is not configured".into()))
            }
        }
    }

    pub(super) fn preferred(&self) -> ArchivePlace {
        self.s3.as_ref().map_or(ArchivePlace::Local, |place| place.kind)
    }

    /// Removes what an upload to this path that was killed has left on the local disk. In S3 only a rule of the bucket
    /// can: parts without an object belong to an upload whose name nobody remembers.
    pub(super) async fn forget_parts(&self, place: &Place, path: &Path) -> Result<(), ArchiveError> {
        if place.kind != ArchivePlace::Local {
            return Ok(());
        }
        let file = self.local_store.path_to_filesystem(path).map_err(failed)?;
        let work = move || {
            let path = file.clone();
            forget_parts(&file).map_err(|source| ArchiveError::Files {
                action: "remove the parts beside",
                path,
                source,
            })
        };
        spawn_blocking(work).await.unwrap_or_else(|error| Err(ArchiveError::Failed(Box::new(error))))
    }
}

impl Place {
    pub(super) async fn presign(
        &self,
        path: &Path,
        lifetime: Duration,
    ) -> Result<Option<String>, ArchiveError> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let url = signer.signed_url(http::Method::GET, path, lifetime).await.map_err(failed)?;
        Ok(Some(url.into()))
    }
}

fn s3(options: &S3Options) -> Result<Place, ArchiveError> {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in &options.environment {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value.expose_secret());
        }
    }
    builder = builder.with_bucket_name(&options.bucket).with_retry(RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIMEOUT,
    });
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(id) = &options.access_key_id {
        builder = builder.with_access_key_id(id);
    }
    if let Some(secret) = &options.secret_access_key {
        builder = builder.with_secret_access_key(secret.expose_secret());
    }
    let store = Arc::new(builder.build().map_err(failed)?);
    Ok(Place {
        kind: ArchivePlace::S3,
        store: store.clone(),
        signer: Some(store),
        name: format!("s3://{}", options.bucket),
    })
}

/// The local store writes to `<name>#<number>` first, and takes the next number where one is there.
fn forget_parts(file: &std::path::Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Ok(()) };
    let is_part = |other: &std::ffi::OsStr| {
        let rest = other.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        let number = rest.and_then(|rest| rest.strip_prefix(b"#"));
        number.is_some_and(|number| number.iter().all(u8::is_ascii_digit))
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if is_part(&entry.file_name()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
