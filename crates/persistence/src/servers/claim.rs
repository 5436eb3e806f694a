//! Which server may run a session: read with the lock on its row, decided here, written by whoever locked it.

use super::C;
use crate::{
    Store,
    entity::session,
    recording::{Locked, LockedRow, locked_columns},
    unit::{Answers, Batch, FromRow, Row, Rows, Shape},
    value::{Reader, stored},
};
use domain::{
    Generation, ServerId, SessionId, SessionStatus, TurnId,
    ports::{Standing, StoreError, StoreResult},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, DbErr, DerivePartialModel, prelude::Uuid, sea_query::Expr};

/// A locked session, its home, and whether that lives.
#[derive(Debug)]
pub(crate) struct ClaimableRow {
    locked: LockedRow,
    server_id: Option<Uuid>,
    home_lives: bool,
}

/// A locked session that a server may make its own.
#[derive(Debug)]
pub(crate) struct Claimable {
    pub(crate) locked: Locked,
    home: Option<ServerId>,
    home_lives: bool,
}

/// The home of a session from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    home: ServerId,
    pub(crate) generation: Generation,
}

impl FromRow for ClaimableRow {
    fn from_row(row: &Row) -> Result<Self, DbErr> {
        let locked = LockedRow::from_row(row)?;
        Ok(Self { locked, server_id: row.get("server_id")?, home_lives: row.get("home_lives")? })
    }
}

impl Store {
    /// Locks the session's row, if it is there, for a server that wants to run it.
    pub(crate) fn lock_for(&self, reads: &mut Batch, id: SessionId) -> Rows<ClaimableRow> {
        let row = || {
            let mut row = locked_columns(C::Id.eq(id.0));
            row.column((session::Entity, C::ServerId));
            row.expr_as(Expr::exists(self.living_home()), "home_lives").take()
        };
        reads.select_known(Shape::named("a session to claim"), [1.into(), id.0.into()], row)
    }
}

/// The session that was locked, if it was there.
pub(crate) fn claimable(
    answers: &mut Answers,
    session: Rows<ClaimableRow>,
) -> StoreResult<Option<Claimable>> {
    let Some(row) = answers.first(session)? else { return Ok(None) };
    let home = row.server_id.map(ServerId);
    Ok(Some(Claimable { locked: row.locked.read()?, home, home_lives: row.home_lives }))
}

impl Claimable {
    /// For a turn that is to begin: a session that stays where it is, or had no home, keeps its generation. `None` while
    /// another server is its home and lives.
    pub(crate) fn claim(&self, home: ServerId) -> Option<Claim> {
        match self.home {
            Some(present) if present != home => self.take(home),
            _ => Some(self.move_to(home)),
        }
    }

    /// Of a session that its home has nothing of any more, whether that lives or not.
    pub(crate) fn move_to(&self, home: ServerId) -> Claim {
        let moves = self.home.is_some_and(|present| present != home);
        let generation = self.locked.generation;
        Claim { home, generation: if moves { generation.next() } else { generation } }
    }

    /// From whoever ran it before, also if that was the same server in an earlier life.
    pub(crate) fn take(&self, home: ServerId) -> Option<Claim> {
        let is_elsewhere = self.home_lives && self.home != Some(home);
        (!is_elsewhere).then(|| Claim { home, generation: self.locked.generation.next() })
    }
}

impl Claim {
    /// Adds itself to what is written to the session's row.
    pub(crate) fn mark(self, changes: session::ActiveModel) -> session::ActiveModel {
        session::ActiveModel {
            server_id: Set(Some(self.home.0)),
            generation: Set(stored(self.generation.0)),
            ..changes
        }
    }
}

/// The columns that say how a session stands.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "session::Entity")]
pub(super) struct StandingRow {
    id: Uuid,
    status: String,
    server_id: Option<Uuid>,
    generation: i64,
    current_turn_id: Option<Uuid>,
    stop_requested: Option<Uuid>,
}

impl TryFrom<StandingRow> for Standing {
    type Error = StoreError;
    fn try_from(row: StandingRow) -> StoreResult<Self> {
        let reader = Reader("sessions");
        Ok(Self {
            session_id: SessionId(row.id),
            status: reader.word("status", SessionStatus::parse, &row.status)?,
            home: row.server_id.map(ServerId),
            generation: Generation(reader.figure("generation", row.generation)?),
            current_turn_id: row.current_turn_id.map(TurnId),
            stop_requested: row.stop_requested.map(TurnId),
        })
    }
}
