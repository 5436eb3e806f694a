//! Where archives are kept: packing, storing, checking and unpacking them, with bounded memory.

use crate::{ArchivePlace, Compression, archive::ArchiveContent};
use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use std::{ops::Range, os::fd::OwnedFd, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

/// Bytes as they come.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, ArchiveError>> + Send>>;

/// Keeps archives. An archive is one object, `<key>`, and its manifest is another, `<key>.manifest.json`: every
/// entry's path, size, mode and SHA-256. The manifest is the last entry of the archive too, for people without us.
#[async_trait]
pub trait ArchiveStore: Send + Sync {
    /// Packs the folders and stores them under the key, then reads the object back and compares it. What was under
    /// the key is replaced; after a failure nothing is there. When dropped, parts of it may be left until the key is
    /// stored or deleted again.
    async fn store(&self, job: &ArchiveJob) -> Result<Stored, ArchiveError>;

    /// Unpacks one of the archive's roots into `target`, which must not be there or be empty. All of it or nothing:
    /// every file is compared with the manifest before `target` appears.
    async fn restore(
        &self,
        archive: &ArchiveRef,
        root: &str,
        target: ArchiveTarget,
    ) -> Result<Restored, ArchiveError>;

    /// Part of the object as it is stored, or all of it.
    async fn open(&self, archive: &ArchiveRef, range: Option<Range<u64>>)
    -> Result<ByteStream, ArchiveError>;

    /// The manifest as it is stored: JSON.
    async fn manifest(&self, archive: &ArchiveRef) -> Result<ByteStream, ArchiveError>;

    /// What is there under the key; `None` when there is nothing.
    async fn find(&self, place: ArchivePlace, key: &str) -> Result<Option<Found>, ArchiveError>;

    /// An address from which anybody may download it until then; `None` where the store cannot sign.
    async fn presign(&self, archive: &ArchiveRef, lifetime: Duration)
    -> Result<Option<String>, ArchiveError>;

    /// Removes the object and its manifest; what is not there is removed already.
    async fn delete(&self, place: ArchivePlace, key: &str) -> Result<(), ArchiveError>;

    /// The place that is for new archives.
    fn place(&self) -> ArchivePlace;

    /// Writes a small object, reads it and deletes it. Answers with where it was.
    async fn check(&self) -> Result<String, ArchiveError>;
}

/// What is to be stored.
#[derive(Debug, Clone)]
pub struct ArchiveJob {
    pub place: ArchivePlace,
    pub key: String,
    pub compression: Compression,
    /// In this order.
    pub roots: Vec<ArchiveRoot>,
    /// Patterns as in a `.gitignore`, for roots that may leave something out.
    pub excludes: Vec<String>,
    pub limits: ArchiveLimits,
}

/// A folder that becomes one in the archive.
#[derive(Debug, Clone)]
pub struct ArchiveRoot {
    /// Its name in the archive, such as `workspace`.
    pub name: String,
    /// Where it is. Without `opened` it is opened here, and is no link.
    pub folder: PathBuf,
    /// The folder itself, where others could put another one in its place before it is opened.
    pub opened: Option<Arc<OwnedFd>>,
    /// Whether the excludes are for it.
    pub may_exclude: bool,
}

/// Where a folder of an archive is to be.
#[derive(Debug, Clone)]
pub struct ArchiveTarget {
    /// Its name is the last part. Without `above` the rest is made where it is missing.
    pub folder: PathBuf,
    /// The folder it is to be in, where others could put another one in the place of that meanwhile.
    pub above: Option<Arc<OwnedFd>>,
}

impl From<PathBuf> for ArchiveTarget {
    fn from(folder: PathBuf) -> Self {
        Self { folder, above: None }
    }
}

/// How large an archive may be; what is larger is an error, not left out.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveLimits {
    /// Of all files together, unpacked.
    pub bytes_max: u64,
    pub entries_max: u64,
    /// Files above this are left out and named in the manifest; `None` leaves none out.
    pub file_bytes_max: Option<u64>,
}

/// An archive as its record knows it.
#[derive(Debug, Clone)]
pub struct ArchiveRef {
    pub place: ArchivePlace,
    pub key: String,
    pub compression: Compression,
    pub content: ArchiveContent,
    pub limits: ArchiveLimits,
}

/// An archive that was stored and found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub content: ArchiveContent,
}

/// What restoring has put into the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    pub file_count: u64,
    pub bytes: u64,
}

/// An object that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub size_bytes: u64,
}

/// Why an archive could not be stored or read, named for what can be done.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store does not answer or has no room; later it may.
    #[error("reach the archive store")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no such object.
    #[error("find the archive: it is not in the store")]
    Missing,
    /// What is in the store is not what was put there.
    #[error("trust the archive: {0}")]
    Corrupt(String),
    /// An entry would be written outside of the target, or is none that may be restored.
    #[error("unpack the archive: {0}")]
    Hostile(String),
    /// It has more entries or bytes than an archive may have.
    #[error("keep the archive within its limits: {0}")]
    TooLarge(String),
    /// A pattern of the excludes is none.
    #[error("read the excludes: {0}")]
    BadPattern(String),
    /// A file of the session, or the disk it is restored to, failed.
    #[error("{action} {}", path.display())]
    Files {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Anything else the store said.
    #[error("work with the archive store")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
