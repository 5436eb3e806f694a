//! One attempt at a turn: an agent, one prompt, and everything it says until its result.

mod ended;
pub(crate) mod last_words;
pub(crate) mod launch;

pub(crate) use self::ended::{Cut, Ended};
use self::{last_words::LastWords, launch::Launching};
use crate::{
    Error, SessionManager,
    agent::TakeUp,
    disk::overgrown,
    feed::Delta,
    live::{Hold, LiveAgent, Stop},
    run::{lease_lost, stopped},
    transcribe::Transcript,
    waits::Waits,
};
use domain::{Entry, SessionStatus, TurnFailure, TurnStatus, session::AgentConversation, turn::BegunTurn};
use futures::{FutureExt, future::join_all};
use monitoring::spans;
use sdk_runtime::{Agent, DropReason, Event, Frame, Outcome, PromptContent, Queued, TurnResult};
use serde_json::{Value, json};
use std::{panic::AssertUnwindSafe, pin::pin, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout, timeout_at},
};
use uuid::Uuid;

/// How long an interrupted agent has to come to its result before it is killed.
const INTERRUPT_GRACE: Duration = Duration::from_secs(10);

/// How long the end of a turn waits for its transcript to be stored.
const FLUSH_WAIT: Duration = Duration::from_secs(10);

/// What an attempt needs to know.
pub(crate) struct Attempt<'a> {
    pub manager: &'a SessionManager,
    pub begun: &'a BegunTurn,
    /// What the agent is told before the prompt.
    pub note: Option<&'a str>,
    pub take_up: TakeUp,
    pub deadline: Instant,
}

/// Whether the agent can be prompted again.
enum Afterwards {
    Keep,
    Close,
}

