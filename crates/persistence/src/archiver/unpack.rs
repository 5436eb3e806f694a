//! From the bytes of an archive to files, each compared with the manifest in the order in which both were written.

use super::{
    ahead::Ahead,
    gunzip::gunzip,
    manifest::{self, Entry, ManifestReader},
    metered::Metered,
    name::Name,
    place::Digested,
    tree::{Tree, digest},
};
use domain::ports::{ArchiveError, ArchiveLimits, Restored};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    num::NonZero,
};
use zip::{ZipArchive, result::ZipError};

/// What is between two files of a tar: padding, a header, and the long names before it.
const BETWEEN_BYTES_MAX: u64 = 64 * 1024;
/// Above what is written here; it decides how much memory a decoder takes.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// The bits of a mode that say what it is a mode of.
const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// What is to become of an archive.
#[derive(Debug)]
pub(super) struct Unpacking {
    manifest: ManifestReader,
    manifest_digest: Digested,
    limits: ArchiveLimits,
    /// Which root is written; all are compared.
    root: String,
    tree: Tree,
    entry_count: u64,
    bytes: u64,
    restored: Restored,
    has_root: bool,
    has_manifest: bool,
}

/// How a tar is wrapped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Coat {
    None,
    Gzip,
    Zstd,
}

/// What the archive says is at a path.
enum Kind {
    Folder,
    File { size: u64 },
    Link { target: Name },
}

impl Unpacking {
    pub(super) fn new(
        manifest: File,
        manifest_digest: Digested,
        limits: ArchiveLimits,
        root: &str,
        tree: Tree,
    ) -> Result<Self, ArchiveError> {
        Ok(Self {
            manifest: ManifestReader::new(manifest)?,
            manifest_digest,
            limits,
            root: root.to_owned(),
            tree,
            entry_count: 0,
            bytes: 0,
            restored: Restored { file_count: 0, bytes: 0 },
            has_root: false,
            has_manifest: false,
        })
    }

    /// Unpacks a tar, and reads its source to the end. It is decompressed on so many threads at most.
    pub(super) fn tar(
        self,
        source: impl BufRead + Send + 'static,
        coat: Coat,
        threads: NonZero<usize>,
    ) -> Result<Restored, ArchiveError> {
        match coat {
            Coat::None => self.bare_tar(source),
            Coat::Gzip => self.bare_tar(gunzip(source, threads).map_err(|error| unreadable(&error))?),
            Coat::Zstd => {
                let source = zstd_decoder(source).and_then(Ahead::of);
                self.bare_tar(source.map_err(|error| unreadable(&error))?)
            }
        }
    }

    fn bare_tar(mut self, source: impl Read) -> Result<Restored, ArchiveError> {
        let (source, meter) = Metered::new(source);
        let mut tar = tar::Archive::new(source);
        let mut entries = tar.entries().map_err(|error| unreadable(&error))?;
        loop {
            meter.allow(BETWEEN_BYTES_MAX);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(|error| unreadable(&error))?;
            let mut path = entry.path_bytes().into_owned();
            let kind = match entry.header().entry_type() {
                tar::EntryType::Directory => Kind::Folder,
                tar::EntryType::Regular => Kind::File { size: entry.size() },
                tar::EntryType::Symlink => {
                    let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                    Kind::Link { target: Name(target) }
                }
                tar::EntryType::Link => return Err(hostile(&Name(path), "is a hard link")),
                tar::EntryType::Char | tar::EntryType::Block => {
                    return Err(hostile(&Name(path), "is a device"));
                }
                tar::EntryType::Fifo => return Err(hostile(&Name(path), "is a pipe")),
                _ => return Err(hostile(&Name(path), "is of a kind that is not restored")),
            };
            if let Kind::Folder = kind
                && path.ends_with(b"/")
            {
                path.pop();
            }
            let allow = |size| meter.allow(size + BETWEEN_BYTES_MAX);
            self.entry(&Name(path), &kind, &mut entry, allow)?;
        }
        // What comes after the end of a tar is read too: only then is it known to be whole.
        meter.allow(BETWEEN_BYTES_MAX);
        io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(|error| unreadable(&error))?;
        self.finish()
    }

