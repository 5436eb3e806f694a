//! An archive store in memory, for tests that need one but no disk full of archives: it can be down, slow, or damaged.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    ArchivePlace,
    archive::ArchiveContent,
    ports::{
        ArchiveError, ArchiveJob, ArchiveRef, ArchiveStore, ArchiveTarget, ByteStream, Found, Restored,
        Stored,
    },
};
use futures::stream;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs, io,
    ops::Range,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// Archives are JSON: each root with its files by path. Clones share them.
#[derive(Debug, Clone)]
pub struct MemoryArchives {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
    /// So many calls that read or write fail from now on, as if the store were down.
    pub failures: Arc<AtomicU32>,
    /// While false, nothing that is to be stored has been read, nor anything restored.
    pub reads: watch::Sender<bool>,
    /// While false, what is being stored or restored has been read and is not written.
    pub writes: watch::Sender<bool>,
    /// While false, what is to be deleted is there, and nobody answers.
    pub deletes: watch::Sender<bool>,
    /// Which place is for new archives. S3 can sign.
    place: ArchivePlace,
}

impl Default for MemoryArchives {
    fn default() -> Self {
        let (objects, failures) = (Arc::default(), Arc::default());
        let may = || watch::Sender::new(true);
        let (reads, writes, deletes) = (may(), may(), may());
        Self { objects, failures, reads, writes, deletes, place: ArchivePlace::Local }
    }
}

impl MemoryArchives {
    /// An empty store in which new archives go to this place.
    #[must_use]
    pub fn in_place(place: ArchivePlace) -> Self {
        Self { place, ..Self::default() }
    }

    /// The same store as another server has it: what keeps one waiting keeps no other.
    #[must_use]
    pub fn of_another_server(&self) -> Self {
        Self { objects: Arc::clone(&self.objects), ..Self::in_place(self.place) }
    }

    /// What is there, by key.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.objects().keys().cloned().collect()
    }

    /// The archive under this key.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Value> {
        serde_json::from_slice(self.objects().get(key)?).ok()
    }

    /// Damages every archive.
    pub fn damage(&self) {
        for object in self.objects().values_mut() {
            *object = Bytes::from_static(b"{}");
        }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self) -> Result<(), ArchiveError> {
        match self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(ArchiveError::Unavailable("nobody answers".into())),
            Err(_) => Ok(()),
        }
    }

    async fn may_read(&self) {
        // Fails only without a sender, and this value holds one.
        let _ = self.reads.subscribe().wait_for(|may| *may).await;
    }

    async fn may_write(&self) {
        // Fails only without a sender, and this value holds one.
        let _ = self.writes.subscribe().wait_for(|may| *may).await;
    }

    fn read(&self, archive: &ArchiveRef) -> Result<Bytes, ArchiveError> {
        self.answer()?;
        let object = self.objects().get(&archive.key).cloned().ok_or(ArchiveError::Missing)?;
        if sha256(&object) != archive.content.sha256 {
            return Err(ArchiveError::Corrupt("it has another SHA-256".to_owned()));
        }
        Ok(object)
    }
}

#[async_trait]
impl ArchiveStore for MemoryArchives {
    async fn store(&self, job: &ArchiveJob) -> Result<Stored, ArchiveError> {
        self.answer()?;
        self.may_read().await;
        let (mut archive, mut file_count, mut unpacked_bytes) = (serde_json::Map::new(), 0, 0);
        for root in &job.roots {
            let mut files = BTreeMap::new();
            let folder = root.opened.as_ref().map_or_else(|| root.folder.clone(), at_handle);
            gather(&folder, &folder, &mut files).map_err(failed("read", &root.folder))?;
            file_count += files.len() as u64;
            unpacked_bytes += files.values().map(|text| text.len() as u64).sum::<u64>();
            archive.insert(root.name.clone(), json!(files));
        }
        if unpacked_bytes > job.limits.bytes_max {
            return Err(ArchiveError::TooLarge(format!("more than {} bytes", job.limits.bytes_max)));
        }
        self.may_write().await;
        let object = Bytes::from(Value::Object(archive).to_string());
        let content = ArchiveContent {
            size_bytes: object.len() as u64,
            sha256: sha256(&object),
            manifest_sha256: sha256(b"{}"),
            file_count,
            unpacked_bytes,
            excluded_count: 0,
        };
        self.objects().insert(job.key.clone(), object);
        Ok(Stored { content })
    }

    async fn restore(
        &self,
        archive: &ArchiveRef,
        root: &str,
        target: ArchiveTarget,
    ) -> Result<Restored, ArchiveError> {
        self.may_read().await;
        let object = self.read(archive)?;
        let ArchiveTarget { folder, above } = target;
        let name = folder.file_name().unwrap_or_default();
        let target = above.as_ref().map_or_else(|| folder.clone(), |above| at_handle(above).join(name));
        let read: Value =
            serde_json::from_slice(&object).map_err(|error| ArchiveError::Corrupt(error.to_string()))?;
        self.may_write().await;
        fs::create_dir_all(&target).map_err(failed("make", &target))?;
        let mut restored = Restored { file_count: 0, bytes: 0 };
        for (path, text) in read[root].as_object().into_iter().flatten() {
            let (path, text) = (target.join(path), text.as_str().unwrap_or_default());
            let parent = path.parent().unwrap_or(&target);
            fs::create_dir_all(parent).map_err(failed("make", parent))?;
            fs::write(&path, text).map_err(failed("write", &path))?;
            restored.file_count += 1;
            restored.bytes += text.len() as u64;
        }
        Ok(restored)
    }

    async fn open(
        &self,
        archive: &ArchiveRef,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, ArchiveError> {
        let object = self.read(archive)?;
        let bytes = match range {
            Some(range) => object.slice(at(range.start)..at(range.end).min(object.len())),
            None => object,
        };
        Ok(Box::pin(stream::iter([Ok(bytes)])))
    }

    async fn manifest(&self, archive: &ArchiveRef) -> Result<ByteStream, ArchiveError> {
        self.read(archive)?;
        Ok(Box::pin(stream::iter([Ok(Bytes::from_static(b"{}"))])))
    }

    async fn find(&self, _: ArchivePlace, key: &str) -> Result<Option<Found>, ArchiveError> {
        self.answer()?;
        Ok(self.objects().get(key).map(|object| Found { size_bytes: object.len() as u64 }))
    }

    async fn presign(
        &self,
        archive: &ArchiveRef,
        lifetime: Duration,
    ) -> Result<Option<String>, ArchiveError> {
        let signed = || format!("https://s3.example.com/{}?for={}", archive.key, lifetime.as_secs());
        Ok((archive.place == ArchivePlace::S3).then(signed))
    }

    async fn delete(&self, _: ArchivePlace, key: &str) -> Result<(), ArchiveError> {
        self.answer()?;
        // Fails only without a sender, and this value holds one.
        let _ = self.deletes.subscribe().wait_for(|may| *may).await;
        self.objects().remove(key);
        Ok(())
    }

    fn place(&self) -> ArchivePlace {
        self.place
    }

    async fn check(&self) -> Result<String, ArchiveError> {
        self.answer().map(|()| "in memory".to_owned())
    }
}

/// A path to what is open, wherever that is by now.
fn at_handle(opened: &Arc<OwnedFd>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()))
}

fn gather(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(root, &path, files)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            files.insert(name, String::from_utf8_lossy(&fs::read(&path)?).into_owned());
        }
    }
    Ok(())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.to_owned();
    move |source| ArchiveError::Files { action, path, source }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn at(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
