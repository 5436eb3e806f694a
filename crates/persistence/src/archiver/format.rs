//! How archives are written: tar in one of three coats, or zip.

use super::{gzip::ParallelGzip, name::Name};
use domain::Compression;
use jiff::Timestamp;
use std::{
    io::{self, BufWriter, Read, Write},
    num::NonZero,
};
use zip::{
    CompressionMethod, DateTime, System, ZipWriter,
    write::{ExtendedFileOptions, FileOptions, FullFileOptions, StreamWriter},
};

/// What the program `zstd` takes when it is not told.
const ZSTD_LEVEL: i32 = 3;
/// What a thread compresses by itself. It decides how much memory zstd takes, which is several of these.
const ZSTD_JOB_BYTES: u32 = 2 << 20;
/// Before what counts every write.
const BUFFER_BYTES: usize = 256 * 1024;
const TAR_NAME_BYTES_MAX: usize = 100;
const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFLNK: u32 = 0o120_000;

/// An archive that is being written.
pub(super) enum Format<W: Write> {
    Tar(Box<tar::Builder<BufWriter<Coat<W>>>>),
    Zip(Box<ZipWriter<StreamWriter<BufWriter<W>>>>),
}

/// What is around a tar.
pub(super) enum Coat<W: Write> {
    None(W),
    Gzip(ParallelGzip<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Format<W> {
    pub(super) fn new(compression: Compression, out: W, threads: NonZero<usize>) -> io::Result<Self> {
        let coat = match compression {
            Compression::Zip => {
                let out = BufWriter::with_capacity(BUFFER_BYTES, out);
                return Ok(Self::Zip(Box::new(ZipWriter::new_stream(out))));
            }
            Compression::None => Coat::None(out),
            Compression::Gzip => Coat::Gzip(ParallelGzip::new(out, threads)?),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.multithread(u32::try_from(threads.get()).unwrap_or(1))?;
                encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(ZSTD_JOB_BYTES))?;
                encoder.include_checksum(true)?;
                Coat::Zstd(encoder)
            }
        };
        Ok(Self::Tar(Box::new(tar::Builder::new(BufWriter::with_capacity(BUFFER_BYTES, coat)))))
    }

    pub(super) fn folder(&mut self, path: &Name, mode: u32, modified_at: Timestamp) -> io::Result<()> {
        // Both formats tell folders by the end of their names.
        let path = Name([path.0.as_slice(), b"/"].concat());
        match self {
            Self::Tar(tar) => {
                let mut header = tar_header(tar::EntryType::Directory, mode, modified_at, 0);
                append_named(tar, &mut header, &path, io::empty())
            }
            Self::Zip(zip) => match std::str::from_utf8(&path.0) {
                Ok(path) => Ok(zip.add_directory(path, zip_options(S_IFDIR | mode, modified_at, 0)?)?),
                // The zip crate makes folders of text only, and takes an empty file for one by the end of its name.
                Err(_) => {
                    let options = zip_options(mode, modified_at, 0)?;
                    let options = options.compression_method(CompressionMethod::Stored);
                    Ok(zip.start_file_with_options(options.name(&path.0))?)
                }
            },
        }
    }

    pub(super) fn file(
        &mut self,
        path: &Name,
        mode: u32,
        modified_at: Timestamp,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        match self {
            Self::Tar(tar) => {
                let mut header = tar_header(tar::EntryType::Regular, mode, modified_at, size);
                append_named(tar, &mut header, path, content)
            }
            Self::Zip(zip) => {
                let options = zip_options(S_IFREG | mode, modified_at, size)?;
                zip.start_file_with_options(options.name(&path.0))?;
                io::copy(content, zip).map(drop)
            }
        }
    }

    pub(super) fn link(&mut self, path: &Name, target: &Name) -> io::Result<()> {
        let mode = 0o777;
        match self {
            Self::Tar(tar) => {
                let kind = tar::EntryType::Symlink;
                let mut header = tar_header(kind, mode, Timestamp::UNIX_EPOCH, 0);
                match target.0.len() {
                    ..=TAR_NAME_BYTES_MAX => header.set_link_name_literal(&target.0)?,
                    _ => append_long(tar, tar::EntryType::GNULongLink, target)?,
                }
                append_named(tar, &mut header, path, io::empty())
            }
            Self::Zip(zip) => {
                let options = zip_options(S_IFLNK | mode, Timestamp::UNIX_EPOCH, 0)?;
                let options = options.compression_method(CompressionMethod::Stored);
                zip.start_file_with_options(options.name(&path.0))?;
                zip.write_all(&target.0)
            }
        }
    }

    /// Writes what is still due and gives the output back.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::Zip(zip) => into_inner(zip.finish()?.into_inner()),
            Self::Tar(tar) => match into_inner(tar.into_inner()?)? {
                Coat::None(out) => Ok(out),
                Coat::Gzip(gzip) => gzip.finish(),
                Coat::Zstd(zstd) => zstd.finish(),
            },
        }
    }
}

impl<W: Write> Write for Coat<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Gzip(gzip) => gzip.write(bytes),
            Self::Zstd(zstd) => zstd.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(out) => out.flush(),
            Self::Gzip(gzip) => gzip.flush(),
            // Would end a block before it is full; the end of the stream flushes.
            Self::Zstd(_) => Ok(()),
        }
    }
}

fn into_inner<W: Write>(buffer: BufWriter<W>) -> io::Result<W> {
    buffer.into_inner().map_err(io::IntoInnerError::into_error)
}

fn tar_header(kind: tar::EntryType, mode: u32, modified_at: Timestamp, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(u64::try_from(modified_at.as_second()).unwrap_or_default());
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// The tar crate's own way of naming tidies paths up, which changes what links point to and refuses some names.
fn append_named<W: Write>(
    tar: &mut tar::Builder<W>,
    header: &mut tar::Header,
    path: &Name,
    content: impl Read,
) -> io::Result<()> {
    if path.0.len() > TAR_NAME_BYTES_MAX {
        append_long(tar, tar::EntryType::GNULongName, path)?;
    }
    let short = &path.0[..path.0.len().min(TAR_NAME_BYTES_MAX)];
    header.as_old_mut().name[..short.len()].copy_from_slice(short);
    header.set_cksum();
    tar.append(header, content)
}

/// A name that does not fit is the content of an entry before its own.
fn append_long<W: Write>(tar: &mut tar::Builder<W>, kind: tar::EntryType, name: &Name) -> io::Result<()> {
    const LONG: &[u8] = b"././@LongLink";
    let mut header = tar_header(kind, 0, Timestamp::UNIX_EPOCH, name.0.len() as u64 + 1);
    header.as_old_mut().name[..LONG.len()].copy_from_slice(LONG);
    header.set_cksum();
    tar.append(&header, name.0.as_slice().chain(&b"\0"[..]))
}

fn zip_options(
    mode: u32,
    modified_at: Timestamp,
    size: u64,
) -> io::Result<FileOptions<'static, 'static, ExtendedFileOptions>> {
    let options = FullFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .system(System::Unix)
        .external_attributes(mode << 16)
        .large_file(size >= u64::from(u32::MAX))
        .last_modified_time(DateTime::default());
    // The other field for times ends at two seconds and knows no time zone.
    match u32::try_from(modified_at.as_second()) {
        Ok(seconds) => Ok(options.with_extended_timestamp(Some(seconds), None, None)?),
        Err(_) => Ok(options),
    }
}
