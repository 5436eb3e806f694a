//! The path policy: what is restricted is neither read nor written, the files of others are not seen, and nothing is
//! written outside the agent's own directories.
//!
//! It looks at the real file system in the instant before the tool runs. Between the look and the use a file may still be
//! exchanged, and a program may open what it never named: that is the sandbox's to prevent.

mod access;
mod commands;
mod look;
mod real;
mod restricted;
mod spelling;
mod territory;
mod tools;

pub use restricted::{NotAPath, RestrictedPath};
pub(crate) use tools::command_line;

use crate::{CannotJudge, Policy, Surroundings, ToolCall, shell};
use access::Access;
use async_trait::async_trait;
use domain::Opinion;
use std::{path::PathBuf, sync::Arc};

/// The policy's name in opinions.
const NAME: &str = "paths";

/// What the path policy goes by.
#[derive(Debug, Clone, Default)]
pub struct PathSettings {
    pub restricted: Vec<RestrictedPath>,
    /// The home of the user the server runs as: `~` in restricted paths is this and the agent's own home.
    pub user_home: Option<PathBuf>,
    /// Where any agent may write besides its own directories.
    pub writable: Vec<PathBuf>,
    /// The server's own folders. An agent sees of them what belongs to its session.
    pub hidden: Vec<PathBuf>,
}

/// Judges the files that a tool call names.
#[derive(Debug, Clone)]
pub struct PathPolicy(Arc<PathSettings>);

impl PathPolicy {
    /// By these settings.
    #[must_use]
    pub fn new(settings: PathSettings) -> Self {
        Self(Arc::new(settings))
    }
}

#[async_trait]
impl Policy for PathPolicy {
    fn name(&self) -> &str {
        NAME
    }

    async fn judge(&self, call: &ToolCall, surroundings: &Surroundings) -> Result<Opinion, CannotJudge> {
        let accesses = accesses(call, surroundings)?;
        if accesses.is_empty() {
            return Ok(Opinion::abstain(NAME));
        }
        let (settings, surroundings, cwd) = (self.0.clone(), surroundings.clone(), call.cwd.clone());
        // A file system may be slow, or gone.
        let looking =
            tokio::task::spawn_blocking(move || look::look(&settings, &surroundings, &cwd, &accesses));
        looking.await.map_err(|_| CannotJudge("the files this call names could not be looked at".to_owned()))
    }
}

/// The files a call names, in the order in which they are used.
fn accesses(call: &ToolCall, surroundings: &Surroundings) -> Result<Vec<Access>, CannotJudge> {
    match tools::command_line(call) {
        Some(line) => {
            let analysis = shell::analyse(line)
                .map_err(|error| CannotJudge(format!("the command line cannot be judged: {error}")))?;
            Ok(commands::accesses(&analysis, &surroundings.temporary))
        }
        None => tools::accesses(call),
    }
}
