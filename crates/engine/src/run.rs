//! Running a turn: attempts until one ends it, and one way out whatever happened.

use crate::{
    SessionManager,
    agent::TakeUp,
    approvals::words,
    attempt::{Attempt, Ended, last_words::LastWords},
    live::{Hold, Stop},
};
use domain::{
    Entry, SessionId, SessionMode, SessionStatus, TurnEnd, TurnFailure, TurnStatus, ports::StoreError,
    turn::BegunTurn,
};
use futures::FutureExt;
use monitoring::spans;
use rand::RngExt;
use serde_json::json;
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::{sync::watch, time::Instant};

/// The longest wait between two attempts, however often it was doubled.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(300);
/// How often ending a turn is tried while the store fails, and how long apart.
const END_ATTEMPTS_MAX: u32 = 5;
const END_RETRY_DELAY: Duration = Duration::from_secs(1);

impl SessionManager {
    /// Runs a begun turn to its end. The seat is given up before the end is stored, so that whoever learns of the end
    /// can send the next prompt at once.
    pub(crate) async fn run(&self, mut hold: Hold, mut begun: BegunTurn) {
        fail::fail_point!("turn.began");
        let started = Instant::now();
        let mut last_words = LastWords::default();
        let attempts = async {
            let note = match self.settle_in(&mut begun).await {
                Ok(note) => note,
                Err(error) => {
                    return (Ended::failed(TurnFailure::AgentUnavailable, format!("could not {error}")), 0);
                }
            };
            self.attempts(&mut hold, &begun, note, &mut last_words).await
        };
        let attempts = AssertUnwindSafe(attempts).catch_unwind().await;
        let (ended, retries) = attempts.unwrap_or_else(|_| (Ended::panicked(begun.session.id), 0));
        let end = self.turn_end(&begun, ended, retries);
        let mut end = last_words.put_in(begun.session.id, end);
        if end.failure == Some(TurnFailure::ServerStopped) {
            end.session_status = self.status_after_stop(begun.session.id, end.session_status).await;
        }
        spans::turn_ended(end.status.as_str(), end.failure.map(TurnFailure::as_str), end.answer.as_deref());
        if end.session_status.completes()
            && let Some(agent) = hold.agent.take()
        {
            self.close_later(agent);
        }
        drop(hold);
        // Whoever learns of the end finds what hooks did on record before it.
        self.inner.hooks.flush().await;
        fail::fail_point!("turn.before_end");
        for attempt in 1..=END_ATTEMPTS_MAX {
            match self.inner.stores.turns.end(begun.turn_id, begun.session.generation, &end).await {
                Ok(Some(ended)) => {
                    last_words.recorded();
                    self.inner.metrics.record_query_duration(
                        begun.session.mode,
                        end.status,
                        started.elapsed(),
                    );
                    self.inner.feed.publish_end(ended, end.called_tools);
                    if end.session_status.completes() {
                        self.snapshot_last(begun.session.id).await;
                    }
                    return;
                }
                // Somebody else took it for lost and ended it.
                Ok(None) | Err(StoreError::Fenced) => {
                    self.replace_agent(begun.session.id);
                    return self.inner.feed.poke(Some(begun.session.id));
                }
                Err(error) => {
                    tracing::error!(turn_id = %begun.turn_id, attempt, error = &error as &dyn std::error::Error,
                        "could not record the end of a turn");
                    // It may be what goes with it that cannot be stored, and then the turn ends without that.
                    if !matches!(error, StoreError::Unavailable(_)) {
                        if !end.last_lines.is_empty() {
                            // The runtime stores them by itself, and says so if it cannot either.
                            last_words.let_go_of_lines();
                            end.last_lines.clear();
                            continue;
                        }
                        if !end.last_messages.is_empty() {
                            let failed = Ended::failed(TurnFailure::NotRecorded, error.to_string());
                            end = TurnEnd { agent: end.agent, ..self.turn_end(&begun, failed, retries) };
                            self.replace_agent(begun.session.id);
                            continue;
                        }
                    }
                    tokio::time::sleep(END_RETRY_DELAY).await;
                }
            }
        }
        // The turn stays open in the store; housekeeping closes it once the store is back.
    }

    /// Closes the session's agent, which has said what is not on record; one that is at work again, after its turn.
    fn replace_agent(&self, session: SessionId) {
        if let Some(agent) = self.inner.live.replace(session) {
            self.close_later(agent);
        }
    }

