//! Whose turn it could be: the next of each queue whose session runs none.

use super::all_waiting;
use crate::{
    Store,
    entity::{session, turn::Column as C},
    error::failure,
    value::Reader,
};
use domain::{
    Generation, ServerId, SessionId, SessionMode, SessionStatus, TurnId, UserId, ports::StoreResult,
    turn::WaitingTurn,
};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder, QuerySelect, RelationDef,
    prelude::Uuid,
};
use std::collections::HashSet;

pub(super) async fn next_of_each(store: &Store, home: ServerId) -> StoreResult<Vec<WaitingTurn>> {
    use session::Column as S;
    let ready = SessionStatus::READY.map(SessionStatus::as_str);
    let rows = all_waiting()
        .join(JoinType::InnerJoin, its_session())
        .filter(S::Status.is_in(ready))
        .filter(S::CurrentTurnId.is_null())
        .filter(S::Operation.is_null())
        .filter(store.looked_after_by(home))
        .select_only()
        .columns([C::Id, C::SessionId, C::CreatedAt])
        .columns([S::UserId, S::Mode, S::Generation])
        .order_by_asc(C::QueueRank)
        .order_by_asc(C::CreatedAt)
        .order_by_asc(C::Id)
        .into_model::<Row>();
    let rows = rows.all(&store.read).await.map_err(failure)?;
    let mut seen = HashSet::new();
    let heads = rows.into_iter().filter(|row| seen.insert(row.session_id));
    let mut heads = heads.map(WaitingTurn::try_from).collect::<StoreResult<Vec<_>>>()?;
    heads.sort_by_key(|turn| (turn.since, turn.id));
    Ok(heads)
}

fn its_session() -> RelationDef {
    crate::entity::turn::Entity::belongs_to(session::Entity).from(C::SessionId).to(session::Column::Id).into()
}

/// The columns of both that tell who waits.
#[derive(Debug, FromQueryResult)]
struct Row {
    id: Uuid,
    session_id: Uuid,
    created_at: i64,
    user_id: Uuid,
    mode: String,
    generation: i64,
}

impl TryFrom<Row> for WaitingTurn {
    type Error = domain::ports::StoreError;
    fn try_from(row: Row) -> StoreResult<Self> {
        Ok(Self {
            id: TurnId(row.id),
            session_id: SessionId(row.session_id),
            user_id: UserId(row.user_id),
            mode: Reader("sessions").word("mode", SessionMode::parse, &row.mode)?,
            generation: Generation(Reader("sessions").figure("generation", row.generation)?),
            since: Reader("turns").instant("created_at", row.created_at)?,
        })
    }
}
