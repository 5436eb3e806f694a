//! Turns as people ask for them: start or queue one, wait for it, stop it, read it.

use crate::{
    Error, Result, SessionManager,
    admission::Room,
    feed::Ending,
    live::{Hold, Stop, Subject, Taken},
    watch::Watch,
};
use domain::{
    Caller, DecisionFilter, Event, Message, Page, PageRequest, PermissionDecision, RequestUsage, ServerId,
    Session, SessionId, SessionStatus, ToolCall, Turn, TurnId,
    turn::{Begin, BegunTurn, NewTurn},
};
use monitoring::spans::{self, TurnFacts, TurnSpan};
use serde_json::Value;
use std::{sync::PoisonError, time::Duration};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};
use tracing::Instrument;

/// How long a request waits for a turn it stopped; the agent is killed well before.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// Tool calls shown with a turn's answer.
const TURN_TOOL_CALLS_MAX: u32 = 1000;

/// What to do with a prompt while a turn runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBusy {
    Reject,
    /// It waits for those before it.
    Queue,
    /// The running turn is interrupted, and this is the session's next.
    Interrupt,
}

/// A turn that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedTurn {
    pub session_id: SessionId,
    pub turn_id: TurnId,
    /// Where it waits, if it does: 1 is the next to begin.
    pub queue_position: Option<u64>,
    /// The journal's last number before this turn's first event.
    pub after_seq: u64,
}

/// A turn that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedTurn {
    pub turn: Turn,
    /// Its tool calls, oldest first.
    pub tool_calls: Vec<ToolCall>,
}

impl SessionManager {
    /// Begins a turn, or queues it, as [`SessionManager::start_turn`] does, and waits until it is over. A caller that
    /// goes away does not stop it.
    pub async fn query(
        &self,
        caller: &Caller,
        id: SessionId,
        prompt: Value,
        when_busy: WhenBusy,
    ) -> Result<FinishedTurn> {
        // Listened to before it begins, so that its end is heard and need not be looked up.
        let mut ends = self.inner.feed.subscribe_to_ends(id);
        let started = self.start_turn(caller, id, prompt, when_busy).await?;
        let (turn, called_tools) = self.end_of(&mut ends, id, started.turn_id).await?;
        let tool_calls = if called_tools { self.turn_tool_calls(turn.id).await? } else { Vec::new() };
        Ok(FinishedTurn { turn, tool_calls })
    }

    /// Begins a turn. While all slots are taken it waits for one; while another turn of the session runs or waits, it
    /// does what `when_busy` says.
    pub async fn start_turn(
        &self,
        caller: &Caller,
        id: SessionId,
        prompt: Value,
        when_busy: WhenBusy,
    ) -> Result<StartedTurn> {
        self.admit_work()?;
        let (subject, status, home, payers) = match self.inner.live.waiting(id) {
            // Its agent waits for the next prompt, so the session is ready and has money as far as is known here. The
            // store has the last word when the turn begins; asking it twice would only take longer.
            Some(subject) if caller.scope().covers(subject.user_id) => {
                let payers = self.inner.costs.payers(subject.user_id, Some(id)).await?;
                (subject, SessionStatus::Active, None, payers)
            }
            Some(_) | None => {
                let session = self.load(caller.scope(), id).await?;
                // Before a seat is taken, for which somebody else's agent may have to go. What the state forbids is said
                // first, unless it is the money that did.
                if session.budget_paused_at.is_some() || takes_prompts(session.status) {
                    self.afford(session.user_id, Some(id)).await?;
                }
                (Subject::from(&session), session.status, session.server_id, Vec::new())
            }
        };
        if let Err(why) = &self.inner.settings.agent.cli {
            return Err(Error::AgentUnavailable(why.clone()));
        }
        let at = self.inner.clock.now();
        let turn = NewTurn { id: TurnId::new(), session_id: id, prompt, payers, at };
        // Once the store has begun the turn somebody must run it.
        let this = self.clone();
        let begin = async move { this.place_turn(subject, status, home, &turn, when_busy, Room::Ask).await };
        self.see_through(begin).await
    }

