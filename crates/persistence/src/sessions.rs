//! Sessions by themselves.

use crate::{
    Store,
    entity::session::{self, Column as C, search_text},
    error::failure,
    page::{List, ListName, read_page, try_map},
    recording::{Recording, lock},
    value::{micros, to_json},
};
use async_trait::async_trait;
use domain::{
    AuditEvent, EventKind, Origin, Page, PageRequest, Scope, Session, SessionId, SessionStatus,
    audit::events,
    journal::data,
    ports::{Moved, Sessions, StoreResult},
    session::{SessionFilter, SessionPatch, SessionSort},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, Order, QueryFilter, QuerySelect, QueryTrait, Select,
    UpdateMany, sea_query::LikeExpr,
};

#[async_trait]
impl Sessions for Store {
    async fn create(&self, session: &Session, origin: &Origin) -> StoreResult<()> {
        let row = session::Model::new(session)?;
        let txn = self.begin_writing().await?;
        let insert = session::Entity::insert::<session::ActiveModel>(row.into());
        insert.exec_without_returning(&txn).await.map_err(failure)?;
        self.append_audit(&txn, [events::session_created(session, origin)]).await?;
        txn.commit().await.map_err(failure)
    }

    async fn get(&self, scope: Scope, id: SessionId) -> StoreResult<Option<Session>> {
        let row = inside(scope, session::Entity::find_by_id(id.0)).one(&self.read).await.map_err(failure)?;
        row.map(Session::try_from).transpose()
    }

    async fn list(
        &self,
        scope: Scope,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<Session>> {
        let rows = filtered(inside(scope, session::Entity::find()), filter);
        try_map(read_page(&self.read, rows, &list(filter.sort), page).await?, Session::try_from)
    }

    async fn patch(
        &self,
        scope: Scope,
        id: SessionId,
        patch: &SessionPatch,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<Session>> {
        let txn = self.begin_writing().await?;
        let found = inside(scope, session::Entity::find_by_id(id.0)).lock_exclusive();
        let Some(row) = found.one(&txn).await.map_err(failure)? else { return Ok(None) };
        let patched = patch.apply(row.try_into()?, at);
        let changes = session::ActiveModel {
            search_text: Set(search_text(patched.name.as_deref(), patched.description.as_deref())),
            name: Set(patched.name.clone()),
            description: Set(patched.description.clone()),
            metadata: Set(patched.metadata.clone()),
            spec: Set(to_json(&patched.spec)?),
            updated_at: Set(micros(at)),
            ..Default::default()
        };
        let update = session::Entity::update_many().set(changes).filter(C::Id.eq(id.0));
        update.exec(&txn).await.map_err(failure)?;
        self.append_audit(&txn, [events::session_changed(id, patch, origin, at)]).await?;
        txn.commit().await.map_err(failure)?;
        Ok(Some(patched))
    }

    async fn move_to(&self, id: SessionId, to: SessionStatus, at: Timestamp) -> StoreResult<Moved> {
        move_to(self, id, to, at, None).await
    }

    async fn terminate(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Moved> {
        let event = events::session_terminated(id, origin, at);
        move_to(self, id, SessionStatus::Terminated, at, Some(event)).await
    }
}

async fn move_to(
    store: &Store,
    id: SessionId,
    to: SessionStatus,
    at: Timestamp,
    audited: Option<AuditEvent>,
) -> StoreResult<Moved> {
    let txn = store.begin_writing().await?;
    let Some(locked) = lock(&txn, id).await? else { return Ok(Moved::NoSession) };
    if !locked.status.successors().contains(&to) {
        return Ok(Moved::Refused(locked.status));
    }
    let mut recording = Recording::new(&locked, None, at)?;
    recording.data(EventKind::StatusChange, data::status_change(locked.status, to));
    let (update, mut events) = recording.write(&txn, entered(to, at)).await?;
    let session = updated(update, &txn).await?;
    if let Some(event) = audited {
        store.append_audit(&txn, [event]).await?;
    }
    txn.commit().await.map_err(failure)?;
    match events.pop() {
        Some(event) => Ok(Moved::Moved(Box::new(session), event)),
        None => Ok(Moved::Refused(to)),
    }
}

/// What changes when a session enters a state.
pub(crate) fn entered(status: SessionStatus, at: Timestamp) -> session::ActiveModel {
    let mut changes = session::ActiveModel { status: Set(status.as_str().to_owned()), ..Default::default() };
    if status.completes() {
        changes.completed_at = Set(Some(micros(at)));
    } else if status == SessionStatus::Active {
        // Taken up again: it is not over any more.
        changes.completed_at = Set(None);
    }
    changes
}

/// Runs the update of one session's row and answers with the session as it is now.
pub(crate) async fn updated(
    update: UpdateMany<session::Entity>,
    txn: &sea_orm::DatabaseTransaction,
) -> StoreResult<Session> {
    let mut rows = update.exec_with_returning(txn).await.map_err(failure)?;
    rows.pop().ok_or(crate::value::Reader("sessions").inconsistent("id"))?.try_into()
}

fn inside(scope: Scope, rows: Select<session::Entity>) -> Select<session::Entity> {
    match scope {
        Scope::All => rows,
        Scope::Owner(user) => rows.filter(C::UserId.eq(user.0)),
    }
}

fn filtered(rows: Select<session::Entity>, filter: &SessionFilter) -> Select<session::Entity> {
    rows.apply_if(filter.status, |rows, status| rows.filter(C::Status.eq(status.as_str())))
        .apply_if(filter.mode, |rows, mode| rows.filter(C::Mode.eq(mode.as_str())))
        .apply_if(filter.parent_session_id, |rows, id| rows.filter(C::ParentSessionId.eq(id.0)))
        .apply_if(filter.created_after, |rows, at| rows.filter(C::CreatedAt.gt(micros(at))))
        .apply_if(filter.created_before, |rows, at| rows.filter(C::CreatedAt.lt(micros(at))))
        .apply_if(filter.q.as_deref(), |rows, q| rows.filter(C::SearchText.like(containing(q))))
}

/// A pattern for texts that contain `q` as it stands, whatever wildcards are in it.
fn containing(q: &str) -> LikeExpr {
    pattern("%", &q.to_lowercase())
}

/// A pattern for texts that begin with `prefix` as it stands.
pub(crate) fn starting_with(prefix: &str) -> LikeExpr {
    pattern("", prefix)
}

fn pattern(before: &str, q: &str) -> LikeExpr {
    let mut pattern = String::with_capacity(q.len() + 2);
    pattern.push_str(before);
    for c in q.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    LikeExpr::new(pattern).escape('\\')
}

fn list(sort: SessionSort) -> List<session::Entity> {
    let created = |row: &session::Model| (row.created_at, row.id);
    let changed = |row: &session::Model| (row.updated_at, row.id);
    let (name, key, order, position): (_, _, _, fn(&session::Model) -> _) = match sort {
        SessionSort::CreatedDescending => {
            (ListName::SessionsByCreationDescending, C::CreatedAt, Order::Desc, created)
        }
        SessionSort::CreatedAscending => {
            (ListName::SessionsByCreationAscending, C::CreatedAt, Order::Asc, created)
        }
        SessionSort::UpdatedDescending => {
            (ListName::SessionsByChangeDescending, C::UpdatedAt, Order::Desc, changed)
        }
        SessionSort::UpdatedAscending => {
            (ListName::SessionsByChangeAscending, C::UpdatedAt, Order::Asc, changed)
        }
    };
    List { name, key, id: C::Id, order, position }
}
