//! From folders to the bytes of an archive, and its manifest beside them.

use super::{
    format::Format,
    manifest::{self, Entry, ManifestWriter, WhyLeftOut},
    name::Name,
    place::Digested,
    tree::digest,
    walk::{Excludes, Found, READ, Walk, modified_at},
};
use cap_std::fs::File;
use domain::ports::{ArchiveError, ArchiveJob};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{self, BufReader, Read, Seek, Write},
    num::NonZero,
    path::Path,
};

const READ_BYTES: usize = 64 * 1024;

/// What was packed.
#[derive(Debug)]
pub(super) struct Packed {
    /// At its start.
    pub(super) manifest: fs::File,
    pub(super) manifest_sha256: [u8; 32],
    pub(super) file_count: u64,
    pub(super) unpacked_bytes: u64,
    pub(super) excluded_count: u64,
}

/// Packs everything into `out`, and the manifest into a file that has to be empty.
pub(super) fn pack<W: Write>(
    job: &ArchiveJob,
    patterns: &Gitignore,
    out: W,
    threads: NonZero<usize>,
    spool: fs::File,
) -> Result<(Packed, W), ArchiveError> {
    let mut packing = Packing {
        job,
        format: Format::new(job.compression, out, threads).map_err(passing_on)?,
        manifest: ManifestWriter::new(spool).map_err(spooling)?,
        entry_count: 0,
        file_count: 0,
        unpacked_bytes: 0,
        excluded_count: 0,
    };
    for root in &job.roots {
        let file_bytes_max = job.limits.file_bytes_max;
        let excludes = root.may_exclude.then_some(Excludes { patterns, file_bytes_max });
        let mut walk = Walk::new(root, excludes);
        while let Some(found) = walk.next()? {
            packing.add(found, &walk)?;
        }
    }
    packing.finish()
}

/// The patterns of a job, or which of them is none.
pub(super) fn patterns(excludes: &[String]) -> Result<Gitignore, ArchiveError> {
    let mut builder = GitignoreBuilder::new("");
    for pattern in excludes {
        builder.add_line(None, pattern).map_err(|error| ArchiveError::BadPattern(error.to_string()))?;
    }
    builder.build().map_err(|error| ArchiveError::BadPattern(error.to_string()))
}

struct Packing<'a, W: Write> {
    job: &'a ArchiveJob,
    format: Format<W>,
    manifest: ManifestWriter,
    entry_count: u64,
    file_count: u64,
    unpacked_bytes: u64,
    excluded_count: u64,
}

impl<W: Write> Packing<'_, W> {
    fn add(&mut self, found: Found, walk: &Walk<'_>) -> Result<(), ArchiveError> {
        self.entry_count += 1;
        let entries_max = self.job.limits.entries_max;
        if self.entry_count > entries_max {
            return Err(ArchiveError::TooLarge(format!(
                "there are more than {entries_max} files and folders"
            )));
        }
        let entry = match found {
            Found::Folder { path, mode, modified_at } => {
                self.format.folder(&path, mode, modified_at).map_err(passing_on)?;
                Entry::Folder { path, mode, modified_at }
            }
            Found::Link { path, target } => {
                self.format.link(&path, &target).map_err(passing_on)?;
                Entry::Link { path, target }
            }
            Found::LeftOut { path, why } => {
                if why != WhyLeftOut::NoFile {
                    self.excluded_count += 1;
                }
                Entry::LeftOut { path, why }
            }
            Found::File { path, mode, modified_at, size, file } => {
                self.file_count += 1;
                self.unpacked_bytes = self.unpacked_bytes.saturating_add(size);
                let bytes_max = self.job.limits.bytes_max;
                if self.unpacked_bytes > bytes_max {
                    return Err(ArchiveError::TooLarge(format!(
                        "its files have more than {bytes_max} bytes"
                    )));
                }
                let mut content = Content::new(file, size, modified_at);
                // Formats ask for a few kilobytes at a time, which would be a system call each.
                let mut buffered = BufReader::with_capacity(READ_BYTES, &mut content);
                let packed = self.format.file(&path, mode, modified_at, size, &mut buffered);
                let sha256 = content.finish(packed, &walk.on_disk(&path))?;
                Entry::File { path, mode, modified_at, size, sha256 }
            }
        };
        self.manifest.write(&entry).map_err(spooling)
    }

    fn finish(mut self) -> Result<(Packed, W), ArchiveError> {
        let mut file = self.manifest.finish().map_err(spooling)?;
        let Digested { size, sha256: manifest_sha256 } = digest(&mut file).map_err(spooling)?;
        file.rewind().map_err(spooling)?;
        let name = Name(manifest::FILE_NAME.into());
        let now = Timestamp::UNIX_EPOCH;
        self.format.file(&name, 0o644, now, size, &mut file).map_err(passing_on)?;
        let out = self.format.finish().map_err(passing_on)?;
        file.rewind().map_err(spooling)?;
        let packed = Packed {
            manifest: file,
            manifest_sha256,
            file_count: self.file_count,
            unpacked_bytes: self.unpacked_bytes,
            excluded_count: self.excluded_count,
        };
        Ok((packed, out))
    }
}

/// A file of exactly as many bytes as it had when it was opened, hashed as it is read.
///
/// One that changes meanwhile is an error. What is archived is removed afterwards, and what was written after it had
/// been read would be lost; so whoever writes has to end first.
struct Content {
    file: File,
    left: u64,
    hasher: Sha256,
    fault: Option<io::Error>,
    modified_at: Timestamp,
}

impl Content {
    fn new(file: File, size: u64, modified_at: Timestamp) -> Self {
        Self { file, left: size, hasher: Sha256::new(), fault: None, modified_at }
    }

    fn finish(mut self, packed: io::Result<()>, path: &Path) -> Result<[u8; 32], ArchiveError> {
        let of_file = |source| ArchiveError::Files { action: READ, path: path.to_owned(), source };
        if let Some(fault) = self.fault {
            return Err(of_file(fault));
        }
        packed.map_err(passing_on)?;
        let has_more = self.file.read(&mut [0]).map_err(of_file)? > 0;
        let metadata = self.file.metadata().map_err(of_file)?;
        if has_more || self.left > 0 || modified_at(&metadata) != self.modified_at {
            return Err(of_file(changed()));
        }
        Ok(self.hasher.finalize().into())
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut buffer[..wanted]);
        let fault = match read {
            Ok(0) => changed(),
            Ok(read) => {
                self.left -= read as u64;
                self.hasher.update(&buffer[..read]);
                return Ok(read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => error,
        };
        self.fault = Some(fault);
        Err(io::Error::other("the file cannot be read"))
    }
}

fn changed() -> io::Error {
    io::Error::other("it was changed while it was read")
}

/// What goes wrong after the file is read: the format, or who takes the bytes.
fn passing_on(source: io::Error) -> ArchiveError {
    ArchiveError::Failed(Box::new(source))
}

fn spooling(source: io::Error) -> ArchiveError {
    ArchiveError::Files { action: "write", path: manifest::FILE_NAME.into(), source }
}
