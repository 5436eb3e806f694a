//! Turns.

use super::{
    MemoryStore, Place, State, StoredTurn,
    page::{Direction, instant_key, read_page},
    sessions::enter,
};
use async_trait::async_trait;
use domain::{
    Event, EventKind, Generation, MessageId, MessageType, MicroUsd, NewMessage, Page, PageRequest, ServerId,
    Session, SessionId, SessionStatus, TokenUsage, ToolCallStatus, Turn, TurnEnd, TurnFailure, TurnId,
    TurnStatus, UserId,
    journal::data,
    ports::{StoreError, StoreResult, Turns},
    turn::{Begin, BegunTurn, EndedTurn, Enqueued, NewTurn, QueuePlace, WaitingTurn},
};
use jiff::Timestamp;
use serde_json::Value;

#[async_trait]
impl Turns for MemoryStore {
    async fn begin(&self, new: &NewTurn, first_status: SessionStatus, home: ServerId) -> StoreResult<Begin> {
        let mut state = self.state();
        let Some(session) = state.sessions.get(&new.session_id) else { return Ok(Begin::NoSession) };
        if let Some(refused) = refusal(session) {
            return Ok(refused);
        }
        if !state.queue(new.session_id).is_empty() {
            return Ok(Begin::Behind);
        }
        if let Some(exhausted) = new.payers.iter().find_map(|payer| state.status(payer).refusal()) {
            return Ok(Begin::UsedUp(exhausted));
        }
        if !state.claim(new.session_id, home) {
            return Ok(Begin::Elsewhere);
        }
        state.turns.insert(new.id, StoredTurn { turn: blank(new), queued_prompt: None, queue_rank: 0 });
        let place = Place { session: new.session_id, turn: Some(new.id), at: new.at };
        Ok(state.start(place, new.id, new.prompt.clone(), first_status))
    }

    async fn enqueue(&self, new: &NewTurn, place: QueuePlace, ahead: u64) -> StoreResult<Enqueued> {
        self.state().enqueue(new, place, ahead)
    }

    async fn begin_queued(
        &self,
        session: SessionId,
        first_status: SessionStatus,
        at: Timestamp,
        home: ServerId,
    ) -> StoreResult<Option<Begin>> {
        let mut state = self.state();
        let Some(&next) = state.queue(session).first() else { return Ok(None) };
        let Some(found) = state.sessions.get(&session) else { return Ok(None) };
        if let Some(refused) = refusal(found) {
            return Ok(Some(refused));
        }
        if !state.claim(session, home) {
            return Ok(Some(Begin::Elsewhere));
        }
        let prompt = state.turns.get_mut(&next).and_then(|stored| stored.queued_prompt.take());
        let prompt = prompt.ok_or(StoreError::Inconsistent { table: "turns", column: "queued_prompt" })?;
        let place = Place { session, turn: Some(next), at };
        Ok(Some(state.start(place, next, prompt, first_status)))
    }

    async fn end(&self, id: TurnId, by: Generation, end: &TurnEnd) -> StoreResult<Option<EndedTurn>> {
        let mut state = self.state();
        let running = state.turns.get_mut(&id).filter(|stored| stored.turn.status == TurnStatus::Running);
        let Some(StoredTurn { turn, .. }) = running else { return Ok(None) };
        let session = turn.session_id;
        state.admit(session, by)?;
        let Some(StoredTurn { turn, .. }) = state.turns.get_mut(&id) else { return Ok(None) };
        turn.status = end.status;
        turn.answer = end.answer.clone();
        turn.answer_message_id = end.answer_message_id;
        turn.failure = end.failure;
        turn.error_message = end.error_message.clone();
        turn.rounds = end.rounds;
        turn.retries = end.retries;
        turn.completed_at = Some(end.at);
        let ended = turn.clone();
        for call in state.tool_calls.iter_mut().filter(|_| end.called_tools) {
            if call.turn_id == Some(id) && call.status == ToolCallStatus::Running {
                call.status = ToolCallStatus::Interrupted;
                call.completed_at = Some(end.at);
            }
        }
        for lines in &end.last_lines {
            state.add_to_transcript(&lines.key, &lines.entries, end.at);
        }
        let events = state.leave(&ended, end);
        Ok(Some(EndedTurn { turn: ended, events }))
    }

    async fn cancel_queued(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
        let mut state = self.state();
        let mut events = Vec::new();
        for id in state.queue(session).into_iter().filter(|id| turn.is_none_or(|turn| turn == *id)) {
            let Some(StoredTurn { turn, .. }) = state.turns.get_mut(&id) else { continue };
            turn.status = TurnStatus::Interrupted;
            turn.failure = Some(TurnFailure::Interrupted);
            turn.completed_at = Some(at);
            let result = data::result(turn);
            let place = Place { session, turn: Some(id), at };
            events.push(state.journal_data(place, EventKind::Result, result));
        }
        Ok(events)
    }

