//! What can go wrong with stored sessions, by what the caller can do about it.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use uuid::Uuid;

use crate::store::{SessionKey, StoreError};

/// Why something with a stored session did not work.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// There is no such session, or its transcript is empty.
    #[error("find session {session_id}")]
    NotFound {
        /// The session.
        session_id: Uuid,
    },
    /// The session has no such subagent.
    #[error("find subagent {agent_id} of session {session_id}")]
    NoSuchSubagent {
        /// The session.
        session_id: Uuid,
        /// The subagent.
        agent_id: String,
    },
    /// The conversation has no such message.
    #[error("find message {message_id} in session {session_id}")]
    NoSuchMessage {
        /// The session.
        session_id: Uuid,
        /// The message.
        message_id: String,
    },
    /// There is nothing to fork.
    #[error("find a message in session {session_id}")]
    NoMessages {
        /// The session.
        session_id: Uuid,
    },
    /// A title has to have a visible character.
    #[error("use an empty title")]
    EmptyTitle,
    /// A tag has to have a visible character; to clear it, give none.
    #[error("use an empty tag")]
    EmptyTag,
    /// Neither `CLAUDE_CONFIG_DIR` nor `HOME` says where the sessions are.
    #[error("find the configuration folder: neither CLAUDE_CONFIG_DIR nor HOME is set")]
    NoConfigDir,
    /// The operating system refused.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried: `read`, `append to`, …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: Arc<io::Error>,
    },
    /// The session store refused.
    #[error("{action} {subject} in the session store")]
    Store {
        /// What was asked of it.
        action: StoreAction,
        /// Of what: a key or a project.
        subject: String,
        /// Its reason.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The session store did not answer in time.
    #[error("{action} {subject} in the session store within {waited:?}")]
    StoreTimeout {
        /// What was asked of it.
        action: StoreAction,
        /// Of what: a key or a project.
        subject: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The session store handed out something that is no transcript.
    #[error("use what the session store holds under {key}: {problem}")]
    StoreGarbage {
        /// The key.
        key: SessionKey,
        /// What is wrong with it.
        problem: String,
    },
}

/// What was asked of a session store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreAction {
    /// `SessionStore::append`.
    Append,
    /// `SessionStore::load`.
    Load,
    /// `SessionStore::list`.
    List,
    /// `SessionStore::delete`.
    Delete,
    /// `SessionStore::list_subkeys`.
    ListSubkeys,
}

impl fmt::Display for StoreAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Append => "append to",
            Self::Load => "load",
            Self::List => "list the sessions of",
            Self::Delete => "delete",
            Self::ListSubkeys => "list the subkeys of",
        })
    }
}

impl SessionError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source: Arc::new(source) }
    }

    pub(crate) fn store(action: StoreAction, subject: &dyn fmt::Display, source: StoreError) -> Self {
        Self::Store { action, subject: subject.to_string(), source: Arc::from(source) }
    }
}
