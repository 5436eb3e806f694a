//! What the use cases need from a store. Each method is one unit of work: it happens whole or not at all.

mod agent_telemetry;
mod alerts;
mod approvals;
mod archive_store;
mod archives;
mod audit;
mod budgets;
mod costs;
mod decisions;
mod idempotency;
mod identities;
mod mcp_servers;
mod policies;
mod rate_reports;
mod reports;
mod servers;
mod snapshots;
mod stats;
mod tasks;
mod templates;
mod transcripts;
mod wakeups;

pub use agent_telemetry::{AgentTelemetry, TelemetrySignal, UnreadableReport};
pub use alerts::Alerts;
pub use approvals::{Approvals, Decided};
pub use archive_store::{
    ArchiveError, ArchiveJob, ArchiveLimits, ArchiveRef, ArchiveRoot, ArchiveStore, ArchiveTarget,
    ByteStream, Found, Restored, Stored,
};
pub use archives::{ArchiveObject, ArchiveOpened, Archives, RestoreOpened};
pub use audit::Audit;
pub use budgets::Budgets;
pub use costs::Costs;
pub use decisions::Decisions;
pub use idempotency::IdempotencyKeys;
pub use identities::{Identities, IdentityProvider, ProviderError};
pub use mcp_servers::McpServers;
pub use policies::Policies;
pub use rate_reports::{RateReport, RateReports};
pub use reports::{Filed, RenderError, ReportRenderer, Reports};
pub use servers::{Renewed, Servers, Standing};
pub use snapshots::Snapshots;
pub use stats::{ACTIVE, ServerStats, Stats};
pub use tasks::{ExecutionLevels, Executions, TaskStore, Tasks};
pub use templates::Templates;
pub use transcripts::Transcripts;
pub use wakeups::{Wakeup, Wakeups};