    async fn get(&self, session: SessionId, id: TurnId) -> StoreResult<Option<Turn>> {
        let state = self.state();
        let found = state.turns.get(&id).filter(|stored| stored.turn.session_id == session);
        Ok(found.map(|stored| stored.turn.clone()))
    }

    async fn list(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<Turn>> {
        let turns = self.state().turns_where(|turn| turn.session_id == session);
        let key = |turn: &Turn| instant_key(turn.created_at, turn.id.0);
        read_page("turns", turns, key, Direction::Descending, page)
    }

    async fn running(&self, home: ServerId) -> StoreResult<Vec<Turn>> {
        let state = self.state();
        let mut running = state.turns_where(|turn| turn.status == TurnStatus::Running);
        running.retain(|turn| state.is_looked_after_by(turn.session_id, home));
        Ok(running)
    }

    async fn paused_by_budget(&self, home: ServerId, limit: u32) -> StoreResult<Vec<(SessionId, UserId)>> {
        let state = self.state();
        let mut paused: Vec<&Session> = state
            .sessions
            .values()
            .filter(|session| session.budget_paused_at.is_some() && session.operation.is_none())
            .filter(|session| state.is_looked_after_by(session.id, home))
            .collect();
        paused.sort_by_key(|session| session.budget_paused_at);
        Ok(paused.into_iter().take(limit as usize).map(|session| (session.id, session.user_id)).collect())
    }

    async fn go_on_with_money(&self, new: &NewTurn) -> StoreResult<Vec<Event>> {
        let mut state = self.state();
        let Some(session) = state.sessions.get_mut(&new.session_id) else { return Ok(Vec::new()) };
        if session.budget_paused_at.is_none() || session.operation.is_some() {
            return Ok(Vec::new());
        }
        let (from, active) = (session.status, SessionStatus::Active);
        enter(session, active, new.at);
        let front = state.queued(new.session_id).map(|stored| stored.queue_rank).min().unwrap_or(0);
        let queued_prompt = Some(new.prompt.clone());
        let queue_rank = front - 1;
        state.turns.insert(new.id, StoredTurn { turn: blank(new), queued_prompt, queue_rank });
        let place = Place { session: new.session_id, turn: None, at: new.at };
        let change = data::status_change(from, active);
        let change = state.journal_data(place, EventKind::StatusChange, change);
        let place = Place { turn: Some(new.id), ..place };
        let queued = state.journal_data(place, EventKind::Notice, data::turn_queued(1));
        Ok(vec![change, queued])
    }

    async fn queue(&self, session: SessionId) -> StoreResult<Vec<TurnId>> {
        Ok(self.state().queue(session))
    }

    async fn waiting(&self, home: ServerId) -> StoreResult<Vec<WaitingTurn>> {
        let state = self.state();
        let ready = state
            .sessions
            .values()
            .filter(|session| refusal(session).is_none() && state.is_looked_after_by(session.id, home));
        let mut waiting: Vec<WaitingTurn> = ready
            .filter_map(|session| {
                let id = *state.queue(session.id).first()?;
                let since = state.turns.get(&id)?.turn.created_at;
                let (session_id, user_id, mode) = (session.id, session.user_id, session.mode);
                let generation = session.generation;
                Some(WaitingTurn { id, session_id, user_id, mode, generation, since })
            })
            .collect();
        waiting.sort_by_key(|turn| (turn.since, turn.id));
        Ok(waiting)
    }
}

impl State {
    fn turns_where(&self, passes: impl Fn(&Turn) -> bool) -> Vec<Turn> {
        let mut turns: Vec<Turn> =
            self.turns.values().map(|stored| &stored.turn).filter(|turn| passes(turn)).cloned().collect();
        turns.sort_by_key(|turn| (turn.created_at, turn.id));
        turns
    }

    /// The queued turns of a session, the next one first.
    pub(super) fn queue(&self, session: SessionId) -> Vec<TurnId> {
        let mut queued: Vec<&StoredTurn> = self.queued(session).collect();
        queued.sort_by_key(|stored| (stored.queue_rank, stored.turn.created_at, stored.turn.id));
        queued.into_iter().map(|stored| stored.turn.id).collect()
    }

    fn queued(&self, session: SessionId) -> impl Iterator<Item = &StoredTurn> {
        let queued = move |turn: &Turn| turn.session_id == session && turn.status == TurnStatus::Queued;
        self.turns.values().filter(move |stored| queued(&stored.turn))
    }

