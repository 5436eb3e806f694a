//! An excerpt of a transcript: its first and last 64 KiB, which is all that listings read of it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::SystemTime,
};

use memchr::{memchr, memrchr};

/// How much is read at each end, in bytes.
pub(crate) const EXCERPT_BYTES: usize = 64 << 10;

/// Head and tail of a transcript.
#[derive(Debug)]
pub(crate) struct Excerpt {
    pub(crate) modified: SystemTime,
    pub(crate) bytes: u64,
    pub(crate) head: Part,
    /// `None` when the head is all there is.
    pub(crate) tail: Option<Part>,
}

/// Whole lines of one end, and the piece of a line that was cut.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Whole lines, in their order.
    pub(crate) lines: Vec<String>,
    /// The cut line: it follows the lines of a head and precedes those of a tail.
    pub(crate) cut: Option<String>,
}

/// Opens a regular file to read. A pipe or device in its place is an error instead of a wait.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

impl Excerpt {
    /// Reads at most twice `EXCERPT_BYTES`. `None` when the file is empty.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut file = open_file(path)?;
        let metadata = file.metadata()?;
        let (modified, bytes) = (metadata.modified()?, metadata.len());
        let head = read_up_to(&mut file)?;
        if head.is_empty() {
            return Ok(None);
        }
        let rest = bytes.saturating_sub(EXCERPT_BYTES as u64);
        if rest == 0 {
            return Ok(Some(Self { modified, bytes, head: Part::whole(&head), tail: None }));
        }
        // One byte more, which tells whether the tail begins with a whole line.
        file.seek(SeekFrom::Start(rest.saturating_sub(1)))?;
        let tail = read_up_to(&mut file)?;
        Ok(Some(Self { modified, bytes, head: Part::head(&head), tail: Some(Part::tail(&tail)) }))
    }

    /// The excerpt of a transcript in memory.
    pub(crate) fn of_lines(lines: Vec<String>, modified: SystemTime) -> Self {
        let bytes = lines.iter().map(|line| line.len() as u64 + 1).sum();
        Self { modified, bytes, head: Part { lines, cut: None }, tail: None }
    }

    /// The last part there is.
    pub(crate) fn last(&self) -> &Part {
        self.tail.as_ref().unwrap_or(&self.head)
    }
}

impl Part {
    /// All of a file; a last line without an end may be torn, and is tried like a whole one.
    fn whole(bytes: &[u8]) -> Self {
        Self { lines: lines(bytes), cut: None }
    }

    fn head(bytes: &[u8]) -> Self {
        let whole = memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        let cut = bytes.get(whole..).filter(|cut| !cut.is_empty());
        Self { lines: lines(bytes.get(..whole).unwrap_or_default()), cut: cut.map(text) }
    }

    /// The first byte belongs to what precedes the tail.
    fn tail(bytes: &[u8]) -> Self {
        let Some(end) = memchr(b'\n', bytes) else {
            return Self { lines: Vec::new(), cut: bytes.get(1..).map(text) };
        };
        let cut = bytes.get(1..end).filter(|cut| !cut.is_empty());
        Self { lines: lines(bytes.get(end + 1..).unwrap_or_default()), cut: cut.map(text) }
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(text).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One byte more than an excerpt, see above.
fn read_up_to(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(EXCERPT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn excerpt(content: &[u8]) -> Excerpt {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        Excerpt::read(file.path()).unwrap().unwrap()
    }

    #[test]
    fn a_small_file_is_its_head() {
        let excerpt = excerpt(b"{\"a\":1}\n\n{\"b\":2}\n{\"c\":");
        assert_eq!(excerpt.head.lines, ["{\"a\":1}", "{\"b\":2}", "{\"c\":"]);
        assert!(excerpt.tail.is_none());
    }

    #[test]
    fn cut_lines_are_told_from_whole_ones() {
        let long = "x".repeat(EXCERPT_BYTES);
        let excerpt = excerpt(format!("first\n{long}\n{long}\nlast\n").as_bytes());
        assert_eq!(excerpt.head.lines, ["first"]);
        assert!(excerpt.head.cut.is_some_and(|cut| cut.starts_with("xx")));
        let tail = excerpt.tail.unwrap();
        assert_eq!(tail.lines, ["last"]);
        assert!(tail.cut.is_some_and(|cut| cut.ends_with("xx")));
    }

    #[test]
    fn a_tail_that_begins_with_a_line_loses_nothing() {
        let last = "y".repeat(EXCERPT_BYTES - 1);
        let excerpt = excerpt(format!("{}\n{last}\n", "x".repeat(100)).as_bytes());
        let tail = excerpt.tail.unwrap();
        assert_eq!((tail.lines, tail.cut), (vec![last], None));
    }

    #[test]
    fn a_pipe_or_a_folder_in_the_place_of_a_file_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Excerpt::read(folder.path()).is_err());
        let pipe = folder.path().join("p");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(Excerpt::read(&pipe).is_err());
    }
}
