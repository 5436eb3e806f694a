//! Approvals: the port, and what only reads them.

mod decide;
mod tell;

use crate::{
    Store,
    entity::{
        approval::{self, Column as C},
        session,
    },
    error::failure,
    literal::Literal,
    page::{Counting, List, ListName, read_page, try_map},
    sessions::of_session,
    value::micros,
};
use async_trait::async_trait;
use domain::{
    Approval, ApprovalDecision, ApprovalId, ApprovalStatus, Event, Generation, Origin, Page, PageRequest,
    Scope, SessionId, SessionMode, SessionStatus, TurnId, Verdict,
    ports::{Approvals, Decided, StoreResult},
    turn::NewTurn,
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};

#[async_trait]
impl Approvals for Store {
    async fn open(&self, approval: &Approval, by: Generation) -> StoreResult<Option<Vec<Event>>> {
        decide::open(self, approval, by).await
    }

    async fn decide(
        &self,
        id: ApprovalId,
        decision: &ApprovalDecision,
        origin: &Origin,
    ) -> StoreResult<Option<Decided>> {
        decide::decide(self, id, decision, origin).await
    }

    async fn get(&self, session: SessionId, id: ApprovalId) -> StoreResult<Option<Approval>> {
        let row = approval::Entity::find_by_id(id.0).filter(C::SessionId.eq(session.0));
        row.one(&self.read).await.map_err(failure)?.map(Approval::try_from).transpose()
    }

    async fn list(
        &self,
        session: SessionId,
        status: Option<ApprovalStatus>,
        page: &PageRequest,
    ) -> StoreResult<Page<Approval>> {
        let rows = approval::Entity::find()
            .filter(C::SessionId.eq(session.0))
            .apply_if(status, |rows, status| rows.filter(C::Status.eq_literal(status.as_str())));
        let page =
            read_page(&self.read, rows, &newest_first(ListName::Approvals), Counting::Bounded, page).await?;
        try_map(page, Approval::try_from)
    }

    async fn pending(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<Approval>> {
        let rows = match scope {
            Scope::All => pending(),
            Scope::Owner(user) => pending().filter(C::UserId.eq(user.0)),
        };
        let page =
            read_page(&self.read, rows, &newest_first(ListName::PendingApprovals), Counting::Bounded, page)
                .await?;
        try_map(page, Approval::try_from)
    }

    async fn due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<Approval>> {
        let rows = pending().filter(C::ExpiresAt.lte(micros(now))).order_by_asc(C::ExpiresAt);
        self.approvals(rows.limit(u64::from(limit))).await
    }

    async fn deliver(&self, id: ApprovalId, by: Generation, at: Timestamp) -> StoreResult<bool> {
        tell::deliver(self, id, by, at).await
    }

    async fn to_go_on(&self, limit: u32) -> StoreResult<Vec<Approval>> {
        let ready = SessionStatus::READY.map(SessionStatus::as_str);
        let is_idle = Condition::all()
            .add(session::Column::Status.is_in(ready))
            .add(session::Column::CurrentTurnId.is_null())
            .add(session::Column::Operation.is_null());
        let is_background = session::Column::Mode.eq(SessionMode::Background.as_str());
        let expired_to_yes = Condition::all()
            .add(C::Status.eq(ApprovalStatus::Expired.as_str()))
            .add(C::DefaultVerdict.eq(Verdict::Allow.as_str()));
        let goes_on = Condition::any()
            .add(C::Status.eq(ApprovalStatus::Allowed.as_str()))
            .add(expired_to_yes)
            .add(of_session(C::SessionId, is_background));
        let rows = untold().filter(of_session(C::SessionId, is_idle)).filter(goes_on);
        self.approvals(oldest_first(rows).limit(u64::from(limit))).await
    }

    async fn tell(
        &self,
        session: SessionId,
        by: Generation,
        turn: TurnId,
        at: Timestamp,
    ) -> StoreResult<Vec<Approval>> {
        tell::tell(self, session, by, turn, at).await
    }

    async fn go_on(&self, id: ApprovalId, turn: &NewTurn) -> StoreResult<Option<Event>> {
        tell::go_on(self, id, turn).await
    }

    async fn standing(&self, session: SessionId, turn: TurnId) -> StoreResult<Vec<Approval>> {
        let remembered =
            Condition::all().add(C::Status.eq(ApprovalStatus::Allowed.as_str())).add(C::Remember.eq(true));
        let told = Condition::all().add(C::ToldIn.eq(turn.0)).add(C::UsedAt.is_null());
        let rows = approval::Entity::find()
            .filter(C::SessionId.eq(session.0))
            .filter(Condition::any().add(remembered).add(told));
        self.approvals(oldest_first(rows)).await
    }

    async fn use_up(&self, id: ApprovalId, by: Generation, at: Timestamp) -> StoreResult<bool> {
        tell::use_up(self, id, by, at).await
    }
}

impl Store {
    async fn approvals(&self, rows: Select<approval::Entity>) -> StoreResult<Vec<Approval>> {
        rows.all(&self.read).await.map_err(failure)?.into_iter().map(Approval::try_from).collect()
    }
}

fn pending() -> Select<approval::Entity> {
    approval::Entity::find().filter(C::Status.eq_literal(ApprovalStatus::Pending.as_str()))
}

/// Decided, and no agent knows.
fn untold() -> Select<approval::Entity> {
    let decided = C::Status.ne(ApprovalStatus::Pending.as_str());
    approval::Entity::find().filter(C::DeliveredAt.is_null()).filter(decided)
}

fn oldest_first(rows: Select<approval::Entity>) -> Select<approval::Entity> {
    rows.order_by_asc(C::CreatedAt).order_by_asc(C::Id)
}

fn newest_first(name: ListName) -> List<approval::Entity> {
    List {
        name,
        key: C::CreatedAt,
        id: C::Id,
        order: Order::Desc,
        position: |row: &approval::Model| (row.created_at, row.id),
    }
}
