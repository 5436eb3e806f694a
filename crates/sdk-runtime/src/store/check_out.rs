//! Checking out: the files of a session and the store are brought to the same state, so that an agent resumes in a
//! configuration folder of its own from what the store has.
//!
//! Agents write in that folder and may leave links in it. None is followed, in reading or in writing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::{self, Write as _},
    path::{Component, Path, PathBuf},
};

use serde_json::Value;
use uuid::Uuid;

use super::{
    SessionKey, SessionStoreOptions,
    ask::{ask, load},
    import::{BATCH, identity},
    materialize::safe_path,
};
use crate::{
    blocking::blocking,
    sessions::{
        SessionError, StoreAction,
        config_dir::projects,
        places::session_folder,
        project_key, subagents,
        transcript::{is_in_tree, read_entries, write_entry},
    },
};

/// Brings the transcripts of a session in this configuration folder, its subagents' too, and those in the store to the
/// same state, and says whether there is a conversation to resume. No agent of the session may run meanwhile.
///
/// A file that has all that the store has is ahead of it: an agent ended before what it wrote got there, and that is
/// brought. Any other file is out of date, because the session went on elsewhere: it is written anew.
///
/// Start the agent with `SessionStoreOptions::resume_from` set to `ResumeFrom::Files` then. When this is dropped, some
/// transcripts are at the same state and others are not; the next call goes on.
pub async fn check_out(
    options: &SessionStoreOptions,
    session_id: Uuid,
    config_dir: &Path,
    cwd: &Path,
) -> Result<bool, SessionError> {
    let stopped = |error| SessionError::io("work in", config_dir, error);
    let (folder, cwd) = (config_dir.to_owned(), cwd.to_owned());
    let local = blocking(move || Local::find(folder, &cwd, session_id)).await.map_err(stopped)??;
    let project = options.project_key.clone().unwrap_or_else(|| local.project.clone());
    let key = SessionKey::main(project, session_id.to_string());
    let store = options.store.as_ref();
    let listed = store.list_subkeys(&key.project_key, &key.session_id);
    let listed = ask(StoreAction::ListSubkeys, &key, options.load_timeout, listed).await?;
    let mut subpaths: Vec<String> = local.subagents.keys().cloned().chain(listed).collect();
    subpaths.sort();
    subpaths.dedup();

    let has_conversation = settle(options, &key, &local, None).await?;
    for subpath in subpaths {
        settle(options, &key, &local, Some(subpath)).await?;
    }
    Ok(has_conversation)
}

/// What of a session is in the configuration folder.
#[derive(Debug, Clone)]
struct Local {
    config_dir: PathBuf,
    /// The name of the working directory's folder.
    project: String,
    /// Where the transcript belongs.
    target: PathBuf,
    /// Where it is, if it is there: an older one may be under another project.
    main: Option<PathBuf>,
    /// By subpath.
    subagents: BTreeMap<String, PathBuf>,
}

