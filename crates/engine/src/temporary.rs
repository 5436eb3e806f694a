//! Folders of this server's own among the temporary files of sessions: for work that is soon over.

use crate::{Error, Result, SessionManager};
use cap_std::{ambient_authority, fs::Dir};
use std::{ffi::OsStr, io};

/// How the names of folders begin in which MCP servers are checked.
pub(crate) const CHECK: &str = "mcp-";
/// How the names of folders begin in which it is gathered what goes into an archive.
pub(crate) const ARCHIVE: &str = "archive-";

impl SessionManager {
    /// Removes those that a former life of this server has left.
    pub(crate) async fn sweep_temporary(&self) -> Result<()> {
        let place = self.inner.settings.directories.temporary.clone();
        let is_left = |name: &OsStr| {
            [CHECK, ARCHIVE].iter().any(|begin| name.as_encoded_bytes().starts_with(begin.as_bytes()))
        };
        let swept =
            tokio::task::spawn_blocking(move || match Dir::open_ambient_dir(place, ambient_authority()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                opened => trees::sweep(&opened?, is_left),
            });
        let swept = swept.await.map_err(|_| Error::Internal("clean up temporary files"))?;
        swept.map_err(|source| Error::Files { action: "clean up temporary files", source })
    }
}