    pub(super) fn enqueue(&mut self, new: &NewTurn, place: QueuePlace, ahead: u64) -> StoreResult<Enqueued> {
        let Some(session) = self.sessions.get(&new.session_id) else {
            return Err(StoreError::Inconsistent { table: "turns", column: "session_id" });
        };
        let (status, running) = (session.status, session.current_turn_id);
        if !status.is_busy() && !SessionStatus::READY.contains(&status) {
            return Ok(Enqueued::Refused(status));
        }
        let waiting = self.queued(new.session_id).count() as u64;
        let front = self.queued(new.session_id).map(|stored| stored.queue_rank).min();
        let (queue_rank, before) = match place {
            QueuePlace::Alone if waiting > 0 || running.is_some() => return Ok(Enqueued::Busy(status)),
            QueuePlace::Last { waiting_max } | QueuePlace::First { waiting_max }
                if waiting >= u64::from(waiting_max) =>
            {
                return Ok(Enqueued::Full);
            }
            QueuePlace::Alone | QueuePlace::Last { .. } => (0, waiting),
            QueuePlace::First { .. } => (front.unwrap_or(0) - 1, 0),
        };
        let queued_prompt = Some(new.prompt.clone());
        self.turns.insert(new.id, StoredTurn { turn: blank(new), queued_prompt, queue_rank });
        let place = Place { session: new.session_id, turn: Some(new.id), at: new.at };
        let position = ahead + before + 1;
        let event = self.journal_data(place, EventKind::Notice, data::turn_queued(position));
        Ok(Enqueued::Queued { event, position, running })
    }

    fn start(&mut self, place: Place, id: TurnId, prompt: Value, first_status: SessionStatus) -> Begin {
        let message = MessageId::new();
        if let Some(StoredTurn { turn, .. }) = self.turns.get_mut(&id) {
            turn.status = TurnStatus::Running;
            turn.prompt_message_id = Some(message);
            turn.started_at = Some(place.at);
        }
        let Some(session) = self.sessions.get_mut(&place.session) else { return Begin::NoSession };
        let from = session.status;
        enter(session, first_status, place.at);
        session.current_turn_id = Some(id);
        if from == SessionStatus::Created {
            session.started_at = Some(place.at);
        }
        let new = NewMessage {
            id: message,
            message_type: MessageType::User,
            content: prompt.clone(),
            model: None,
            thinking: None,
            parent_tool_use_id: None,
            entry_uuid: Some(message.0),
        };
        let change = data::status_change(from, first_status);
        let events = vec![
            self.journal_data(place, EventKind::StatusChange, change),
            self.journal_message(place, new),
            self.journal_data(place, EventKind::MessageSent, data::message_sent(message)),
        ];
        let Some(session) = self.sessions.get(&place.session).cloned() else { return Begin::NoSession };
        Begin::Begun(Box::new(BegunTurn { turn_id: id, session, prompt_message_id: message, prompt, events }))
    }

    /// What the end of a turn does to its session and the journal.
    fn leave(&mut self, ended: &Turn, end: &TurnEnd) -> Vec<Event> {
        let place = Place { session: ended.session_id, turn: Some(ended.id), at: end.at };
        let somebody_waits = self.queued(ended.session_id).next().is_some();
        let wanted = match end.session_status {
            status if status.completes() && somebody_waits => SessionStatus::Active,
            status => status,
        };
        let last = end.last_messages.iter();
        let last: Vec<_> = last.map(|message| self.journal_message(place, message.clone())).collect();
        let Some(session) = self.sessions.get_mut(&place.session) else { return last };
        let from = session.status;
        let next = from.after_turn(wanted);
        if let Some(next) = next {
            enter(session, next, end.at);
            session.budget_paused_at = (next == SessionStatus::Paused).then_some(end.at);
        }
        session.current_turn_id = None;
        session.agent = end.agent.or(session.agent);
        if end.counts_as_error() {
            session.counters.errors += 1;
            session.error_message = end.error_message.clone();
        } else if end.status == TurnStatus::Completed {
            session.error_message = None;
        }
        let change = next.map(|next| data::status_change(from, next));
        let change = change.map(|change| self.journal_data(place, EventKind::StatusChange, change));
        let result = self.journal_data(place, EventKind::Result, data::result(ended));
        last.into_iter().chain(change).chain([result]).collect()
    }
}

/// Why no turn begins in the session now.
fn refusal(session: &Session) -> Option<Begin> {
    let is_ready = SessionStatus::READY.contains(&session.status) && session.current_turn_id.is_none();
    let held = session.operation.map(Begin::Held);
    held.or_else(|| (!is_ready).then_some(Begin::Refused(session.status)))
}

fn blank(new: &NewTurn) -> Turn {
    Turn {
        id: new.id,
        session_id: new.session_id,
        status: TurnStatus::Queued,
        prompt_message_id: None,
        answer_message_id: None,
        answer: None,
        failure: None,
        error_message: None,
        rounds: 0,
        retries: 0,
        tokens: TokenUsage::default(),
        cost: MicroUsd::ZERO,
        created_at: new.at,
        started_at: None,
        completed_at: None,
    }
}
