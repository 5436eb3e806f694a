//! Servers: their leases by the database's clock, and the sessions that hang on them.

mod claim;

pub(crate) use claim::{Claim, claimable};

use crate::{
    Store,
    entity::{
        leftover, server,
        session::{self, Column as C},
    },
    error::failure,
    literal::Literal,
    recording::{Recording, lock, locked},
    sessions::updated,
    value::{Reader, micros, stored, to_json},
};
use async_trait::async_trait;
use domain::{
    Event, EventKind, Generation, ServerId, Session, SessionId, SessionStatus, TurnId, UserId,
    ports::{Renewed, Servers, Standing, StoreError, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait, OnConflict, Query, SelectStatement, SimpleExpr},
};
use serde_json::Value;
use std::time::Duration;

#[async_trait]
impl Servers for Store {
    async fn renew(&self, server: ServerId, lease: Duration) -> StoreResult<Renewed> {
        let mut batch = self.quick_batch();
        let held = batch.select(self.living().filter(server::Column::Id.eq(server.0)));
        let others = batch.select(self.living().filter(server::Column::Id.ne(server.0)));
        // First there, then told by the database's clock, which no inserted row can name.
        let row = server::ActiveModel { id: Set(server.0), expires_at: Set(0) };
        let known = OnConflict::column(server::Column::Id).do_nothing().to_owned();
        batch.run(server::Entity::insert(row).on_conflict(known));
        let until = self.now().add(stored(lease.as_micros()));
        let renewed = server::Entity::update_many().col_expr(server::Column::ExpiresAt, until);
        batch.run(renewed.filter(server::Column::Id.eq(server.0)));
        let mut answers = self.write_lease(batch).await?;
        let had_lapsed = answers.first(held)?.is_none();
        let others = answers.all(others)?.into_iter().map(|row| ServerId(row.id)).collect();
        Ok(Renewed { had_lapsed, others })
    }

    async fn resign(&self, server: ServerId) -> StoreResult<()> {
        let ended = server::ActiveModel { expires_at: Set(0), ..Default::default() };
        let update = server::Entity::update_many().set(ended).filter(server::Column::Id.eq(server.0));
        self.write_one(update).await.map(drop)
    }

    async fn others(&self, server: ServerId) -> StoreResult<Vec<ServerId>> {
        let rows = self.living().filter(server::Column::Id.ne(server.0));
        let rows = rows.all(&self.read).await.map_err(failure)?;
        Ok(rows.into_iter().map(|row| ServerId(row.id)).collect())
    }

    async fn take_over(
        &self,
        session: SessionId,
        home: ServerId,
        at: Timestamp,
    ) -> StoreResult<Option<Generation>> {
        let mut reads = self.batch();
        let row = self.lock_for(&mut reads, session);
        let (mut read, unit) = self.open(reads).await?;
        let Some(claim) = claimable(&mut read, row)?.and_then(|session| session.take(home)) else {
            return Ok(None);
        };
        let changes = claim.mark(session::ActiveModel { updated_at: Set(micros(at)), ..Default::default() });
        let mut writes = self.batch();
        writes.run(session::Entity::update_many().set(changes).filter(C::Id.eq(session.0)));
        unit.commit(writes).await?;
        Ok(Some(claim.generation))
    }

    async fn leave(&self, session: SessionId, by: Generation) -> StoreResult<()> {
        let changes = session::ActiveModel {
            server_id: Set(None),
            generation: Set(stored(by.next().0)),
            ..Default::default()
        };
        let update = session::Entity::update_many().set(changes).filter(C::Id.eq(session.0));
        match self.write_one(update.filter(C::Generation.eq(stored(by.0)))).await? {
            0 => Err(StoreError::Fenced),
            _ => Ok(()),
        }
    }

    async fn terminated(&self, home: ServerId, limit: u32) -> StoreResult<Vec<Session>> {
        let rows = session::Entity::find()
            .filter(C::Status.eq_literal(SessionStatus::Terminated.as_str()))
            .filter(C::ServerId.eq(home.0))
            .filter(C::CurrentTurnId.is_null())
            .order_by_asc(C::Id)
            .limit(u64::from(limit));
        rows.all(&self.read).await.map_err(failure)?.into_iter().map(Session::try_from).collect()
    }

