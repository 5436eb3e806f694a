//! A store in memory, for tests and for sessions that need not outlive the process.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use serde_json::Value;

use super::{SessionKey, SessionStore, StoreError, StoredSession};

/// Keeps transcripts in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    transcripts: BTreeMap<SessionKey, Transcript>,
    last_append: Option<SystemTime>,
}

#[derive(Debug)]
struct Transcript {
    entries: Vec<Value>,
    uuids: HashSet<String>,
    modified: SystemTime,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every key there is.
    pub fn keys(&self) -> Vec<SessionKey> {
        self.lock().transcripts.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Later than any time before, so that the session written last is always known.
    fn now(&mut self) -> SystemTime {
        let mut now = SystemTime::now();
        if let Some(last) = self.last_append.filter(|last| *last >= now) {
            now = last + Duration::from_millis(1);
        }
        self.last_append = Some(now);
        now
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn append(&self, key: &SessionKey, entries: &[Value]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut kept = self.lock();
        let modified = kept.now();
        let transcript = kept.transcripts.entry(key.clone()).or_insert_with(|| Transcript {
            entries: Vec::new(),
            uuids: HashSet::new(),
            modified,
        });
        transcript.modified = modified;
        for entry in entries {
            let is_new = entry["uuid"].as_str().is_none_or(|uuid| transcript.uuids.insert(uuid.to_owned()));
            if is_new {
                transcript.entries.push(entry.clone());
            }
        }
        Ok(())
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Vec<Value>>, StoreError> {
        let kept = self.lock();
        Ok(kept.transcripts.get(key).map(|transcript| transcript.entries.clone()))
    }

    async fn list(&self, project_key: &str) -> Result<Vec<StoredSession>, StoreError> {
        let kept = self.lock();
        let mains = kept.transcripts.iter();
        let mains = mains.filter(|(key, _)| key.project_key == project_key && key.subpath.is_none());
        Ok(mains.map(|(key, kept)| StoredSession::new(&key.session_id, kept.modified)).collect())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), StoreError> {
        self.lock().transcripts.retain(|other, _| {
            let is_same_session = other.project_key == key.project_key && other.session_id == key.session_id;
            !is_same_session || key.subpath.is_some() && other.subpath != key.subpath
        });
        Ok(())
    }

    async fn list_subkeys(&self, project_key: &str, session_id: &str) -> Result<Vec<String>, StoreError> {
        let kept = self.lock();
        let keys = kept.transcripts.keys();
        let keys = keys.filter(|key| key.project_key == project_key && key.session_id == session_id);
        Ok(keys.filter_map(|key| key.subpath.clone()).collect())
    }
}