    async fn place_turn(
        &self,
        subject: Subject,
        status: SessionStatus,
        home: Option<ServerId>,
        turn: &NewTurn,
        when_busy: WhenBusy,
        room: Room,
    ) -> Result<StartedTurn> {
        // Asked once more: shutdown waits for tasks that were there before it, and this one may not have been.
        self.admit_work()?;
        if !takes_prompts(status) {
            return Err(Error::WrongState(status));
        }
        let is_elsewhere = self.inner.lease.is_elsewhere(home);
        // A former home may still be ending what it ran, which is nothing to the new one.
        if when_busy == WhenBusy::Reject && !is_elsewhere && self.inner.live.runs(subject.session_id) {
            // Loaded before the turn began, perhaps.
            return Err(Error::Busy(if status.is_busy() { status } else { SessionStatus::Processing }));
        }
        // Nobody overtakes those that wait for a slot already; and what another server runs is queued for it.
        if !is_elsewhere
            && !self.inner.admission.is_crowded(subject.mode.into())
            && let Some(started) = self.begin_now(subject, turn).await?
        {
            return Ok(started);
        }
        if !turn.payers.is_empty() {
            self.afford(subject.user_id, Some(subject.session_id)).await?;
        }
        self.wait_in_line(subject, turn, when_busy, room).await
    }

    /// Asks the running turn to stop and waits until it has; without one there is nothing to do. What is queued stays.
    pub async fn interrupt(&self, caller: &Caller, id: SessionId) -> Result<Session> {
        let session = self.load(caller.scope(), id).await?;
        if let Some(running) = session.current_turn_id {
            self.interrupt_turn(id, running).await?;
        }
        self.settle_current(&session).await?;
        self.get(caller, id).await
    }