    async fn leftovers(&self, home: ServerId, limit: u32) -> StoreResult<Vec<(SessionId, UserId)>> {
        let rows = leftover::Entity::find()
            .filter(leftover::Column::ServerId.eq(home.0))
            .order_by_asc(leftover::Column::SessionId)
            .limit(u64::from(limit));
        let rows = rows.all(&self.read).await.map_err(failure)?;
        Ok(rows.into_iter().map(|row| (SessionId(row.session_id), UserId(row.user_id))).collect())
    }

    async fn forget_leftover(&self, session: SessionId) -> StoreResult<()> {
        let delete = leftover::Entity::delete_many().filter(leftover::Column::SessionId.eq(session.0));
        self.write_one(delete).await.map(drop)
    }

    async fn relocate(
        &self,
        session: SessionId,
        by: Generation,
        working_directory: &str,
        notice: Value,
        at: Timestamp,
    ) -> StoreResult<(Session, Event)> {
        let mut reads = self.batch();
        let row = lock(&mut reads, session);
        let stored = reads.select(session::Entity::find_by_id(session.0));
        let (mut read, unit) = self.open(reads).await?;
        let gone = || StoreError::Inconsistent { table: "sessions", column: "id" };
        let locked = locked(&mut read, row)?.ok_or_else(gone)?;
        locked.admit(by)?;
        let mut moved = Session::try_from(read.first(stored)?.ok_or_else(gone)?)?;
        let home =
            moved.server_id.ok_or(StoreError::Inconsistent { table: "sessions", column: "server_id" })?;
        working_directory.clone_into(&mut moved.spec.working_directory);
        moved.spec.whereabouts.move_to(home, moved.counters.messages);
        let mut recording = Recording::new(&locked, moved.current_turn_id, at)?;
        recording.data(EventKind::Notice, notice);
        let changes = session::ActiveModel { spec: Set(to_json(&moved.spec)?), ..Default::default() };
        let mut writes = self.batch();
        let (update, mut events) = recording.write(&mut writes, changes);
        let session = update.returning(&mut writes);
        let session = updated(unit.commit(writes).await?, session)?;
        Ok((session, events.pop().ok_or(Reader("journal").inconsistent("seq"))?))
    }

    async fn request_stop(&self, session: SessionId, turn: TurnId) -> StoreResult<()> {
        let changes = session::ActiveModel { stop_requested: Set(Some(turn.0)), ..Default::default() };
        let update = session::Entity::update_many()
            .set(changes)
            .filter(C::Id.eq(session.0))
            .filter(C::CurrentTurnId.eq(turn.0));
        self.write_one(update).await.map(drop)
    }

    async fn standings(&self, sessions: &[SessionId]) -> StoreResult<Vec<Standing>> {
        let rows = session::Entity::find().filter(C::Id.is_in(sessions.iter().map(|id| id.0)));
        let rows = rows.into_partial_model::<claim::StandingRow>().all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(Standing::try_from).collect()
    }
}

impl Store {
    /// The servers whose leases last.
    pub(crate) fn living(&self) -> Select<server::Entity> {
        server::Entity::find().filter(server::Column::ExpiresAt.into_expr().gt(self.now()))
    }

    /// Sessions that no other server looks after: this one is their home, or no server that lives is.
    pub(crate) fn looked_after_by(&self, home: ServerId) -> SimpleExpr {
        C::ServerId.eq(home.0).or(Expr::exists(self.living_home()).not())
    }

    /// The lease of a session's home, if it lasts: a subquery of one on sessions.
    fn living_home(&self) -> SelectStatement {
        let is_home = Expr::col((server::Entity, server::Column::Id)).equals((session::Entity, C::ServerId));
        let lasts = Expr::col((server::Entity, server::Column::ExpiresAt)).gt(self.now());
        Query::select().expr(Expr::val(1)).from(server::Entity).and_where(is_home).and_where(lasts).take()
    }

    /// The database's present instant. On PostgreSQL that of the statement, which its rows are of too: one that had to
    /// wait for a lock must not take a lease for over that was renewed meanwhile.
    fn now(&self) -> SimpleExpr {
        Expr::cust(match self.read.get_database_backend() {
            DbBackend::Postgres => "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT)",
            _ => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        })
    }
}
