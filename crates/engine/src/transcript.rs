//! Whether the CLI has a transcript of a conversation: the one question that decides between resume and begin.

use crate::{Error, Result};
use std::path::Path;
use uuid::Uuid;

/// Looks for `projects/<any directory's key>/<id>.jsonl` under the agent's configuration.
///
/// The key is derived from the working directory; since each session has a configuration of its own, any will do.
pub fn exists(config: &Path, id: Uuid) -> Result<bool> {
    let failed = |source| Error::Files { action: "look for the conversation's transcript", source };
    let projects = match std::fs::read_dir(config.join("projects")) {
        Ok(projects) => projects,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    for project in projects {
        let file = project.map_err(failed)?.path().join(format!("{id}.jsonl"));
        if file.try_exists().map_err(failed)? {
            return Ok(true);
        }
    }
    Ok(false)
}
