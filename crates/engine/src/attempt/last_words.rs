//! Messages that wait a moment for what follows, so that a turn's last ones go on record with its end; and the last lines
//! of its agent's transcripts, which are stored with it.

use crate::transcript::lines_of;
use domain::{Entry, NewMessage, SessionId, TurnEnd};
use sdk_runtime::{Agent, store::UnstoredLines};
use serde_json::Value;
use std::{mem::take, time::Duration};
use tokio::time::{Instant, sleep_until};

/// How long a message waits. The result mostly comes within three milliseconds of the last one, in which the agent has
/// work to do: a unit of work for the message alone would take its processor.
const WAIT: Duration = Duration::from_millis(5);

/// What the agent said last and is not on record yet.
#[derive(Debug, Default)]
pub(crate) struct LastWords {
    messages: Vec<NewMessage>,
    /// When the first of them has waited long enough.
    due: Option<Instant>,
    /// What the agent's runtime would have stored by now. It stores nothing more of the agent until this is dropped.
    lines: Option<UnstoredLines>,
}

impl LastWords {
    /// What is to be recorded now that these entries follow: nothing while there are only messages, which can wait, or
    /// everything in its order.
    pub(crate) fn followed_by(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        if !entries.iter().all(|entry| matches!(entry, Entry::Message(_))) {
            return self.take_entries().into_iter().chain(entries).collect();
        }
        for entry in entries {
            if let Entry::Message(message) = entry {
                self.messages.push(*message);
                self.due.get_or_insert_with(|| Instant::now() + WAIT);
            }
        }
        Vec::new()
    }

    /// What is to be recorded before this part of an answer is shown: everything, if the part is of a message to come.
    /// Whoever follows both hears of what was said first.
    pub(super) fn followed_by_part(&mut self, event: &Value) -> Vec<Entry> {
        match event["type"].as_str() {
            Some("message_start" | "content_block_start" | "content_block_delta") => self.take_entries(),
            _ => Vec::new(),
        }
    }

    /// Waits until they have waited long enough; for ever, if there are none.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// What waits, to be recorded by itself.
    pub(super) fn take_entries(&mut self) -> Vec<Entry> {
        self.take_messages().into_iter().map(|message| Entry::Message(Box::new(message))).collect()
    }

    fn take_messages(&mut self) -> Vec<NewMessage> {
        self.due = None;
        take(&mut self.messages)
    }

    /// Takes in the lines that are left when the agent's turn is over. One that goes has them stored before.
    pub(super) async fn take_in_lines(&mut self, agent: &Agent, stays: bool) {
        if stays {
            self.lines = agent.take_transcript_lines().await;
        } else {
            agent.flush_session_store().await;
        }
    }

    /// The end with all of it.
    pub(crate) fn put_in(&mut self, session: SessionId, end: TurnEnd) -> TurnEnd {
        let last_lines = match self.lines.as_ref().map(|lines| lines_of(session, lines)) {
            Some(Ok(lines)) => lines,
            Some(Err(error)) => {
                // The runtime tries it as well, and says of which lines it is so.
                tracing::warn!(%session, error = &*error, "lines of a transcript are not the session's");
                self.let_go_of_lines();
                Vec::new()
            }
            None => Vec::new(),
        };
        TurnEnd { last_messages: self.take_messages(), last_lines, ..end }
    }

    /// The end is on record, and what was put in it.
    pub(crate) fn recorded(&mut self) {
        if let Some(lines) = self.lines.take() {
            lines.stored();
        }
    }

    /// Leaves the lines to the runtime.
    pub(crate) fn let_go_of_lines(&mut self) {
        self.lines = None;
    }
}