    /// Unpacks a zip that is known to be what was stored: its table of contents is read as a whole.
    pub(super) fn zip(mut self, mut file: File) -> Result<Restored, ArchiveError> {
        file.seek(SeekFrom::Start(0)).map_err(|error| unreadable(&error))?;
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| unreadable(&error))?;
        for index in 0..zip.len() {
            let mut entry = match zip.by_index(index) {
                Ok(entry) => entry,
                Err(error @ ZipError::UnsupportedArchive(_)) => {
                    return Err(ArchiveError::Hostile(format!("entry {index}: {error}")));
                }
                Err(error) => return Err(unreadable(&error)),
            };
            let mut path = entry.name_raw().to_vec();
            let kind = match entry.unix_mode().map_or(S_IFREG, |mode| mode & S_IFMT) {
                _ if path.ends_with(b"/") => {
                    path.pop();
                    Kind::Folder
                }
                S_IFREG => Kind::File { size: entry.size() },
                S_IFLNK => {
                    let mut target = Vec::new();
                    let read = entry.by_ref().take(BETWEEN_BYTES_MAX).read_to_end(&mut target);
                    read.map_err(|error| unreadable(&error))?;
                    Kind::Link { target: Name(target) }
                }
                _ => return Err(hostile(&Name(path), "is of a kind that is not restored")),
            };
            // What says that it has more bytes than are unpacked from it is cut off one byte after that.
            let size = entry.size();
            self.entry(&Name(path), &kind, &mut entry.take(size.saturating_add(1)), |_| ())?;
        }
        self.finish()
    }

    /// Compares an entry with the manifest, and writes it if it is of the root. `allow` is told how large the content
    /// of a file is before it is read.
    fn entry(
        &mut self,
        path: &Name,
        kind: &Kind,
        content: &mut dyn Read,
        allow: impl FnOnce(u64),
    ) -> Result<(), ArchiveError> {
        self.entry_count += 1;
        // One more, which is the manifest.
        if self.entry_count > self.limits.entries_max.saturating_add(1) {
            return Err(too_many(self.limits.entries_max));
        }
        let parts = path.parts().map_err(|why| hostile(path, why))?;
        let is_wanted = parts.first().is_some_and(|first| *first == self.root.as_str());
        self.has_root |= is_wanted;
        if self.has_manifest {
            return Err(corrupt(path, "comes after the manifest"));
        }
        let Some(expected) = self.manifest.next()? else {
            return self.manifest_entry(path, kind, content, allow);
        };
        match (expected, kind) {
            (Entry::Folder { path: at, mode, modified_at }, Kind::Folder) if at == *path => {
                if is_wanted {
                    self.tree.folder(path, mode, modified_at)
                } else {
                    Ok(())
                }
            }
            (Entry::Link { path: at, target: to }, Kind::Link { target }) if at == *path && to == *target => {
                if is_wanted {
                    self.tree.link(path, target)
                } else {
                    Ok(())
                }
            }
            (Entry::File { path: at, mode, modified_at, size, sha256 }, Kind::File { size: said })
                if at == *path && size == *said =>
            {
                self.bytes = self.bytes.saturating_add(size);
                if self.bytes > self.limits.bytes_max {
                    let bytes_max = self.limits.bytes_max;
                    return Err(ArchiveError::TooLarge(format!(
                        "its files have more than {bytes_max} bytes"
                    )));
                }
                allow(size);
                let found = if is_wanted {
                    self.restored.file_count += 1;
                    self.restored.bytes += size;
                    self.tree.file(path, mode, modified_at, size, content)?
                } else {
                    digest(content)
                };
                compare(path, found, Digested { size, sha256 })?;
                if is_wanted {
                    fail::fail_point!("restore.half_unpacked");
                }
                Ok(())
            }
            _ => Err(corrupt(path, "is not what the manifest says comes here")),
        }
    }

    /// The last entry is the manifest once more.
    fn manifest_entry(
        &mut self,
        path: &Name,
        kind: &Kind,
        content: &mut dyn Read,
        allow: impl FnOnce(u64),
    ) -> Result<(), ArchiveError> {
        let Digested { size, sha256 } = self.manifest_digest;
        match kind {
            Kind::File { size: said } if path.0 == manifest::FILE_NAME.as_bytes() && *said == size => {
                allow(size);
                self.has_manifest = true;
                compare(path, digest(content), Digested { size, sha256 })
            }
            _ => Err(corrupt(path, "is not in the manifest")),
        }
    }

    fn finish(mut self) -> Result<Restored, ArchiveError> {
        if !self.has_manifest {
            let missing =
                self.manifest.next()?.map_or_else(|| "its manifest".to_owned(), |entry| format!("{entry:?}"));
            return Err(ArchiveError::Corrupt(format!("it ends before {missing}")));
        }
        if !self.has_root {
            return Err(ArchiveError::Corrupt(format!("it has no {}", self.root)));
        }
        self.tree.close()?;
        Ok(self.restored)
    }
}

fn zstd_decoder<R: BufRead>(source: R) -> io::Result<zstd::Decoder<'static, R>> {
    let mut decoder = zstd::Decoder::with_buffer(source)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

fn compare(path: &Name, found: io::Result<Digested>, wanted: Digested) -> Result<(), ArchiveError> {
    if found.map_err(|error| unreadable(&error))? == wanted {
        Ok(())
    } else {
        Err(corrupt(path, "has other content than the manifest says"))
    }
}

fn corrupt(path: &Name, what: &str) -> ArchiveError {
    ArchiveError::Corrupt(format!("{path} {what}"))
}

pub(super) fn too_many(entries_max: u64) -> ArchiveError {
    ArchiveError::TooLarge(format!("it has more than {entries_max} files and folders"))
}

fn hostile(path: &Name, what: &str) -> ArchiveError {
    ArchiveError::Hostile(format!("{path} {what}"))
}

fn unreadable(error: &dyn std::fmt::Display) -> ArchiveError {
    ArchiveError::Corrupt(format!("it cannot be read: {error}"))
}
