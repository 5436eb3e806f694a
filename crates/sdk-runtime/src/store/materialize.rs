//! Materialising: a session of the store becomes a private configuration folder the CLI can resume in.

use std::{
    fs, io,
    os::unix::fs::lchown,
    path::{Path, PathBuf},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    ResumeFrom, SessionKey, SessionStoreOptions,
    ask::{ask, load},
    seed_config,
};
use crate::{
    blocking::blocking,
    containment::RunAs,
    options::{AgentOptions, SessionStart},
    sessions::{
        SessionError, StoreAction,
        config_dir::{ConfigDir, projects},
        project_key,
        subagents::sidecar_path,
        transcript::{is_in_tree, write_entry},
    },
};

/// Subagents that are loaded at once.
const LOADS: usize = 8;

/// The folder, which is removed when this is dropped. It must outlive the CLI.
#[derive(Debug)]
pub(crate) struct Materialized {
    folder: TempDir,
}

/// Everything the store has of a session.
struct Session {
    id: Uuid,
    entries: Vec<Value>,
    subagents: Vec<(PathBuf, Vec<Value>)>,
}

/// Loads the session these options resume, if they do and the store has it, and points them at it. The
/// project key of the store is settled in any case.
pub(crate) async fn materialize(options: &mut AgentOptions) -> Result<Option<Materialized>, SessionError> {
    let Some(store) = &mut options.session_store else {
        return Ok(None);
    };
    let cwd = options.cwd.clone();
    let stopped = |error| SessionError::io("work in", &options.cwd, error);
    let local_key = blocking(move || project_key(&cwd)).await.map_err(stopped)?;
    let key = store.project_key.get_or_insert_with(|| local_key.clone()).clone();
    let store = store.clone();
    if store.resume_from == ResumeFrom::Files {
        return Ok(None);
    }
    let (id, at, fork) = match options.session {
        SessionStart::Resume { id, at, fork } => (Some(id), at, fork),
        SessionStart::Continue { fork } => (None, None, fork),
        SessionStart::Unspecified | SessionStart::New { .. } | SessionStart::ResumeFile { .. } => {
            return Ok(None);
        }
    };
    let main = match id {
        Some(id) => main(&store, &key, id).await?.map(|entries| (id, entries)),
        None => newest(&store, &key).await?,
    };
    let Some((id, entries)) = main else {
        if matches!(options.session, SessionStart::Continue { .. }) {
            // There is nothing to continue: a new session, as the CLI itself would have it.
            options.session = fork.map_or(SessionStart::Unspecified, |id| SessionStart::New { id });
        }
        return Ok(None);
    };
    let subagents = subagents(&store, &key, id).await?;
    let session = Session { id, entries, subagents };
    let source = ConfigDir::of_agent(&options.env, options.inherit_env);
    let user = options.containment.user;
    // When this is dropped meanwhile, the folder is dropped, and removed, where it was made.
    let made = blocking(move || Materialized::make(&session, &local_key, source.as_ref(), user));
    let made = made.await.map_err(stopped)??;
    let folder = made.folder.path().to_string_lossy().into_owned();
    options.env.insert("CLAUDE_CONFIG_DIR".to_owned(), folder);
    options.session = SessionStart::Resume { id, at, fork };
    Ok(Some(made))
}

impl Materialized {
    fn make(
        session: &Session,
        project_key: &str,
        source: Option<&ConfigDir>,
        user: Option<RunAs>,
    ) -> Result<Self, SessionError> {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("claude-resume-").permissions(private).tempdir();
        let folder = folder.map_err(|error| SessionError::io("make", std::env::temp_dir(), error))?;
        let project = projects(folder.path()).join(project_key);
        let beside = project.join(session.id.to_string());
        make_folder(&project)?;
        write(&beside.with_extension("jsonl"), &session.entries)?;
        for (subpath, entries) in &session.subagents {
            write_subagent(&beside.join(subpath), entries)?;
        }
        if let Some(source) = source {
            seed_config::seed(source, folder.path())?;
        }
        if let Some(user) = user {
            give(folder.path(), user)?;
        }
        Ok(Self { folder })
    }

    /// Removes the folder, which holds credentials; the agent must be gone.
    pub(crate) async fn remove(self) {
        let path = self.folder.path().to_owned();
        match blocking(move || self.folder.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(error) => {
                tracing::error!(%error, path = %path.display(), "the folder of a resumed session is left");
            }
        }
    }
}

