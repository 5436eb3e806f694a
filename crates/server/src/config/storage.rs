//! Where archives are kept, for how long, and what goes into them.

use std::time::Duration;

use domain::Compression;
use secrecy::SecretString;

use super::{
    BYTES_PER_MB, SECONDS_PER_DAY,
    parse::{self, boolean, list, non_empty, number},
    reader::Reader,
};

const MAX_DAYS: u64 = 36_500;
const MAX_MB: u64 = 1 << 30;

/// Archives of sessions.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// Where new archives go; `None`: the data directory.
    pub s3: Option<S3Config>,
    pub compression: Compression,
    /// Whether what a session has on disk is removed once its archive is stored.
    pub auto_cleanup: bool,
    /// `None`: for ever.
    pub retention: Option<Duration>,
    pub excludes: Vec<String>,
    /// `None`: files of every size go into an archive.
    pub file_bytes_max: Option<u64>,
    /// `None`: no session is archived that nobody wanted archived.
    pub auto_archive_after: Option<Duration>,
    /// `None`: as much as there is room for.
    pub local_bytes_max: Option<u64>,
}

/// A bucket, and with whose rights it is used.
#[derive(Debug, Clone)]
pub struct S3Config {
    pub bucket: String,
    pub region: String,
    /// What the names of archives begin with; with a slash at its end, or empty.
    pub prefix: String,
    /// Of a server that is not Amazon's.
    pub endpoint: Option<String>,
    /// `None`: the usual chain of credentials.
    pub credentials: Option<(SecretString, SecretString)>,
}

impl StorageConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let is_s3 = reader.value("STORAGE_PROVIDER", "local", |text| match text {
            "local" => Ok(false),
            "s3" => Ok(true),
            _ => Err("local or s3".to_owned()),
        });
        let s3 = S3Config::read(reader);
        let compression = reader.value("ARCHIVE_COMPRESSION", "gzip", |text| {
            let all = Compression::ALL.map(Compression::as_str).join(", ");
            Compression::parse(text).ok_or_else(|| format!("one of {all}"))
        });
        let auto_cleanup = reader.value("ARCHIVE_AUTO_CLEANUP", "true", boolean);
        let retention = reader.value("ARCHIVE_RETENTION_DAYS", "90", days);
        let excludes = reader.option("ARCHIVE_EXCLUDE", |text| {
            Ok(list(text).into_iter().map(str::to_owned).collect::<Vec<_>>())
        });
        let file_max = reader.option("ARCHIVE_MAX_FILE_SIZE_MB", number(1..=MAX_MB));
        let auto_archive_after = reader.value("SESSION_AUTO_ARCHIVE_DAYS", "180", days);
        let local_max = reader.value("MAX_STORAGE_MB", "10240", number(0..=MAX_MB));
        let (is_s3, s3, local_max) = (is_s3?, s3?, local_max?);
        Some(Self {
            s3: is_s3.then_some(s3),
            compression: compression?,
            auto_cleanup: auto_cleanup?,
            retention: retention?,
            excludes: excludes?.unwrap_or_default(),
            file_bytes_max: file_max?.map(bytes),
            auto_archive_after: auto_archive_after?,
            local_bytes_max: (local_max > 0).then(|| bytes(local_max)),
        })
    }
}

impl S3Config {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let bucket = reader.value("AWS_S3_BUCKET", "ai-agent-archives", parse::bucket);
        let region = reader.value("AWS_S3_REGION", "us-east-1", non_empty);
        let prefix = reader.value("AWS_S3_ARCHIVE_PREFIX", "archives/", parse::object_prefix);
        let endpoint = reader.option("AWS_S3_ENDPOINT", parse::http_url);
        let key_id = reader.secret("AWS_ACCESS_KEY_ID", parse::header_value);
        let secret = reader.secret("AWS_SECRET_ACCESS_KEY", parse::header_value);
        let (key_id, secret) = (key_id?, secret?);
        let missing = match (&key_id, &secret) {
            (Some(_), None) => Some("AWS_SECRET_ACCESS_KEY"),
            (None, Some(_)) => Some("AWS_ACCESS_KEY_ID"),
            (Some(_), Some(_)) | (None, None) => None,
        };
        if let Some(missing) = missing {
            reader.mistake(missing, "both of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither");
        }
        Some(Self {
            bucket: bucket?,
            region: region?,
            prefix: prefix?,
            endpoint: endpoint?,
            credentials: key_id.zip(secret),
        })
    }
}

/// A number of days; none at all for 0.
fn days(text: &str) -> Result<Option<Duration>, String> {
    let days = number(0..=MAX_DAYS)(text)?;
    Ok((days > 0).then(|| Duration::from_secs(days * SECONDS_PER_DAY)))
}

fn bytes(mb: u64) -> u64 {
    mb.saturating_mul(BYTES_PER_MB as u64)
}
