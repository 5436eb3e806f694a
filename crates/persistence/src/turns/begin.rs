//! How a turn begins, at once or after it waited.

use super::queued;
use crate::{
    Store,
    entity::{
        session,
        turn::{self, Column as C},
    },
    error::failure,
    recording::{Locked, Recording, lock},
    sessions::{entered, updated},
    value::{Reader, micros},
};
use domain::{
    Event, EventKind, MessageId, MessageType, NewMessage, SessionId, SessionStatus, TurnId, TurnStatus,
    journal::data,
    ports::{StoreError, StoreResult},
    turn::{Begin, BegunTurn, NewTurn},
};
use jiff::Timestamp;
use sea_orm::{ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::Value;

pub(super) async fn begin(store: &Store, new: &NewTurn, first_status: SessionStatus) -> StoreResult<Begin> {
    let txn = store.begin_writing().await?;
    let Some(locked) = lock(&txn, new.session_id).await? else { return Ok(Begin::NoSession) };
    if !is_ready(&locked) {
        return Ok(Begin::Refused(locked.status));
    }
    let prompt = MessageId::new();
    let row = turn::Model::running(new, prompt);
    let insert = turn::Entity::insert::<turn::ActiveModel>(row.into());
    insert.exec_without_returning(&txn).await.map_err(failure)?;
    let begun =
        Beginning { turn: new.id, prompt: new.prompt.clone(), message: prompt, first_status, at: new.at };
    let begun = begun.write(&txn, &locked).await?;
    txn.commit().await.map_err(failure)?;
    Ok(Begin::Begun(Box::new(begun)))
}

pub(super) async fn begin_queued(
    store: &Store,
    session: SessionId,
    first_status: SessionStatus,
    at: Timestamp,
) -> StoreResult<Option<Begin>> {
    let txn = store.begin_writing().await?;
    let Some(locked) = lock(&txn, session).await? else { return Ok(None) };
    let Some(next) = queued(session).one(&txn).await.map_err(failure)? else { return Ok(None) };
    if !is_ready(&locked) {
        return Ok(Some(Begin::Refused(locked.status)));
    }
    let content = next.queued_prompt.ok_or(Reader("turns").inconsistent("queued_prompt"))?;
    let prompt = MessageId::new();
    let changes = turn::ActiveModel {
        status: Set(TurnStatus::Running.as_str().to_owned()),
        queued_prompt: Set(None),
        prompt_message_id: Set(Some(prompt.0)),
        started_at: Set(Some(micros(at))),
        ..Default::default()
    };
    let update = turn::Entity::update_many().set(changes).filter(C::Id.eq(next.id));
    update.exec(&txn).await.map_err(failure)?;
    let begun = Beginning { turn: TurnId(next.id), prompt: content, message: prompt, first_status, at };
    let begun = begun.write(&txn, &locked).await?;
    txn.commit().await.map_err(failure)?;
    Ok(Some(Begin::Begun(Box::new(begun))))
}

pub(super) async fn enqueue(store: &Store, new: &NewTurn, queue_max: u32) -> StoreResult<Option<Event>> {
    let txn = store.begin_writing().await?;
    let event = enqueue_in(&txn, new, queue_max).await?;
    if event.is_some() {
        txn.commit().await.map_err(failure)?;
    }
    Ok(event)
}

/// Queues a turn as part of a greater unit of work.
pub(crate) async fn enqueue_in(
    txn: &DatabaseTransaction,
    new: &NewTurn,
    queue_max: u32,
) -> StoreResult<Option<Event>> {
    let Some(locked) = lock(txn, new.session_id).await? else {
        return Err(StoreError::Inconsistent { table: "turns", column: "session_id" });
    };
    let waiting = queued(new.session_id).count(txn).await.map_err(failure)?;
    if waiting >= u64::from(queue_max) {
        return Ok(None);
    }
    let row = turn::Model::queued(new);
    let insert = turn::Entity::insert::<turn::ActiveModel>(row.into());
    insert.exec_without_returning(txn).await.map_err(failure)?;
    let mut recording = Recording::new(&locked, Some(new.id), new.at)?;
    recording.data(EventKind::Notice, data::turn_queued(waiting + 1));
    let (update, mut events) = recording.write(txn, session::ActiveModel::default()).await?;
    update.exec(txn).await.map_err(failure)?;
    Ok(events.pop())
}

fn is_ready(session: &Locked) -> bool {
    SessionStatus::READY.contains(&session.status) && session.current_turn_id.is_none()
}

/// What the beginning of a turn does besides its own row.
struct Beginning {
    turn: TurnId,
    prompt: Value,
    message: MessageId,
    first_status: SessionStatus,
    at: Timestamp,
}

impl Beginning {
    async fn write(self, txn: &DatabaseTransaction, session: &Locked) -> StoreResult<BegunTurn> {
        let mut recording = Recording::new(session, Some(self.turn), self.at)?;
        recording.data(EventKind::StatusChange, data::status_change(session.status, self.first_status));
        recording.message(NewMessage {
            id: self.message,
            message_type: MessageType::User,
            content: self.prompt.clone(),
            model: None,
            thinking: None,
            parent_tool_use_id: None,
        });
        recording.data(EventKind::MessageSent, data::message_sent(self.message));

        let mut changes = entered(self.first_status, self.at);
        changes.current_turn_id = Set(Some(self.turn.0));
        if session.status == SessionStatus::Created {
            changes.started_at = Set(Some(micros(self.at)));
        }
        let (update, events) = recording.write(txn, changes).await?;
        let session = updated(update, txn).await?;
        Ok(BegunTurn { turn_id: self.turn, session, prompt: self.prompt, events })
    }
}
