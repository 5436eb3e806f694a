//! What this program is given: the programs to measure and a folder to work in.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Paths of everything that takes part.
#[derive(Debug, clap::Args)]
pub(crate) struct Tools {
    /// The server.
    #[arg(long)]
    pub(crate) steward: PathBuf,
    /// The stand-in for the Messages API.
    #[arg(long)]
    pub(crate) offline_model: PathBuf,
    /// The CLI.
    #[arg(long)]
    pub(crate) claude: PathBuf,
    /// A Python that has the official SDK; without it, that one takes no part and is reported as missing.
    #[arg(long)]
    pub(crate) python: Option<PathBuf>,
    /// An empty PostgreSQL database.
    #[arg(long)]
    pub(crate) postgres: Option<String>,
    /// An empty folder for everything that is written; its path should be short, because sockets are made in it.
    #[arg(long)]
    pub(crate) folder: PathBuf,
}

impl Tools {
    /// A new folder of this name.
    pub(crate) fn new_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        Ok(folder)
    }

    /// The environment that everybody starts from: a person's own settings must not reach what is measured.
    pub(crate) fn environment(&self, home: &Path) -> BTreeMap<String, String> {
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        [
            ("PATH", path),
            ("LANG", "C.UTF-8".to_owned()),
            ("TERM", "dumb".to_owned()),
            ("HOME", home.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
