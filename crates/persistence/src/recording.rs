//! Writing the journal inside a unit of work: numbers without gaps, given out under the session's lock.

use crate::{
    entity::{journal, message, session},
    unit::{Answers, Batch, Rows, Shape, columns, given, row},
    value::{Reader, micros, stored},
};
use domain::{
    Event, EventBody, EventKind, Generation, Message, NewMessage, Operation, SessionId, SessionStatus,
    TurnId,
    ports::{StoreError, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, UpdateMany, Value,
    prelude::Uuid,
    sea_query::{Expr, ExprTrait, IntoCondition, LockType, Query, SelectStatement},
};
use serde_json::Value as Json;

/// A session whose row is locked until the transaction ends, so that nobody else numbers its journal meanwhile.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) id: SessionId,
    pub(crate) status: SessionStatus,
    pub(crate) current_turn_id: Option<Uuid>,
    pub(crate) operation: Option<Operation>,
    pub(crate) generation: Generation,
    last_seq: i64,
    message_count: i64,
}

row! {
    /// The locked columns of a session's row.
    pub(crate) struct LockedRow {
        id: Uuid,
        status: String,
        current_turn_id: Option<Uuid>,
        operation: Option<String>,
        generation: i64,
        last_seq: i64,
        message_count: i64,
    }
}

/// Locks the session's row, if it is there.
///
/// SQLite's transaction is the only writer anyway; where several write, the row's lock queues them.
pub(crate) fn lock(reads: &mut Batch, id: SessionId) -> Rows<LockedRow> {
    let row = || locked_columns(session::Column::Id.eq(id.0));
    reads.select_known(Shape::named("a session to lock"), [id.0.into()], row)
}

/// Locks the one session of which this holds.
pub(crate) fn lock_that(reads: &mut Batch, which: impl IntoCondition) -> Rows<LockedRow> {
    reads.select_built(&locked_columns(which))
}

/// The session that was locked, if it was there.
pub(crate) fn locked(answers: &mut Answers, session: Rows<LockedRow>) -> StoreResult<Option<Locked>> {
    answers.first(session)?.map(LockedRow::read).transpose()
}

/// Made without `find`, which lists all columns of a session first: it stands in every unit that journals anything.
pub(crate) fn locked_columns(which: impl IntoCondition) -> SelectStatement {
    use session::Column as C;
    let columns =
        [C::Id, C::Status, C::CurrentTurnId, C::Operation, C::Generation, C::LastSeq, C::MessageCount];
    let mut rows = Query::select();
    rows.columns(columns.map(|column| (session::Entity, column))).from(session::Entity).cond_where(which);
    rows.lock(LockType::NoKeyUpdate).take()
}

impl Locked {
    /// Goes on only for who writes in the session's present generation.
    pub(crate) fn admit(&self, by: Generation) -> StoreResult<()> {
        if self.generation == by { Ok(()) } else { Err(StoreError::Fenced) }
    }
}

impl LockedRow {
    pub(crate) fn read(self) -> StoreResult<Locked> {
        let operation = self.operation.as_deref();
        let operation = operation.map(|word| Reader("sessions").word("operation", Operation::parse, word));
        Ok(Locked {
            operation: operation.transpose()?,
            id: SessionId(self.id),
            status: Reader("sessions").word("status", SessionStatus::parse, &self.status)?,
            current_turn_id: self.current_turn_id,
            generation: Generation(Reader("sessions").figure("generation", self.generation)?),
            last_seq: self.last_seq,
            message_count: self.message_count,
        })
    }
}

/// Journal entries of one unit of work, in order, with their numbers.
#[derive(Debug)]
pub(crate) struct Recording {
    session: SessionId,
    /// The turn that the entries to come belong to.
    pub(crate) turn: Option<TurnId>,
    at: Timestamp,
    last_seq: u64,
    message_count: u64,
    events: Vec<Event>,
    /// What to add to the session's counters.
    pub(crate) tool_calls: i64,
    pub(crate) errors: i64,
    pub(crate) retries: i64,
}

impl Recording {
    pub(crate) fn new(session: &Locked, turn: Option<TurnId>, at: Timestamp) -> StoreResult<Self> {
        let reader = Reader("sessions");
        Ok(Self {
            session: session.id,
            turn,
            at,
            last_seq: reader.figure("last_seq", session.last_seq)?,
            message_count: reader.figure("message_count", session.message_count)?,
            events: Vec::new(),
            tool_calls: 0,
            errors: 0,
            retries: 0,
        })
    }

