//! Archives of sessions on the local disk and in S3: packed, stored, read back, and unpacked with bounded memory.
//!
//! Packing and unpacking are blocking and have a thread of their own; pieces go between it and the store through a
//! channel. Whoever drops the future ends the thread by that: it has nobody to give pieces to, or gets no more.

mod ahead;
mod format;
mod gunzip;
mod gzip;
mod manifest;
mod metered;
mod name;
mod pack;
mod place;
mod places;
mod staging;
mod tree;
mod unpack;
mod walk;
mod writers;

pub use places::{ArchiverOptions, S3Options};

use self::{
    manifest::count_entries,
    metered::Received,
    pack::Packed,
    place::{Digested, Place, failed, hashed, send_file},
    places::Places,
    staging::Staging,
    tree::Tree,
    unpack::{Coat, Unpacking, too_many},
};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    ArchivePlace, Compression,
    archive::ArchiveContent,
    ports::{
        ArchiveError, ArchiveJob, ArchiveRef, ArchiveStore, ArchiveTarget, ByteStream, Found, Restored,
        Stored,
    },
};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, path::Path};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Seek, Write},
    num::NonZero,
    ops::Range,
    path::PathBuf,
    thread,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::{JoinError, spawn_blocking},
};

/// Threads that compress one archive, or write the files of one. Each takes memory; more than these wait for the disk.
const THREADS_MAX: NonZero<usize> = NonZero::new(4).unwrap();
/// Pieces that wait between the thread and the store.
const PIECES_WAITING_MAX: usize = 1;
/// A manifest has a line for each entry; most have far shorter ones.
const MANIFEST_BYTES_PER_ENTRY_MAX: u64 = 4 * 1024;

/// Keeps archives on the local disk and, where it is configured, in S3.
#[derive(Debug)]
pub struct StorageArchiver {
    places: Places,
    /// Where temporary files are: where archives are too there is room, which a system's own folder may not have.
    spool: PathBuf,
    threads: NonZero<usize>,
}

