//! Turns as people ask for them: start or queue one, wait for it, stop it, read it.

use crate::{
    Error, Result, SessionManager,
    feed::Signal,
    live::{Hold, Stop, Subject, Taken},
    watch::Watch,
};
use domain::{
    Caller, DecisionFilter, Event, EventKind, Message, Page, PageRequest, PermissionDecision, RequestUsage,
    Session, SessionId, SessionStatus, ToolCall, Turn, TurnId,
    turn::{Begin, NewTurn},
};
use serde_json::Value;
use std::{sync::PoisonError, time::Duration};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// How long a request waits for a turn it stopped; the agent is killed well before.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// What is said to somebody whose prompt finds the queue full.
const QUEUE_RETRY_AFTER_SECONDS: u64 = 10;
/// Tool calls shown with a turn's answer.
const TURN_TOOL_CALLS_MAX: u32 = 1000;

/// What to do with a prompt while a turn runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBusy {
    Reject,
    Queue,
}

/// A turn that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedTurn {
    pub session_id: SessionId,
    pub turn_id: TurnId,
    pub is_queued: bool,
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
    /// Begins a turn, or queues it if asked to while another runs, and waits until it is over. A caller that goes
    /// away does not stop it.
    pub async fn query(
        &self,
        caller: &Caller,
        id: SessionId,
        prompt: Value,
        when_busy: WhenBusy,
    ) -> Result<FinishedTurn> {
        // Listened to before it begins, so that its end is heard and need not be looked up.
        let mut signals = self.inner.feed.subscribe(id);
        let started = self.start_turn(caller, id, prompt, when_busy).await?;
        let (turn, called_tools) = self.end_of(&mut signals, id, started.turn_id).await?;
        let tool_calls = if called_tools { self.turn_tool_calls(turn.id).await? } else { Vec::new() };
        Ok(FinishedTurn { turn, tool_calls })
    }

    /// Begins a turn, or queues it if asked to while another runs.
    pub async fn start_turn(
        &self,
        caller: &Caller,
        id: SessionId,
        prompt: Value,
        when_busy: WhenBusy,
    ) -> Result<StartedTurn> {
        self.admit_work()?;
        let (subject, status) = match self.inner.live.waiting(id) {
            // Its agent waits for the next prompt, so the session is ready as far as is known here. The store has the
            // last word when the turn begins; asking it twice would only take longer.
            Some(subject) if caller.scope().covers(subject.user_id) => (subject, SessionStatus::Active),
            Some(_) | None => {
                let session = self.load(caller.scope(), id).await?;
                (Subject::from(&session), session.status)
            }
        };
        if let Err(why) = &self.inner.settings.agent.cli {
            return Err(Error::AgentUnavailable(why.clone()));
        }
        let turn = NewTurn { id: TurnId::new(), session_id: id, prompt, at: self.inner.clock.now() };
        // Once the store has begun the turn somebody must run it.
        let this = self.clone();
        self.see_through(async move { this.place_turn(subject, status, &turn, when_busy).await }).await
    }

    async fn place_turn(
        &self,
        subject: Subject,
        status: SessionStatus,
        turn: &NewTurn,
        when_busy: WhenBusy,
    ) -> Result<StartedTurn> {
        // Asked once more: shutdown waits for tasks that were there before it, and this one may not have been.
        self.admit_work()?;
        // Whoever may wait does not overtake those that wait already, for a slot or for the turn that just ended.
        if when_busy == WhenBusy::Queue
            && SessionStatus::READY.contains(&status)
            && self.inner.stores.turns.sessions_with_queue().await?.contains(&subject.session_id)
        {
            return self.enqueue_and_run(turn).await;
        }
        match self.begin_now(subject, status, turn).await? {
            Ok(started) => Ok(started),
            // The running turn may have ended in between and not seen the new one.
            Err(status) if status.is_busy() && when_busy == WhenBusy::Queue => {
                self.enqueue_and_run(turn).await
            }
            Err(status) => Err(Error::WrongState(status)),
        }
    }

    async fn enqueue_and_run(&self, turn: &NewTurn) -> Result<StartedTurn> {
        let started = self.enqueue(turn).await?;
        self.run_queued_later(turn.session_id);
        Ok(started)
    }

    /// Asks the running turn to stop and waits until it has; without one there is nothing to do.
    pub async fn interrupt(&self, caller: &Caller, id: SessionId) -> Result<Session> {
        let session = self.load(caller.scope(), id).await?;
        self.inner.live.stop(id, Stop::Interrupt);
        self.settle_current(&session).await?;
        self.get(caller, id).await
    }

    /// Waits until the turn is over and answers with it.
    pub async fn wait_for_turn(&self, id: SessionId, turn_id: TurnId) -> Result<Turn> {
        let mut signals = self.inner.feed.subscribe(id);
        match self.ended_turn(id, turn_id).await? {
            Some(turn) => Ok(turn),
            None => self.end_of(&mut signals, id, turn_id).await.map(|(turn, _)| turn),
        }
    }

    /// The turn as it ended, and whether it may have called tools. The signals must reach back to when it ran.
    async fn end_of(
        &self,
        signals: &mut Receiver<Signal>,
        id: SessionId,
        turn_id: TurnId,
    ) -> Result<(Turn, bool)> {
        loop {
            match signals.recv().await {
                Ok(Signal::Over { turn, called_tools }) if turn.id == turn_id => {
                    return Ok((Turn::clone(&turn), called_tools));
                }
                // A queued turn that is cancelled has a result without having run.
                Ok(Signal::Event(event))
                    if event.kind == EventKind::Result && event.turn_id == Some(turn_id) => {}
                Ok(Signal::Event(_) | Signal::Delta(_) | Signal::Over { .. }) => continue,
                // What was missed, or happened elsewhere, may have been its end.
                Ok(Signal::Elsewhere) | Err(RecvError::Lagged(_)) => {}
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
        Ok(Watch::after(self.inner.stores.journal.clone(), &self.inner.feed, id, seq))
    }

    /// Part of a session's journal: at most `limit` events after `seq`, oldest first.
    pub async fn events(&self, caller: &Caller, id: SessionId, seq: u64, limit: u32) -> Result<Vec<Event>> {
        self.load(caller.scope(), id).await?;
        Ok(self.inner.stores.journal.read_after(id, seq, limit).await?)
    }

    /// Puts a new session's first turn in its queue, from where it starts as soon as there is a slot.
    pub(crate) async fn enqueue_first(&self, session: &Session, prompt: Value) -> Result<()> {
        let at = self.inner.clock.now();
        let turn = NewTurn { id: TurnId::new(), session_id: session.id, prompt, at };
        self.enqueue_and_run(&turn).await.map(drop)
    }

    /// Begins the session's oldest queued turn, if there is one and room for it.
    pub(crate) fn run_queued_later(&self, id: SessionId) {
        let this = self.clone();
        self.spawn(async move {
            if let Err(error) = this.run_queued(id).await {
                tracing::debug!(session_id = %id, %error, "a queued turn has to wait");
            }
        });
    }

    /// Waits until the turn that held this session is over, if one did.
    pub(crate) async fn settle_current(&self, session: &Session) -> Result<()> {
        let Some(turn_id) = session.current_turn_id else { return Ok(()) };
        match tokio::time::timeout(STOP_WAIT, self.wait_for_turn(session.id, turn_id)).await {
            Ok(turn) => turn.map(|_| ()),
            Err(_) => Err(Error::Internal("stop the running turn in time")),
        }
    }

    async fn run_queued(&self, id: SessionId) -> Result<()> {
        self.admit_work()?;
        // Looked up before the seat is taken: a seat held for nothing would turn a prompt away.
        if !self.inner.stores.turns.sessions_with_queue().await?.contains(&id) {
            return Ok(());
        }
        let session = self.load(domain::Scope::All, id).await?;
        if session.status == SessionStatus::Terminated {
            // Queued in the instant the session ended.
            let cancelled = self.inner.stores.turns.cancel_queued(id, self.inner.clock.now()).await?;
            self.inner.feed.publish(cancelled);
        }
        // A seat for a turn that cannot begin would still cost another session its idle agent.
        if !SessionStatus::READY.contains(&session.status) {
            return Ok(());
        }
        let Some((hold, first)) = self.take_seat(Subject::from(&session))? else { return Ok(()) };
        let begun = self.inner.stores.turns.begin_queued(id, first, self.inner.clock.now()).await?;
        if let Some(Begin::Begun(begun)) = begun {
            self.spawn_run(hold, *begun);
        }
        Ok(())
    }

    /// Begins a turn, or says in which state the session refused it.
    async fn begin_now(
        &self,
        subject: Subject,
        status: SessionStatus,
        turn: &NewTurn,
    ) -> Result<std::result::Result<StartedTurn, SessionStatus>> {
        if !status.is_busy() && !SessionStatus::READY.contains(&status) {
            return Ok(Err(status));
        }
        let Some((hold, first)) = self.take_seat(subject)? else {
            return Ok(Err(SessionStatus::Processing));
        };
        match self.inner.stores.turns.begin(turn, first).await? {
            Begin::Begun(begun) => {
                let after_seq = begun.events.first().map_or(0, |event| event.seq - 1);
                self.spawn_run(hold, *begun);
                Ok(Ok(StartedTurn {
                    session_id: turn.session_id,
                    turn_id: turn.id,
                    is_queued: false,
                    after_seq,
                }))
            }
            Begin::Refused(status) => Ok(Err(status)),
            Begin::NoSession => Err(Error::NotFound("session")),
        }
    }

    async fn enqueue(&self, turn: &NewTurn) -> Result<StartedTurn> {
        let queue_max = self.inner.settings.limits.queue_max;
        let event =
            self.inner.stores.turns.enqueue(turn, queue_max).await?.ok_or(Error::QueueFull {
                limit: queue_max,
                retry_after_seconds: QUEUE_RETRY_AFTER_SECONDS,
            })?;
        let after_seq = event.seq - 1;
        self.inner.feed.publish([event]);
        Ok(StartedTurn { session_id: turn.session_id, turn_id: turn.id, is_queued: true, after_seq })
    }

    /// The session's seat and the state its turn begins in; `None` while another turn has it.
    fn take_seat(&self, subject: Subject) -> Result<Option<(Hold, SessionStatus)>> {
        let (taken, evicted) = self.inner.live.take(subject.session_id, subject.mode)?;
        if let Some(agent) = evicted {
            self.close_later(agent);
        }
        Ok(match taken {
            Taken::Busy => None,
            Taken::Held(hold) => {
                let first = match hold.agent {
                    Some(_) => SessionStatus::Processing,
                    None => SessionStatus::Connecting,
                };
                Some((hold, first))
            }
        })
    }

    fn spawn_run(&self, hold: Hold, begun: domain::turn::BegunTurn) {
        let turn_id = begun.turn_id;
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).insert(turn_id);
        self.inner.feed.publish(begun.events.clone());
        let this = self.clone();
        self.spawn(async move {
            let session_id = begun.session.id;
            this.run(hold, begun).await;
            this.inner.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&turn_id);
            this.run_queued_later(session_id);
        });
    }
}
