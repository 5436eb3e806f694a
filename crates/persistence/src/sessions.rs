//! Sessions by themselves.

use crate::{
    Store, audit,
    entity::{
        session::{self, Column as C, search_text},
        session_count,
    },
    error::failure,
    fork,
    page::{Counting, List, ListName, read_page, try_map},
    purge,
    recording::{Recording, lock, locked},
    templates,
    unit::{Answers, Batch, Rows},
    value::{Reader, micros, to_json},
};
use async_trait::async_trait;
use domain::{
    AuditEvent, EventKind, Expected, Generation, Origin, Page, PageRequest, Scope, Session, SessionId,
    SessionStatus,
    audit::events,
    fork::{NewFork, Relative},
    journal::data,
    ports::{Moved, Purged, Sessions, StoreResult},
    session::{SessionFilter, SessionPatch, SessionSort},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, ExprTrait, LikeExpr, LockType, Query, SimpleExpr},
};

#[async_trait]
impl Sessions for Store {
    async fn create(&self, session: &Session, origin: &Origin) -> StoreResult<()> {
        let row = session::Model::new(session)?;
        let insert = session::Entity::insert::<session::ActiveModel>(row.into());
        let write = |writes: &mut Batch| {
            writes.run(insert);
            if let Some(template) = session.template_id {
                templates::count_use(writes, template);
            }
        };
        self.write_audited(write, events::session_created(session, origin)).await
    }

    async fn fork(&self, fork: &NewFork, origin: &Origin) -> StoreResult<()> {
        fork::fork(self, fork, origin).await
    }

    async fn family(&self, scope: Scope, id: SessionId, limit: u32) -> StoreResult<Vec<Relative>> {
        fork::family(self, scope, id, limit).await
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
        let unfiltered = SessionFilter { sort: filter.sort, ..SessionFilter::default() };
        let counting =
            if *filter == unfiltered { Counting::Known(self.count(scope).await?) } else { Counting::Bounded };
        try_map(read_page(&self.read, rows, &list(filter.sort), counting, page).await?, Session::try_from)
    }

