//! The transcripts of conversations.

use super::StoreResult;
use crate::{
    Generation, SessionId,
    transcript::{TranscriptEntry, TranscriptKey, TranscriptPart, TranscriptPlace, TranscriptSummary},
};
use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

/// What the CLI wrote down of each conversation. It is only ever added to, and each entry keeps its place.
#[async_trait]
pub trait Transcripts: Send + Sync {
    /// Adds entries, in their order, behind those that are there. One with a uuid that the transcript has already is
    /// passed over, so that a batch may come twice.
    async fn append_transcript(
        &self,
        key: &TranscriptKey,
        by: Generation,
        entries: &[TranscriptEntry],
        at: Timestamp,
    ) -> StoreResult<()>;

    /// The entries after this place, which is 0 for the beginning: as many as a few megabytes hold, and one at least.
    async fn transcript_after(&self, key: &TranscriptKey, position: u64) -> StoreResult<TranscriptPart>;

    /// A session's transcripts.
    async fn transcripts(&self, session: SessionId) -> StoreResult<Vec<TranscriptSummary>>;

    /// Where in a main transcript of the session the entry is.
    async fn transcript_place(&self, session: SessionId, uuid: &str) -> StoreResult<Option<TranscriptPlace>>;

    /// Forgets a transcript; without a subpath, with all those beside it.
    async fn delete_transcript(
        &self,
        session: SessionId,
        conversation: Uuid,
        subpath: Option<&str>,
    ) -> StoreResult<()>;
}
