//! Files as the agent sees them, and their rewinding.

use std::path::Path;

use serde_json::json;
use uuid::Uuid;

use super::body;
use crate::{agent::Agent, error::Error, open::open_struct};

/// How the contents of a file are to be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileEncoding {
    /// As text; bytes that are none are replaced, and `lossy` says so.
    #[default]
    Utf8,
    /// As base64.
    Base64,
}

open_struct! {
    /// What rewinding does, or would do.
    #[serde(rename_all = "camelCase")]
    RewoundFiles {
        /// Whether it can be done.
        can_rewind: bool,
        /// Why not.
        error: Option<String>,
        /// The files; told by a dry run.
        files_changed: Vec<String>,
        /// Lines that come back; told by a dry run.
        insertions: Option<u64>,
        /// Lines that go; told by a dry run.
        deletions: Option<u64>,
        /// Files left alone because something that is no regular file is in their place.
        skipped_links: Option<u64>,
    }
    /// A file.
    FileContents {
        /// Its contents.
        contents: String,
        /// Its absolute path.
        #[serde(rename = "absPath")]
        abs_path: String,
        /// Whether there is more of it.
        truncated: bool,
        /// `base64`, when the contents are.
        encoding: Option<String>,
        /// Whether bytes were replaced.
        lossy: bool,
    }
    /// Files that begin like something.
    FileSuggestions {
        /// The suggestions, best first.
        suggestions: Vec<serde_json::Value>,
        /// Where they are relative to.
        cwd: String,
    }
}

impl Agent {
    /// Puts files back as they were before a prompt. Needs `AgentOptions::file_checkpointing`; the error
    /// is a plain `Control` when no copy was kept for this prompt. `dry_run` only says what would be done.
    /// When it is dropped, the agent may still do it.
    pub async fn rewind_files(&self, prompt: Uuid, dry_run: bool) -> Result<RewoundFiles, Error> {
        let dry_run = dry_run.then_some(true.into());
        let body = body([("user_message_id", Some(json!(prompt))), ("dry_run", dry_run)]);
        self.ask("rewind_files", body).await
    }

    /// Reads a file of the workspace, at most `bytes_max` of it.
    /// Cancel safe.
    pub async fn read_file(
        &self,
        path: &Path,
        bytes_max: Option<u64>,
        encoding: FileEncoding,
    ) -> Result<FileContents, Error> {
        let encoding = match encoding {
            FileEncoding::Utf8 => None,
            FileEncoding::Base64 => Some("base64".into()),
        };
        let path = path.to_string_lossy().into_owned();
        let fields =
            [("path", Some(path.into())), ("max_bytes", bytes_max.map(Into::into)), ("encoding", encoding)];
        self.ask("read_file", body(fields)).await
    }

    /// Files that begin like `query`, as for a completion after `@`.
    /// Cancel safe.
    pub async fn file_suggestions(&self, query: &str) -> Result<FileSuggestions, Error> {
        self.ask("file_suggestions", json!({ "query": query })).await
    }

    /// Tells the agent that the model has read a file, so that it may edit it. `modified_ms` is the time
    /// of the file's last change as the model saw it, in milliseconds since 1970.
    /// When it is dropped, the agent may still do it.
    pub async fn seed_read_state(&self, path: &Path, modified_ms: u64) -> Result<(), Error> {
        let body = json!({ "path": path.to_string_lossy(), "mtime": modified_ms });
        self.tell("seed_read_state", body).await
    }

    /// Adds a repository below the working directory, with its instructions, skills and plugins.
    /// When it is dropped, the agent may still do it.
    pub async fn register_repo_root(&self, directory: &Path) -> Result<(), Error> {
        let body = json!({ "directory": directory.to_string_lossy() });
        self.tell("register_repo_root", body).await
    }
}
