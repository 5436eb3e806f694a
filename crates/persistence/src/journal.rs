//! The journal: recording what an agent does, and reading it back.

use crate::{
    Store,
    entity::{
        journal, message, session,
        tool_call::{self, Column as C},
    },
    error::failure,
    page::{how_many, weight},
    recording::{Recording, lock, locked},
    unit::Batch,
    value::micros,
};
use async_trait::async_trait;
use domain::{
    Entry, Event, EventKind, Generation, SessionId, ToolCall, ToolCallStatus, TurnId,
    history::ToolOutcome,
    journal::data,
    ports::{Journal, StoreError, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::ExprTrait,
};

#[async_trait]
impl Journal for Store {
    async fn record(
        &self,
        session: SessionId,
        by: Generation,
        turn: Option<TurnId>,
        entries: Vec<Entry>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut reads = self.quick_batch();
        let row = lock(&mut reads, session);
        let open = open_calls(session, &entries).map(|calls| reads.select(calls));
        let (mut read, unit) = self.open(reads).await?;
        let Some(locked) = locked(&mut read, row)? else {
            return Err(StoreError::Inconsistent { table: "journal", column: "session_id" });
        };
        locked.admit(by)?;
        let open = open.map(|open| read.all(open)).transpose()?.unwrap_or_default();
        let mut open = open.into_iter().map(ToolCall::try_from).collect::<StoreResult<Vec<_>>>()?;
        let mut recording = Recording::new(&locked, turn, at)?;
        let mut writes = self.batch();
        for entry in entries {
            add(&mut writes, &mut recording, &mut open, session, entry, at);
        }
        let (update, events) = recording.write(&mut writes, session::ActiveModel::default());
        if !events.is_empty() {
            update.run(&mut writes);
        }
        if !writes.is_empty() {
            unit.commit(writes).await?;
        }
        Ok(events)
    }

    async fn read_after(&self, session: SessionId, seq: u64, limit: u32) -> StoreResult<Vec<Event>> {
        // Nothing comes after a number that no journal reaches.
        let Ok(seq) = i64::try_from(seq) else { return Ok(Vec::new()) };
        let rows = journal::Entity::find()
            .filter(journal::Column::SessionId.eq(session.0))
            .filter(journal::Column::Seq.gt(seq))
            .order_by_asc(journal::Column::Seq);
        let told = weight(&self.read, [message::Column::Content, message::Column::Thinking]);
        let weight = weight(&self.read, [journal::Column::Data]).add(told);
        let asked = rows.clone().left_join(message::Entity).limit(u64::from(limit));
        let limit = how_many(&self.read, asked, weight, limit).await?;
        let rows = rows.find_also_related(message::Entity).limit(u64::from(limit));
        let rows = rows.all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(|(row, message)| row.into_event(message)).collect()
    }
}

/// The open calls that these entries may complete, the youngest first: a retried turn may have left an older one of
/// the same name.
fn open_calls(session: SessionId, entries: &[Entry]) -> Option<Select<tool_call::Entity>> {
    let completed = |entry: &Entry| match entry {
        Entry::ToolCallCompleted(outcome) => Some(outcome.tool_use_id.clone()),
        _ => None,
    };
    let completed: Vec<_> = entries.iter().filter_map(completed).collect();
    let calls = tool_call::Entity::find()
        .filter(C::SessionId.eq(session.0))
        .filter(C::ToolUseId.is_in(completed.iter().map(String::as_str)))
        .filter(C::Status.eq(ToolCallStatus::Running.as_str()))
        .order_by_desc(C::CreatedAt)
        .order_by_desc(C::Id);
    (!completed.is_empty()).then_some(calls)
}

fn add(
    writes: &mut Batch,
    recording: &mut Recording,
    open: &mut Vec<ToolCall>,
    session_id: SessionId,
    entry: Entry,
    at: Timestamp,
) {
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
            writes.insert::<tool_call::ActiveModel>(tool_call::Model::from(&call).into());
            recording.tool_calls += 1;
            recording.data(EventKind::ToolCallStarted, data::tool_call_started(&call));
            open.insert(0, call);
        }
        Entry::ToolCallCompleted(outcome) => {
            if let Some(call) = complete(writes, open, *outcome, at) {
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
        Entry::PromptedAgain { message, entry_uuid } => {
            let changes = message::ActiveModel { entry_uuid: Set(Some(entry_uuid)), ..Default::default() };
            let its = message::Column::Id.eq(message.0);
            writes.run(message::Entity::update_many().set(changes).filter(its));
        }
        Entry::Notice(notice) => recording.data(EventKind::Notice, notice),
    }
}

/// Completes the youngest open call of that `tool_use_id`.
fn complete(
    writes: &mut Batch,
    open: &mut Vec<ToolCall>,
    outcome: ToolOutcome,
    at: Timestamp,
) -> Option<ToolCall> {
    let youngest = open.iter().position(|call| call.tool_use_id == outcome.tool_use_id)?;
    let call = ToolCall {
        tool_output: Some(outcome.tool_output),
        status: outcome.status,
        permission_decision: outcome.permission_decision,
        permission_reason: outcome.permission_reason,
        completed_at: Some(at),
        ..open.remove(youngest)
    };
    let changes = tool_call::ActiveModel {
        tool_output: Set(call.tool_output.clone()),
        status: Set(call.status.as_str().to_owned()),
        permission_decision: Set(call.permission_decision.clone()),
        permission_reason: Set(call.permission_reason.clone()),
        completed_at: Set(Some(micros(at))),
        ..Default::default()
    };
    writes.run(tool_call::Entity::update_many().set(changes).filter(C::Id.eq(call.id.0)));
    Some(call)
}
