//! Transcripts.

use super::{MemoryStore, State};
use async_trait::async_trait;
use domain::{
    Generation, SessionId,
    ports::{StoreError, StoreResult, Transcripts},
    transcript::{TranscriptEntry, TranscriptKey, TranscriptPart, TranscriptPlace, TranscriptSummary},
};
use jiff::Timestamp;
use uuid::Uuid;

/// Small, so that what reads in parts is tried with a few entries.
const PART_ENTRIES_MAX: usize = 3;

#[derive(Debug, Clone)]
pub(super) struct Transcript {
    pub(super) key: TranscriptKey,
    pub(super) entries: Vec<TranscriptEntry>,
    pub(super) added_at: Timestamp,
}

#[async_trait]
impl Transcripts for MemoryStore {
    async fn append_transcript(
        &self,
        key: &TranscriptKey,
        by: Generation,
        entries: &[TranscriptEntry],
        at: Timestamp,
    ) -> StoreResult<()> {
        let mut state = self.state();
        if !entries.is_empty() && !state.sessions.contains_key(&key.session_id) {
            return Err(StoreError::Inconsistent { table: "transcript_entries", column: "session_id" });
        }
        if !entries.is_empty() {
            state.admit(key.session_id, by)?;
        }
        state.add_to_transcript(key, entries, at);
        Ok(())
    }

    async fn transcript_after(&self, key: &TranscriptKey, position: u64) -> StoreResult<TranscriptPart> {
        let state = self.state();
        let Some(transcript) = state.transcripts.iter().find(|transcript| transcript.key == *key) else {
            return Ok(TranscriptPart::default());
        };
        let start = usize::try_from(position).unwrap_or(usize::MAX).min(transcript.entries.len());
        let end = (start + PART_ENTRIES_MAX).min(transcript.entries.len());
        Ok(TranscriptPart {
            entries: transcript.entries[start..end].iter().map(|entry| entry.text.clone()).collect(),
            next: (end < transcript.entries.len()).then_some(end as u64),
        })
    }

    async fn transcripts(&self, session: SessionId) -> StoreResult<Vec<TranscriptSummary>> {
        let state = self.state();
        let mut its: Vec<&Transcript> =
            state.transcripts.iter().filter(|transcript| transcript.key.session_id == session).collect();
        its.sort_by_key(|transcript| &transcript.key);
        let summary = |transcript: &Transcript| TranscriptSummary {
            conversation: transcript.key.conversation,
            subpath: transcript.key.subpath.clone(),
            length: transcript.entries.len() as u64,
            added_at: transcript.added_at,
        };
        Ok(its.into_iter().map(summary).collect())
    }

    async fn transcript_place(&self, session: SessionId, uuid: &str) -> StoreResult<Option<TranscriptPlace>> {
        let state = self.state();
        let main = |transcript: &&Transcript| {
            transcript.key.session_id == session && transcript.key.subpath.is_none()
        };
        Ok(state.transcripts.iter().filter(main).find_map(|transcript| {
            let place = transcript.entries.iter().position(|entry| entry.uuid.as_deref() == Some(uuid))?;
            Some(TranscriptPlace { conversation: transcript.key.conversation, position: place as u64 + 1 })
        }))
    }

    async fn delete_transcript(
        &self,
        session: SessionId,
        conversation: Uuid,
        subpath: Option<&str>,
    ) -> StoreResult<()> {
        self.state().transcripts.retain(|Transcript { key, .. }| {
            let is_of_it = key.session_id == session && key.conversation == conversation;
            !is_of_it || subpath.is_some_and(|subpath| key.subpath.as_deref() != Some(subpath))
        });
        Ok(())
    }
}

impl State {
    /// Adds those of the entries that are new.
    pub(super) fn add_to_transcript(
        &mut self,
        key: &TranscriptKey,
        entries: &[TranscriptEntry],
        at: Timestamp,
    ) {
        for entry in entries {
            let place = self.transcripts.iter().position(|transcript| transcript.key == *key);
            let place = place.unwrap_or(self.transcripts.len());
            if place == self.transcripts.len() {
                self.transcripts.push(Transcript { key: key.clone(), entries: vec![], added_at: at });
            }
            let transcript = &mut self.transcripts[place];
            let is_known =
                |uuid: &str| transcript.entries.iter().any(|there| there.uuid.as_deref() == Some(uuid));
            if !entry.uuid.as_deref().is_some_and(is_known) {
                transcript.entries.push(entry.clone());
                transcript.added_at = at;
            }
        }
    }
}
