//! The manifest: what an archive holds, in the order in which it holds it.
//!
//! It is one JSON document with a line for each entry, so that it is written and read line by line: neither side
//! holds more than one entry in memory, however many there are.

use super::name::Name;
use domain::ports::ArchiveError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Seek, Write},
};

/// Its name, as the last entry of the archive.
pub(super) const FILE_NAME: &str = "manifest.json";
/// Files are made for many years; a reader that does not know their version says so.
const VERSION: u32 = 1;
/// Above any path that a file system has, written in JSON's longest way.
const LINE_BYTES_MAX: u64 = 64 * 1024;
const END: &str = "]}";
/// How the line of something begins that is not in the archive.
const LEFT_OUT: &str = r#"{"type":"left_out","#;

/// The first line, which the entries and [`END`] make whole.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
    entries: [(); 0],
}

/// What is at a path, or was left out there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Entry {
    Folder {
        path: Name,
        #[serde(with = "octal")]
        mode: u32,
        modified_at: Timestamp,
    },
    File {
        path: Name,
        #[serde(with = "octal")]
        mode: u32,
        modified_at: Timestamp,
        size: u64,
        #[serde(with = "hex::serde")]
        sha256: [u8; 32],
    },
    Link {
        path: Name,
        target: Name,
    },
    LeftOut {
        path: Name,
        why: WhyLeftOut,
    },
}

/// Why something that was there is not in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WhyLeftOut {
    /// A pattern of the excludes is for it; of a folder, all that is in it is left out too.
    Excluded,
    /// It is larger than a file may be.
    TooLarge,
    /// It is a socket, a pipe or a device and has no content.
    NoFile,
}

/// Writes a manifest.
#[derive(Debug)]
pub(super) struct ManifestWriter {
    file: BufWriter<File>,
    is_first: bool,
}

impl ManifestWriter {
    pub(super) fn new(file: File) -> std::io::Result<Self> {
        let mut file = BufWriter::new(file);
        let head = serde_json::to_string(&Head { version: VERSION, entries: [] })?;
        file.write_all(head.trim_end_matches(END).as_bytes())?;
        Ok(Self { file, is_first: true })
    }

    pub(super) fn write(&mut self, entry: &Entry) -> std::io::Result<()> {
        let between: &[u8] = if std::mem::take(&mut self.is_first) { b"\n" } else { b",\n" };
        self.file.write_all(between)?;
        serde_json::to_writer(&mut self.file, entry)?;
        Ok(())
    }

    /// The whole manifest, to be read from its start.
    pub(super) fn finish(mut self) -> std::io::Result<File> {
        writeln!(self.file, "\n{END}")?;
        let mut file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(file)
    }
}

/// How many entries a manifest says are in the archive, as far as can be told without understanding it. The file is at its
/// start before and after.
pub(super) fn count_entries(file: &mut File) -> std::io::Result<u64> {
    let (mut lines, mut left_out) = (0_u64, 0_u64);
    let mut reader = BufReader::new(&*file);
    let mut line = Vec::new();
    while reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? > 0 {
        lines += u64::from(line.ends_with(b"\n"));
        left_out += u64::from(line.starts_with(LEFT_OUT.as_bytes()));
        line.clear();
    }
    file.rewind()?;
    // The first line and the last are of none.
    Ok(lines.saturating_sub(left_out).saturating_sub(2))
}

/// Reads a manifest.
#[derive(Debug)]
pub(super) struct ManifestReader {
    file: BufReader<File>,
    line: String,
}

impl ManifestReader {
    /// One that is at its start, and is known to be what was stored.
    pub(super) fn new(file: File) -> Result<Self, ArchiveError> {
        let mut reader = Self { file: BufReader::new(file), line: String::new() };
        reader.read_line()?;
        let head: Head =
            serde_json::from_str(&format!("{}{END}", reader.line)).map_err(|error| unreadable(&error))?;
        if head.version != VERSION {
            return Err(ArchiveError::Corrupt(format!("version {} of manifests is not known", head.version)));
        }
        Ok(reader)
    }

    /// The next entry that is in the archive.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        loop {
            self.read_line()?;
            if self.line == END {
                return Ok(None);
            }
            let entry =
                serde_json::from_str(self.line.trim_end_matches(',')).map_err(|error| unreadable(&error))?;
            if !matches!(entry, Entry::LeftOut { .. }) {
                return Ok(Some(entry));
            }
        }
    }

    fn read_line(&mut self) -> Result<(), ArchiveError> {
        self.line.clear();
        self.file
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_line(&mut self.line)
            .map_err(|error| unreadable(&error))?;
        match self.line.pop() {
            Some('\n') => Ok(()),
            _ => Err(unreadable(&"it ends within a line")),
        }
    }
}

fn unreadable(why: &dyn std::fmt::Display) -> ArchiveError {
    ArchiveError::Corrupt(format!("its manifest cannot be read: {why}"))
}

/// Modes as everybody writes them.
mod octal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{mode:03o}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        u32::from_str_radix(&text, 8).map_err(D::Error::custom)
    }
}
