//! The CLI's own debug log, for a look at what it does inside.

use std::path::PathBuf;

/// The CLI's own debug log. Without a file it goes to the agent's stderr.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DebugLog {
    /// Categories to log, such as `api,hooks` or `!file`; `None` logs all.
    pub filter: Option<String>,
    /// The file to write.
    pub file: Option<PathBuf>,
}

impl DebugLog {
    /// Everything, to a file.
    pub fn to_file(path: impl Into<PathBuf>) -> Self {
        Self { file: Some(path.into()), filter: None }
    }

    /// Logs these categories only.
    #[must_use]
    pub fn with_filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = Some(filter.into());
        self
    }
}
