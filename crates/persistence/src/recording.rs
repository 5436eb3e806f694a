//! Writing the journal inside a transaction: numbers without gaps, given out under the session's lock.

use crate::{
    entity::{journal, message, session},
    error::failure,
    value::{Reader, micros, stored},
};
use domain::{
    Event, EventBody, EventKind, Message, NewMessage, SessionId, SessionStatus, TurnId, ports::StoreResult,
};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, UpdateMany,
    prelude::Uuid,
    sea_query::{Expr, ExprTrait},
};
use serde_json::Value;

/// Rows of one INSERT; a row has at most 15 values, and SQLite takes 32766 of them.
const ROWS_PER_STATEMENT: usize = 1000;

/// A session whose row is locked until the transaction ends, so that nobody else numbers its journal meanwhile.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) id: SessionId,
    pub(crate) status: SessionStatus,
    pub(crate) current_turn_id: Option<Uuid>,
    last_seq: i64,
    message_count: i64,
}

/// Locks the session's row, if it is there.
///
/// SQLite's transaction is the only writer anyway; where several write, the row's lock queues them.
pub(crate) async fn lock(txn: &DatabaseTransaction, id: SessionId) -> StoreResult<Option<Locked>> {
    use session::Column as C;
    let row = session::Entity::find_by_id(id.0)
        .select_only()
        .columns([C::Status, C::CurrentTurnId, C::LastSeq, C::MessageCount])
        .lock_exclusive()
        .into_tuple::<(String, Option<Uuid>, i64, i64)>()
        .one(txn)
        .await
        .map_err(failure)?;
    row.map(|(status, current_turn_id, last_seq, message_count)| {
        let status = Reader("sessions").word("status", SessionStatus::parse, &status)?;
        Ok(Locked { id, status, current_turn_id, last_seq, message_count })
    })
    .transpose()
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

    /// Journals an object.
    pub(crate) fn data(&mut self, kind: EventKind, data: Value) {
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

    /// Stores messages and journal rows, and answers with the events and the update of the session's row that must
    /// follow in the same transaction; `changes` go into it.
    pub(crate) async fn write(
        self,
        txn: &DatabaseTransaction,
        changes: session::ActiveModel,
    ) -> StoreResult<(UpdateMany<session::Entity>, Vec<Event>)> {
        let messages = self.events.iter().filter_map(|event| match &event.body {
            EventBody::Message(message) => Some(message::Model::from(message.as_ref()).into()),
            EventBody::Data(_) => None,
        });
        insert_all::<message::ActiveModel>(txn, messages.collect()).await?;
        let rows = self.events.iter().map(|event| journal::Model::from(event).into());
        insert_all::<journal::ActiveModel>(txn, rows.collect()).await?;

        use session::Column as C;
        let added = |column: C, more: i64| column.into_expr().add(more);
        let update = session::Entity::update_many()
            .set(changes)
            .col_expr(C::LastSeq, Expr::value(stored(self.last_seq)))
            .col_expr(C::MessageCount, Expr::value(stored(self.message_count)))
            .col_expr(C::ToolCallCount, added(C::ToolCallCount, self.tool_calls))
            .col_expr(C::ErrorCount, added(C::ErrorCount, self.errors))
            .col_expr(C::RetryCount, added(C::RetryCount, self.retries))
            .col_expr(C::UpdatedAt, Expr::value(micros(self.at)))
            .filter(C::Id.eq(self.session.0));
        Ok((update, self.events))
    }
}

/// Stores many rows in few statements.
pub(crate) async fn insert_all<A>(txn: &DatabaseTransaction, mut rows: Vec<A>) -> StoreResult<()>
where
    A: ActiveModelTrait,
{
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS_PER_STATEMENT));
        let insert = A::Entity::insert_many(rows);
        insert.exec_without_returning(txn).await.map_err(failure)?;
        rows = rest;
    }
    Ok(())
}
