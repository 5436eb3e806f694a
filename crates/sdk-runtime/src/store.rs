//! Session stores: transcripts kept elsewhere than on this machine's disk, written while a session runs
//! and resumed from on another machine.
//!
//! The CLI goes on writing its own files; a store is told of every line, soon after. Set one with
//! [`SessionStoreOptions`] in `AgentOptions::session_store`:
//!
//! ```no_run
//! use std::sync::Arc;
//! use sdk_runtime::{AgentOptions, SessionStart, store::{DirectoryStore, SessionStoreOptions}};
//!
//! # fn example(id: uuid::Uuid) -> AgentOptions {
//! let store = Arc::new(DirectoryStore::new("/mnt/shared/sessions").with_fsync(true));
//! AgentOptions::default()
//!     .with_session(SessionStart::Resume { id, at: None, fork: None })
//!     .with_session_store(SessionStoreOptions::new(store))
//! # }
//! ```
//!
//! *Writing.* Lines are gathered and stored when a turn ends, or earlier when they are many; with
//! [`Flush::Eager`] at once, by [`Flush::Within`] soon. The order per transcript is kept. A store that fails is tried three times;
//! what is lost then is named in `Event::MirrorFailed`, and the session goes on, because its own file has
//! the lines. [`import`] brings them to the store later. A store that hangs costs
//! [`SessionStoreOptions::pending_bytes_max`] of memory at most. `Agent::close` and `Agent::kill` return
//! when everything the agent said is stored, or [`SessionStoreOptions::close_timeout`] is over;
//! `Agent::flush_session_store` waits for that in between, and `Agent::take_transcript_lines` hands out what
//! waits to a host that stores it by itself.
//!
//! *Resuming.* With `SessionStart::Resume` or `SessionStart::Continue` the session is loaded from the
//! store into a private configuration folder, in which the CLI then runs; it is removed with the agent.
//! The user's credentials are copied there without their refresh token. A session the store does not
//! have is left to the CLI. A host whose agents have configuration folders of their own brings them up to
//! date with [`check_out`] and says [`ResumeFrom::Files`].
//!
//! *Own stores.* Implement [`SessionStore`], and run `testing::store_conformance` (feature `testing`) on it.

mod ask;
mod batches;
mod check_out;
mod directory;
mod import;
mod line;
mod materialize;
mod memory;
mod mirror;
mod seed_config;
mod stored_sessions;
mod unstored;
mod witness;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use serde_json::Value;

pub use self::{
    check_out::check_out,
    directory::DirectoryStore,
    import::import,
    line::TranscriptLine,
    memory::MemoryStore,
    mirror::{MirrorLoss, MirrorLossReason},
    stored_sessions::StoredSessions,
    unstored::UnstoredLines,
};
pub(crate) use self::{
    line::Report,
    materialize::{Materialized, materialize},
    mirror::{Mirror, MirrorFlush},
};

/// Why a store failed; anything that is an error.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps transcripts. Its methods may be called from several tasks and machines at once.
///
/// An entry is a JSON object, one line of a transcript. A store hands it out as it got it; the order of
/// an object's keys does not matter.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Adds entries, in their order, behind those the key has. An entry with a `uuid` the key has already
    /// is passed over, so that a batch may come twice; entries without one are always added. Without
    /// entries nothing happens. An append that was dropped or failed may have been done in part.
    async fn append(&self, key: &SessionKey, entries: &[Value]) -> Result<(), StoreError>;

    /// All entries of a key in their order; `None` when there are none.
    async fn load(&self, key: &SessionKey) -> Result<Option<Vec<Value>>, StoreError>;

    /// The sessions of a project that have a main transcript, in any order.
    async fn list(&self, project_key: &str) -> Result<Vec<StoredSession>, StoreError>;

    /// Forgets a key; without a subpath, everything of the session. One that is unknown is forgotten
    /// already. A store that may not forget does nothing.
    async fn delete(&self, key: &SessionKey) -> Result<(), StoreError>;

    /// The subpaths of a session, in any order.
    async fn list_subkeys(&self, project_key: &str, session_id: &str) -> Result<Vec<String>, StoreError>;
}

impl fmt::Debug for dyn SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionStore")
    }
}

/// What a transcript is kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct SessionKey {
    /// Usually `sessions::project_key` of the working directory.
    pub project_key: String,
    /// The session.
    pub session_id: String,
    /// A transcript beside the main one, such as `subagents/agent-a52be319b407da1d7`.
    pub subpath: Option<String>,
}