    /// How many messages the conversation has by now.
    pub(crate) fn message_count(&self) -> u64 {
        self.message_count
    }

    /// Journals an object.
    pub(crate) fn data(&mut self, kind: EventKind, data: Json) {
        self.push(kind, EventBody::Data(data));
    }

    /// Gives the message its number and journals it.
    pub(crate) fn message(&mut self, new: NewMessage) {
        self.message_count += 1;
        let message = Message {
            id: new.id,
            session_id: self.session,
            turn_id: self.turn,
            sequence_number: self.message_count,
            message_type: new.message_type,
            content: new.content,
            model: new.model,
            thinking: new.thinking,
            parent_tool_use_id: new.parent_tool_use_id,
            entry_uuid: new.entry_uuid,
            created_at: self.at,
        };
        self.push(EventKind::Message, EventBody::Message(Box::new(message)));
    }

    fn push(&mut self, kind: EventKind, body: EventBody) {
        self.last_seq += 1;
        self.events.push(Event {
            session_id: self.session,
            seq: self.last_seq,
            turn_id: self.turn,
            kind,
            at: self.at,
            body,
        });
    }

    /// Adds messages and journal rows to what is written, and answers with the events and the update of the session's
    /// row that must follow in the same unit of work; `changes` go into it.
    pub(crate) fn write(
        self,
        writes: &mut Batch,
        changes: session::ActiveModel,
    ) -> (SessionUpdate, Vec<Event>) {
        writes.wake(self.session);
        writes.insert_all(self.messages());
        writes.insert_all(self.rows());
        let update = SessionUpdate {
            id: self.session,
            changes,
            last_seq: stored(self.last_seq),
            message_count: stored(self.message_count),
            tool_calls: self.tool_calls,
            errors: self.errors,
            retries: self.retries,
            updated_at: micros(self.at),
        };
        (update, self.events)
    }

    fn messages(&self) -> Vec<message::ActiveModel> {
        let messages = self.events.iter().filter_map(|event| match &event.body {
            EventBody::Message(message) => Some(message::Model::from(message.as_ref()).into()),
            EventBody::Data(_) => None,
        });
        messages.collect()
    }

    fn rows(&self) -> Vec<journal::ActiveModel> {
        self.events.iter().map(|event| journal::Model::from(event).into()).collect()
    }
}

/// The update of a session's row that goes with entries of its journal.
#[derive(Debug, Clone)]
pub(crate) struct SessionUpdate {
    id: SessionId,
    changes: session::ActiveModel,
    last_seq: i64,
    message_count: i64,
    /// What is added.
    tool_calls: i64,
    errors: i64,
    retries: i64,
    updated_at: i64,
}

impl SessionUpdate {
    pub(crate) fn run(self, writes: &mut Batch) {
        let shape = Shape::named("a session's update").with_columns(columns(&self.changes));
        writes.run_known(shape, self, Self::statement, Self::values);
    }

    /// The session's row as it is then.
    pub(crate) fn returning(self, writes: &mut Batch) -> Rows<session::Model> {
        let shape = Shape::named("a session's update that returns it").with_columns(columns(&self.changes));
        writes.update_known_returning(shape, self, Self::statement, Self::values)
    }

    /// By itself, for whoever has more to change.
    pub(crate) fn statement(self) -> UpdateMany<session::Entity> {
        use session::Column as C;
        let added = |column: C, more: i64| column.into_expr().add(more);
        session::Entity::update_many()
            .set(self.changes)
            .col_expr(C::LastSeq, Expr::value(self.last_seq))
            .col_expr(C::MessageCount, Expr::value(self.message_count))
            .col_expr(C::ToolCallCount, added(C::ToolCallCount, self.tool_calls))
            .col_expr(C::ErrorCount, added(C::ErrorCount, self.errors))
            .col_expr(C::RetryCount, added(C::RetryCount, self.retries))
            .col_expr(C::UpdatedAt, Expr::value(self.updated_at))
            .filter(C::Id.eq(self.id.0))
    }

    fn values(self) -> Vec<Value> {
        let figures =
            [self.last_seq, self.message_count, self.tool_calls, self.errors, self.retries, self.updated_at];
        given(self.changes).chain(figures.map(Value::from)).chain([self.id.0.into()]).collect()
    }
}