impl Attempt<'_> {
    /// Runs the attempt. Leaves the agent in the hold if it can be used again.
    pub(crate) async fn run(&self, hold: &mut Hold, last_words: &mut LastWords) -> Ended {
        let idle = match hold.agent.take() {
            // It died while it had nothing to do, which is no failure of this turn. Or it was started for what the
            // session is no more: another server ran or changed it meanwhile.
            Some(live)
                if live.agent.exited().now_or_never().is_some() || live.is_outdated(&self.begun.session) =>
            {
                self.manager.close(live).await;
                None
            }
            idle => idle,
        };
        let (mut live, conversation) = match idle {
            Some(live) => {
                let fresh = AgentConversation { id: self.begun.session.id.0, last_entry: None };
                (live, self.begun.session.agent.unwrap_or(fresh))
            }
            None => match self.launching().run(&mut hold.stop).await {
                Ok(launched) => {
                    self.enter_processing().await;
                    launched
                }
                Err(ended) => return ended,
            },
        };
        let access = &self.manager.inner.model_access;
        access.attribute(&live.token, Some(self.begun.turn_id));
        live.governed.turn.set(Some(self.begun.turn_id));
        let mut stop = hold.stop.clone();
        let conversed = {
            // Caught here and not further out, so that the agent is closed and its access ended after a panic too.
            let conversing = self.converse(&mut live, conversation, &mut hold.stop, last_words);
            let conversing = pin!(AssertUnwindSafe(conversing).catch_unwind());
            tokio::select! {
                biased;
                // Whatever the conversation waits for: a store without an answer is why most leases are lost.
                () = lease_lost(&mut stop) => None,
                conversed = conversing => Some(conversed),
            }
        };
        let (ended, afterwards) = match conversed {
            Some(conversed) => {
                conversed.unwrap_or_else(|_| (Ended::panicked(self.begun.session.id), Afterwards::Close))
            }
            None => {
                live.agent.kill().await;
                (Ended::stopped(Stop::LeaseLost).in_conversation(conversation), Afterwards::Close)
            }
        };
        access.attribute(&live.token, None);
        live.governed.turn.set(None);
        match afterwards {
            Afterwards::Keep => hold.agent = Some(live),
            // Closing waits until what the agent used is booked, so the turn ends with its usage complete.
            Afterwards::Close => self.manager.close(live).await,
        }
        ended
    }

    fn launching(&self) -> Launching<'_> {
        let (manager, session) = (self.manager, &self.begun.session);
        Launching { manager, session, take_up: self.take_up, deadline: self.deadline }
    }

    async fn enter_processing(&self) {
        let session = &self.begun.session;
        // Refused only if the session was paused or ended meanwhile, and then the stop is on its way.
        if let Err(error) = self.manager.move_to(session, SessionStatus::Processing).await {
            tracing::debug!(session_id = %session.id, %error, "the session moved on while its agent started");
        }
    }

    async fn converse(
        &self,
        live: &mut LiveAgent,
        before: AgentConversation,
        stop: &mut watch::Receiver<Option<Stop>>,
        last_words: &mut LastWords,
    ) -> (Ended, Afterwards) {
        let prompt_id = match self.prompt_id().await {
            Ok(id) => id,
            Err(error) => {
                let ended = Ended::failed(TurnFailure::NotRecorded, error.to_string());
                return (ended.in_conversation(before), Afterwards::Keep);
            }
        };
        live.agent.restart_cpu_time();
        let last_look = live.last_look.clone();
        let mut overgrown = pin!(overgrown(&self.manager.inner.settings, &self.begun.session, &last_look));
        // The agent lives longer than this turn, and so do its waits.
        let waits = live.governed.waits.clone();
        let waited_before = waits.total();
        let mut seen = Transcript::default();
        let sent = tokio::select! {
            biased;
            sent = live.agent.prompt_with_id(prompt_id, content(self.note, &self.begun.prompt)) => sent,
            // An agent that does not read its pipe reads no interrupt either.
            cut = self.overdue(stop) => {
                live.agent.kill().await;
                return (cut.ended(&self.begun.session).in_conversation(before), Afterwards::Close);
            }
        };
        fail::fail_point!("turn.prompted");
        if let Err(error) = sent {
            let ended = Ended::failed(TurnFailure::AgentFailed, error.to_string());
            return (ended.in_conversation(before).retryable(), Afterwards::Close);
        }
        self.manager.inner.model_access.expect_request(&live.token);
        let mut cut: Option<Cut> = None;
        // Set when it is cut short.
        let mut grace: Option<Instant> = None;
        let mut interrupts = vec![];
        // What was not stored is brought there before the next agent starts, so this one is not kept.
        let mut is_stored = true;
        let died = loop {
            let event = tokio::select! {
                biased;
                why = stopped(stop), if !matches!(cut, Some(Cut::Stop(_))) => {
                    cut = Some(Cut::Stop(why));
                    grace = Some(Instant::now() + INTERRUPT_GRACE);
                    interrupts.push(self.interrupt(&live.agent));
                    continue;
                }
                () = self.time_up(grace, &waits, waited_before) => match cut {
                    None => {
                        cut = Some(Cut::Deadline);
                        grace = Some(Instant::now() + INTERRUPT_GRACE);
                        interrupts.push(self.interrupt(&live.agent));
                        continue;
                    }
                    Some(cut) => {
                        live.agent.kill().await;
                        return (cut.ended(&self.begun.session).in_conversation(before), Afterwards::Close);
                    }
                },
                overgrown = &mut overgrown => {
                    live.agent.kill().await;
                    let ended = Ended::failed(TurnFailure::AgentLimitExceeded, format!("the agent was ended: {overgrown}"));
                    return (ended.in_conversation(before), Afterwards::Close);
                }
                () = last_words.due() => {
                    if let Err(error) = self.manager.record(self.begun, last_words.take_entries()).await {
                        return self.not_recorded(live, before, &error).await;
                    }
                    continue;
                }
                event = live.events.next() => event,
            };
            match event {
                Some(Event::Frame(frame)) => {
                    if let Err(error) = self.observe(&mut seen, last_words, frame).await {
                        return self.not_recorded(live, before, &error).await;
                    }
                }
                Some(Event::Finished { prompts, result }) if prompts.contains(&prompt_id) => {
                    let (ended, afterwards) = self.finished(&seen, before, cut, &result, &live.token);
                    // An interrupt that is still on its way would hit the next turn.
                    let is_settled =
                        timeout_at(grace.unwrap_or(self.deadline), join_all(interrupts)).await.is_ok();
                    // Whoever learns of the turn's end finds what it cost, and can fork from it or take the session up
                    // elsewhere.
                    let stays = is_settled && is_stored && matches!(afterwards, Afterwards::Keep);
                    let lines = timeout(FLUSH_WAIT, last_words.take_in_lines(&live.agent, stays));
                    let booked = self.manager.inner.model_access.booked(&live.token);
                    let is_complete = tokio::join!(lines, booked).0.is_ok();
                    let afterwards = if stays && is_complete { Afterwards::Keep } else { Afterwards::Close };
                    return (ended, afterwards);
                }
                Some(Event::Dropped { prompts, why }) if prompts.contains(&prompt_id) => {
                    let ended = match (cut, why) {
                        (Some(cut), _) => cut.ended(&self.begun.session),
                        (None, DropReason::Cancelled) => Ended::stopped(Stop::Interrupt),
                        (None, DropReason::ResultMissing) => {
                            Ended::failed(TurnFailure::AgentFailed, "the agent never gave the turn's result")
                        }
                    };
                    return (ended.in_conversation(before), Afterwards::Close);
                }
                Some(Event::Skipped { reason, bytes }) => {
                    tracing::warn!(turn_id = %self.begun.turn_id, ?reason, bytes, "passed over something the agent wrote");
                }
                Some(Event::MirrorFailed(loss)) => {
                    is_stored = false;
                    tracing::warn!(turn_id = %self.begun.turn_id, key = %loss.key, "a transcript was not stored");
                }
                Some(Event::Overrun { unread_bytes }) => {
                    live.agent.kill().await;
                    let message = format!(
                        "the agent wrote faster than it could be recorded ({unread_bytes} bytes waited)"
                    );
                    let ended = Ended::failed(TurnFailure::NotRecorded, message);
                    return (ended.in_conversation(before), Afterwards::Close);
                }
                // The end of something that was not this turn's: an earlier one's, or a slash command's.
                Some(Event::Finished { .. } | Event::Dropped { .. }) => {}
                Some(Event::Exited(said)) => break Some(said),
                None => break None,
            }
        };
        let ended = match cut {
            Some(cut) => cut.ended(&self.begun.session),
            None => Ended::died(died.as_deref(), seen.called_tools),
        };
        (ended.in_conversation(before), Afterwards::Close)
    }

    /// The id under which the agent is told the prompt: that of its message, by which a fork finds it. An agent passes
    /// over an id that it knows already, so a prompt that is told again gets another, and that is noted.
    async fn prompt_id(&self) -> crate::Result<Uuid> {
        match self.take_up {
            TakeUp::Continue => Ok(self.begun.prompt_message_id.0),
            TakeUp::Rewind => {
                let entry_uuid = Uuid::now_v7();
                let told = Entry::PromptedAgain { message: self.begun.prompt_message_id, entry_uuid };
                self.manager.record(self.begun, vec![told]).await?;
                Ok(entry_uuid)
            }
        }
    }

    /// Ends a turn of which what its agent said cannot be put on record.
    async fn not_recorded(
        &self,
        live: &mut LiveAgent,
        before: AgentConversation,
        error: &Error,
    ) -> (Ended, Afterwards) {
        live.agent.kill().await;
        tracing::error!(turn_id = %self.begun.turn_id, error = error as &dyn std::error::Error,
            "stopped a turn that could not be recorded");
        let ended = Ended::failed(TurnFailure::NotRecorded, error.to_string());
        (ended.in_conversation(before), Afterwards::Close)
    }

    async fn observe(
        &self,
        seen: &mut Transcript,
        last_words: &mut LastWords,
        frame: Frame,
    ) -> crate::Result<()> {
        let entries = seen.read(&frame);
        self.trace_tools(&entries, frame.parent_tool_use_id());
        let calls_tool = entries.iter().any(|entry| matches!(entry, Entry::ToolCallStarted { .. }));
        self.manager.record(self.begun, last_words.followed_by(entries)).await?;
        if calls_tool {
            fail::fail_point!("turn.tool_called");
        }
        if let Frame::StreamEvent { parent_tool_use_id, raw } = frame {
            let event = raw.into_value().get_mut("event").map(Value::take).unwrap_or_default();
            self.manager.record(self.begun, last_words.followed_by_part(&event)).await?;
            let delta = Delta { turn_id: self.begun.turn_id, parent_tool_use_id, event };
            self.manager.inner.feed.publish_delta(self.begun.session.id, delta);
        }
        Ok(())
    }

    /// Begins and ends the spans of tool calls.
    fn trace_tools(&self, entries: &[Entry], within: Option<&str>) {
        let turn = self.begun.turn_id;
        for entry in entries {
            match entry {
                Entry::ToolCallStarted { tool_use_id, tool_name, tool_input, .. } => {
                    spans::tool_began(turn, tool_use_id, tool_name, tool_input, within);
                }
                Entry::ToolCallCompleted(outcome) => {
                    spans::tool_ended(turn, &outcome.tool_use_id, outcome.status, &outcome.tool_output);
                }
                _ => {}
            }
        }
    }

    fn finished(
        &self,
        seen: &Transcript,
        before: AgentConversation,
        cut: Option<Cut>,
        result: &TurnResult,
        token: &str,
    ) -> (Ended, Afterwards) {
        let id = seen.new_conversation.or_else(|| result.session_id.parse().ok()).unwrap_or(before.id);
        let last_entry =
            if id == before.id { seen.last_entry.or(before.last_entry) } else { seen.last_entry };
        let words = || result.words().unwrap_or_else(|| format!("the agent reported {}", result.subtype));
        let ended = match (result.outcome(), cut) {
            (Outcome::Completed | Outcome::HookStopped | Outcome::ToolDeferred | Outcome::Refused, _) => {
                Ended {
                    status: TurnStatus::Completed,
                    failure: None,
                    message: None,
                    answer: result.text.clone(),
                    ..Ended::failed(TurnFailure::AgentFailed, "")
                }
            }
            (_, Some(cut)) => cut.ended(&self.begun.session),
            (Outcome::Interrupted, None) => Ended::stopped(Stop::Interrupt),
            (Outcome::MaxTurns, None) => Ended::failed(TurnFailure::MaxTurnsReached, words()),
            (Outcome::ApiError { .. } | Outcome::BudgetExhausted | Outcome::Failed, None) => {
                // The gateway knows why it sent no more; the agent's words need not be understood.
                match (self.manager.inner.model_access.used_up(token), result.outcome()) {
                    (Some(used_up), _) => Ended::out_of_money(&used_up),
                    // The agent has already retried what may be retried.
                    (None, Outcome::ApiError { .. }) => Ended::failed(TurnFailure::ModelFailed, words()),
                    (None, _) => Ended::failed(TurnFailure::AgentFailed, words()),
                }
            }
        };
        let afterwards = match cut {
            Some(Cut::Stop(Stop::Terminate | Stop::Shutdown | Stop::LeaseLost)) => Afterwards::Close,
            Some(Cut::Stop(Stop::Interrupt) | Cut::Deadline) | None => Afterwards::Keep,
        };
        let ended = Ended {
            answer_message_id: seen.answer_message_id,
            rounds: u32::try_from(result.num_turns).unwrap_or(u32::MAX),
            called_tools: seen.called_tools,
            ..ended
        };
        (ended.in_conversation(AgentConversation { id, last_entry }), afterwards)
    }

    /// Waits for the end of the grace period, or of the turn's time, which stands still while a person is asked.
    async fn time_up(&self, grace: Option<Instant>, waits: &Waits, waited_before: Duration) {
        match grace {
            Some(end) => tokio::time::sleep_until(end).await,
            None => waits.past(self.deadline, waited_before).await,
        }
    }

    /// Waits until the turn is to be cut short and the grace period has passed as well.
    async fn overdue(&self, stop: &mut watch::Receiver<Option<Stop>>) -> Cut {
        let cut = tokio::select! {
            why = stopped(stop) => Cut::Stop(why),
            () = tokio::time::sleep_until(self.deadline) => Cut::Deadline,
        };
        tokio::time::sleep(INTERRUPT_GRACE).await;
        cut
    }

    /// Asks the agent to stop without waiting for its answer: its result is what counts, and the caller reads on.
    /// What is returned ends when the agent has answered or never will.
    fn interrupt(&self, agent: &Agent) -> oneshot::Receiver<()> {
        let agent = agent.clone();
        let (answered, answer) = oneshot::channel();
        self.manager.spawn(async move {
            if let Err(error) = agent.interrupt(Queued::Cancel).await {
                tracing::debug!(%error, "an interrupt was not answered");
            }
            drop(answered);
        });
        answer
    }
}

fn content(note: Option<&str>, prompt: &Value) -> PromptContent {
    match (note, prompt) {
        (None, Value::String(text)) => PromptContent::Text(text.clone()),
        (None, blocks) => PromptContent::Blocks(blocks.clone()),
        (Some(note), prompt) => {
            let text = |text: &str| json!({ "type": "text", "text": text });
            let mut blocks = vec![text(note)];
            match prompt {
                Value::String(prompt) => blocks.push(text(prompt)),
                Value::Array(more) => blocks.extend(more.iter().cloned()),
                other => blocks.push(other.clone()),
            }
            PromptContent::Blocks(blocks.into())
        }
    }
}
