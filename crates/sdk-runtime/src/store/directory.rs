//! A store in a folder, which several processes may share: a file per key, locked while it is written.
//!
//! `<root>/<project>/<session>/main.jsonl` is the main transcript, `sub-<subpath>.jsonl` another; names
//! are encoded, so that no key reaches outside and no two keys meet. An append is there whole or not at
//! all: what a crash left of one has no line end, is passed over by `load`, and is cut off by the next.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde_json::Value;

use super::{SessionKey, SessionStore, StoreError, StoredSession};
use crate::{
    blocking::blocking,
    sessions::{excerpt::open_file, transcript::write_entry},
};

const MAIN: &str = "main.jsonl";
/// Transcripts whose uuids are remembered, so that an append need not read what is there.
const KNOWN_MAX: usize = 256;
/// How much of the end of a transcript is remembered to know it again.
const LAST_BYTES: usize = 1024;

/// Keeps transcripts as files in a folder.
#[derive(Debug, Clone)]
pub struct DirectoryStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    fsync: bool,
    known: Mutex<HashMap<PathBuf, Known>>,
}

/// What was found in a transcript up to a place in its file.
#[derive(Debug, Default)]
struct Known {
    bytes: u64,
    /// What came before that place, by which a file that was begun anew is told.
    last: Vec<u8>,
    uuids: HashSet<String>,
}

impl DirectoryStore {
    /// A store in this folder, which is made when it is first written to.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Shared { root: root.into(), fsync: false, known: Mutex::default() }))
    }

    /// Whether an append is on the disk, and not only with the operating system, when it is done.
    #[must_use]
    pub fn with_fsync(self, fsync: bool) -> Self {
        Self(Arc::new(Shared { root: self.0.root.clone(), fsync, known: Mutex::default() }))
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.0);
        Ok(blocking(move || work(&shared)).await??)
    }
}