impl StorageArchiver {
    /// Opens both places; nothing is asked of S3 yet.
    pub fn new(options: &ArchiverOptions) -> Result<Self, ArchiveError> {
        let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN).min(THREADS_MAX);
        Ok(Self { places: Places::open(options)?, spool: options.folder.clone(), threads })
    }

    async fn upload_archive(
        &self,
        job: &ArchiveJob,
        place: &Place,
        path: &Path,
    ) -> Result<(Packed, Digested), ArchiveError> {
        let patterns = pack::patterns(&job.excludes)?;
        let piece_bytes = place.piece_bytes(job.limits.bytes_max);
        let (sender, mut pieces) = mpsc::channel(PIECES_WAITING_MAX);
        let (job, threads, spool) = (job.clone(), self.threads, self.spool.clone());
        let packing = spawn_blocking(move || {
            let sink = Sink::new(sender, piece_bytes);
            let (packed, mut sink) = pack::pack(&job, &patterns, sink, threads, new_spool(&spool)?)?;
            // Whoever takes the pieces knows better why it does not.
            sink.send().map_err(|error| ArchiveError::Failed(Box::new(error)))?;
            Ok(packed)
        });
        let mut upload = place.upload(path, piece_bytes);
        let sent = upload.take(&mut pieces).await;
        drop(pieces);
        let packed = joined(packing.await);
        match metered::cause(sent, packed) {
            Ok(packed) => Ok((packed, upload.finish().await?)),
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    async fn upload_file(&self, place: &Place, path: &Path, file: File) -> Result<Digested, ArchiveError> {
        let piece_bytes = place.piece_bytes(0);
        let (sender, mut pieces) = mpsc::channel(PIECES_WAITING_MAX);
        let reading = spawn_blocking(move || {
            send_file(file, piece_bytes, &sender).map_err(|error| ArchiveError::Failed(Box::new(error)))
        });
        let mut upload = place.upload(path, piece_bytes);
        let sent = upload.take(&mut pieces).await;
        drop(pieces);
        match metered::cause(sent, joined(reading.await)) {
            Ok(()) => upload.finish().await,
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    async fn store_and_verify(
        &self,
        job: &ArchiveJob,
        place: &Place,
        path: &Path,
        manifest: &Path,
    ) -> Result<Stored, ArchiveError> {
        let (packed, archive_digest) = self.upload_archive(job, place, path).await?;
        fail::fail_point!("archive.half_stored");
        let manifest_digest = self.upload_file(place, manifest, packed.manifest).await?;
        if manifest_digest.sha256 != packed.manifest_sha256 {
            return Err(ArchiveError::Corrupt("the manifest changed while it was stored".to_owned()));
        }
        place.verify(path, archive_digest).await?;
        place.verify(manifest, manifest_digest).await?;
        let content = ArchiveContent {
            size_bytes: archive_digest.size,
            sha256: archive_digest.sha256,
            manifest_sha256: manifest_digest.sha256,
            file_count: packed.file_count,
            unpacked_bytes: packed.unpacked_bytes,
            excluded_count: packed.excluded_count,
        };
        Ok(Stored { content })
    }

    /// The manifest in a temporary file, known to be the one on record.
    async fn fetch_manifest(
        &self,
        archive: &ArchiveRef,
        place: &Place,
    ) -> Result<(File, Digested), ArchiveError> {
        let path = manifest_path(&archive.key)?;
        let size = place.size(&path).await?;
        let entries_max = archive.limits.entries_max.saturating_add(2);
        if size > entries_max.saturating_mul(MANIFEST_BYTES_PER_ENTRY_MAX) {
            return Err(ArchiveError::TooLarge(format!("its manifest has {size} bytes")));
        }
        let wanted = Digested { size, sha256: archive.content.manifest_sha256 };
        let mut file = self.fetch(place, &path, wanted, "its manifest").await?;
        let (folder, entries_max) = (self.spool.clone(), archive.limits.entries_max);
        // Now, and not when so many are on the disk.
        let work = move || {
            let count = count_entries(&mut file).map_err(|source| spooling(&folder, source))?;
            if count > entries_max { Err(too_many(entries_max)) } else { Ok((file, wanted)) }
        };
        joined(spawn_blocking(work).await)
    }

    /// An object in a temporary file, at its start, known to be what was stored.
    async fn fetch(
        &self,
        place: &Place,
        path: &Path,
        wanted: Digested,
        what: &str,
    ) -> Result<File, ArchiveError> {
        if place.size(path).await? != wanted.size {
            return Err(not_what_was_stored(what));
        }
        let folder = self.spool.clone();
        let mut file = joined(spawn_blocking(move || new_spool(&folder)).await)?;
        let mut hasher = Sha256::new();
        let mut pieces = Box::pin(place.pieces(path, 0..wanted.size));
        while let Some(piece) = pieces.try_next().await? {
            let folder = self.spool.clone();
            let work = move || {
                hasher.update(&piece);
                file.write_all(&piece).map_err(|source| spooling(&folder, source))?;
                Ok((hasher, file))
            };
            (hasher, file) = joined(spawn_blocking(work).await)?;
        }
        if <[u8; 32]>::from(hasher.finalize()) != wanted.sha256 {
            return Err(not_what_was_stored(what));
        }
        file.rewind().map_err(|source| spooling(&self.spool, source))?;
        Ok(file)
    }

    async fn unpack(
        &self,
        archive: &ArchiveRef,
        place: &Place,
        unpacking: Unpacking,
        folder: Staging,
    ) -> Result<(Restored, Staging), ArchiveError> {
        let path = object_path(&archive.key)?;
        let wanted = Digested { size: archive.content.size_bytes, sha256: archive.content.sha256 };
        let coat = match archive.compression {
            Compression::None => Coat::None,
            Compression::Gzip => Coat::Gzip,
            Compression::Zstd => Coat::Zstd,
            Compression::Zip => {
                // It is read from its end, so it must lie here; and then it can be known for what was stored before.
                let file = self.fetch(place, &path, wanted, "it").await?;
                let work = move || unpacking.zip(file).map(|restored| (restored, folder));
                return joined(spawn_blocking(work).await);
            }
        };
        if place.size(&path).await? != wanted.size {
            return Err(not_what_was_stored("it"));
        }
        let (sender, received) = mpsc::channel(PIECES_WAITING_MAX);
        let received = Received::new(received, wanted.size);
        let threads = self.threads;
        let work = move || unpacking.tar(received, coat, threads).map(|restored| (restored, folder));
        let unpacked = spawn_blocking(work);
        let mut hasher = Sha256::new();
        let sent = async {
            let mut pieces = Box::pin(place.pieces(&path, 0..wanted.size));
            while let Some(piece) = pieces.try_next().await? {
                hasher = hashed(std::mem::take(&mut hasher), piece.clone()).await?;
                if sender.send(piece).await.is_err() {
                    break;
                }
            }
            drop(sender);
            Ok(())
        };
        let sent = sent.await;
        let unpacked = metered::cause(sent, joined(unpacked.await))?;
        if <[u8; 32]>::from(hasher.finalize()) != wanted.sha256 {
            return Err(not_what_was_stored("it"));
        }
        Ok(unpacked)
    }
}

#[async_trait]
impl ArchiveStore for StorageArchiver {
    async fn store(&self, job: &ArchiveJob) -> Result<Stored, ArchiveError> {
        let place = self.places.get(job.place)?;
        let (path, manifest) = (object_path(&job.key)?, manifest_path(&job.key)?);
        self.places.forget_parts(place, &path).await?;
        let stored = self.store_and_verify(job, place, &path, &manifest).await;
        if stored.is_err() {
            // Half an archive is none; the error that led here is the one to tell.
            for path in [&path, &manifest] {
                if let Err(error) = place.delete(path).await {
                    tracing::warn!(%path, %error, "could not remove what is left of an archive");
                }
            }
        }
        stored
    }

    async fn restore(
        &self,
        archive: &ArchiveRef,
        root: &str,
        target: ArchiveTarget,
    ) -> Result<Restored, ArchiveError> {
        let place = self.places.get(archive.place)?;
        let (manifest, digest) = self.fetch_manifest(archive, place).await?;
        let (limits, root_owned, threads) = (archive.limits, root.to_owned(), self.threads);
        let prepare = move || {
            let staging = Staging::new(&target)?;
            let tree = Tree::new(staging.folder()?, staging.path(), threads);
            let unpacking = Unpacking::new(manifest, digest, limits, &root_owned, tree)?;
            Ok((unpacking, staging))
        };
        let (unpacking, staging) = joined(spawn_blocking(prepare).await)?;
        let (restored, staging) = self.unpack(archive, place, unpacking, staging).await?;
        let root = root.to_owned();
        joined(spawn_blocking(move || staging.publish(&root)).await)?;
        Ok(restored)
    }

    async fn open(
        &self,
        archive: &ArchiveRef,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, ArchiveError> {
        let (place, path) = (self.places.get(archive.place)?, object_path(&archive.key)?);
        let size = place.size(&path).await?;
        let range = range.unwrap_or(0..size);
        Ok(place.pieces(&path, range.start..range.end.min(size)).boxed())
    }

    async fn manifest(&self, archive: &ArchiveRef) -> Result<ByteStream, ArchiveError> {
        self.places.get(archive.place)?.whole(&manifest_path(&archive.key)?).await
    }

    async fn find(&self, place: ArchivePlace, key: &str) -> Result<Option<Found>, ArchiveError> {
        match self.places.get(place)?.size(&object_path(key)?).await {
            Ok(size_bytes) => Ok(Some(Found { size_bytes })),
            Err(ArchiveError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn presign(
        &self,
        archive: &ArchiveRef,
        lifetime: Duration,
    ) -> Result<Option<String>, ArchiveError> {
        self.places.get(archive.place)?.presign(&object_path(&archive.key)?, lifetime).await
    }

    async fn delete(&self, place: ArchivePlace, key: &str) -> Result<(), ArchiveError> {
        let (place, path) = (self.places.get(place)?, object_path(key)?);
        self.places.forget_parts(place, &path).await?;
        place.delete(&path).await?;
        place.delete(&manifest_path(key)?).await
    }

    fn place(&self) -> ArchivePlace {
        self.places.preferred()
    }

    async fn check(&self) -> Result<String, ArchiveError> {
        let place = self.places.get(self.place())?;
        let path = Path::from(format!("check-{:032x}", rand::random::<u128>()));
        let said = Bytes::from_static(b"steward");
        place.store.put(&path, said.clone().into()).await.map_err(failed)?;
        let read = place.store.get_range(&path, 0..said.len() as u64).await;
        place.delete(&path).await?;
        if read.map_err(failed)? == said {
            Ok(place.name.clone())
        } else {
            Err(not_what_was_stored("the object that was written to try it"))
        }
    }
}

/// Cuts what is written to it into pieces.
struct Sink {
    pieces: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
    piece_bytes: usize,
}

impl Sink {
    fn new(pieces: mpsc::Sender<Bytes>, piece_bytes: usize) -> Self {
        Self { pieces, piece: Vec::new(), piece_bytes }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.pieces.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece.reserve_exact(self.piece_bytes);
        }
        let fitting = bytes.len().min(self.piece_bytes - self.piece.len());
        self.piece.extend_from_slice(&bytes[..fitting]);
        if self.piece.len() == self.piece_bytes {
            self.send()?;
        }
        Ok(fitting)
    }

    /// A piece that is not full may only be the last.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that has no name, so that nothing has to be removed.
fn new_spool(folder: &std::path::Path) -> Result<File, ArchiveError> {
    tempfile::tempfile_in(folder).map_err(|source| spooling(folder, source))
}

fn spooling(folder: &std::path::Path, source: io::Error) -> ArchiveError {
    ArchiveError::Files { action: "write a temporary file in", path: folder.to_owned(), source }
}

fn not_what_was_stored(what: &str) -> ArchiveError {
    ArchiveError::Corrupt(format!("{what} is not what was stored"))
}

fn object_path(key: &str) -> Result<Path, ArchiveError> {
    Path::parse(key).map_err(|error| ArchiveError::Failed(Box::new(error)))
}

fn manifest_path(key: &str) -> Result<Path, ArchiveError> {
    object_path(&format!("{key}.{}", manifest::FILE_NAME))
}

fn joined<T>(outcome: Result<Result<T, ArchiveError>, JoinError>) -> Result<T, ArchiveError> {
    outcome.unwrap_or_else(|error| Err(ArchiveError::Failed(Box::new(error))))
}
