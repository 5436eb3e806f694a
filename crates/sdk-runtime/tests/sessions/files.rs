//! A configuration folder with transcripts in it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sdk_runtime::sessions::{SessionFiles, project_key};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// Gone with the test.
pub(crate) struct Folder {
    pub(crate) folder: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn files(&self) -> SessionFiles {
        SessionFiles::new(self.folder.path())
    }

    /// The folder of a project, which exists.
    pub(crate) fn project(&self, cwd: &Path) -> PathBuf {
        let path = self.folder.path().join("projects").join(project_key(cwd));
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn somewhere(&self) -> PathBuf {
        self.project("/nowhere/demo".as_ref())
    }

    /// A transcript of these entries.
    pub(crate) fn session(&self, entries: &[Value]) -> (Uuid, PathBuf) {
        let id = Uuid::new_v4();
        let path = self.somewhere().join(format!("{id}.jsonl"));
        write(&path, entries);
        (id, path)
    }
}

pub(crate) fn write(path: &Path, entries: &[Value]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    fs::write(path, text).unwrap();
}

pub(crate) fn set_modified(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

pub(crate) fn user(uuid: &str, parent: Option<&str>, text: &str) -> Value {
    json!({
        "parentUuid": parent, "isSidechain": false, "type": "user", "uuid": uuid,
        "message": { "role": "user", "content": text },
        "timestamp": "2026-01-02T03:04:05.678Z", "cwd": "/nowhere/demo", "gitBranch": "main",
    })
}

pub(crate) fn assistant(uuid: &str, parent: &str, text: &str) -> Value {
    json!({
        "parentUuid": parent, "isSidechain": false, "type": "assistant", "uuid": uuid,
        "message": { "role": "assistant", "content": [{ "type": "text", "text": text }] },
    })
}