    async fn patch(
        &self,
        scope: Scope,
        id: SessionId,
        patch: &SessionPatch,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<Session>> {
        let mut reads = self.batch();
        let row = reads.select(inside(scope, session::Entity::find_by_id(id.0)).lock(LockType::NoKeyUpdate));
        let head = audit::lock_head(&mut reads);
        let (mut read, unit) = self.open(reads).await?;
        let Some(row) = read.first(row)? else { return Ok(None) };
        let session = Session::try_from(row)?;
        expected.admit(&session)?;
        let patched = patch.apply(session, at);
        let changes = session::ActiveModel {
            search_text: Set(search_text(patched.name.as_deref(), patched.description.as_deref())),
            name: Set(patched.name.clone()),
            description: Set(patched.description.clone()),
            metadata: Set(patched.metadata.clone()),
            spec: Set(to_json(&patched.spec)?),
            updated_at: Set(micros(at)),
            ..Default::default()
        };
        let mut writes = self.batch();
        writes.run(session::Entity::update_many().set(changes).filter(C::Id.eq(id.0)));
        let head = audit::head(&mut read, head)?;
        self.chain(&mut writes, head, [events::session_changed(id, patch, origin, at)])?;
        unit.commit(writes).await?;
        Ok(Some(patched))
    }

    async fn move_to(
        &self,
        id: SessionId,
        by: Generation,
        to: SessionStatus,
        at: Timestamp,
    ) -> StoreResult<Moved> {
        move_to(self, id, Some(by), &SessionStatus::predecessors(to), &Expected::ANY, to, at, None).await
    }

    async fn pause(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Moved> {
        let (to, event) = (SessionStatus::Paused, events::session_paused(id, origin, at));
        move_to(self, id, None, &SessionStatus::predecessors(to), &Expected::ANY, to, at, Some(event)).await
    }

    async fn resume(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Moved> {
        let event = events::session_resumed(id, origin, at);
        let to = SessionStatus::Active;
        move_to(self, id, None, &SessionStatus::RESUMABLE, &Expected::ANY, to, at, Some(event)).await
    }

    async fn terminate(
        &self,
        id: SessionId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Moved> {
        let (to, event) = (SessionStatus::Terminated, events::session_terminated(id, origin, at));
        move_to(self, id, None, &SessionStatus::predecessors(to), expected, to, at, Some(event)).await
    }

    async fn purge(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Purged> {
        purge::session(self, id, at, origin).await
    }
}

impl Store {
    /// How many sessions there are inside the scope, as the database keeps it.
    async fn count(&self, scope: Scope) -> StoreResult<u64> {
        use session_count::Column as K;
        let counts = session_count::Entity::find().select_only().column(K::Sessions);
        let counts = match scope {
            Scope::All => counts,
            Scope::Owner(user) => counts.filter(K::UserId.eq(user.0)),
        };
        let counts: Vec<i64> = counts.into_tuple().all(&self.read).await.map_err(failure)?;
        Ok(counts.into_iter().map(i64::unsigned_abs).sum())
    }
}

/// That the session which this column names is such a one.
///
/// It asks for that one row. `IN (SELECT id …)` would have SQLite list every such session first, on each row's behalf.
pub(crate) fn of_session(column: impl ColumnTrait, is_such: impl Into<Condition>) -> SimpleExpr {
    let is_its = Expr::col((session::Entity, C::Id)).equals(column.as_column_ref());
    let its = Query::select()
        .expr(Expr::val(1))
        .from(session::Entity)
        .and_where(is_its)
        .cond_where(is_such.into())
        .take();
    Expr::exists(its)
}

#[expect(
    clippy::too_many_arguments,
    reason = "one unit of work behind five methods, each with its own part of it"
)]
async fn move_to(
    store: &Store,
    id: SessionId,
    by: Option<Generation>,
    from: &[SessionStatus],
    expected: &Expected,
    to: SessionStatus,
    at: Timestamp,
    audited: Option<AuditEvent>,
) -> StoreResult<Moved> {
    let mut reads = store.batch();
    let session = lock(&mut reads, id);
    // What is expected concerns the whole of it; else its state is enough.
    let whole = (*expected != Expected::ANY).then(|| reads.select(session::Entity::find_by_id(id.0)));
    let audited = audited.map(|event| (audit::lock_head(&mut reads), event));
    let (mut read, unit) = store.open(reads).await?;
    let Some(locked) = locked(&mut read, session)? else { return Ok(Moved::NoSession) };
    by.map_or(Ok(()), |by| locked.admit(by))?;
    if let Some(row) = whole.map(|row| read.first(row)).transpose()?.flatten() {
        expected.admit(&Session::try_from(row)?)?;
    }
    if let Some(operation) = locked.operation {
        return Ok(Moved::Held(operation));
    }
    if !from.contains(&locked.status) {
        return Ok(Moved::Refused(locked.status));
    }
    let mut recording = Recording::new(&locked, None, at)?;
    recording.data(EventKind::StatusChange, data::status_change(locked.status, to));
    let mut writes = store.batch();
    let (update, mut events) = recording.write(&mut writes, entered(to, at));
    let session = update.returning(&mut writes);
    if let Some((head, event)) = audited {
        let head = audit::head(&mut read, head)?;
        store.chain(&mut writes, head, [event])?;
    }
    let session = updated(unit.commit(writes).await?, session)?;
    match events.pop() {
        Some(event) => Ok(Moved::Moved(Box::new(session), event)),
        None => Ok(Moved::Refused(to)),
    }
}

/// What changes when a session enters a state.
pub(crate) fn entered(status: SessionStatus, at: Timestamp) -> session::ActiveModel {
    let mut changes = session::ActiveModel {
        status: Set(status.as_str().to_owned()),
        // Only a turn that ends for want of money says otherwise.
        budget_paused_at: Set(None),
        ..Default::default()
    };
    if status.completes() {
        changes.completed_at = Set(Some(micros(at)));
    } else if status == SessionStatus::Active {
        // Taken up again: it is not over any more.
        changes.completed_at = Set(None);
    }
    changes
}

/// The session as an update of its row left it.
pub(crate) fn updated(mut answers: Answers, session: Rows<session::Model>) -> StoreResult<Session> {
    answers.first(session)?.ok_or(Reader("sessions").inconsistent("id"))?.try_into()
}

pub(crate) fn inside(scope: Scope, rows: Select<session::Entity>) -> Select<session::Entity> {
    match scope {
        Scope::All => rows,
        Scope::Owner(user) => rows.filter(C::UserId.eq(user.0)),
    }
}

fn filtered(rows: Select<session::Entity>, filter: &SessionFilter) -> Select<session::Entity> {
    rows.apply_if(filter.status, |rows, status| rows.filter(C::Status.eq(status.as_str())))
        .apply_if(filter.mode, |rows, mode| rows.filter(C::Mode.eq(mode.as_str())))
        .apply_if(filter.parent_session_id, |rows, id| rows.filter(C::ParentSessionId.eq(id.0)))
        .apply_if(filter.template_id, |rows, id| rows.filter(C::TemplateId.eq(id.0)))
        .apply_if(filter.created_after, |rows, at| rows.filter(C::CreatedAt.gt(micros(at))))
        .apply_if(filter.created_before, |rows, at| rows.filter(C::CreatedAt.lt(micros(at))))
        .apply_if(filter.q.as_deref(), |rows, q| rows.filter(C::SearchText.like(containing(q))))
}

/// A pattern for texts that contain `q` as it stands, whatever wildcards are in it.
pub(crate) fn containing(q: &str) -> LikeExpr {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Database, DatabaseOptions,
        entity::{approval, archive, turn},
    };
    use domain::ServerId;
    use sea_orm::{ConnectionTrait, Statement};

    #[tokio::test]
    async fn what_holds_for_a_session_is_asked_of_that_one_row() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/steward.db", folder.path().display());
        let store = Database::open(&DatabaseOptions::new(url), migration::up).await.unwrap().store();
        let backend = store.read.get_database_backend();
        let ours = || store.looked_after_by(ServerId::new());
        let now = Expr::value(7);
        let statements = [
            archive::Entity::update_many()
                .col_expr(archive::Column::UpdatedAt, now)
                .filter(archive::Column::Id.eq(SessionId::new().0))
                .filter(of_session(archive::Column::SessionId, ours()))
                .build(backend),
            approval::Entity::find().filter(of_session(approval::Column::SessionId, ours())).build(backend),
            turn::Entity::find().filter(of_session(turn::Column::SessionId, ours())).build(backend),
        ];
        for Statement { sql, values, .. } in statements {
            let explain = format!("EXPLAIN QUERY PLAN {sql}");
            let explain = Statement { sql: explain, values, db_backend: backend };
            let plan = store.read.query_all_raw(explain).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
            assert!(plan.iter().any(|step| step.starts_with("SEARCH sessions ")), "{sql}: {plan:?}");
            assert!(!plan.iter().any(|step| step.starts_with("SCAN sessions")), "{sql}: {plan:?}");
        }
    }
}
