//! A place for objects: pieces in, pieces out, and what its errors mean.

use bytes::Bytes;
use domain::{
    ArchivePlace,
    ports::{ArchiveError, ByteStream},
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, WriteMultipart, aws::AmazonS3, path::Path,
};
use sha2::{Digest, Sha256};
use std::{io::Read, ops::Range, sync::Arc};
use tokio::{sync::mpsc, task::spawn_blocking};

/// Pieces that may be on their way at once.
const PIECES_AT_ONCE: usize = 2;
/// S3 takes parts from 5 MiB on, and at most 10,000 of them.
const S3_PIECE_BYTES: u64 = 8 << 20;
const S3_PARTS_MAX: u64 = 9_000;
const LOCAL_PIECE_BYTES: u64 = 1 << 20;

/// One of the places where archives are.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) kind: ArchivePlace,
    pub(super) store: Arc<dyn ObjectStore>,
    /// Where the store can sign.
    pub(super) signer: Option<Arc<AmazonS3>>,
    /// For people.
    pub(super) name: String,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digested {
    pub(super) size: u64,
    pub(super) sha256: [u8; 32],
}

/// An object that is being stored. Nothing is under its key before it is finished.
#[derive(Debug)]
pub(super) struct Upload {
    place: Place,
    path: Path,
    /// The first piece, until there is a second.
    first: Option<Bytes>,
    parts: Option<WriteMultipart>,
    piece_bytes: usize,
    hasher: Sha256,
    size: u64,
}

impl Place {
    /// How large the pieces of an object must be that has at most so many bytes.
    pub(super) fn piece_bytes(&self, object_bytes_max: u64) -> usize {
        let bytes = match self.kind {
            ArchivePlace::Local => LOCAL_PIECE_BYTES,
            ArchivePlace::S3 => S3_PIECE_BYTES.max(object_bytes_max / S3_PARTS_MAX),
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn upload(&self, path: &Path, piece_bytes: usize) -> Upload {
        Upload {
            place: self.clone(),
            path: path.clone(),
            first: None,
            parts: None,
            piece_bytes,
            hasher: Sha256::new(),
            size: 0,
        }
    }

    /// Part of an object, in pieces that are asked for by themselves: one that fails is asked for again.
    pub(super) fn pieces(
        &self,
        path: &Path,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send + use<> {
        let piece_bytes = self.piece_bytes(0) as u64;
        let Range { start, end } = range;
        let starts = (start..end).step_by(usize::try_from(piece_bytes).unwrap_or(usize::MAX));
        let (store, path) = (Arc::clone(&self.store), path.clone());
        stream::iter(starts)
            .map(move |from| {
                let (store, path) = (Arc::clone(&store), path.clone());
                async move { store.get_range(&path, from..end.min(from + piece_bytes)).await.map_err(failed) }
            })
            .buffered(PIECES_AT_ONCE)
    }

    /// A whole object of unknown size.
    pub(super) async fn whole(&self, path: &Path) -> Result<ByteStream, ArchiveError> {
        let size = self.size(path).await?;
        Ok(self.pieces(path, 0..size).boxed())
    }

    pub(super) async fn size(&self, path: &Path) -> Result<u64, ArchiveError> {
        Ok(self.store.head(path).await.map_err(failed)?.size)
    }

    /// Reads an object back and compares it.
    pub(super) async fn verify(&self, path: &Path, wanted: Digested) -> Result<(), ArchiveError> {
        let size = self.size(path).await?;
        let mut hasher = Sha256::new();
        let mut pieces = Box::pin(self.pieces(path, 0..size));
        while let Some(piece) = pieces.try_next().await? {
            hasher = hashed(hasher, piece).await?;
        }
        if (Digested { size, sha256: hasher.finalize().into() }) == wanted {
            Ok(())
        } else {
            Err(ArchiveError::Corrupt(format!("{path} is not what was stored")))
        }
    }

    pub(super) async fn delete(&self, path: &Path) -> Result<(), ArchiveError> {
        match self.store.delete(path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

impl Upload {
    /// Takes what comes until nothing comes any more.
    pub(super) async fn take(&mut self, pieces: &mut mpsc::Receiver<Bytes>) -> Result<(), ArchiveError> {
        while let Some(piece) = pieces.recv().await {
            self.piece(piece).await?;
        }
        Ok(())
    }

    /// All pieces but the last have the size that was said.
    async fn piece(&mut self, piece: Bytes) -> Result<(), ArchiveError> {
        self.size += piece.len() as u64;
        self.hasher = hashed(std::mem::take(&mut self.hasher), piece.clone()).await?;
        if self.size == piece.len() as u64 {
            self.first = Some(piece);
            return Ok(());
        }
        if let Some(first) = self.first.take() {
            let parts = self.place.store.put_multipart(&self.path).await.map_err(failed)?;
            let mut parts = WriteMultipart::new_with_chunk_size(parts, self.piece_bytes);
            parts.put(first);
            self.parts = Some(parts);
        }
        if let Some(parts) = &mut self.parts {
            parts.wait_for_capacity(PIECES_AT_ONCE).await.map_err(failed)?;
            parts.put(piece);
        }
        Ok(())
    }

    /// Makes the object appear.
    pub(super) async fn finish(mut self) -> Result<Digested, ArchiveError> {
        match self.parts.take() {
            Some(parts) => parts.finish().await.map(drop).map_err(failed)?,
            None => {
                let whole = self.first.take().unwrap_or_default();
                self.place.store.put(&self.path, whole.into()).await.map(drop).map_err(failed)?;
            }
        }
        Ok(Digested { size: self.size, sha256: self.hasher.finalize().into() })
    }

    /// Takes back what was sent. An error is not worth more than the one that led here.
    pub(super) async fn abort(mut self) {
        if let Some(parts) = self.parts.take()
            && let Err(error) = parts.abort().await
        {
            tracing::warn!(path = %self.path, %error, "could not take back the parts of an upload");
        }
    }
}

/// Reads a file into pieces for an upload, on a thread that may wait.
pub(super) fn send_file(
    mut file: std::fs::File,
    piece_bytes: usize,
    pieces: &mpsc::Sender<Bytes>,
) -> std::io::Result<()> {
    loop {
        let mut piece = Vec::with_capacity(piece_bytes);
        file.by_ref().take(piece_bytes as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(());
        }
        if pieces.blocking_send(piece.into()).is_err() {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
    }
}

/// Hashing a large piece would keep others waiting.
pub(super) async fn hashed(mut hasher: Sha256, piece: Bytes) -> Result<Sha256, ArchiveError> {
    let work = move || {
        hasher.update(&piece);
        hasher
    };
    spawn_blocking(work).await.map_err(|error| ArchiveError::Failed(Box::new(error)))
}

/// What an error of the store means to the caller.
pub(super) fn failed(error: StoreError) -> ArchiveError {
    match error {
        StoreError::NotFound { .. } => ArchiveError::Missing,
        error @ (StoreError::Generic { .. } | StoreError::JoinError { .. }) => {
            ArchiveError::Unavailable(Box::new(error))
        }
        error => ArchiveError::Failed(Box::new(error)),
    }
}
