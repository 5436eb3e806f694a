//! Approvals: questions to people, which outlive the process that asked.

use super::StoreResult;
use crate::{
    Approval, ApprovalDecision, ApprovalId, ApprovalStatus, Event, Generation, Origin, Page, PageRequest,
    Scope, SessionId, TurnId, turn::NewTurn,
};
use async_trait::async_trait;
use jiff::Timestamp;

/// Approvals and what they do to their sessions.
#[async_trait]
pub trait Approvals: Send + Sync {
    /// Stores a pending approval and journals `approval_requested`; a session that is `processing` becomes
    /// `waiting_user`. `None` if the turn does not run any more.
    async fn open(&self, approval: &Approval, by: Generation) -> StoreResult<Option<Vec<Event>>>;

    /// Decides a pending approval ([`Approval::decide`]) and journals `approval_decided`; a session that is
    /// `waiting_user` and has no other pending approval in its turn becomes `processing`. Of several decisions the
    /// first one stands. `None` if there is no such approval.
    ///
    /// `origin` is who answers, or the server.
    async fn decide(
        &self,
        id: ApprovalId,
        decision: &ApprovalDecision,
        origin: &Origin,
    ) -> StoreResult<Option<Decided>>;

    /// One approval of a session.
    async fn get(&self, session: SessionId, id: ApprovalId) -> StoreResult<Option<Approval>>;

    /// A session's approvals, newest first.
    async fn list(
        &self,
        session: SessionId,
        status: Option<ApprovalStatus>,
        page: &PageRequest,
    ) -> StoreResult<Page<Approval>>;

    /// The pending approvals inside the scope, newest first.
    async fn pending(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<Approval>>;

    /// Pending approvals whose time is up, at most `limit`.
    async fn due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<Approval>>;

    /// Notes that an agent learns of the decision now; false if that was settled before, or the session was taken over.
    async fn deliver(&self, id: ApprovalId, by: Generation, at: Timestamp) -> StoreResult<bool>;

    /// Decisions with which a session that runs nothing can go on by itself, oldest first, at most `limit`: no agent has
    /// learned of them, the turn that asked is over, and they are a yes, or the session works in the background.
    async fn to_go_on(&self, limit: u32) -> StoreResult<Vec<Approval>>;

    /// Hands the session's untold decisions to this turn, oldest first.
    async fn tell(
        &self,
        session: SessionId,
        by: Generation,
        turn: TurnId,
        at: Timestamp,
    ) -> StoreResult<Vec<Approval>>;

    /// Queues a turn that carries this decision to the agent. `None`, and no turn, if the decision was told meanwhile.
    async fn go_on(&self, id: ApprovalId, turn: &NewTurn) -> StoreResult<Option<Event>>;

    /// What lets further calls of the session run: approvals a person remembered, and those told in this turn whose
    /// call was not repeated yet.
    async fn standing(&self, session: SessionId, turn: TurnId) -> StoreResult<Vec<Approval>>;

    /// Uses up an approval that was told in a later turn; false if it was used before, or the session was taken over.
    async fn use_up(&self, id: ApprovalId, by: Generation, at: Timestamp) -> StoreResult<bool>;
}

/// What came of deciding.
#[derive(Debug, Clone, PartialEq)]
pub enum Decided {
    /// This decision stands; or the approval expired just now, because a person was too late.
    Now(Box<Approval>, Vec<Event>),
    /// As it was before: an earlier decision stands, or its time is not up yet.
    Stands(Box<Approval>),
}

impl Decided {
    /// The approval as it is now.
    #[must_use]
    pub fn approval(&self) -> &Approval {
        match self {
            Self::Now(approval, _) | Self::Stands(approval) => approval,
        }
    }
}
