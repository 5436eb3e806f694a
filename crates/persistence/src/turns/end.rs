//! How a turn ends, once.

use super::{all_waiting, queued};
use crate::{
    Store,
    entity::{
        session, tool_call,
        turn::{self, Column as C},
    },
    recording::{Recording, lock, locked, locked_columns},
    sessions::entered,
    transcripts::Addition,
    unit::{Batch, Shape},
    value::micros,
};
use domain::{
    Event, EventKind, Generation, SessionId, SessionStatus, ToolCallStatus, Turn, TurnEnd, TurnFailure,
    TurnId, TurnStatus, journal::data, ports::StoreResult, turn::EndedTurn,
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, sea_query::LockType,
};

pub(super) async fn end(
    store: &Store,
    id: TurnId,
    by: Generation,
    end: &TurnEnd,
) -> StoreResult<Option<EndedTurn>> {
    let mut reads = store.quick_batch();
    // The turn first, as where a request is booked: writers that meet wait for each other instead of deadlocking.
    let turn = || turn::Entity::find_by_id(id.0).filter(C::Status.eq(TurnStatus::Running.as_str()));
    let values = || [id.0.into(), TurnStatus::Running.as_str().into()];
    let row = || turn().lock(LockType::NoKeyUpdate).into_query();
    let row = reads.select_known::<turn::Model, _>(Shape::named("a turn that ends"), values(), row);
    let its = || turn().select_only().column(C::SessionId).into_query();
    let session = || locked_columns(session::Column::Id.in_subquery(its()));
    let session = reads.select_known(Shape::named("the session of a turn that ends"), values(), session);
    // After the lock, behind which nobody queues any more.
    let completes = end.session_status.completes();
    let waits = || all_waiting().filter(C::SessionId.in_subquery(its())).limit(1);
    let next = completes.then(|| reads.select(waits()));
    let lines = end.last_lines.iter();
    let lines: Vec<_> = lines.map(|lines| Addition::find(&mut reads, &lines.key, &lines.entries)).collect();
    let (mut read, unit) = store.open(reads).await?;
    let Some(row) = read.first(row)? else { return Ok(None) };
    let Some(locked) = locked(&mut read, session)? else { return Ok(None) };
    locked.admit(by)?;
    let turn = ended(row.try_into()?, end);
    let somebody_waits = match next {
        Some(next) => read.first(next)?.is_some(),
        None => false,
    };
    let wanted = if somebody_waits { SessionStatus::Active } else { end.session_status };

    let mut writes = store.batch();
    writes.update(C::Id, id.0, end_row(&turn));
    if end.called_tools {
        interrupt_tool_calls(&mut writes, id, end.at);
    }
    for lines in lines {
        lines.put(&mut read, &mut writes, end.at)?;
    }
    let mut recording = Recording::new(&locked, Some(id), end.at)?;
    for message in &end.last_messages {
        recording.message(message.clone());
    }
    let changes = match locked.status.after_turn(wanted) {
        Some(next) => {
            recording.data(EventKind::StatusChange, data::status_change(locked.status, next));
            let mut changes = entered(next, end.at);
            if next == SessionStatus::Paused {
                changes.budget_paused_at = Set(Some(micros(end.at)));
            }
            changes
        }
        None => session::ActiveModel::default(),
    };
    recording.data(EventKind::Result, data::result(&turn));
    recording.errors = i64::from(end.counts_as_error());
    let (update, events) = recording.write(&mut writes, with_outcome(changes, end));
    update.run(&mut writes);
    unit.commit(writes).await?;
    Ok(Some(EndedTurn { turn, events }))
}

pub(super) async fn cancel_queued(
    store: &Store,
    session: SessionId,
    turn: Option<TurnId>,
    at: Timestamp,
) -> StoreResult<Vec<Event>> {
    let mut reads = store.batch();
    let session_row = lock(&mut reads, session);
    let waiting = reads.select(queued(session).apply_if(turn, |rows, turn| rows.filter(C::Id.eq(turn.0))));
    let (mut read, unit) = store.open(reads).await?;
    let Some(locked) = locked(&mut read, session_row)? else { return Ok(Vec::new()) };
    let waiting = read.all(waiting)?;
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
    let mut writes = store.batch();
    writes.run(turn::Entity::update_many().set(changes).filter(all));

    let mut recording = Recording::new(&locked, None, at)?;
    for row in waiting {
        let mut cancelled = Turn::try_from(row)?;
        cancelled.status = TurnStatus::Interrupted;
        cancelled.failure = Some(TurnFailure::Interrupted);
        cancelled.completed_at = Some(at);
        recording.turn = Some(cancelled.id);
        recording.data(EventKind::Result, data::result(&cancelled));
    }
    let (update, events) = recording.write(&mut writes, session::ActiveModel::default());
    update.run(&mut writes);
    unit.commit(writes).await?;
    Ok(events)
}

/// The turn as it is once it is over.
fn ended(turn: Turn, end: &TurnEnd) -> Turn {
    Turn {
        status: end.status,
        answer: end.answer.clone(),
        answer_message_id: end.answer_message_id,
        failure: end.failure,
        error_message: end.error_message.clone(),
        rounds: end.rounds,
        retries: end.retries,
        completed_at: Some(end.at),
        ..turn
    }
}

fn end_row(turn: &Turn) -> turn::ActiveModel {
    turn::ActiveModel {
        status: Set(turn.status.as_str().to_owned()),
        answer: Set(turn.answer.clone()),
        answer_message_id: Set(turn.answer_message_id.map(|id| id.0)),
        failure: Set(turn.failure.map(|failure| failure.as_str().to_owned())),
        error_message: Set(turn.error_message.clone()),
        rounds: Set(i64::from(turn.rounds)),
        retries: Set(i64::from(turn.retries)),
        completed_at: Set(turn.completed_at.map(micros)),
        ..Default::default()
    }
}

fn interrupt_tool_calls(writes: &mut Batch, turn: TurnId, at: Timestamp) {
    use tool_call::Column;
    let changes = tool_call::ActiveModel {
        status: Set(ToolCallStatus::Interrupted.as_str().to_owned()),
        completed_at: Set(Some(micros(at))),
        ..Default::default()
    };
    let open = Column::Status.eq(ToolCallStatus::Running.as_str());
    writes.run(tool_call::Entity::update_many().set(changes).filter(Column::TurnId.eq(turn.0)).filter(open));
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
