//! How a turn ends, once.

use super::queued;
use crate::{
    Store,
    entity::{
        session, tool_call,
        turn::{self, Column as C},
    },
    error::failure,
    recording::{Recording, lock},
    sessions::entered,
    value::micros,
};
use domain::{
    Event, EventKind, SessionId, ToolCallStatus, Turn, TurnEnd, TurnFailure, TurnId, TurnStatus,
    journal::data, ports::StoreResult, turn::EndedTurn,
};
use jiff::Timestamp;
use sea_orm::{ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};

pub(super) async fn end(store: &Store, id: TurnId, end: &TurnEnd) -> StoreResult<Option<EndedTurn>> {
    let txn = store.begin_writing().await?;
    let Some(turn) = end_row(&txn, id, end).await? else { return Ok(None) };
    let Some(locked) = lock(&txn, turn.session_id).await? else { return Ok(None) };
    if end.called_tools {
        interrupt_tool_calls(&txn, id, end.at).await?;
    }

    let mut recording = Recording::new(&locked, Some(id), end.at)?;
    let changes = match locked.status.after_turn(end.session_status) {
        Some(next) => {
            recording.data(EventKind::StatusChange, data::status_change(locked.status, next));
            entered(next, end.at)
        }
        None => session::ActiveModel::default(),
    };
    recording.data(EventKind::Result, data::result(&turn));
    recording.errors = i64::from(end.counts_as_error());
    let (update, events) = recording.write(&txn, with_outcome(changes, end)).await?;
    update.exec(&txn).await.map_err(failure)?;
    txn.commit().await.map_err(failure)?;
    Ok(Some(EndedTurn { turn, events }))
}

pub(super) async fn cancel_queued(
    store: &Store,
    session: SessionId,
    at: Timestamp,
) -> StoreResult<Vec<Event>> {
    let txn = store.begin_writing().await?;
    let Some(locked) = lock(&txn, session).await? else { return Ok(Vec::new()) };
    let waiting = queued(session).all(&txn).await.map_err(failure)?;
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let changes = turn::ActiveModel {
        status: Set(TurnStatus::Interrupted.as_str().to_owned()),
        failure: Set(Some(TurnFailure::Interrupted.as_str().to_owned())),
        completed_at: Set(Some(micros(at))),
        ..Default::default()
    };
    let all = C::Id.is_in(waiting.iter().map(|row| row.id));
    turn::Entity::update_many().set(changes).filter(all).exec(&txn).await.map_err(failure)?;

    let mut recording = Recording::new(&locked, None, at)?;
    for row in waiting {
        let mut cancelled = Turn::try_from(row)?;
        cancelled.status = TurnStatus::Interrupted;
        cancelled.failure = Some(TurnFailure::Interrupted);
        cancelled.completed_at = Some(at);
        recording.turn = Some(cancelled.id);
        recording.data(EventKind::Result, data::result(&cancelled));
    }
    let (update, events) = recording.write(&txn, session::ActiveModel::default()).await?;
    update.exec(&txn).await.map_err(failure)?;
    txn.commit().await.map_err(failure)?;
    Ok(events)
}

/// Ends the turn if it is running still, and answers with it as it is now.
async fn end_row(txn: &DatabaseTransaction, id: TurnId, end: &TurnEnd) -> StoreResult<Option<Turn>> {
    let changes = turn::ActiveModel {
        status: Set(end.status.as_str().to_owned()),
        answer: Set(end.answer.clone()),
        answer_message_id: Set(end.answer_message_id.map(|id| id.0)),
        failure: Set(end.failure.map(|failure| failure.as_str().to_owned())),
        error_message: Set(end.error_message.clone()),
        rounds: Set(i64::from(end.rounds)),
        retries: Set(i64::from(end.retries)),
        completed_at: Set(Some(micros(end.at))),
        ..Default::default()
    };
    let running = C::Status.eq(TurnStatus::Running.as_str());
    let update = turn::Entity::update_many().set(changes).filter(C::Id.eq(id.0)).filter(running);
    let row = update.exec_with_returning(txn).await.map_err(failure)?.pop();
    row.map(Turn::try_from).transpose()
}

async fn interrupt_tool_calls(txn: &DatabaseTransaction, turn: TurnId, at: Timestamp) -> StoreResult<()> {
    use tool_call::Column;
    let changes = tool_call::ActiveModel {
        status: Set(ToolCallStatus::Interrupted.as_str().to_owned()),
        completed_at: Set(Some(micros(at))),
        ..Default::default()
    };
    let open = Column::Status.eq(ToolCallStatus::Running.as_str());
    let update = tool_call::Entity::update_many().set(changes).filter(Column::TurnId.eq(turn.0)).filter(open);
    update.exec(txn).await.map_err(failure).map(drop)
}

/// What the turn leaves behind on its session besides the state.
fn with_outcome(mut changes: session::ActiveModel, end: &TurnEnd) -> session::ActiveModel {
    changes.current_turn_id = Set(None);
    if let Some(agent) = end.agent {
        changes.agent_id = Set(Some(agent.id));
        changes.agent_last_entry = Set(agent.last_entry);
    }
    if end.counts_as_error() {
        changes.error_message = Set(end.error_message.clone());
    } else if end.status == TurnStatus::Completed {
        changes.error_message = Set(None);
    }
    changes
}
