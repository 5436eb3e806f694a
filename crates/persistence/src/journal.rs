//! The journal: recording what an agent does, and reading it back.

use crate::{
    Store,
    entity::{
        journal, message, session,
        tool_call::{self, Column as C},
    },
    error::failure,
    recording::{Recording, lock},
    value::micros,
};
use async_trait::async_trait;
use domain::{
    Entry, Event, EventKind, SessionId, ToolCall, ToolCallStatus, TurnId,
    history::ToolOutcome,
    journal::data,
    ports::{Journal, StoreError, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

#[async_trait]
impl Journal for Store {
    async fn record(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        entries: Vec<Entry>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
        let txn = self.begin_writing().await?;
        let Some(locked) = lock(&txn, session).await? else {
            return Err(StoreError::Inconsistent { table: "journal", column: "session_id" });
        };
        let mut recording = Recording::new(&locked, turn, at)?;
        for entry in entries {
            add(&txn, &mut recording, session, entry, at).await?;
        }
        let (update, events) = recording.write(&txn, session::ActiveModel::default()).await?;
        if !events.is_empty() {
            update.exec(&txn).await.map_err(failure)?;
            txn.commit().await.map_err(failure)?;
        }
        Ok(events)
    }

    async fn read_after(&self, session: SessionId, seq: u64, limit: u32) -> StoreResult<Vec<Event>> {
        // Nothing comes after a number that no journal reaches.
        let Ok(seq) = i64::try_from(seq) else { return Ok(Vec::new()) };
        let rows = journal::Entity::find()
            .find_also_related(message::Entity)
            .filter(journal::Column::SessionId.eq(session.0))
            .filter(journal::Column::Seq.gt(seq))
            .order_by_asc(journal::Column::Seq)
            .limit(u64::from(limit));
        let rows = rows.all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(|(row, message)| row.into_event(message)).collect()
    }
}

async fn add(
    txn: &DatabaseTransaction,
    recording: &mut Recording,
    session_id: SessionId,
    entry: Entry,
    at: Timestamp,
) -> StoreResult<()> {
    match entry {
        Entry::Message(message) => recording.message(*message),
        Entry::ToolCallStarted { id, tool_use_id, tool_name, tool_input } => {
            let call = ToolCall {
                id,
                session_id,
                turn_id: recording.turn,
                tool_use_id,
                tool_name,
                tool_input,
                tool_output: None,
                status: ToolCallStatus::Running,
                permission_decision: None,
                permission_reason: None,
                created_at: at,
                completed_at: None,
            };
            let row = tool_call::Model::from(&call);
            let insert = tool_call::Entity::insert::<tool_call::ActiveModel>(row.into());
            insert.exec_without_returning(txn).await.map_err(failure)?;
            recording.tool_calls += 1;
            recording.data(EventKind::ToolCallStarted, data::tool_call_started(&call));
        }
        Entry::ToolCallCompleted(outcome) => {
            if let Some(call) = complete(txn, session_id, *outcome, at).await? {
                recording.data(EventKind::ToolCallCompleted, data::tool_call_completed(&call));
            }
        }
        Entry::Error(error) => {
            recording.errors += 1;
            recording.data(EventKind::Error, error);
        }
        Entry::Retry(retry) => {
            recording.retries += 1;
            recording.data(EventKind::Notice, retry);
        }
        Entry::Notice(notice) => recording.data(EventKind::Notice, notice),
    }
    Ok(())
}

/// Completes the youngest open call of that `tool_use_id`: a retried turn may have left an older one of the same name.
async fn complete(
    txn: &DatabaseTransaction,
    session: SessionId,
    outcome: ToolOutcome,
    at: Timestamp,
) -> StoreResult<Option<ToolCall>> {
    let open = tool_call::Entity::find()
        .filter(C::SessionId.eq(session.0))
        .filter(C::ToolUseId.eq(outcome.tool_use_id.as_str()))
        .filter(C::Status.eq(ToolCallStatus::Running.as_str()))
        .order_by_desc(C::CreatedAt)
        .order_by_desc(C::Id);
    let Some(row) = open.one(txn).await.map_err(failure)? else { return Ok(None) };
    let changes = tool_call::ActiveModel {
        tool_output: Set(Some(outcome.tool_output.clone())),
        status: Set(outcome.status.as_str().to_owned()),
        permission_decision: Set(outcome.permission_decision.clone()),
        permission_reason: Set(outcome.permission_reason.clone()),
        completed_at: Set(Some(micros(at))),
        ..Default::default()
    };
    let update = tool_call::Entity::update_many().set(changes).filter(C::Id.eq(row.id));
    update.exec(txn).await.map_err(failure)?;
    let mut call = ToolCall::try_from(row)?;
    call.tool_output = Some(outcome.tool_output);
    call.status = outcome.status;
    call.permission_decision = outcome.permission_decision;
    call.permission_reason = outcome.permission_reason;
    call.completed_at = Some(at);
    Ok(Some(call))
}
