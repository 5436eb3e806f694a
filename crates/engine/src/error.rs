//! What a use case answers when it does not succeed, named for what the caller can do.

use crate::OidcError;
use domain::{
    Approval, ExecutionStatus, Operation, SessionStatus, TurnFailure, TurnId, TurnStatus,
    budget::UsedUp,
    ports::{ArchiveError, RenderError, StoreError},
};

/// One field of a request that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer into the request.
    pub pointer: String,
    /// Stable word for the rule that was broken.
    pub code: &'static str,
    pub message: String,
    /// Where in the text of the field, when it is one that has lines.
    pub place: Option<Place>,
}

/// Line and column in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

impl FieldError {
    /// A broken rule at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, message: message.into(), place: None }
    }

    /// The same at a place in the field's text.
    #[must_use]
    pub fn at(self, line: u32, column: u32) -> Self {
        Self { place: Some(Place { line, column }), ..self }
    }
}

/// Why a use case did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, or it is somebody else's.
    #[error("find the {0}")]
    NotFound(&'static str),
    /// The session is in a state that does not allow this; ask again when it has changed.
    #[error("do this while the session is {}", .0.as_str())]
    WrongState(SessionStatus),
    /// The session cannot be forked like that; the text says why.
    #[error("fork the session: {0}")]
    NotForkable(String),
    /// This holds the session; ask again when it is over.
    #[error("do this while the session is being {}", match .0 { Operation::Archiving => "archived", Operation::Restoring => "restored" })]
    Held(Operation),
    /// Somebody else answered first, or the time was up; this one stands.
    #[error("decide what is {} already", .0.status.as_str())]
    AlreadyDecided(Box<Approval>),
    /// Something of that name exists already.
    #[error("create a second {0}")]
    Exists(&'static str),
    /// The caller has as many of these as one user may; delete some.
    #[error("keep more than {max} {what} of one user")]
    LimitReached { what: &'static str, max: u32 },
    /// Somebody changed the policy meanwhile; look at this version of it first.
    #[error("change another version of the policy than {0}, the newest")]
    PolicyChanged(u32),
    /// Correct these fields.
    #[error("accept {} field(s)", .0.len())]
    Invalid(Vec<FieldError>),
    /// Log in (again).
    #[error("recognise the credentials")]
    Unauthenticated,
    /// The account is disabled.
    #[error("admit a disabled account")]
    AccountDisabled,
    /// Nobody was logged in by way of the identity provider; the variant says why.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// There were too many attempts to log in; try again in so many seconds.
    #[error("look at an attempt to log in before its time")]
    TooManyLogins { retry_after_seconds: u64 },
    /// Nobody would be left who may do everything; make somebody else an admin first.
    #[error("take away the last admin who is active")]
    LastAdmin,
    /// The caller may not do this at all.
    #[error("allow this: {0}")]
    Forbidden(&'static str),
    /// A turn of the session runs or waits, and this one was not to wait for it.
    #[error("begin a second turn while the session is {}", .0.as_str())]
    Busy(SessionStatus),
    /// The turn is not queued any more.
    #[error("take back a turn that is {}", .0.as_str())]
    NotQueued(TurnStatus),
    /// The execution is over.
    #[error("stop an execution that is {}", .0.as_str())]
    ExecutionOver(ExecutionStatus),
    /// The execution is not over, or ended well.
    #[error("repeat an execution that is {}", .0.as_str())]
    ExecutionNotRetryable(ExecutionStatus),
    /// Every slot for running agents is taken, and as many sessions as may wait for one; try again in so many seconds.
    #[error("let more than {limit} sessions wait for an agent")]
    NoSlot { limit: u32, retry_after_seconds: u64 },
    /// As many prompts as may wait in one session are waiting.
    #[error("queue more than {limit} prompts")]
    QueueFull { limit: u32, retry_after_seconds: u64 },
    /// A budget is used up; ask again when it was raised, or its next period has begun.
    #[error("spend more: {0}")]
    BudgetExhausted(Box<UsedUp>),
    /// There is no usable agent on this machine; the text says what to do.
    #[error("start an agent: {0}")]
    AgentUnavailable(String),
    /// The server is ending; another one, or this one later, will take the request.
    #[error("begin new work while shutting down")]
    ShuttingDown,
    /// This server could not renew its lease and runs no agents until it can; another one will take the request.
    #[error("run agents without a lease")]
    LeaseLost,
    /// The session's home has its files; a request that reaches that server is answered.
    #[error("read files that another server has")]
    FilesElsewhere,
    /// The turn ran and failed; its record says the rest.
    #[error("complete turn {turn_id}: {message}")]
    TurnFailed { turn_id: TurnId, failure: TurnFailure, message: String },
    /// There was an archive, and its time was up or something newer took its place.
    #[error("find what is left of an archive that was removed")]
    ArchiveRemoved,
    /// The archive was given up; the text says why.
    #[error("archive the session: {0}")]
    NotArchived(String),
    /// The session could not be restored; the text says why.
    #[error("restore the session: {0}")]
    NotRestored(String),
    /// Archives on the local disk take as much as they may.
    #[error("keep more than {max} bytes of archives on this server ({used} are used)")]
    ArchivesFull { used: u64, max: u64 },
    /// As many working directories as may be at once are being downloaded; ask again.
    #[error("make archives of more than {0} working directories at once")]
    DownloadsBusy(usize),
    /// The archive store failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A report could not be written down.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// Secrets were sealed with a key that this server does not have; the text says which one to give back to it.
    #[error("{0}")]
    SecretsLost(String),
    /// The webhook of a task did not take a message; the text says why.
    #[error("tell the end of an execution: {0}")]
    NotTold(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the session could not be read or written.
    #[error("{action}")]
    Files { action: &'static str, source: std::io::Error },
    /// A part of the server did not keep its promise; nothing the caller can do.
    #[error("{0}")]
    Internal(&'static str),
}

/// Shorthand for what use cases answer.
pub type Result<T> = std::result::Result<T, Error>;