    /// Interrupts this turn, wherever it runs.
    pub(crate) async fn interrupt_turn(&self, id: SessionId, turn: TurnId) -> Result<()> {
        self.inner.live.stop_turn(id, turn, Stop::Interrupt);
        // Of this turn, not of the session: a former home may still be ending another one.
        let is_ours = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&turn);
        if !is_ours {
            // Another server runs it, and looks.
            self.inner.stores.servers.request_stop(id, turn).await?;
        }
        Ok(())
    }

    /// Waits until the turn is over and answers with it.
    pub async fn wait_for_turn(&self, id: SessionId, turn_id: TurnId) -> Result<Turn> {
        let mut ends = self.inner.feed.subscribe_to_ends(id);
        match self.ended_turn(id, turn_id).await? {
            Some(turn) => Ok(turn),
            None => self.end_of(&mut ends, id, turn_id).await.map(|(turn, _)| turn),
        }
    }

    /// The turn as it ended, and whether it may have called tools. The ends must reach back to when it ran.
    async fn end_of(
        &self,
        ends: &mut Receiver<Ending>,
        id: SessionId,
        turn_id: TurnId,
    ) -> Result<(Turn, bool)> {
        loop {
            match ends.recv().await {
                Ok(Ending::Over { turn, called_tools }) if turn.id == turn_id => {
                    return Ok((Turn::clone(&turn), called_tools));
                }
                Ok(Ending::Result(turn)) if turn == turn_id => {}
                Ok(Ending::Over { .. } | Ending::Result(_)) => continue,
                // What was missed, or happened elsewhere, may have been its end.
                Ok(Ending::Elsewhere) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(Error::ShuttingDown),
            }
            if let Some(turn) = self.ended_turn(id, turn_id).await? {
                return Ok((turn, true));
            }
        }
    }

    async fn ended_turn(&self, id: SessionId, turn_id: TurnId) -> Result<Option<Turn>> {
        let turn = self.inner.stores.turns.get(id, turn_id).await?.ok_or(Error::NotFound("turn"))?;
        Ok(Some(turn).filter(|turn| turn.status.is_over()))
    }

    /// One turn of a session.
    pub async fn turn(&self, caller: &Caller, id: SessionId, turn_id: TurnId) -> Result<Turn> {
        self.load(caller.scope(), id).await?;
        self.inner.stores.turns.get(id, turn_id).await?.ok_or(Error::NotFound("turn"))
    }

    /// A session's turns, newest first.
    pub async fn turns(&self, caller: &Caller, id: SessionId, page: &PageRequest) -> Result<Page<Turn>> {
        self.load(caller.scope(), id).await?;
        Ok(self.inner.stores.turns.list(id, page).await?)
    }

    /// The tool calls of one turn, oldest first.
    pub async fn turn_tool_calls(&self, turn_id: TurnId) -> Result<Vec<ToolCall>> {
        Ok(self.inner.stores.history.turn_tool_calls(turn_id, TURN_TOOL_CALLS_MAX).await?)
    }

    /// A session's messages, oldest first.
    pub async fn messages(
        &self,
        caller: &Caller,
        id: SessionId,
        page: &PageRequest,
    ) -> Result<Page<Message>> {
        self.load(caller.scope(), id).await?;
        Ok(self.inner.stores.history.messages(id, page).await?)
    }

    /// A session's tool calls, oldest first.
    pub async fn tool_calls(
        &self,
        caller: &Caller,
        id: SessionId,
        page: &PageRequest,
    ) -> Result<Page<ToolCall>> {
        self.load(caller.scope(), id).await?;
        Ok(self.inner.stores.history.tool_calls(id, page).await?)
    }

    /// What was decided about a session's tool calls, newest first.
    pub async fn decisions(
        &self,
        caller: &Caller,
        id: SessionId,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Result<Page<PermissionDecision>> {
        self.load(caller.scope(), id).await?;
        Ok(self.inner.stores.decisions.decisions(id, filter, page).await?)
    }

    /// What a session's requests to the model used and cost, newest first.
    pub async fn requests(
        &self,
        caller: &Caller,
        id: SessionId,
        page: &PageRequest,
    ) -> Result<Page<RequestUsage>> {
        self.load(caller.scope(), id).await?;
        Ok(self.inner.stores.ledger.requests(id, page).await?)
    }

    /// Follows a session's journal from after `seq` on.
    pub async fn watch(&self, caller: &Caller, id: SessionId, seq: u64) -> Result<Watch> {
        self.load(caller.scope(), id).await?;
        let (journal, metrics) = (self.inner.stores.journal.clone(), self.inner.metrics.clone());
        Ok(Watch::after(journal, &self.inner.feed, id, seq, metrics))
    }

    /// Part of a session's journal: at most `limit` events after `seq`, oldest first. Where to go on is a number as well.
    pub async fn events(&self, caller: &Caller, id: SessionId, seq: u64, limit: u32) -> Result<Page<Event>> {
        self.load(caller.scope(), id).await?;
        let journal = &self.inner.stores.journal;
        let items = journal.read_after(id, seq, limit).await?;
        let next_cursor = match items.last() {
            Some(last) if !journal.read_after(id, last.seq, 1).await?.is_empty() => {
                Some(last.seq.to_string())
            }
            Some(_) | None => None,
        };
        Ok(Page { items, total: None, next_cursor })
    }

    /// Begins a new session's first turn, or queues it.
    pub(crate) async fn begin_first(&self, session: &Session, prompt: Value, room: Room) -> Result<()> {
        let at = self.inner.clock.now();
        let turn = NewTurn { id: TurnId::new(), session_id: session.id, prompt, payers: Vec::new(), at };
        let (this, subject, status) = (self.clone(), Subject::from(session), session.status);
        let begin = async move {
            this.place_turn(subject, status, None, &turn, WhenBusy::Reject, room).await.map(drop)
        };
        self.see_through(begin).await
    }

    /// Waits until the turn that held this session is over, if one did.
    pub(crate) async fn settle_current(&self, session: &Session) -> Result<()> {
        let Some(turn_id) = session.current_turn_id else { return Ok(()) };
        match tokio::time::timeout(STOP_WAIT, self.wait_for_turn(session.id, turn_id)).await {
            Ok(turn) => turn.map(|_| ()),
            Err(_) => Err(Error::Internal("stop the running turn in time")),
        }
    }

    /// Begins a turn if nothing stands in its way; `None` if it has to wait, or may not begin at all.
    pub(crate) async fn begin_now(&self, subject: Subject, turn: &NewTurn) -> Result<Option<StartedTurn>> {
        let hold = loop {
            match self.take_seat(subject)? {
                Taken::Held(hold) => break *hold,
                Taken::Busy | Taken::Full => return Ok(None),
                // Its agent will be here sooner than a new one would.
                Taken::Waking => self.inner.live.woken(subject.session_id).await,
            }
        };
        let begun = match self.inner.stores.turns.begin(turn, hold.first_status(), self.server()).await {
            Ok(Begin::Begun(begun)) => *begun,
            not_begun => {
                self.give_back(hold);
                return match not_begun? {
                    Begin::NoSession => Err(Error::NotFound("session")),
                    Begin::Held(operation) => Err(Error::Held(operation)),
                    Begin::UsedUp(exhausted) => {
                        let used_up = self.inner.costs.explain(subject.user_id, exhausted).await?;
                        Err(Error::BudgetExhausted(Box::new(used_up)))
                    }
                    Begin::Begun(_) | Begin::Refused(_) | Begin::Behind | Begin::Elsewhere => Ok(None),
                };
            }
        };
        let after_seq = begun.events.first().map_or(0, |event| event.seq - 1);
        self.spawn_run(hold, begun);
        let (session_id, turn_id) = (turn.session_id, turn.id);
        Ok(Some(StartedTurn { session_id, turn_id, queue_position: None, after_seq }))
    }

    /// The session's seat, if it is to be had and work is taken. Whoever gets it for nothing gives it back.
    pub(crate) fn take_seat(&self, subject: Subject) -> Result<Taken> {
        let (taken, evicted) = self.inner.live.take(subject);
        if let Some(agent) = evicted {
            self.close_later(agent);
        }
        // Asked with the seat taken: whoever ends all work says so first and asks the seats to stop after that, so a turn
        // either does not begin or hears of it.
        match (self.admit_work(), taken) {
            (Ok(()), taken) => Ok(taken),
            (Err(why), Taken::Held(hold)) => {
                self.give_back(*hold);
                Err(why)
            }
            (Err(why), Taken::Busy | Taken::Waking | Taken::Full) => Err(why),
        }
    }

    /// Gives back a seat that no turn runs on. Somebody may have found it taken meanwhile.
    pub(crate) fn give_back(&self, hold: Hold) {
        self.leave_seat(hold);
        self.admit_later();
    }

    pub(crate) fn leave_seat(&self, hold: Hold) {
        let session = hold.session();
        drop(hold);
        // Whoever ended the idle agents found this one at work.
        if let Err(why) = self.admit_work()
            && let Some(agent) = self.inner.live.dismiss(session)
        {
            match why {
                Error::LeaseLost => self.kill_later(agent),
                _ => self.close_later(agent),
            }
        }
    }

    /// Runs a turn that has begun, in a task of its own.
    pub(crate) fn spawn_run(&self, hold: Hold, begun: BegunTurn) {
        let turn_id = begun.turn_id;
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).insert(turn_id, begun.session.id);
        hold.begun(turn_id);
        self.inner.feed.publish(begun.events.clone());
        let this = self.clone();
        let trace = self.trace(&begun);
        let running = async move {
            let (pool, started) = (begun.session.mode.into(), Instant::now());
            this.run(hold, begun).instrument(trace.span()).await;
            // Kept until then: what is done on the turn's behalf elsewhere finds its place by it.
            drop(trace);
            this.inner.admission.note_pace(pool, started.elapsed());
            this.inner.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&turn_id);
            // In this task: another one would wake a thread, on the processor that the client needs to hear of the end.
            this.admit_after_turn(pool).await;
        };
        self.spawn(running);
    }

    fn trace(&self, begun: &BegunTurn) -> TurnSpan {
        let session = &begun.session;
        let model = session.spec.sdk_options.model.as_ref().unwrap_or(&self.inner.settings.defaults.model);
        let facts = TurnFacts {
            turn_id: begun.turn_id,
            session_id: session.id,
            user_id: session.user_id,
            mode: session.mode.as_str(),
            model: Some(model),
        };
        spans::turn(facts, &begun.prompt)
    }
}

/// Whether a prompt begins a turn in this state, or may wait.
fn takes_prompts(status: SessionStatus) -> bool {
    status.is_busy() || SessionStatus::READY.contains(&status)
}