impl Local {
    fn find(config_dir: PathBuf, cwd: &Path, session_id: Uuid) -> Result<Self, SessionError> {
        let project = project_key(cwd);
        let (all, name) = (projects(&config_dir), format!("{session_id}.jsonl"));
        let target = all.join(&project).join(&name);
        let mut local = Self { config_dir, project, target, main: None, subagents: BTreeMap::new() };
        let others = match fs::read_dir(&all) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(local),
            read => read.map_err(|error| SessionError::io("read", &all, error))?,
        };
        let others = others.flatten().map(|folder| folder.path().join(&name));
        let candidates = std::iter::once(local.target.clone()).chain(others);
        local.main = candidates.into_iter().find(|path| local.is_plain(path));
        if let Some(main) = &local.main {
            let beside = session_folder(main);
            let files = subagents::files(main).into_iter().filter(|file| local.is_plain(&file.path));
            let by_subpath = files.filter_map(|file| {
                let subpath = file.path.with_extension("");
                let subpath = subpath.strip_prefix(&beside).ok()?.to_string_lossy().into_owned();
                Some((subpath, file.path))
            });
            local.subagents = by_subpath.collect();
        }
        Ok(local)
    }

    /// Whether this is a regular file that no link leads to.
    fn is_plain(&self, path: &Path) -> bool {
        let steps = path.ancestors().take_while(|step| *step != self.config_dir);
        let is_link = |step: &Path| fs::symlink_metadata(step).is_ok_and(|metadata| metadata.is_symlink());
        path.starts_with(&self.config_dir)
            && !steps.into_iter().any(is_link)
            && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
    }

    /// What the file of a transcript says; `None` when there is none.
    fn read(&self, subpath: Option<&str>) -> Result<Option<Vec<Value>>, SessionError> {
        let path = match subpath {
            None => self.main.as_ref(),
            Some(subpath) => self.subagents.get(subpath),
        };
        let Some(path) = path else { return Ok(None) };
        let entries = read_entries(path, |entry| entry["type"].is_string());
        let mut entries = entries.map_err(|error| SessionError::io("read", path, error))?;
        if subpath.is_some() && self.is_plain(&subagents::sidecar_path(path)) {
            entries.extend(subagents::sidecar(path)?.map(|mut metadata| {
                metadata["type"] = "agent_metadata".into();
                metadata
            }));
        }
        Ok(Some(entries))
    }

    /// Whether the transcript is where the CLI looks for it.
    fn is_in_place(&self, subpath: Option<&str>) -> bool {
        self.main.as_ref() == Some(&self.target)
            && subpath.is_none_or(|subpath| self.subagents.contains_key(subpath))
    }

    /// Writes a transcript anew.
    fn write(&self, subpath: Option<&str>, entries: &[Value]) -> Result<(), SessionError> {
        let Some(subpath) = subpath else {
            return self.put(&self.target, &lines(entries.iter()));
        };
        let Some(path) = safe_path(subpath) else {
            let problem = "its subpath leads out of the session".to_owned();
            let key = SessionKey::main(&self.project, "").with_subpath(subpath);
            return Err(SessionError::StoreGarbage { key, problem });
        };
        let mut path = session_folder(&self.target).join(path).into_os_string();
        path.push(".jsonl");
        let path = PathBuf::from(path);
        let is_metadata = |entry: &&Value| entry["type"] == "agent_metadata";
        self.put(&path, &lines(entries.iter().filter(|entry| !is_metadata(entry))))?;
        // It is written anew whenever the subagent goes on; the last one counts.
        if let Some(Value::Object(metadata)) = entries.iter().rfind(is_metadata) {
            let mut metadata = metadata.clone();
            metadata.remove("type");
            self.put(&subagents::sidecar_path(&path), &Value::Object(metadata).to_string())?;
        }
        Ok(())
    }

    /// Puts a file in the place of whatever is there.
    fn put(&self, path: &Path, text: &str) -> Result<(), SessionError> {
        let write = || -> io::Result<()> {
            let folder = path.parent().unwrap_or(path);
            self.make_folder(folder)?;
            let mut file = tempfile::Builder::new().prefix(".store-").tempfile_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.persist(path)?;
            Ok(())
        };
        write().map_err(|error| SessionError::io("write", path, error))
    }

    /// Makes the folders on the way, in the place of links and of whatever else is no folder.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(&self.config_dir)?;
        let below = folder.strip_prefix(&self.config_dir).map_err(io::Error::other)?;
        let mut step = self.config_dir.clone();
        for part in below.components().filter(|part| matches!(part, Component::Normal(_))) {
            step.push(part);
            match fs::symlink_metadata(&step) {
                Ok(metadata) if metadata.is_dir() => continue,
                Ok(_) => fs::remove_file(&step)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            fs::create_dir(&step)?;
        }
        Ok(())
    }
}

/// Brings one transcript and its file to the same state; whether there is a message in it.
async fn settle(
    options: &SessionStoreOptions,
    key: &SessionKey,
    local: &Local,
    subpath: Option<String>,
) -> Result<bool, SessionError> {
    let key = match &subpath {
        None => key.clone(),
        Some(subpath) => key.clone().with_subpath(subpath),
    };
    let stopped = |error| SessionError::io("work in", &local.config_dir, error);
    let store = options.store.as_ref();
    let stored = load(store, &key, options.load_timeout).await?;
    let read = blocking({
        let (local, subpath) = (local.clone(), subpath.clone());
        move || local.read(subpath.as_deref())
    });
    let file = read.await.map_err(stopped)??.filter(|file| has_all(file, &stored));
    let (entries, is_up_to_date) = match file {
        Some(file) => {
            for batch in missing(&file, &stored).chunks(BATCH) {
                ask(StoreAction::Append, &key, options.append_timeout, store.append(&key, batch)).await?;
            }
            (file, local.is_in_place(subpath.as_deref()))
        }
        None => (stored, false),
    };
    let has_message = entries.iter().any(is_in_tree);
    if !is_up_to_date && !entries.is_empty() {
        let local = local.clone();
        let write = blocking(move || local.write(subpath.as_deref(), &entries));
        write.await.map_err(stopped)??;
    }
    Ok(has_message)
}

/// Whether the file has everything that the store has, as far as it can be told apart: notes may be written anew.
fn has_all(file: &[Value], stored: &[Value]) -> bool {
    let there: HashSet<&str> = file.iter().filter_map(|entry| entry["uuid"].as_str()).collect();
    stored.iter().filter_map(|entry| entry["uuid"].as_str()).all(|uuid| there.contains(uuid))
}

/// What the store does not have. Entries without a uuid are told by what they say.
fn missing(file: &[Value], stored: &[Value]) -> Vec<Value> {
    let mut there: HashMap<String, usize> = HashMap::new();
    for entry in stored {
        *there.entry(identity(entry)).or_default() += 1;
    }
    let is_missing = |entry: &&Value| match there.get_mut(&identity(entry)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        Some(_) | None => true,
    };
    file.iter().filter(is_missing).cloned().collect()
}

fn lines<'a>(entries: impl Iterator<Item = &'a Value>) -> String {
    entries.map(write_entry).collect()
}
