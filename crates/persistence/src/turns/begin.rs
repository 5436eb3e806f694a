//! How a turn begins, at once or after it waited.

use super::{queued, waiting};
use crate::{
    Store,
    budgets::Accounts,
    entity::{
        session,
        turn::{self, Column as C},
    },
    recording::{Locked, LockedRow, Recording, lock, locked},
    servers::{Claim, claimable},
    sessions::{entered, updated},
    unit::{Answers, Batch, Rows, Shape, Unit, row},
    value::{Reader, micros},
};
use domain::{
    Event, EventKind, MessageId, MessageType, NewMessage, ServerId, SessionId, SessionStatus, TurnId,
    TurnStatus,
    journal::data,
    ports::{StoreError, StoreResult},
    turn::{Begin, BegunTurn, Enqueued, NewTurn, QueuePlace},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, prelude::Uuid,
};
use serde_json::Value;

pub(super) async fn begin(
    store: &Store,
    new: &NewTurn,
    first_status: SessionStatus,
    home: ServerId,
) -> StoreResult<Begin> {
    let mut reads = store.quick_batch();
    let session = store.lock_for(&mut reads, new.session_id);
    let next = || queued(new.session_id).select_only().column(C::Id).limit(1).into_query();
    let values = [new.session_id.0.into(), 1_u64.into()];
    let next = reads.select_known::<TurnKey, _>(Shape::named("whether a turn waits"), values, next);
    let payers = Accounts::find(&mut reads, &new.payers);
    let (mut read, unit) = store.open(reads).await?;
    let Some(session) = claimable(&mut read, session)? else { return Ok(Begin::NoSession) };
    if let Some(refused) = refusal(&session.locked) {
        return Ok(refused);
    }
    let Some(claim) = session.claim(home) else { return Ok(Begin::Elsewhere) };
    if read.first(next)?.is_some() {
        return Ok(Begin::Behind);
    }
    let payers = payers.standing(&mut read)?;
    if let Some(exhausted) = new.payers.iter().find_map(|payer| payers.of(payer).refusal()) {
        return Ok(Begin::UsedUp(exhausted));
    }
    let prompt = MessageId::new();
    let mut writes = store.batch();
    writes.insert::<turn::ActiveModel>(turn::Model::running(new, prompt).into());
    let begun = Beginning {
        turn: new.id,
        prompt: new.prompt.clone(),
        message: prompt,
        first_status,
        claim,
        at: new.at,
    };
    Ok(Begin::Begun(Box::new(begun.commit(unit, writes, &session.locked).await?)))
}

pub(super) async fn begin_queued(
    store: &Store,
    session: SessionId,
    first_status: SessionStatus,
    at: Timestamp,
    home: ServerId,
) -> StoreResult<Option<Begin>> {
    let mut reads = store.quick_batch();
    let session_row = store.lock_for(&mut reads, session);
    let next = reads.select(queued(session).limit(1));
    let (mut read, unit) = store.open(reads).await?;
    let Some(session) = claimable(&mut read, session_row)? else { return Ok(None) };
    let Some(next) = read.first(next)? else { return Ok(None) };
    if let Some(refused) = refusal(&session.locked) {
        return Ok(Some(refused));
    }
    let Some(claim) = session.claim(home) else { return Ok(Some(Begin::Elsewhere)) };
    let content = next.queued_prompt.ok_or(Reader("turns").inconsistent("queued_prompt"))?;
    let prompt = MessageId::new();
    let changes = turn::ActiveModel {
        status: Set(TurnStatus::Running.as_str().to_owned()),
        queued_prompt: Set(None),
        prompt_message_id: Set(Some(prompt.0)),
        started_at: Set(Some(micros(at))),
        ..Default::default()
    };
    let mut writes = store.batch();
    writes.run(turn::Entity::update_many().set(changes).filter(C::Id.eq(next.id)));
    let begun =
        Beginning { turn: TurnId(next.id), prompt: content, message: prompt, first_status, claim, at };
    Ok(Some(Begin::Begun(Box::new(begun.commit(unit, writes, &session.locked).await?))))
}

pub(super) async fn enqueue(
    store: &Store,
    new: &NewTurn,
    place: QueuePlace,
    ahead: u64,
) -> StoreResult<Enqueued> {
    let mut reads = store.batch();
    let queue = Queue::find(&mut reads, new.session_id);
    let (mut read, unit) = store.open(reads).await?;
    let mut writes = store.batch();
    let enqueued = queue.put(&mut read, &mut writes, new, place, ahead)?;
    if let Enqueued::Queued { .. } = enqueued {
        unit.commit(writes).await?;
    }
    Ok(enqueued)
}

/// A session's queue, into which a unit of work puts a turn.
#[derive(Debug)]
pub(crate) struct Queue {
    session: Rows<LockedRow>,
    waiting: Rows<Extent>,
}

impl Queue {
    pub(crate) fn find(reads: &mut Batch, session: SessionId) -> Self {
        let waiting = waiting(session)
            .select_only()
            .column_as(C::Id.count(), "waiting")
            .column_as(C::QueueRank.min(), "front");
        Self { session: lock(reads, session), waiting: reads.select_as(waiting) }
    }

