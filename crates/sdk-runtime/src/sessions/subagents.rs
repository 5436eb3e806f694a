//! The subagents of a stored session: `subagents/**/agent-<id>.jsonl`, each with a `.meta.json` beside it.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{error::SessionError, excerpt::open_file, message::Parents, places::session_folder};

/// Depth of folders below `subagents` that are looked into.
const DEPTH_MAX: usize = 8;
/// A sidecar is a few hundred bytes.
const SIDECAR_BYTES_MAX: u64 = 1 << 20;

/// A subagent's transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubagentFile {
    pub(crate) agent_id: String,
    pub(crate) path: PathBuf,
}

/// All subagents of the session with this transcript, in the order of their names.
pub(crate) fn files(transcript: &Path) -> Vec<SubagentFile> {
    let mut found = Vec::new();
    walk(&session_folder(transcript).join("subagents"), DEPTH_MAX, &mut found);
    found
}

/// The sidecar of a transcript; nothing when it is missing or no object.
pub(crate) fn sidecar(transcript: &Path) -> Result<Option<Value>, SessionError> {
    let path = sidecar_path(transcript);
    let read = || -> io::Result<Option<Value>> {
        let mut text = Vec::new();
        open_file(&path)?.take(SIDECAR_BYTES_MAX).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text).ok().filter(Value::is_object))
    };
    match read() {
        Ok(metadata) => Ok(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SessionError::io("read", &path, error)),
    }
}

/// `agent-<id>.jsonl` → `agent-<id>.meta.json`.
pub(crate) fn sidecar_path(transcript: &Path) -> PathBuf {
    transcript.with_extension("meta.json")
}

pub(super) fn parents(transcript: &Path) -> Parents {
    // What started a subagent is good to know, and no reason to keep its messages back.
    match sidecar(transcript) {
        Ok(metadata) => metadata.map(|metadata| Parents::of(&metadata)).unwrap_or_default(),
        Err(_) => Parents::default(),
    }
}

/// Symbolic links to folders are not followed, because they may lead around in a circle.
fn walk(folder: &Path, depth: usize, found: &mut Vec<SubagentFile>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut entries: Vec<fs::DirEntry> = entries.collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let agent_id = name.to_str().and_then(|name| name.strip_prefix("agent-")?.strip_suffix(".jsonl"));
        match (entry.file_type(), agent_id) {
            (Ok(kind), _) if kind.is_dir() => {
                if depth > 0 {
                    walk(&path, depth - 1, found);
                }
            }
            (Ok(_), Some(agent_id)) if path.is_file() => {
                found.push(SubagentFile { agent_id: agent_id.to_owned(), path: path.clone() });
            }
            (Ok(_) | Err(_), _) => {}
        }
    }
}
