//! The agent's transcripts, kept in the store while it runs, and brought back for whoever resumes them.

use crate::{Result, SessionManager, agent::Directories};
use async_trait::async_trait;
use domain::{
    Clock, Generation, Session, SessionId,
    ports::Transcripts,
    transcript::{TranscriptEntry, TranscriptKey, TranscriptLines},
};
use sdk_runtime::{
    sessions::SessionError,
    store::{
        Flush, ResumeFrom, SessionKey, SessionStore, SessionStoreOptions, StoreError, StoredSession,
        TranscriptLine, UnstoredLines, check_out,
    },
};
use serde_json::Value;
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use uuid::Uuid;

/// How long lines of a transcript wait for more of them. Until then the agent's own file alone has them, and what a crash
/// leaves there is rescued.
const APPEND_DELAY: Duration = Duration::from_millis(25);
/// How long the store may take for what an agent wrote. The agent does not wait for it.
const APPEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to read a conversation before it is resumed.
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The transcripts of one session, as its agents' runtime wants to have them.
pub struct SessionTranscripts {
    transcripts: Arc<dyn Transcripts>,
    clock: Arc<dyn Clock>,
    session: SessionId,
    generation: Generation,
}

impl std::fmt::Debug for SessionTranscripts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionTranscripts").field("session", &self.session).finish_non_exhaustive()
    }
}

impl SessionTranscripts {
    /// Those of this session, added to in this generation.
    #[must_use]
    pub fn new(
        transcripts: Arc<dyn Transcripts>,
        clock: Arc<dyn Clock>,
        session: SessionId,
        generation: Generation,
    ) -> Self {
        Self { transcripts, clock, session, generation }
    }

    /// How an agent of the session uses them: each line is stored soon after it was written (what comes close together in
    /// one unit of work: at the end of a turn the agent reports what it wrote line by line), and the agent resumes from
    /// its own files, which are brought up to date before it starts.
    fn options(self) -> SessionStoreOptions {
        let project = self.session.to_string();
        SessionStoreOptions::new(Arc::new(self))
            .with_project_key(project)
            .with_flush(Flush::Within(APPEND_DELAY))
            .with_resume_from(ResumeFrom::Files)
            .with_append_timeout(APPEND_TIMEOUT)
            .with_load_timeout(LOAD_TIMEOUT)
    }

    fn key(&self, key: &SessionKey) -> std::result::Result<TranscriptKey, StoreError> {
        transcript_key(self.session, key)
    }
}

/// The lines as the store has them, to be added to this session's transcripts with something else.
pub(crate) fn lines_of(
    session: SessionId,
    unstored: &UnstoredLines,
) -> std::result::Result<Vec<TranscriptLines>, StoreError> {
    let lines = unstored.lines().map(|(key, lines)| {
        let key = transcript_key(session, key)?;
        Ok(TranscriptLines { key, entries: lines.iter().map(as_it_is).collect() })
    });
    lines.collect()
}

fn as_it_is(line: &TranscriptLine) -> TranscriptEntry {
    TranscriptEntry { uuid: line.uuid().map(str::to_owned), text: line.text().to_owned() }
}

fn entry(line: &Value) -> TranscriptEntry {
    TranscriptEntry { uuid: line["uuid"].as_str().map(str::to_owned), text: line.to_string() }
}

fn transcript_key(session: SessionId, key: &SessionKey) -> std::result::Result<TranscriptKey, StoreError> {
    let conversation = conversation_of(session, &key.project_key, &key.session_id)?;
    Ok(TranscriptKey { session_id: session, conversation, subpath: key.subpath.clone() })
}

fn conversation_of(
    session: SessionId,
    project: &str,
    conversation: &str,
) -> std::result::Result<Uuid, StoreError> {
    if project != session.to_string() {
        return Err(format!("{project} is not the session {session}").into());
    }
    Ok(conversation.parse()?)
}

#[async_trait]
impl SessionStore for SessionTranscripts {
    async fn append(&self, key: &SessionKey, entries: &[Value]) -> std::result::Result<(), StoreError> {
        let entries: Vec<TranscriptEntry> = entries.iter().map(entry).collect();
        let key = self.key(key)?;
        Ok(self.transcripts.append_transcript(&key, self.generation, &entries, self.clock.now()).await?)
    }

    async fn load(&self, key: &SessionKey) -> std::result::Result<Option<Vec<Value>>, StoreError> {
        let key = self.key(key)?;
        let (mut entries, mut place) = (Vec::new(), 0);
        loop {
            let part = self.transcripts.transcript_after(&key, place).await?;
            for text in part.entries {
                entries.push(serde_json::from_str(&text)?);
            }
            match part.next {
                Some(next) => place = next,
                None => return Ok(Some(entries).filter(|entries| !entries.is_empty())),
            }
        }
    }

    async fn list(&self, _project_key: &str) -> std::result::Result<Vec<StoredSession>, StoreError> {
        let all = self.transcripts.transcripts(self.session).await?;
        let main = all.into_iter().filter(|transcript| transcript.subpath.is_none());
        let stored = main
            .map(|main| StoredSession::new(main.conversation.to_string(), SystemTime::from(main.added_at)));
        Ok(stored.collect())
    }

    async fn delete(&self, key: &SessionKey) -> std::result::Result<(), StoreError> {
        let TranscriptKey { conversation, subpath, .. } = self.key(key)?;
        Ok(self.transcripts.delete_transcript(self.session, conversation, subpath.as_deref()).await?)
    }

    async fn list_subkeys(
        &self,
        project_key: &str,
        session_id: &str,
    ) -> std::result::Result<Vec<String>, StoreError> {
        let conversation = conversation_of(self.session, project_key, session_id)?;
        let all = self.transcripts.transcripts(self.session).await?;
        let its = all.into_iter().filter(|transcript| transcript.conversation == conversation);
        Ok(its.filter_map(|transcript| transcript.subpath).collect())
    }
}

impl SessionManager {
    /// Where an agent of this session has its transcripts kept.
    pub(crate) fn session_store(&self, session: &Session) -> SessionStoreOptions {
        let transcripts = self.inner.stores.transcripts.clone();
        SessionTranscripts::new(transcripts, self.inner.clock.clone(), session.id, session.generation)
            .options()
    }

    /// Brings what this server's disk and the store have of a session's conversation to the same state, and says
    /// whether there is something to resume. No agent of the session may run.
    pub(crate) async fn check_out(&self, session: &Session) -> std::result::Result<bool, SessionError> {
        let conversation = session.agent.map_or(session.id.0, |agent| agent.id);
        let directories = Directories::of(&self.inner.settings, session);
        let cwd = PathBuf::from(&session.spec.working_directory);
        check_out(&self.session_store(session), conversation, &directories.config, &cwd).await
    }

    /// Brings to the store what the agent of a former life wrote and did not get there.
    pub(crate) async fn rescue_transcript(&self, session: &Session) {
        if let Err(error) = self.check_out(session).await {
            // The next start of an agent tries it again, and will say so.
            tracing::warn!(session_id = %session.id, error = &error as &dyn std::error::Error,
                "could not bring a transcript up to date");
        }
    }

    /// How long the main transcript of this conversation is in the store; `None` when there is none.
    pub(crate) async fn stored_length(&self, session: SessionId, conversation: Uuid) -> Result<Option<u64>> {
        let all = self.inner.stores.transcripts.transcripts(session).await?;
        let mut main = all.iter().filter(|one| one.subpath.is_none());
        Ok(main.find(|one| one.conversation == conversation).map(|main| main.length))
    }
}
