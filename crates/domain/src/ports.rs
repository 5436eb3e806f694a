//! What the use cases need from a store. Each method is one unit of work: it happens whole or not at all.

mod approvals;
mod archive_store;
mod audit;
mod decisions;
mod policies;

pub use approvals::{Approvals, Decided};
pub use archive_store::{
    ArchiveError, ArchiveJob, ArchiveLimits, ArchiveRef, ArchiveRoot, ArchiveStore, ByteStream, Found,
    Restored, Stored,
};
pub use audit::Audit;
pub use decisions::Decisions;
pub use policies::Policies;

use crate::{
    ApiKey, ApiKeyId, Entry, Event, FamilyId, Message, NewUser, Origin, Page, PageRequest, RefreshToken,
    RequestUsage, Scope, Session, SessionId, SessionStatus, Source, ToolCall, Turn, TurnEnd, TurnId, User,
    UserId,
    account::Rotation,
    session::{SessionFilter, SessionPatch},
    turn::{Begin, EndedTurn, Enqueued, NewTurn, QueuePlace, WaitingTurn},
};
use async_trait::async_trait;
use jiff::Timestamp;

mod hooks;

pub use hooks::{HookDeliveries, HookEndpoints, HookRuns, HookStore};

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something of that name or id is there already.
    #[error("store it: {what} exists already")]
    Conflict { what: &'static str },
    /// The cursor was not made by this store for this list.
    #[error("read the cursor")]
    BadCursor,
    /// The store did not answer in time or is not there; trying again later may help.
    #[error("reach the store")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row makes no sense; trying again will not help.
    #[error("make sense of {table}.{column}")]
    Inconsistent { table: &'static str, column: &'static str },
    /// Anything else the database said.
    #[error("run the statement")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Shorthand for what every port method answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// Sessions by themselves. What creates, changes or ends one leaves its entry in the audit log, in the same unit of work.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Stores a new session.
    async fn create(&self, session: &Session, origin: &Origin) -> StoreResult<()>;

    /// The session, if it is there and inside the scope.
    async fn get(&self, scope: Scope, id: SessionId) -> StoreResult<Option<Session>>;

    /// Sessions inside the scope that pass the filter.
    async fn list(
        &self,
        scope: Scope,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<Session>>;

    /// Changes what a person may change; `None` if there is no such session inside the scope.
    async fn patch(
        &self,
        scope: Scope,
        id: SessionId,
        patch: &SessionPatch,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<Session>>;

    /// Moves the session to `to` if its state allows it now, and journals the change.
    async fn move_to(&self, id: SessionId, to: SessionStatus, at: Timestamp) -> StoreResult<Moved>;

    /// Moves the session to `paused` as `move_to` does, on somebody's behalf.
    async fn pause(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Moved>;

    /// Moves the session to `active` as `move_to` does, on somebody's behalf; only one that may be resumed.
    async fn resume(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Moved>;

    /// Moves the session to `terminated` as `move_to` does, on somebody's behalf.
    async fn terminate(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Moved>;
}

/// What came of moving a session to another state.
#[derive(Debug, Clone, PartialEq)]
pub enum Moved {
    Moved(Box<Session>, Event),
    /// It was in this state, which does not lead there. Being there already counts as this.
    Refused(SessionStatus),
    NoSession,
}

/// Turns; at most one runs in a session.
#[async_trait]
pub trait Turns: Send + Sync {
    /// Holds the session and begins a turn on it: the session must be ready, and nobody wait in it. Its state becomes `first_status`
    /// (`connecting` or `processing`), the prompt becomes a message, and `status_change`, `message` and
    /// `message_sent` are journalled.
    async fn begin(&self, turn: &NewTurn, first_status: SessionStatus) -> StoreResult<Begin>;

    /// Puts a turn into the session's queue, if the session is ready or busy, and journals a notice. Its position there
    /// counts from 1, after `ahead` turns of other sessions.
    async fn enqueue(&self, turn: &NewTurn, place: QueuePlace, ahead: u64) -> StoreResult<Enqueued>;

    /// Begins the next queued turn, if there is one and the session is ready.
    async fn begin_queued(
        &self,
        session: SessionId,
        first_status: SessionStatus,
        at: Timestamp,
    ) -> StoreResult<Option<Begin>>;

    /// Ends a running turn: its row, its unfinished tool calls, the session's state and figures, and the journal's
    /// `status_change` and `result`. A turn that is over already is left as it is; the answer is `None` then.
    ///
    /// If the session was meanwhile moved to a state that `end.session_status` cannot follow (paused, terminated),
    /// that state stands.
    async fn end(&self, id: TurnId, end: &TurnEnd) -> StoreResult<Option<EndedTurn>>;

    /// Ends every queued turn of the session, or this one of them, as interrupted, and journals each.
    async fn cancel_queued(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>>;

    /// One turn of a session.
    async fn get(&self, session: SessionId, id: TurnId) -> StoreResult<Option<Turn>>;

    /// A session's turns, newest first.
    async fn list(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<Turn>>;

    /// Every turn that is running according to the store: after a crash, those nobody runs any more.
    async fn running(&self) -> StoreResult<Vec<Turn>>;

    /// The queued turns of a session, the next one first.
    async fn queue(&self, session: SessionId) -> StoreResult<Vec<TurnId>>;

    /// The next turn of each session that is ready and has one waiting, oldest first.
    async fn waiting(&self) -> StoreResult<Vec<WaitingTurn>>;
}

/// The journal of each session.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Records all entries, in order, and answers with their events.
    async fn record(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        entries: Vec<Entry>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>>;

    /// Events after `seq`, oldest first.
    async fn read_after(&self, session: SessionId, seq: u64, limit: u32) -> StoreResult<Vec<Event>>;
}

/// What was said and done, as people read it.
#[async_trait]
pub trait History: Send + Sync {
    /// A session's messages, oldest first.
    async fn messages(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<Message>>;

    /// A session's tool calls, oldest first.
    async fn tool_calls(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<ToolCall>>;

    /// The tool calls of one turn, oldest first, at most `limit`.
    async fn turn_tool_calls(&self, turn: TurnId, limit: u32) -> StoreResult<Vec<ToolCall>>;
}

/// What was spent.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Books one request on its session and turn. Booking the same id twice changes nothing.
    async fn book(&self, usage: &RequestUsage) -> StoreResult<()>;

    /// A session's requests, newest first.
    async fn requests(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<RequestUsage>>;
}

/// Users and their credentials. What changes them leaves its entry in the audit log, in the same unit of work.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Stores a user; [`StoreError::Conflict`] if the e-mail or username is taken.
    async fn create_user(&self, user: &NewUser, origin: &Origin) -> StoreResult<()>;

    /// Whether anybody is there yet.
    async fn any_user(&self) -> StoreResult<bool>;

    /// The user of that e-mail (any case) and the password's hash.
    async fn login(&self, email: &str) -> StoreResult<Option<(User, String)>>;

    /// One user.
    async fn user(&self, id: UserId) -> StoreResult<Option<User>>;

    /// Begins a login: stores its first refresh token and the user's `last_login_at`.
    async fn begin_login(&self, token: &RefreshToken, source: &Source) -> StoreResult<()>;

    /// Uses up the refresh token with this hash and stores its successor (its family and user are taken from the old one).
    async fn rotate(
        &self,
        old_sha256: [u8; 32],
        next: &RefreshToken,
        at: Timestamp,
        source: &Source,
    ) -> StoreResult<Rotation>;

    /// The active user of a login that is neither revoked nor expired.
    async fn login_user(&self, family: FamilyId, at: Timestamp) -> StoreResult<Option<User>>;

    /// Ends one login.
    async fn revoke_login(&self, family: FamilyId, at: Timestamp, origin: &Origin) -> StoreResult<()>;

    /// Ends all logins of a user.
    async fn revoke_logins(&self, user: UserId, at: Timestamp, origin: &Origin) -> StoreResult<()>;

    /// Stores an API key.
    async fn create_api_key(&self, key: &ApiKey, origin: &Origin) -> StoreResult<()>;

    /// A user's API keys, newest first.
    async fn api_keys(&self, user: UserId, page: &PageRequest) -> StoreResult<Page<ApiKey>>;

    /// Deletes a user's API key; false if there is none.
    async fn delete_api_key(
        &self,
        user: UserId,
        id: ApiKeyId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool>;

    /// The unexpired key with this hash and its active user; notes the use, at most once a minute.
    async fn use_api_key(
        &self,
        secret_sha256: [u8; 32],
        at: Timestamp,
    ) -> StoreResult<Option<(ApiKey, User)>>;
}

/// Whether the store answers.
#[async_trait]
pub trait Ping: Send + Sync {
    /// One round trip to the store.
    async fn ping(&self) -> StoreResult<()>;
}
