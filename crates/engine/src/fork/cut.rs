//! Where a conversation is cut for a fork.

use crate::{Error, FieldError, Result, SessionManager};
use domain::{Scope, Session, fork::MessageEntry, transcript::TranscriptPlace};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Messages that are looked at for one that is in the transcript.
const LOOKED_AT: u32 = 100;
/// How long the transcript of a running turn may be behind its messages, and how often it is looked at.
const MIRROR_WAIT: Duration = Duration::from_secs(5);
const MIRROR_LOOK: Duration = Duration::from_millis(50);

/// What of a conversation a fork takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// The last message.
    pub at_message: u64,
    /// The last place in the transcript; `None` when no agent has heard of any of it.
    pub place: Option<TranscriptPlace>,
    /// The entry there, where it is one of the conversation.
    pub last_entry: Option<Uuid>,
}

impl SessionManager {
    /// Where to cut. While a turn runs and no message was asked for, that is the last one that is in the transcript.
    pub(super) async fn cut(&self, session: &Session, asked: Option<u64>) -> Result<Cut> {
        let total = session.counters.messages;
        if asked.is_some_and(|asked| asked > total) {
            let message = format!("is beyond the end: the session has {total} messages");
            return Err(Error::Invalid(vec![FieldError::new("/fork_at_message", "range", message)]));
        }
        let at_message = asked.unwrap_or(total);
        if at_message == 0 {
            return Ok(Cut { at_message, place: None, last_entry: None });
        }
        let mut is_running = session.current_turn_id.is_some();
        if at_message == total && !is_running {
            let cut = self.cut_nothing_off(session, at_message).await?;
            // Nothing may have been said between the two looks, at the messages and at the transcript.
            let now = self.load(Scope::All, session.id).await?;
            if now.current_turn_id.is_none() && now.counters.messages == total {
                return Ok(cut);
            }
            is_running = true;
        }
        let entries = self.inner.stores.history.entries_before(session.id, at_message, LOOKED_AT).await?;
        for (index, message) in entries.iter().enumerate() {
            let Some(entry) = message.entry else {
                return Err(Error::NotForkable(
                    "the message was recorded before transcripts were kept; fork from the end".to_owned(),
                ));
            };
            let patience = if is_running && asked.is_some() { MIRROR_WAIT } else { Duration::ZERO };
            if let Some(place) = self.place_of(session, entry, patience).await? {
                // Nothing was asked for, so what is not complete yet is not part of it.
                let at_message =
                    if index == 0 || asked.is_some() { at_message } else { message.sequence_number };
                return Ok(Cut { at_message, place: Some(place), last_entry: Some(entry) });
            }
            if !may_be_missing(message, is_running && asked.is_none()) {
                return Err(Error::NotForkable(format!(
                    "message {} is not in the stored transcript",
                    message.sequence_number
                )));
            }
        }
        let at_message = if asked.is_some() { at_message } else { 0 };
        Ok(Cut { at_message, place: None, last_entry: None })
    }

    async fn cut_nothing_off(&self, session: &Session, at_message: u64) -> Result<Cut> {
        let nothing = Cut { at_message, place: None, last_entry: None };
        let Some(agent) = session.agent else { return Ok(nothing) };
        let mut length = self.stored_length(session.id, agent.id).await?;
        if length.is_none() {
            // A session from before transcripts were kept has its own on this server's disk only.
            self.rescue_transcript(session).await;
            length = self.stored_length(session.id, agent.id).await?;
        }
        match (length, agent.last_entry) {
            (Some(position), last_entry) => {
                let place = TranscriptPlace { conversation: agent.id, position };
                Ok(Cut { at_message, place: Some(place), last_entry })
            }
            (None, None) => Ok(nothing),
            (None, Some(_)) => Err(Error::NotForkable("its transcript is lost".to_owned())),
        }
    }

    async fn place_of(
        &self,
        session: &Session,
        entry: Uuid,
        patience: Duration,
    ) -> Result<Option<TranscriptPlace>> {
        let deadline = Instant::now() + patience;
        loop {
            let place =
                self.inner.stores.transcripts.transcript_place(session.id, &entry.to_string()).await?;
            if place.is_some() || Instant::now() >= deadline {
                return Ok(place);
            }
            tokio::time::sleep(MIRROR_LOOK).await;
        }
    }
}

/// A prompt that no agent was told is in no transcript, nor is what is still on its way there.
fn may_be_missing(message: &MessageEntry, is_on_its_way: bool) -> bool {
    is_on_its_way || message.is_prompt()
}