impl SessionKey {
    /// The main transcript of a session.
    pub fn main(project_key: impl Into<String>, session_id: impl Into<String>) -> Self {
        Self { project_key: project_key.into(), session_id: session_id.into(), subpath: None }
    }

    /// A transcript beside it.
    #[must_use]
    pub fn with_subpath(mut self, subpath: impl Into<String>) -> Self {
        self.subpath = Some(subpath.into());
        self
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project_key, self.session_id)?;
        match &self.subpath {
            Some(subpath) => write!(f, "/{subpath}"),
            None => Ok(()),
        }
    }
}

/// A session a store has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredSession {
    /// The session.
    pub session_id: String,
    /// When its main transcript was last added to, by the clock of the store.
    pub modified: SystemTime,
}

impl StoredSession {
    /// A session that was last added to at `modified`.
    pub fn new(session_id: impl Into<String>, modified: SystemTime) -> Self {
        Self { session_id: session_id.into(), modified }
    }
}

/// When lines are brought to the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flush {
    /// When a turn ends, or more than 500 entries or 1 MiB wait.
    #[default]
    Batched,
    /// At once. While the store is busy they gather all the same.
    Eager,
    /// So long after the first of those that wait: lines that come close together are one append. The end of a turn is
    /// no reason by itself, so that [`Agent::take_transcript_lines`](crate::Agent::take_transcript_lines) finds them.
    Within(Duration),
}

/// Where an agent that resumes a session reads it from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResumeFrom {
    /// The store, by way of a private configuration folder that goes with the agent.
    #[default]
    Store,
    /// The agent's own files; the store is only written to. [`check_out`] brings them up to date before.
    Files,
}

/// A store, and how it is used.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionStoreOptions {
    /// The store.
    pub store: Arc<dyn SessionStore>,
    /// The key of the project in the store. `None` takes that of the working directory, which differs
    /// between machines with different paths: name one to resume elsewhere.
    pub project_key: Option<String>,
    /// When lines are brought to the store; at the end of a turn unless told.
    pub flush: Flush,
    /// Where a resumed session is read from; the store unless told.
    pub resume_from: ResumeFrom,
    /// Bound of one append; one that takes longer is not tried again. 60 s unless told.
    pub append_timeout: Duration,
    /// Bound of one load or list when a session is resumed. 60 s unless told.
    pub load_timeout: Duration,
    /// Bound of storing what is left when the agent is gone. 10 s unless told.
    pub close_timeout: Duration,
    /// Lines that may wait for the store, in bytes. 64 MiB unless told.
    pub pending_bytes_max: usize,
}

impl SessionStoreOptions {
    /// This store, used in the usual way.
    pub fn new(store: Arc<dyn SessionStore>) -> Self {
        Self {
            store,
            project_key: None,
            flush: Flush::default(),
            resume_from: ResumeFrom::default(),
            append_timeout: Duration::from_secs(60),
            load_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(10),
            pending_bytes_max: 64 << 20,
        }
    }

    /// Sets `project_key`.
    #[must_use]
    pub fn with_project_key(mut self, project_key: impl Into<Option<String>>) -> Self {
        self.project_key = project_key.into();
        self
    }

    /// Sets `flush`.
    #[must_use]
    pub fn with_flush(mut self, flush: Flush) -> Self {
        self.flush = flush;
        self
    }

    /// Sets `resume_from`.
    #[must_use]
    pub fn with_resume_from(mut self, resume_from: ResumeFrom) -> Self {
        self.resume_from = resume_from;
        self
    }

    /// Sets `append_timeout`.
    #[must_use]
    pub fn with_append_timeout(mut self, bound: Duration) -> Self {
        self.append_timeout = bound;
        self
    }

    /// Sets `load_timeout`.
    #[must_use]
    pub fn with_load_timeout(mut self, bound: Duration) -> Self {
        self.load_timeout = bound;
        self
    }

    /// Sets `close_timeout`.
    #[must_use]
    pub fn with_close_timeout(mut self, bound: Duration) -> Self {
        self.close_timeout = bound;
        self
    }

    /// Sets `pending_bytes_max`.
    #[must_use]
    pub fn with_pending_bytes_max(mut self, bytes: usize) -> Self {
        self.pending_bytes_max = bytes;
        self
    }
}