#[async_trait]
impl SessionStore for DirectoryStore {
    async fn append(&self, key: &SessionKey, entries: &[Value]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let uuid = |entry: &Value| entry["uuid"].as_str().map(str::to_owned);
        let lines = entries.iter().map(|entry| (uuid(entry), write_entry(entry))).collect();
        let key = key.clone();
        self.with(move |shared| shared.append(&shared.file_of(&key), lines)).await
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Vec<Value>>, StoreError> {
        let key = key.clone();
        self.with(move |shared| load(&shared.file_of(&key))).await
    }

    async fn list(&self, project_key: &str) -> Result<Vec<StoredSession>, StoreError> {
        let project_key = project_key.to_owned();
        self.with(move |shared| {
            let mut found = Vec::new();
            for entry in entries_of(&shared.root.join(encode(&project_key)))? {
                let metadata = match fs::metadata(entry.path().join(MAIN)) {
                    Ok(metadata) => metadata,
                    Err(_) => continue,
                };
                if let Some(session_id) = entry.file_name().to_str().and_then(decode) {
                    found.push(StoredSession::new(session_id, metadata.modified()?));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.with(move |shared| {
            let gone = match &key.subpath {
                Some(_) => fs::remove_file(shared.file_of(&key)),
                None => fs::remove_dir_all(shared.folder_of(&key.project_key, &key.session_id)),
            };
            match gone {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            }
        })
        .await
    }

    async fn list_subkeys(&self, project_key: &str, session_id: &str) -> Result<Vec<String>, StoreError> {
        let (project_key, session_id) = (project_key.to_owned(), session_id.to_owned());
        self.with(move |shared| {
            let entries = entries_of(&shared.folder_of(&project_key, &session_id))?;
            let names = entries.iter().filter_map(|entry| entry.file_name().into_string().ok());
            Ok(names.filter_map(|name| decode(name.strip_prefix("sub-")?.strip_suffix(".jsonl")?)).collect())
        })
        .await
    }
}

impl Shared {
    fn folder_of(&self, project_key: &str, session_id: &str) -> PathBuf {
        self.root.join(encode(project_key)).join(encode(session_id))
    }

    fn file_of(&self, key: &SessionKey) -> PathBuf {
        let name = match &key.subpath {
            None => MAIN.to_owned(),
            Some(subpath) => format!("sub-{}.jsonl", encode(subpath)),
        };
        self.folder_of(&key.project_key, &key.session_id).join(name)
    }

    fn append(&self, path: &Path, lines: Vec<(Option<String>, String)>) -> io::Result<()> {
        let mut file = self.open_locked(path)?;
        let mut known = self.take_known(path);
        let end = known.read_on(&file)?;
        let mut text = String::new();
        for (uuid, line) in lines {
            if uuid.is_none_or(|uuid| known.uuids.insert(uuid)) {
                text.push_str(&line);
            }
        }
        if file.metadata()?.len() > end {
            // What is behind the last line end was never acknowledged.
            file.set_len(end)?;
        }
        file.seek(SeekFrom::Start(end))?;
        let written = file.write_all(text.as_bytes());
        let written = written.and_then(|()| if self.fsync { file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // All or nothing: half of a batch would come twice when it is tried again.
            if let Err(undo) = file.set_len(end) {
                tracing::warn!(%undo, "a failed append could not be taken back");
            }
            return Err(error);
        }
        known.bytes = end + text.len() as u64;
        known.remember(text.as_bytes());
        self.keep_known(path, known);
        Ok(())
    }

    /// The lock is held until the file is closed; other processes wait for it, and so do other appends of
    /// this one.
    fn open_locked(&self, path: &Path) -> io::Result<File> {
        loop {
            let file = self.open(path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
            }
            file.lock()?;
            // Somebody may have deleted it while the lock was waited for.
            match fs::metadata(path) {
                Ok(metadata) if metadata.ino() == file.metadata()?.ino() => return Ok(file),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        let file = options.create(true).truncate(false).open(path)?;
        if self.fsync {
            let made = folder.ancestors().take_while(|made| made.starts_with(&self.root));
            made.map(File::open).try_for_each(|made| made?.sync_all())?;
        }
        Ok(file)
    }

    fn take_known(&self, path: &Path) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(path).unwrap_or_default()
    }

    fn keep_known(&self, path: &Path, read: Known) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(path.to_owned(), read);
    }
}

impl Known {
    fn remember(&mut self, written: &[u8]) {
        self.last.extend_from_slice(written);
        let forgotten = self.last.len().saturating_sub(LAST_BYTES);
        self.last.drain(..forgotten);
    }

    fn is_of(&self, file: &File) -> io::Result<bool> {
        let mut last = vec![0; self.last.len()];
        let place = self.bytes.saturating_sub(last.len() as u64);
        match file.read_exact_at(&mut last, place) {
            Ok(()) => Ok(last == self.last),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads what others appended, and says where the last whole line ends.
    fn read_on(&mut self, file: &File) -> io::Result<u64> {
        if !self.is_of(file)? {
            // Somebody deleted it and began anew.
            *self = Self::default();
        }
        let mut reader = BufReader::new(file);
        reader.seek(SeekFrom::Start(self.bytes))?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return Ok(self.bytes);
            }
            self.bytes += read as u64;
            self.remember(&line);
            if let Ok(entry) = serde_json::from_slice::<Value>(&line)
                && let Some(uuid) = entry["uuid"].as_str()
            {
                self.uuids.insert(uuid.to_owned());
            }
        }
    }
}

/// A torn last line is passed over; any other line that is no JSON means that the file is damaged.
fn load(path: &Path) -> io::Result<Option<Vec<Value>>> {
    let file = match open_file(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::new(file);
    let mut entries = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        let entry = serde_json::from_slice(&line).map_err(|error| {
            let place = format!("line {} of {} is damaged: {error}", entries.len() + 1, path.display());
            io::Error::new(io::ErrorKind::InvalidData, place)
        })?;
        entries.push(entry);
    }
    Ok(Some(entries).filter(|entries| !entries.is_empty()))
}

fn entries_of(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A name of a file for any text: ASCII letters, digits, `-` and `_` stay, the rest becomes `%xx`.
fn encode(text: &str) -> String {
    let mut name = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    // No text is empty as a name.
    if name.is_empty() { "%".to_owned() } else { name }
}

fn decode(name: &str) -> Option<String> {
    if name == "%" {
        return Some(String::new());
    }
    let mut parts = name.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_stand_for_one_text_each() {
        for text in ["", "%", "..", "a/b", "A_b-9", "ü\u{0}", "%2f"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
            assert!(!encode(text).contains(['/', '.', '\0']), "{text}");
        }
    }
}
