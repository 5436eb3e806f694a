//! Listing: candidates by their time, newest first, and excerpts of as many as the page needs.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;

use super::{
    archived,
    error::SessionError,
    excerpt::Excerpt,
    info::SessionInfo,
    message::Page,
    places::{self, Project},
};
use crate::blocking::blocking;

/// Blocking threads that read excerpts at once.
const READERS: usize = 8;
/// Transcripts a reader takes at a time.
const BATCH: usize = 32;

#[derive(Debug)]
struct Candidate {
    session_id: Uuid,
    path: PathBuf,
    modified: SystemTime,
}

/// The sessions of a project, newest first. Files that vanish meanwhile are left out.
pub(super) async fn list(
    config_dir: PathBuf,
    project: Project,
    page: Page,
) -> Result<Vec<SessionInfo>, SessionError> {
    let stopped = |error| SessionError::io("list the sessions in", config_dir.clone(), error);
    let candidates = blocking({
        let config_dir = config_dir.clone();
        move || candidates(&config_dir, &project)
    });
    let candidates = candidates.await.map_err(stopped)?;
    let mut batches = Vec::new();
    let mut candidates = candidates.into_iter().peekable();
    while candidates.peek().is_some() {
        batches.push(candidates.by_ref().take(BATCH).collect::<Vec<_>>());
    }
    // In order, so that reading stops as soon as the page is full.
    let mut infos = stream::iter(batches)
        .map(|batch| blocking(move || batch.iter().filter_map(read).collect::<Vec<_>>()))
        .buffered(READERS);
    let wanted = page.limit.map(|limit| limit.saturating_add(page.offset));
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    while let Some(batch) = infos.try_next().await.map_err(stopped)? {
        found.extend(batch.into_iter().filter(|info| seen.insert(info.session_id)));
        if wanted.is_some_and(|wanted| found.len() >= wanted) {
            break;
        }
    }
    Ok(page.of(found))
}

/// What is known of one transcript; nothing when it cannot be read.
pub(super) fn info(path: &Path, session_id: Uuid) -> Option<SessionInfo> {
    let excerpt = Excerpt::read(path).ok()??;
    let info = SessionInfo::of(session_id, &excerpt)?;
    Some(SessionInfo { archived: archived::is_archived(path, &excerpt), ..info })
}

fn read(candidate: &Candidate) -> Option<SessionInfo> {
    info(&candidate.path, candidate.session_id)
}

fn candidates(config_dir: &Path, project: &Project) -> Vec<Candidate> {
    let folders = places::folders(config_dir, project);
    let mut found: Vec<Candidate> = folders.iter().flat_map(|folder| candidates_in(folder)).collect();
    found.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.session_id.cmp(&b.session_id)));
    found
}

fn candidates_in(folder: &Path) -> Vec<Candidate> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let session_id = places::session_of(entry.file_name().to_str()?)?;
        let path = entry.path();
        let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let modified = metadata.modified().ok()?;
        Some(Candidate { session_id, path, modified })
    });
    found.collect()
}
