//! Where transcripts lie: the folders of a project, and the file of a session in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    config_dir::projects,
    error::SessionError,
    project_key::{key_of, long_prefix, real_path},
    worktrees::worktrees,
};

/// Whose sessions are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Project {
    /// Those of every working directory.
    #[default]
    Any,
    /// Those of this working directory and of the git worktrees beside it.
    Cwd(PathBuf),
    /// Those of this working directory alone.
    OnlyCwd(PathBuf),
}

impl From<&Path> for Project {
    fn from(cwd: &Path) -> Self {
        Self::Cwd(cwd.to_owned())
    }
}

/// The folders with the transcripts of a project, those of the working directory itself first.
pub(super) fn folders(config_dir: &Path, project: &Project) -> Vec<PathBuf> {
    let projects = projects(config_dir);
    let mut found: Vec<PathBuf> = Vec::new();
    match project {
        Project::Any => return subfolders(&projects),
        Project::Cwd(cwd) => {
            let cwd = real_path(cwd);
            found.extend(folder_of(&projects, &cwd));
            for worktree in worktrees(Path::new(&cwd)) {
                found.extend(folder_of(&projects, &worktree).filter(|folder| !found.contains(folder)));
            }
        }
        Project::OnlyCwd(cwd) => found.extend(folder_of(&projects, &real_path(cwd))),
    }
    found
}

/// The transcript of a session: the first one that is not empty.
pub(super) fn transcript(
    config_dir: &Path,
    project: &Project,
    session_id: Uuid,
) -> Result<PathBuf, SessionError> {
    transcripts(config_dir, project, session_id).next().ok_or(SessionError::NotFound { session_id })
}

/// All transcripts of a session that are not empty: who moves to another working directory may leave one behind.
pub(super) fn transcripts(
    config_dir: &Path,
    project: &Project,
    session_id: Uuid,
) -> impl Iterator<Item = PathBuf> {
    let name = format!("{session_id}.jsonl");
    let candidates = folders(config_dir, project).into_iter().map(move |folder| folder.join(&name));
    candidates
        .filter(|path| fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0))
}

/// The folder beside a transcript, with what belongs to the session: `subagents` and more.
pub(crate) fn session_folder(transcript: &Path) -> PathBuf {
    transcript.with_extension("")
}

/// The session a file in a project's folder belongs to; files with other names are somebody else's.
pub(super) fn session_of(file_name: &str) -> Option<Uuid> {
    let stem = file_name.strip_suffix(".jsonl")?;
    let id: Uuid = stem.parse().ok()?;
    // Other spellings of the same id would be found by nobody.
    (id.to_string() == stem).then_some(id)
}

fn folder_of(projects: &Path, cwd: &str) -> Option<PathBuf> {
    let exact = projects.join(key_of(cwd));
    if exact.is_dir() {
        return Some(exact);
    }
    let prefix = long_prefix(cwd)?;
    let mut others = subfolders(projects).into_iter();
    others.find(|folder| {
        folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix))
    })
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
