//! Edits of stored sessions: a title, a tag, and their end.
//!
//! Titles and tags are lines added to the transcript, of which the last one counts. A line is added in
//! one write at the end of the file, so that a CLI that runs the session meanwhile is not disturbed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};
use uuid::Uuid;

use super::{error::SessionError, places::session_folder, transcript::write_entry};

/// Rounds of cleaning a tag; what changes still is hostile.
const CLEANING_ROUNDS: usize = 10;

/// The entry that gives a title.
pub(crate) fn title_entry(session_id: Uuid, title: &str) -> Result<Value, SessionError> {
    let title = title.trim();
    if title.is_empty() {
        return Err(SessionError::EmptyTitle);
    }
    Ok(json!({ "type": "custom-title", "customTitle": title, "sessionId": session_id }))
}

/// The entry that gives a tag, or takes it away.
pub(crate) fn tag_entry(session_id: Uuid, tag: Option<&str>) -> Result<Value, SessionError> {
    let cleaned = tag.map(clean);
    if cleaned.as_ref().is_some_and(String::is_empty) {
        return Err(SessionError::EmptyTag);
    }
    Ok(json!({ "type": "tag", "tag": cleaned.unwrap_or_default(), "sessionId": session_id }))
}

/// Adds an entry to a transcript that exists.
pub(super) fn append(path: &Path, session_id: Uuid, entry: &Value) -> Result<(), SessionError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => SessionError::NotFound { session_id },
        _ => SessionError::io("append to", path, error),
    };
    let mut options = OpenOptions::new();
    options.read(true).append(true).custom_flags(nix::libc::O_NONBLOCK);
    let file = options.open(path).map_err(failed)?;
    append_line(&file, &write_entry(entry)).map_err(failed)
}

/// Removes a transcript and what belongs to it.
pub(super) fn delete(path: &Path, session_id: Uuid) -> Result<(), SessionError> {
    fs::remove_file(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SessionError::NotFound { session_id },
        _ => SessionError::io("delete", path, error),
    })?;
    let folder = session_folder(path);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SessionError::io("delete", folder, error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn append_line(mut file: &File, line: &str) -> io::Result<()> {
    // Another edit's line that is being written would look like a torn one. The CLI knows no such lock; beside it a
    // blank line may come of that, which everybody passes over. Given back with the file.
    file.lock()?;
    let metadata = file.metadata()?;
    let Some(last) = metadata.len().checked_sub(1).filter(|_| metadata.is_file()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let mut end = [b'\n'];
    file.read_exact_at(&mut end, last)?;
    // A torn last line would swallow ours.
    let line = if end == [b'\n'] { line.to_owned() } else { format!("\n{line}") };
    let written = file.write(line.as_bytes())?;
    if written == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Removes what cannot be seen, because the CLI filters by tags people type.
fn clean(tag: &str) -> String {
    let mut tag = tag.to_owned();
    for _ in 0..CLEANING_ROUNDS {
        let cleaned: String = tag.nfkc().filter(|character| is_visible(*character)).collect();
        if cleaned == tag {
            break;
        }
        tag = cleaned;
    }
    tag.trim().to_owned()
}

fn is_visible(character: char) -> bool {
    !matches!(
        character.general_category(),
        GeneralCategory::Format | GeneralCategory::PrivateUse | GeneralCategory::Unassigned
    )
}
