//! A directory as a gzipped tar archive, streamed with bounded memory.

use super::{FileKind, Opened, walk};
use bytes::Bytes;
use cap_std::fs::{Dir, MetadataExt, PermissionsExt};
use flate2::{Compression, write::GzEncoder};
use futures::{Stream, StreamExt, future, stream};
use std::{
    io::{self, BufWriter, Read, Write},
    pin::Pin,
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bytes given on at a time, and how many such pieces may wait for a slow reader.
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS_WAITING_MAX: usize = 4;

/// The bytes of an archive in the making; an error ends it.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Where and how long an archive is made.
#[derive(Debug)]
pub(super) struct Making<'a> {
    pub(super) tasks: &'a TaskTracker,
    pub(super) runtime: &'a Handle,
    /// Cancelled when nothing waits for a slow reader any more.
    pub(super) draining: &'a CancellationToken,
    /// One of [`super::DOWNLOADS_MAX`].
    pub(super) place: OwnedSemaphorePermit,
}

/// Starts archiving; it stops by itself when the stream is dropped, or the server drains.
pub(super) fn stream(making: Making<'_>, root: Dir) -> ByteStream {
    let Making { tasks, runtime, draining, place } = making;
    let (chunks, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
    let (ended, end) = oneshot::channel();
    let out = ChannelWriter { chunks, runtime: runtime.clone(), draining: draining.clone() };
    let work = move || {
        let written = write(&root, out);
        drop(place);
        // A reader that is gone already need not learn of it.
        let _ = ended.send(written);
    };
    tasks.spawn_blocking_on(work, runtime);
    let chunks = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (Ok(chunk), receiver))
    });
    // What was not written to its end must not look as if it were.
    let end = stream::once(end).filter_map(|end| {
        future::ready(match end {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            Err(_) => Some(Err(io::Error::other("nobody finished the archive"))),
        })
    });
    Box::pin(chunks.chain(end))
}

fn write(root: &Dir, out: ChannelWriter) -> io::Result<()> {
    let gzip = GzEncoder::new(BufWriter::with_capacity(CHUNK_BYTES, out), Compression::default());
    let mut tar = tar::Builder::new(gzip);
    walk(root, &mut |entry, opened| {
        if opened.is_too_deep {
            return Err(io::Error::other("a folder is nested too deep to be archived whole"));
        }
        let mut header = tar::Header::new_gnu();
        header.set_mode(opened.metadata.permissions().mode());
        header.set_mtime(u64::try_from(opened.metadata.mtime()).unwrap_or_default());
        match entry.kind {
            FileKind::File => append_file(&mut tar, &mut header, &entry.path, &opened)?,
            FileKind::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                tar.append_data(&mut header, format!("{}/", entry.path), io::empty())?;
            }
            FileKind::Symlink => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, &entry.path, opened.link()?)?;
            }
            // A socket or a pipe has no content to take along.
            FileKind::Other => {}
        }
        Ok(true)
    })?;
    tar.into_inner()?.finish()?.flush()
}

fn append_file(
    tar: &mut tar::Builder<impl Write>,
    header: &mut tar::Header,
    path: &str,
    opened: &Opened<'_>,
) -> io::Result<()> {
    let Some(file) = readable(opened.file(), path)? else { return Ok(()) };
    let size = file.metadata()?.len();
    header.set_size(size);
    // The header promised this many bytes; a file that shrinks meanwhile is filled up, one that grows is cut.
    let content = file.take(size).chain(io::repeat(0)).take(size);
    tar.append_data(header, path, content)
}

/// The file, if it can be taken along: one that cannot be read must not cost all the others.
fn readable<F>(opened: io::Result<F>, path: &str) -> io::Result<Option<F>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(path, %error, "left a file out of an archive");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

struct ChannelWriter {
    chunks: mpsc::Sender<Bytes>,
    runtime: Handle,
    draining: CancellationToken,
}

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sending = self.draining.run_until_cancelled(self.chunks.send(Bytes::copy_from_slice(bytes)));
        match self.runtime.block_on(sending) {
            Some(Ok(())) => Ok(bytes.len()),
            Some(Err(_)) | None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_does_not_end_the_archive() {
        use io::ErrorKind as K;
        for kind in [K::NotFound, K::PermissionDenied] {
            assert_eq!(readable::<()>(Err(kind.into()), "x").unwrap(), None);
        }
        assert!(readable(Ok(()), "x").unwrap().is_some());
        assert!(readable::<()>(Err(K::StorageFull.into()), "x").is_err());
    }
}