/// The main transcript; `None` when the store does not have it.
async fn main(store: &SessionStoreOptions, key: &str, id: Uuid) -> Result<Option<Vec<Value>>, SessionError> {
    let key = SessionKey::main(key, id.to_string());
    let entries = load(store.store.as_ref(), &key, store.load_timeout).await?;
    if !entries.is_empty() && !entries.iter().any(is_in_tree) {
        let problem = "there is no message in it".to_owned();
        return Err(SessionError::StoreGarbage { key, problem });
    }
    Ok(Some(entries).filter(|entries| !entries.is_empty()))
}

/// The session added to last that is a conversation of its own.
async fn newest(store: &SessionStoreOptions, key: &str) -> Result<Option<(Uuid, Vec<Value>)>, SessionError> {
    let listed = ask(StoreAction::List, &key, store.load_timeout, store.store.list(key)).await?;
    let mut listed: Vec<_> = listed.into_iter().collect();
    listed.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.session_id.cmp(&b.session_id)));
    for session in listed {
        let Ok(id) = session.session_id.parse::<Uuid>() else {
            continue;
        };
        let key = SessionKey::main(key, session.session_id);
        let entries = load(store.store.as_ref(), &key, store.load_timeout).await?;
        let is_sidechain = entries.first().is_some_and(|entry| entry["isSidechain"] == true);
        if !is_sidechain && entries.iter().any(is_in_tree) {
            return Ok(Some((id, entries)));
        }
    }
    Ok(None)
}

async fn subagents(
    store: &SessionStoreOptions,
    project_key: &str,
    id: Uuid,
) -> Result<Vec<(PathBuf, Vec<Value>)>, SessionError> {
    let key = SessionKey::main(project_key, id.to_string());
    let listed = store.store.list_subkeys(project_key, &key.session_id);
    let subpaths = ask(StoreAction::ListSubkeys, &key, store.load_timeout, listed).await?;
    let loads = subpaths.into_iter().map(|subpath| {
        let key = key.clone().with_subpath(subpath.clone());
        async move {
            let path = safe_path(&subpath).ok_or_else(|| SessionError::StoreGarbage {
                key: key.clone(),
                problem: "its subpath leads out of the session".to_owned(),
            })?;
            let entries = load(store.store.as_ref(), &key, store.load_timeout).await?;
            Ok((path, entries))
        }
    });
    stream::iter(loads).buffered(LOADS).try_collect().await
}

/// A subpath as a path below a session's folder; `None` for any that could lead elsewhere.
pub(super) fn safe_path(subpath: &str) -> Option<PathBuf> {
    let is_safe = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0', ':']);
    subpath.split('/').all(is_safe).then(|| PathBuf::from(subpath))
}

fn write_subagent(path: &Path, entries: &[Value]) -> Result<(), SessionError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".jsonl");
    let transcript = path.with_file_name(name);
    let (metadata, lines): (Vec<Value>, Vec<Value>) =
        entries.iter().cloned().partition(|entry| entry["type"] == "agent_metadata");
    make_folder(transcript.parent().unwrap_or(path))?;
    if !lines.is_empty() {
        write(&transcript, &lines)?;
    }
    // It is written anew whenever the subagent goes on; the last one counts.
    if let Some(Value::Object(mut metadata)) = metadata.into_iter().next_back() {
        metadata.remove("type");
        let text = Value::Object(metadata).to_string();
        seed_config::write(&sidecar_path(&transcript), text.as_bytes())?;
    }
    Ok(())
}

fn write(path: &Path, entries: &[Value]) -> Result<(), SessionError> {
    let text: String = entries.iter().map(write_entry).collect();
    seed_config::write(path, text.as_bytes())
}

fn make_folder(path: &Path) -> Result<(), SessionError> {
    std::fs::create_dir_all(path).map_err(|error| SessionError::io("make", path, error))
}

/// Gives a folder with all that is in it to the user the agent runs as, to whom it would be closed.
fn give(path: &Path, user: RunAs) -> Result<(), SessionError> {
    let failed = |error: io::Error| SessionError::io("give to the agent's user", path, error);
    if fs::symlink_metadata(path).map_err(failed)?.is_dir() {
        for entry in fs::read_dir(path).map_err(failed)? {
            give(&entry.map_err(failed)?.path(), user)?;
        }
    }
    lchown(path, Some(user.uid), Some(user.gid)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subpaths_stay_below_their_session() {
        for hostile in ["", "/etc/x", "../x", "a/../x", "a//b", "a/./b", "C:x", "a\\b", "a\0b", "a/"] {
            assert_eq!(safe_path(hostile), None, "{hostile:?}");
        }
        assert_eq!(safe_path("subagents/agent-a"), Some(PathBuf::from("subagents/agent-a")));
    }
}
