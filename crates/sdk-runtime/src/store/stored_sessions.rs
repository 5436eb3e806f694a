//! The sessions of a store, with the methods that `SessionFiles` has for those on disk.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    SessionKey, SessionStore, StoredSession,
    ask::{ask, load},
};
use crate::sessions::{
    ForkOptions, Page, SessionError, SessionInfo, SessionMessage, StoreAction, chain, edits,
    excerpt::Excerpt,
    fork,
    message::Parents,
    transcript::{is_in_tree, write_entry},
};

/// Transcripts that are loaded at once for a listing.
const LOADS: usize = 16;
/// Bound of one question to the store.
const BOUND: Duration = Duration::from_secs(60);

/// The sessions of one project in a store. Unlike files, a store can only be asked for whole transcripts.
#[derive(Debug, Clone)]
pub struct StoredSessions {
    store: Arc<dyn SessionStore>,
    project_key: String,
}

impl StoredSessions {
    /// The sessions under this key, usually `sessions::project_key` of a working directory.
    pub fn new(store: Arc<dyn SessionStore>, project_key: impl Into<String>) -> Self {
        Self { store, project_key: project_key.into() }
    }

    /// As `SessionFiles::list`. As many transcripts are loaded as the page needs. Cancel safe.
    pub async fn list(&self, page: Page) -> Result<Vec<SessionInfo>, SessionError> {
        let listed = self.store.list(&self.project_key);
        let mut listed = ask(StoreAction::List, &self.project_key, BOUND, listed).await?;
        listed.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.session_id.cmp(&b.session_id)));
        let wanted = page.limit.map(|limit| limit.saturating_add(page.offset));
        let mut found = Vec::new();
        let mut infos = stream::iter(listed).map(|session| self.info_of(session)).buffered(LOADS);
        while wanted.is_none_or(|wanted| found.len() < wanted)
            && let Some(info) = infos.next().await
        {
            found.extend(info?);
        }
        Ok(page.of(found))
    }

    /// As `SessionFiles::info`; `modified` is the time of the last entry. Cancel safe.
    pub async fn info(&self, session_id: Uuid) -> Result<Option<SessionInfo>, SessionError> {
        let entries = match self.load(session_id).await {
            Err(SessionError::NotFound { .. }) => return Ok(None),
            entries => entries?,
        };
        let times = entries.iter().rev().filter_map(|entry| entry["timestamp"].as_str());
        let mut times = times.filter_map(|time| humantime::parse_rfc3339(time).ok());
        let modified = times.next().unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(info(session_id, &entries, modified))
    }

    /// As `SessionFiles::messages`. Cancel safe.
    pub async fn messages(&self, session_id: Uuid, page: Page) -> Result<Vec<SessionMessage>, SessionError> {
        let mut entries = self.load(session_id).await?;
        entries.retain(is_in_tree);
        Ok(page.of(chain::conversation(&entries)))
    }

    /// As `SessionFiles::subagents`. Cancel safe.
    pub async fn subagents(&self, session_id: Uuid) -> Result<Vec<String>, SessionError> {
        let subpaths = self.subpaths(session_id).await?;
        let mut ids: Vec<String> = subpaths.iter().filter_map(|subpath| agent_of(subpath)).collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    /// As `SessionFiles::subagent_messages`. Cancel safe.
    pub async fn subagent_messages(
        &self,
        session_id: Uuid,
        agent_id: &str,
        page: Page,
    ) -> Result<Vec<SessionMessage>, SessionError> {
        let subpaths = self.subpaths(session_id).await?;
        let subpath = subpaths.into_iter().find(|subpath| agent_of(subpath).as_deref() == Some(agent_id));
        let subpath = subpath
            .ok_or_else(|| SessionError::NoSuchSubagent { session_id, agent_id: agent_id.to_owned() })?;
        let mut entries =
            load(self.store.as_ref(), &self.key(session_id).with_subpath(subpath), BOUND).await?;
        let metadata = entries.iter().rfind(|entry| entry["type"] == "agent_metadata");
        let parents = metadata.map(Parents::of).unwrap_or_default();
        entries.retain(is_in_tree);
        Ok(page.of(chain::subagent_conversation(&entries, &parents)))
    }

    /// As `SessionFiles::rename`.
    /// When it is dropped, the store may have taken it.
    pub async fn rename(&self, session_id: Uuid, title: &str) -> Result<(), SessionError> {
        let entry = edits::title_entry(session_id, title)?;
        self.append(session_id, entry).await
    }

    /// As `SessionFiles::tag`.
    /// When it is dropped, the store may have taken it.
    pub async fn tag(&self, session_id: Uuid, tag: Option<&str>) -> Result<(), SessionError> {
        let entry = edits::tag_entry(session_id, tag)?;
        self.append(session_id, entry).await
    }

    /// As `SessionFiles::delete`; a session that is unknown is deleted already.
    /// When it is dropped, the store may have taken it.
    pub async fn delete(&self, session_id: Uuid) -> Result<(), SessionError> {
        let key = self.key(session_id);
        ask(StoreAction::Delete, &key, BOUND, self.store.delete(&key)).await
    }

    /// As `SessionFiles::fork`.
    /// When it is dropped, the store may have taken it.
    pub async fn fork(&self, session_id: Uuid, options: ForkOptions) -> Result<Uuid, SessionError> {
        let mut entries = self.load(session_id).await?;
        entries.retain(fork::is_wanted);
        let (fork, entries) = fork::fork(&entries, session_id, &options)?;
        let key = self.key(fork);
        ask(StoreAction::Append, &key, BOUND, self.store.append(&key, &entries)).await?;
        Ok(fork)
    }

    fn key(&self, session_id: Uuid) -> SessionKey {
        SessionKey::main(&self.project_key, session_id.to_string())
    }

    async fn load(&self, session_id: Uuid) -> Result<Vec<Value>, SessionError> {
        let entries = load(self.store.as_ref(), &self.key(session_id), BOUND).await?;
        if entries.is_empty() { Err(SessionError::NotFound { session_id }) } else { Ok(entries) }
    }

    async fn info_of(&self, session: StoredSession) -> Result<Option<SessionInfo>, SessionError> {
        let Ok(session_id) = session.session_id.parse() else {
            return Ok(None);
        };
        let key = SessionKey::main(&self.project_key, session.session_id);
        let entries = load(self.store.as_ref(), &key, BOUND).await?;
        Ok(info(session_id, &entries, session.modified))
    }

    async fn subpaths(&self, session_id: Uuid) -> Result<Vec<String>, SessionError> {
        let key = self.key(session_id);
        let listed = self.store.list_subkeys(&self.project_key, &key.session_id);
        ask(StoreAction::ListSubkeys, &key, BOUND, listed).await
    }

    /// Only to what is there: a title would else make a session of its own.
    async fn append(&self, session_id: Uuid, mut entry: Value) -> Result<(), SessionError> {
        self.load(session_id).await?;
        entry["uuid"] = json!(Uuid::new_v4());
        entry["timestamp"] = json!(humantime::format_rfc3339_millis(SystemTime::now()).to_string());
        let key = self.key(session_id);
        ask(StoreAction::Append, &key, BOUND, self.store.append(&key, &[entry])).await
    }
}

fn info(session_id: Uuid, entries: &[Value], modified: SystemTime) -> Option<SessionInfo> {
    let lines = entries.iter().map(|entry| write_entry(entry).trim_end().to_owned()).collect();
    let info = SessionInfo::of(session_id, &Excerpt::of_lines(lines, modified))?;
    Some(SessionInfo { bytes: None, ..info })
}

/// `subagents/…/agent-<id>` → `<id>`.
fn agent_of(subpath: &str) -> Option<String> {
    let name = subpath.strip_prefix("subagents/")?.rsplit('/').next()?;
    name.strip_prefix("agent-").map(str::to_owned)
}
