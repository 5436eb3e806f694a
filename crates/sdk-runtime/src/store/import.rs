//! Import: sessions on this machine's disk are brought to a store, or what a store missed of them.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use serde_json::Value;
use uuid::Uuid;

use super::{
    SessionKey, SessionStore,
    ask::{ask, load},
};
use crate::{
    blocking::blocking,
    sessions::{
        SessionError, SessionFiles, StoreAction, places::session_folder, subagents, transcript::read_entries,
    },
};

/// Entries per append.
pub(super) const BATCH: usize = 500;
/// Bound of one question to the store.
const BOUND: Duration = Duration::from_secs(60);

/// Brings a session with its subagents to a store, without what the store has already, and says how many
/// entries it brought. `project_key` is the key to keep it under; `None` takes the name of the folder the
/// session lies in, which is what a mirrored session has. When dropped, some entries may be there; the
/// next import brings the others.
pub async fn import(
    files: &SessionFiles,
    session_id: Uuid,
    store: &dyn SessionStore,
    project_key: Option<&str>,
) -> Result<usize, SessionError> {
    let path = files.transcript_path(session_id).await?;
    let folder = path.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
    let key = project_key.map_or_else(|| folder.to_string_lossy().into_owned(), str::to_owned);
    let key = SessionKey::main(key, session_id.to_string());
    let stopped = |error| SessionError::io("work in", files.config_dir(), error);
    let mut brought = bring(store, &key, path.clone(), Vec::new()).await?;
    let found = blocking({
        let path = path.clone();
        move || subagents::files(&path)
    });
    for file in found.await.map_err(stopped)? {
        let subpath = file.path.with_extension("");
        let subpath = subpath.strip_prefix(session_folder(&path)).unwrap_or(&subpath);
        let key = key.clone().with_subpath(subpath.to_string_lossy());
        let transcript = file.path.clone();
        let metadata = blocking(move || subagents::sidecar(&transcript)).await.map_err(stopped)??;
        let metadata = metadata.map(|mut metadata| {
            metadata["type"] = "agent_metadata".into();
            metadata
        });
        brought += bring(store, &key, file.path, metadata.into_iter().collect()).await?;
    }
    Ok(brought)
}

/// Brings what the store does not have. Entries without a uuid are told by what they say.
async fn bring(
    store: &dyn SessionStore,
    key: &SessionKey,
    path: PathBuf,
    more: Vec<Value>,
) -> Result<usize, SessionError> {
    let shown = path.clone();
    let failed = |error| SessionError::io("read", shown.clone(), error);
    let read = blocking(move || read_entries(&path, |entry| entry["type"].is_string()));
    let entries = read.await.map_err(failed)?.map_err(failed)?;
    let mut there: HashMap<String, usize> = HashMap::new();
    for entry in load(store, key, BOUND).await? {
        *there.entry(identity(&entry)).or_default() += 1;
    }
    let is_missing = |entry: &Value| match there.get_mut(&identity(entry)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        Some(_) | None => true,
    };
    let mut missing: Vec<Value> = entries.into_iter().chain(more).collect();
    let mut is_missing = is_missing;
    missing.retain(|entry| is_missing(entry));
    for batch in missing.chunks(BATCH) {
        ask(StoreAction::Append, key, BOUND, store.append(key, batch)).await?;
    }
    Ok(missing.len())
}

pub(super) fn identity(entry: &Value) -> String {
    match entry["uuid"].as_str() {
        Some(uuid) => uuid.to_owned(),
        // The order of keys says nothing, and is not the same everywhere.
        None => {
            let mut entry = entry.clone();
            entry.sort_all_objects();
            entry.to_string()
        }
    }
}
