//! Errors of this crate: each carries what the agent said, never a bare exit code.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use semver::Version;
use uuid::Uuid;

use crate::{containment::Exceeded, sessions::SessionError, turn_result::TurnResult};

/// How the agent's process ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// Exit code, when it exited by itself.
    pub code: Option<i32>,
    /// Signal number, when a signal ended it.
    pub signal: Option<i32>,
    /// The last bytes of stderr, at most `Limits::stderr_bytes_max`.
    pub stderr_tail: String,
    /// Processes the agent left behind that had to be killed.
    pub swept: usize,
    /// Which bound of `ProcessLimits` it was killed for.
    pub exceeded: Option<Exceeded>,
}

/// Everything known about an agent that is gone.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Said {
    /// How the process ended.
    pub exit: Exit,
    /// The last result with `is_error: true`, which is the best reason there is.
    pub last_error_result: Option<Box<TurnResult>>,
    /// Prompts that were written and never finished, in the order they were sent.
    pub open_prompts: Vec<Uuid>,
}

impl Error {
    /// The same error of an agent in a jail, told apart when it is the jail that would not start.
    pub(crate) fn or_not_contained(self) -> Self {
        match &self {
            Self::Startup { said } if said.stderr_tail().trim_start().starts_with("bwrap: ") => {
                Self::NotContained { why: said.stderr_tail().trim().to_owned() }
            }
            _ => self,
        }
    }
}

impl Said {
    /// The last bytes the agent wrote on stderr.
    pub fn stderr_tail(&self) -> &str {
        &self.exit.stderr_tail
    }

    /// The agent's own words in one text: the error result, else stderr, else the exit status. Of one that
    /// was killed for what it used: what that was.
    pub fn words(&self) -> String {
        if let Some(exceeded) = self.exit.exceeded {
            return format!("it was killed: {exceeded}");
        }
        let stderr = self.exit.stderr_tail.trim();
        match self.last_error_result.as_deref().and_then(TurnResult::words) {
            Some(words) => words,
            None if !stderr.is_empty() => stderr.to_owned(),
            None => self.exit.to_string(),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("an unknown exit status"),
        }
    }
}

/// What can go wrong between this process and an agent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An option contradicts another one, or cannot be handed to any process. Nothing was started.
    #[error("use the option {field}: {why}")]
    InvalidOption {
        /// The field of `AgentOptions`.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// An option was sent inside `initialize` and the CLI does not confirm that it is in force. The agent
    /// was ended, because rules it was to keep may be missing.
    #[error("have the agent confirm the option {field}")]
    NotApplied {
        /// The field of `AgentOptions`.
        field: &'static str,
    },
    /// There is no file to run: install the CLI or correct the path.
    #[error("find the agent CLI at {}", path.display())]
    CliNotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is something at the CLI's path that is not a program that can be run here.
    #[error("run the agent CLI at {}, {why}", path.display())]
    CliNotExecutable {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such working directory: make it, or correct the path.
    #[error("start an agent in {}, there is no such directory", path.display())]
    CwdNotFound {
        /// The working directory.
        path: PathBuf,
    },
    /// It was to be contained and cannot be, so it was not started.
    #[error("contain the agent, {why}")]
    NotContained {
        /// The reason, with bubblewrap's own words if it has any.
        why: String,
    },
    /// The operating system refused to start it.
    #[error("start {}", program.display())]
    Spawn {
        /// What was to be started.
        program: PathBuf,
        /// The operating system's reason.
        #[source]
        source: Arc<io::Error>,
    },
    /// It ended instead of answering `initialize`: a wrong flag, an unknown session, a missing right.
    #[error("start the agent, it said: {}", said.words())]
    Startup {
        /// Its last words.
        said: Arc<Said>,
    },
    /// Its version is below what this crate was built against.
    #[error("use agent CLI {found}, {needed} or newer is needed")]
    CliTooOld {
        /// What it announced, or `unknown`.
        found: String,
        /// The oldest version that will do.
        needed: Version,
    },
    /// Hooks were registered and the CLI does not promise to stop a tool when a hook fails.
    #[error("use agent CLI {found} with hooks, it would run a tool although its hook failed")]
    HooksFailOpen {
        /// What it announced.
        found: Version,
    },
    /// `--version` printed something else, or nothing in time.
    #[error("read the version of the agent CLI from {printed:?}")]
    VersionUnreadable {
        /// What it printed.
        printed: String,
    },
    /// It did not answer `initialize` in time and was killed.
    #[error("get an answer to initialize within {waited:?}, it said: {}", said.words())]
    HandshakeTimeout {
        /// How long was waited.
        waited: Duration,
        /// Its last words.
        said: Arc<Said>,
    },
    /// The agent ended while something was still wanted of it.
    #[error("reach the agent, it ended: {}", said.words())]
    Exited {
        /// Its last words.
        said: Arc<Said>,
    },
    /// It refused a control request.
    #[error("have the agent accept the request, it said: {message}")]
    Control {
        /// Its code, such as `unsupported_request`.
        code: Option<String>,
        /// Its words.
        message: String,
    },
    /// It does not know this control request: a newer CLI is needed, or the request was never public.
    #[error("have the agent do {subtype}, it does not know how")]
    Unsupported {
        /// The request.
        subtype: String,
        /// Its words.
        message: String,
    },
    /// Its answer to a control request has another form than this crate knows. The request was done; its
    /// answer is here as it came, and `Agent::control` never fails this way.
    #[error("read the answer to {subtype}: {why}")]
    UnreadableAnswer {
        /// The request.
        subtype: String,
        /// Which part cannot be read.
        why: String,
        /// The answer as it came.
        raw: Box<serde_json::Value>,
    },
    /// It did not answer a control request in time; it may still act on it.
    #[error("get an answer to {subtype} within {waited:?}")]
    ControlTimeout {
        /// The request.
        subtype: String,
        /// How long was waited.
        waited: Duration,
    },
    /// This id was sent before. The agent drops such a prompt without a word, so it is refused here.
    #[error("send prompt {id} a second time")]
    DuplicatePrompt {
        /// The id.
        id: Uuid,
    },
    /// The session to resume could not be had from the session store.
    #[error("resume from the session store")]
    SessionStore {
        /// What went wrong.
        #[source]
        source: Arc<SessionError>,
    },
    /// The agent is being closed.
    #[error("reach an agent that is being closed")]
    Closed,
}

impl Error {
    /// The name of its kind, for records that must not hold what an agent said.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::InvalidOption { .. } => "invalid_option",
            Self::NotApplied { .. } => "not_applied",
            Self::CliNotFound { .. } => "cli_not_found",
            Self::CliNotExecutable { .. } => "cli_not_executable",
            Self::CwdNotFound { .. } => "cwd_not_found",
            Self::NotContained { .. } => "not_contained",
            Self::Spawn { .. } => "spawn_failed",
            Self::Startup { .. } => "startup_failed",
            Self::CliTooOld { .. } => "cli_too_old",
            Self::HooksFailOpen { .. } => "hooks_fail_open",
            Self::VersionUnreadable { .. } => "version_unreadable",
            Self::HandshakeTimeout { .. } => "handshake_timeout",
            Self::Exited { .. } => "exited",
            Self::Control { .. } => "refused",
            Self::Unsupported { .. } => "unsupported",
            Self::UnreadableAnswer { .. } => "unreadable_answer",
            Self::ControlTimeout { .. } => "timeout",
            Self::DuplicatePrompt { .. } => "duplicate_prompt",
            Self::Closed => "closed",
            Self::SessionStore { .. } => "session_store_failed",
        }
    }
}