    /// Tries the turn until it ends. `note` is what the agent has to be told before the prompt.
    async fn attempts(
        &self,
        hold: &mut Hold,
        begun: &BegunTurn,
        note: Option<String>,
        last_words: &mut LastWords,
    ) -> (Ended, u32) {
        let spec = &begun.session.spec;
        let deadline = Instant::now() + Duration::from_secs(spec.timeout_seconds.into());
        let decisions = match self.decisions_to_tell(hold, begun).await {
            Ok(decisions) => decisions,
            Err(error) => return (Ended::failed(TurnFailure::NotRecorded, error.to_string()), 0),
        };
        let notes: Vec<String> = note.into_iter().chain(decisions).collect();
        let note = (!notes.is_empty()).then(|| notes.join("\n\n"));
        let mut retries = 0;
        loop {
            let take_up = if retries == 0 { TakeUp::Continue } else { TakeUp::Rewind };
            let attempt = Attempt { manager: self, begun, note: note.as_deref(), take_up, deadline };
            let ended = attempt.run(hold, last_words).await;
            if !ended.may_retry || retries >= spec.max_retries {
                return (ended, retries);
            }
            retries += 1;
            let delay = retry_delay(spec.retry_delay_ms, retries);
            if Instant::now() + delay >= deadline {
                return (ended, retries - 1);
            }
            last_words.let_go_of_lines();
            let retry = Entry::Retry(json!({
                "what": "turn_retry", "attempt": retries, "max_retries": spec.max_retries,
                "retry_delay_ms": delay.as_millis() as u64, "error": ended.message,
            }));
            if let Err(error) = self.record(begun, last_words.followed_by(vec![retry])).await {
                return (Ended::failed(TurnFailure::NotRecorded, error.to_string()), retries - 1);
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                why = stopped(&mut hold.stop) => return (Ended::stopped(why), retries - 1),
            }
        }
    }

    /// What the agent is told before this turn's prompt: decisions that no agent has learned of. There are none for an
    /// agent that lives, unless it was noted.
    async fn decisions_to_tell(&self, hold: &Hold, begun: &BegunTurn) -> crate::Result<Option<String>> {
        let is_noted = self.inner.desk.take_untold(begun.session.id);
        if hold.agent.is_some() && !is_noted {
            return Ok(None);
        }
        let now = self.inner.clock.now();
        let told = self
            .inner
            .stores
            .approvals
            .tell(begun.session.id, begun.session.generation, begun.turn_id, now)
            .await?;
        if told.is_empty() {
            return Ok(None);
        }
        let ids: Vec<_> = told.iter().map(|approval| approval.id).collect();
        self.record(begun, vec![Entry::Notice(json!({ "what": "approvals_told", "approvals": ids }))])
            .await?;
        Ok(Some(words::note(&told)))
    }

    /// Puts entries of this turn on record and tells the watchers.
    pub(crate) async fn record(&self, begun: &BegunTurn, entries: Vec<Entry>) -> crate::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let now = self.inner.clock.now();
        let events = self
            .inner
            .stores
            .journal
            .record(begun.session.id, begun.session.generation, Some(begun.turn_id), entries, now)
            .await?;
        self.inner.feed.publish(events);
        Ok(())
    }

    fn turn_end(&self, begun: &BegunTurn, ended: Ended, retries: u32) -> TurnEnd {
        let session_status = match (begun.session.mode, ended.status) {
            _ if ended.pauses => SessionStatus::Paused,
            (SessionMode::Interactive | SessionMode::Forked, _) => SessionStatus::Active,
            (SessionMode::Background, TurnStatus::Completed) => SessionStatus::Completed,
            (SessionMode::Background, _) => SessionStatus::Failed,
        };
        TurnEnd {
            status: ended.status,
            answer: ended.answer,
            answer_message_id: ended.answer_message_id,
            failure: ended.failure,
            error_message: ended.message,
            rounds: ended.rounds,
            retries,
            session_status,
            last_messages: Vec::new(),
            last_lines: Vec::new(),
            called_tools: ended.called_tools,
            agent: ended.conversation,
            at: self.inner.clock.now(),
        }
    }
}

/// Waits until the turn is asked to stop.
pub(crate) async fn stopped(stop: &mut watch::Receiver<Option<Stop>>) -> Stop {
    let why = stop.wait_for(Option::is_some).await.ok().and_then(|why| *why);
    match why {
        Some(why) => why,
        // The seat is gone with its sender: nobody can ask any more.
        None => std::future::pending().await,
    }
}

/// Waits until the lease is lost under which the turn runs.
pub(crate) async fn lease_lost(stop: &mut watch::Receiver<Option<Stop>>) {
    if stop.wait_for(|why| *why == Some(Stop::LeaseLost)).await.is_err() {
        // As above.
        std::future::pending().await
    }
}

/// The delay doubles with each retry and varies by a tenth, so that many sessions do not come back at one instant.
fn retry_delay(base_ms: u64, retry: u32) -> Duration {
    let doubled = base_ms.saturating_mul(1 << retry.saturating_sub(1).min(16));
    let jitter = rand::rng().random_range(0.9..=1.1);
    Duration::from_millis(doubled).mul_f64(jitter).min(RETRY_DELAY_MAX)
}