use crate::{
    ApiKey, ApiKeyId, Entry, Event, FamilyId, Generation, Message, NewUser, Operation, Origin, Page,
    PageRequest, RefreshToken, RequestUsage, Scope, ServerId, Session, SessionId, SessionStatus, Source,
    ToolCall, Turn, TurnEnd, TurnId, User, UserId,
    account::{Rotation, UserErased, UserPatch, UserPatched},
    entity_tag::Expected,
    fork::{MessageEntry, NewFork, Relative},
    login_throttle::LoginAttempt,
    session::{SessionFilter, SessionPatch},
    turn::{Begin, EndedTurn, Enqueued, NewTurn, QueuePlace, WaitingTurn},
};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

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
    /// What is there is not what the caller looked at; look at it again.
    #[error("change what has changed since it was looked at")]
    Changed,
    /// The session has another home since; nothing that an earlier one writes counts.
    #[error("write to a session that another server has taken over")]
    Fenced,
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
    /// Stores a new session, and counts the use of the template that it was made from.
    async fn create(&self, session: &Session, origin: &Origin) -> StoreResult<()>;

    /// Stores a session that begins where another one was: its row, copies of the parent's messages and of its
    /// transcript up to there, and `forked` as the first event of its journal.
    async fn fork(&self, fork: &NewFork, origin: &Origin) -> StoreResult<()>;

    /// The family of a session, as far as it is inside the scope: what it was forked from, and what was forked from
    /// that and from it, at most `limit`. Parents come before their children; empty if there is no such session.
    async fn family(&self, scope: Scope, id: SessionId, limit: u32) -> StoreResult<Vec<Relative>>;

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
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<Session>>;

    /// Moves the session to `to` if its state allows it now, and journals the change.
    async fn move_to(
        &self,
        id: SessionId,
        by: Generation,
        to: SessionStatus,
        at: Timestamp,
    ) -> StoreResult<Moved>;

    /// Moves the session to `paused` as `move_to` does, on somebody's behalf.
    async fn pause(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Moved>;

    /// Moves the session to `active` as `move_to` does, on somebody's behalf; only one that may be resumed.
    async fn resume(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Moved>;

    /// Moves the session to `terminated` as `move_to` does, on somebody's behalf.
    async fn terminate(
        &self,
        id: SessionId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Moved>;

    /// Removes a session that is terminated or archived, with all that belongs to it. What it cost stays on its owner's
    /// account, without saying in which session.
    async fn purge(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Purged>;
}

/// What came of moving a session to another state.
#[derive(Debug, Clone, PartialEq)]
pub enum Moved {
    Moved(Box<Session>, Event),
    /// It was in this state, which does not lead there. Being there already counts as this.
    Refused(SessionStatus),
    /// This held the session.
    Held(Operation),
    NoSession,
}

/// What came of removing a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purged {
    Purged,
    /// It is in this state, and must be ended first.
    Refused(SessionStatus),
    NoSession,
}

/// Turns; at most one runs in a session.
#[async_trait]
pub trait Turns: Send + Sync {
    /// Holds the session and begins a turn on it: the session must be ready, and nobody wait in it. Its state becomes `first_status`
    /// (`connecting` or `processing`), the prompt becomes a message, and `status_change`, `message` and
    /// `message_sent` are journalled.
    ///
    /// The session is run by `home` from now on. One that had another home whose lease is over gets a new generation;
    /// while that other home lives, no turn begins here.
    async fn begin(&self, turn: &NewTurn, first_status: SessionStatus, home: ServerId) -> StoreResult<Begin>;

    /// Puts a turn into the session's queue, if the session is ready or busy, and journals a notice. Its position there
    /// counts from 1, after `ahead` turns of other sessions.
    async fn enqueue(&self, turn: &NewTurn, place: QueuePlace, ahead: u64) -> StoreResult<Enqueued>;

    /// Begins the next queued turn, if there is one and the session is ready, as `begin` does.
    async fn begin_queued(
        &self,
        session: SessionId,
        first_status: SessionStatus,
        at: Timestamp,
        home: ServerId,
    ) -> StoreResult<Option<Begin>>;

    /// Ends a running turn: its row, its unfinished tool calls, the session's state and figures, and the journal's
    /// `status_change` and `result`. A turn that is over already is left as it is; the answer is `None` then.
    ///
    /// If the session was meanwhile moved to a state that `end.session_status` cannot follow (paused, terminated),
    /// that state stands.
    async fn end(&self, id: TurnId, by: Generation, end: &TurnEnd) -> StoreResult<Option<EndedTurn>>;

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

    /// Every turn that is running according to the store and is `home`'s to look after: no other server that lives is
    /// its session's home. After a crash, these are the ones that nobody runs any more.
    async fn running(&self, home: ServerId) -> StoreResult<Vec<Turn>>;

    /// Sessions that are paused for want of money and are `home`'s to look after, with their owners; the longest first.
    async fn paused_by_budget(&self, home: ServerId, limit: u32) -> StoreResult<Vec<(SessionId, UserId)>>;

    /// Takes up a session that is paused for want of money, with this turn as the next in its queue, and journals both.
    /// Nothing happens, and there are no events, if it is not paused for that any more.
    async fn go_on_with_money(&self, turn: &NewTurn) -> StoreResult<Vec<Event>>;

    /// The queued turns of a session, the next one first.
    async fn queue(&self, session: SessionId) -> StoreResult<Vec<TurnId>>;

    /// The next turn of each session that is ready, has one waiting, and is `home`'s to look after; oldest first.
    async fn waiting(&self, home: ServerId) -> StoreResult<Vec<WaitingTurn>>;
}

/// The journal of each session.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Records all entries, in order, and answers with their events.
    async fn record(
        &self,
        session: SessionId,
        by: Generation,
        turn: Option<TurnId>,
        entries: Vec<Entry>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>>;

    /// At most `limit` events after `seq`, oldest first; fewer where they are large, and none only where none are left.
    async fn read_after(&self, session: SessionId, seq: u64, limit: u32) -> StoreResult<Vec<Event>>;
}

/// What was said and done, as people read it.
#[async_trait]
pub trait History: Send + Sync {
    /// A session's messages, oldest first.
    async fn messages(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<Message>>;

    /// The newest messages of the main conversation up to this number, newest first, at most `limit`.
    async fn entries_before(
        &self,
        session: SessionId,
        at_message: u64,
        limit: u32,
    ) -> StoreResult<Vec<MessageEntry>>;

    /// A session's tool calls, oldest first.
    async fn tool_calls(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<ToolCall>>;

    /// The tool calls of one turn, oldest first, at most `limit`.
    async fn turn_tool_calls(&self, turn: TurnId, limit: u32) -> StoreResult<Vec<ToolCall>>;
}

/// What was spent, request by request; [`Budgets::settle`] books them.
#[async_trait]
pub trait Ledger: Send + Sync {
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

    /// All users, those that are nobody's any more too; newest first.
    async fn users(&self, page: &PageRequest) -> StoreResult<Page<User>>;

    /// Changes a user. One who is not active any more has no logins from then on; the last admin who is active stays one.
    async fn patch_user(
        &self,
        id: UserId,
        patch: &UserPatch,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<UserPatched>;

    /// Counts an attempt to log in and lets it go on, or answers how long it has to wait and counts nothing.
    async fn admit_login(&self, attempt: &LoginAttempt) -> StoreResult<SignedDuration>;

    /// Notes that an attempt that was admitted succeeded.
    async fn login_succeeded(&self, attempt: &LoginAttempt) -> StoreResult<()>;

    /// Forgets attempts that nothing is needed of any more; answers with how many tallies went.
    async fn forget_login_attempts(&self, now: Timestamp) -> StoreResult<u64>;

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

    /// Forgets refresh tokens that expired before then, used or not, at most `limit`; answers with how many went.
    async fn forget_refresh_tokens(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;

    /// Ends one login.
    async fn revoke_login(&self, family: FamilyId, at: Timestamp, origin: &Origin) -> StoreResult<()>;

    /// Ends all logins of a user.
    async fn revoke_logins(&self, user: UserId, at: Timestamp, origin: &Origin) -> StoreResult<()>;

    /// Makes a user nobody: no name, address or password, no logins, keys or hooks. The row stays for what refers to it:
    /// what they cost, and what they did. Doing it twice changes nothing; the last admin who is active stays one.
    async fn erase_user(
        &self,
        user: UserId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<UserErased>;

    /// Stores an API key; false if its owner has `owned_max` already, however many are stored at once.
    async fn create_api_key(&self, key: &ApiKey, owned_max: u32, origin: &Origin) -> StoreResult<bool>;

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

    /// Writes to the row of this server and reads it, which fails where a store answers and cannot be written to any more
    /// (a full disk, a replica). [`StoreError::Inconsistent`] if the server has no row, because it never had a lease.
    async fn write_and_read(&self, server: ServerId) -> StoreResult<()>;
}