    /// Puts the turn in its place, if the session lets it wait there.
    pub(crate) fn put(
        self,
        read: &mut Answers,
        writes: &mut Batch,
        new: &NewTurn,
        place: QueuePlace,
        ahead: u64,
    ) -> StoreResult<Enqueued> {
        let Some(locked) = locked(read, self.session)? else {
            return Err(StoreError::Inconsistent { table: "turns", column: "session_id" });
        };
        if !locked.status.is_busy() && !SessionStatus::READY.contains(&locked.status) {
            return Ok(Enqueued::Refused(locked.status));
        }
        let extent = read.first(self.waiting)?;
        let waiting = extent.as_ref().map_or(0, |extent| extent.waiting.unsigned_abs());
        let (rank, before) = match place {
            QueuePlace::Alone if waiting > 0 || locked.current_turn_id.is_some() => {
                return Ok(Enqueued::Busy(locked.status));
            }
            QueuePlace::Last { waiting_max } | QueuePlace::First { waiting_max }
                if waiting >= u64::from(waiting_max) =>
            {
                return Ok(Enqueued::Full);
            }
            QueuePlace::Alone | QueuePlace::Last { .. } => (0, waiting),
            QueuePlace::First { .. } => (extent.and_then(|extent| extent.front).unwrap_or(0) - 1, 0),
        };
        let mut recording = Recording::new(&locked, Some(new.id), new.at)?;
        let position = ahead + before + 1;
        recording.data(EventKind::Notice, data::turn_queued(position));
        writes.insert::<turn::ActiveModel>(turn::Model::queued(new, rank).into());
        let (update, mut events) = recording.write(writes, session::ActiveModel::default());
        update.run(writes);
        let event = events.pop().ok_or(Reader("journal").inconsistent("seq"))?;
        Ok(Enqueued::Queued { event, position, running: locked.current_turn_id.map(TurnId) })
    }

    /// Makes the session active and puts the turn before all others: the events of both.
    pub(crate) fn take_up(
        self,
        read: &mut Answers,
        writes: &mut Batch,
        new: &NewTurn,
    ) -> StoreResult<Vec<Event>> {
        let Some(locked) = locked(read, self.session)? else { return Ok(Vec::new()) };
        let front = read.first(self.waiting)?.and_then(|extent| extent.front).unwrap_or(0);
        let mut recording = Recording::new(&locked, None, new.at)?;
        let active = SessionStatus::Active;
        recording.data(EventKind::StatusChange, data::status_change(locked.status, active));
        recording.turn = Some(new.id);
        recording.data(EventKind::Notice, data::turn_queued(1));
        writes.insert::<turn::ActiveModel>(turn::Model::queued(new, front - 1).into());
        let (update, events) = recording.write(writes, entered(active, new.at));
        update.run(writes);
        Ok(events)
    }
}

row! {
    /// How long a queue is, and the rank of its front.
    struct Extent {
        waiting: i64,
        front: Option<i64>,
    }
}

row! {
    /// The key of a turn.
    struct TurnKey {
        #[expect(dead_code, reason = "that there is one is all that is asked")]
        id: Uuid,
    }
}

/// Why no turn begins in the session now.
fn refusal(session: &Locked) -> Option<Begin> {
    let is_ready = SessionStatus::READY.contains(&session.status) && session.current_turn_id.is_none();
    let held = session.operation.map(Begin::Held);
    held.or_else(|| (!is_ready).then_some(Begin::Refused(session.status)))
}

/// What the beginning of a turn does besides its own row.
struct Beginning {
    turn: TurnId,
    prompt: Value,
    message: MessageId,
    first_status: SessionStatus,
    claim: Claim,
    at: Timestamp,
}

impl Beginning {
    async fn commit(self, unit: Unit, mut writes: Batch, session: &Locked) -> StoreResult<BegunTurn> {
        let mut recording = Recording::new(session, Some(self.turn), self.at)?;
        recording.data(EventKind::StatusChange, data::status_change(session.status, self.first_status));
        recording.message(NewMessage {
            id: self.message,
            message_type: MessageType::User,
            content: self.prompt.clone(),
            model: None,
            thinking: None,
            parent_tool_use_id: None,
            // The agent is told it under this id.
            entry_uuid: Some(self.message.0),
        });
        recording.data(EventKind::MessageSent, data::message_sent(self.message));

        let mut changes = self.claim.mark(entered(self.first_status, self.at));
        changes.current_turn_id = Set(Some(self.turn.0));
        if session.status == SessionStatus::Created {
            changes.started_at = Set(Some(micros(self.at)));
        }
        let (update, events) = recording.write(&mut writes, changes);
        let session = update.returning(&mut writes);
        let session = updated(unit.commit(writes).await?, session)?;
        Ok(BegunTurn {
            turn_id: self.turn,
            session,
            prompt_message_id: self.message,
            prompt: self.prompt,
            events,
        })
    }
}
