//! The journal and the history behind it.

use super::{
    MemoryStore, Place, State,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    Entry, Event, EventBody, EventKind, Generation, Message, Page, PageRequest, SessionId, ToolCall,
    ToolCallStatus, TurnId,
    fork::MessageEntry,
    history::ToolOutcome,
    journal::data,
    ports::{History, Journal, StoreError, StoreResult},
};
use jiff::Timestamp;

#[async_trait]
impl Journal for MemoryStore {
    async fn record(
        &self,
        session: SessionId,
        by: Generation,
        turn: Option<TurnId>,
        entries: Vec<Entry>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
        let mut state = self.state();
        if !state.sessions.contains_key(&session) {
            return Err(StoreError::Inconsistent { table: "journal", column: "session_id" });
        }
        state.admit(session, by)?;
        let place = Place { session, turn, at };
        Ok(entries.into_iter().filter_map(|entry| state.add(place, entry)).collect())
    }

    async fn read_after(&self, session: SessionId, seq: u64, limit: u32) -> StoreResult<Vec<Event>> {
        let state = self.state();
        let after = state.events(session).filter(|event| event.seq > seq);
        Ok(after.take(limit as usize).cloned().collect())
    }
}

#[async_trait]
impl History for MemoryStore {
    async fn messages(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<Message>> {
        let messages: Vec<Message> = self.state().messages(session).cloned().collect();
        let key =
            |message: &Message| (i64::try_from(message.sequence_number).unwrap_or(i64::MAX), message.id.0);
        read_page("messages", messages, key, Direction::Ascending, page)
    }

    async fn entries_before(
        &self,
        session: SessionId,
        at_message: u64,
        limit: u32,
    ) -> StoreResult<Vec<MessageEntry>> {
        let state = self.state();
        let main = state
            .messages(session)
            .filter(|message| message.sequence_number <= at_message && message.parent_tool_use_id.is_none());
        let entry = |message: &Message| MessageEntry {
            sequence_number: message.sequence_number,
            entry: message.entry_uuid,
        };
        let mut entries: Vec<MessageEntry> = main.map(entry).collect();
        entries.reverse();
        entries.truncate(limit as usize);
        Ok(entries)
    }

    async fn tool_calls(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<ToolCall>> {
        let calls = self.state().calls_where(|call| call.session_id == session);
        let key = |call: &ToolCall| instant_key(call.created_at, call.id.0);
        read_page("tool-calls", calls, key, Direction::Ascending, page)
    }

    async fn turn_tool_calls(&self, turn: TurnId, limit: u32) -> StoreResult<Vec<ToolCall>> {
        let mut calls = self.state().calls_where(|call| call.turn_id == Some(turn));
        calls.sort_by_key(|call| (call.created_at, call.id));
        calls.truncate(limit as usize);
        Ok(calls)
    }
}

impl State {
    fn calls_where(&self, passes: impl Fn(&ToolCall) -> bool) -> Vec<ToolCall> {
        self.tool_calls.iter().filter(|call| passes(call)).cloned().collect()
    }

    fn add(&mut self, place: Place, entry: Entry) -> Option<Event> {
        match entry {
            Entry::Message(message) => Some(self.journal_message(place, *message)),
            Entry::ToolCallStarted { id, tool_use_id, tool_name, tool_input } => {
                let call = ToolCall {
                    id,
                    session_id: place.session,
                    turn_id: place.turn,
                    tool_use_id,
                    tool_name,
                    tool_input,
                    tool_output: None,
                    status: ToolCallStatus::Running,
                    permission_decision: None,
                    permission_reason: None,
                    created_at: place.at,
                    completed_at: None,
                };
                let started = data::tool_call_started(&call);
                self.tool_calls.push(call);
                self.sessions.get_mut(&place.session)?.counters.tool_calls += 1;
                Some(self.journal_data(place, EventKind::ToolCallStarted, started))
            }
            Entry::ToolCallCompleted(outcome) => {
                let completed = self.complete(place, *outcome)?;
                Some(self.journal_data(
                    place,
                    EventKind::ToolCallCompleted,
                    data::tool_call_completed(&completed),
                ))
            }
            Entry::Error(error) => {
                self.sessions.get_mut(&place.session)?.counters.errors += 1;
                Some(self.journal_data(place, EventKind::Error, error))
            }
            Entry::Retry(retry) => {
                self.sessions.get_mut(&place.session)?.counters.retries += 1;
                Some(self.journal_data(place, EventKind::Notice, retry))
            }
            Entry::PromptedAgain { message, entry_uuid } => {
                let messages = self.journal.iter_mut().filter_map(|event| match &mut event.body {
                    EventBody::Message(message) => Some(message),
                    EventBody::Data(_) => None,
                });
                messages.into_iter().find(|told| told.id == message)?.entry_uuid = Some(entry_uuid);
                None
            }
            Entry::Notice(notice) => Some(self.journal_data(place, EventKind::Notice, notice)),
        }
    }

    /// Completes the youngest open call of that `tool_use_id`.
    fn complete(&mut self, place: Place, outcome: ToolOutcome) -> Option<ToolCall> {
        let open = self.tool_calls.iter_mut().filter(|call| {
            call.session_id == place.session
                && call.tool_use_id == outcome.tool_use_id
                && call.status == ToolCallStatus::Running
        });
        let call = open.max_by_key(|call| (call.created_at, call.id))?;
        call.tool_output = Some(outcome.tool_output);
        call.status = outcome.status;
        call.permission_decision = outcome.permission_decision;
        call.permission_reason = outcome.permission_reason;
        call.completed_at = Some(place.at);
        Some(call.clone())
    }
}
