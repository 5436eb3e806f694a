//! The sessions the CLI has stored, without a CLI: list, read, rename, tag, archive, delete, fork.
//!
//! A session is a file of JSON lines, `<configuration folder>/projects/<project key>/<session id>.jsonl`,
//! with the transcripts of its subagents in a folder of the same name. [`SessionFiles`] works on those
//! files, wherever they are; for sessions in a [`SessionStore`](crate::store::SessionStore) there is
//! [`StoredSessions`](crate::store::StoredSessions) with the same methods.
//!
//! Listings read 64 KiB at each end of a transcript and no more. What others left in the folder, torn
//! lines, and files that vanish meanwhile are passed over. Nothing here locks: lines are added in one
//! write, so a CLI may run the session at the same time.
//!
//! ```no_run
//! use sdk_runtime::sessions::{ForkOptions, Page, Project, SessionFiles};
//!
//! # async fn example() -> Result<(), sdk_runtime::sessions::SessionError> {
//! let files = SessionFiles::of_this_process()?;
//! for session in files.list(Project::Any, Page::new(0, 20)).await? {
//!     println!("{} {}", session.session_id, session.summary);
//!     let messages = files.messages(session.session_id, Page::all()).await?;
//!     if let Some(third) = messages.get(2) {
//!         files.fork(session.session_id, ForkOptions::default().with_up_to(&third.uuid)).await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod archived;
pub(crate) mod chain;
pub(crate) mod config_dir;
pub(crate) mod edits;
mod error;
pub(crate) mod excerpt;
mod fields;
pub(crate) mod first_prompt;
pub(crate) mod fork;
pub(crate) mod info;
mod listing;
pub(crate) mod message;
mod parallel;
pub(crate) mod places;
mod project_key;
pub(crate) mod subagents;
pub(crate) mod transcript;
mod worktrees;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use uuid::Uuid;

use self::config_dir::ConfigDir;
pub use self::{
    error::{SessionError, StoreAction},
    fork::ForkOptions,
    info::SessionInfo,
    message::{Page, Role, SessionMessage},
    places::Project,
    project_key::project_key,
};
use crate::{blocking::blocking, options::EnvMode};

/// The stored sessions of one configuration folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFiles {
    config_dir: PathBuf,
    project: Project,
}

impl SessionFiles {
    /// Those in this configuration folder, such as `/home/me/.claude`.
    pub fn new(config_dir: impl Into<PathBuf>) -> Self {
        Self { config_dir: config_dir.into(), project: Project::Any }
    }

    /// Those of an agent with this environment.
    pub fn of_env(env: &BTreeMap<String, String>) -> Result<Self, SessionError> {
        let found = ConfigDir::of_agent(env, EnvMode::Replace);
        found.map(|found| Self::new(found.path)).ok_or(SessionError::NoConfigDir)
    }

    /// Those of an agent that would inherit the environment of this process, which is read here.
    pub fn of_this_process() -> Result<Self, SessionError> {
        let found = ConfigDir::of_this_process();
        found.map(|found| Self::new(found.path)).ok_or(SessionError::NoConfigDir)
    }

    /// Looks for sessions named by their id in this project only, which is faster than in all of them.
    #[must_use]
    pub fn in_project(mut self, project: impl Into<Project>) -> Self {
        self.project = project.into();
        self
    }

    /// The configuration folder.
    pub fn config_dir(&self) -> &Path {
        &self.config_dir
    }

    /// Sessions of a project, the one written last first; those without anything to show, and those of
    /// subagents, are left out. A project without sessions has an empty list. Cancel safe.
    pub async fn list(
        &self,
        project: impl Into<Project>,
        page: Page,
    ) -> Result<Vec<SessionInfo>, SessionError> {
        listing::list(self.config_dir.clone(), project.into(), page).await
    }

    /// What a listing says of one session; `None` when there is no such session, or nothing to show of
    /// it. Cancel safe.
    pub async fn info(&self, session_id: Uuid) -> Result<Option<SessionInfo>, SessionError> {
        let found = self.with(session_id, move |path| Ok(listing::info(&path, session_id))).await;
        match found {
            Err(SessionError::NotFound { .. }) => Ok(None),
            found => found,
        }
    }

    /// The conversation, oldest message first: the branch that was written last, with all results of
    /// tools that ran in parallel. After a compaction it begins with the summary. Cancel safe.
    pub async fn messages(&self, session_id: Uuid, page: Page) -> Result<Vec<SessionMessage>, SessionError> {
        self.with(session_id, move |path| {
            let entries = transcript::read_entries(&path, transcript::is_in_tree);
            let entries = entries.map_err(|error| SessionError::io("read", &path, error))?;
            Ok(page.of(chain::conversation(&entries)))
        })
        .await
    }

    /// Ids of the subagents of a session. Cancel safe.
    pub async fn subagents(&self, session_id: Uuid) -> Result<Vec<String>, SessionError> {
        self.with(session_id, |path| {
            Ok(subagents::files(&path).into_iter().map(|file| file.agent_id).collect())
        })
        .await
    }

    /// The conversation of a subagent, oldest message first. Cancel safe.
    pub async fn subagent_messages(
        &self,
        session_id: Uuid,
        agent_id: &str,
        page: Page,
    ) -> Result<Vec<SessionMessage>, SessionError> {
        let agent_id = agent_id.to_owned();
        self.with(session_id, move |path| {
            let file = subagents::files(&path).into_iter().find(|file| file.agent_id == agent_id);
            let file = file.ok_or(SessionError::NoSuchSubagent { session_id, agent_id })?;
            let entries = transcript::read_entries(&file.path, transcript::is_in_tree);
            let entries = entries.map_err(|error| SessionError::io("read", &file.path, error))?;
            Ok(page.of(chain::subagent_conversation(&entries, &subagents::parents(&file.path))))
        })
        .await
    }

    /// Gives a session a title. When dropped, the title may be given all the same.
    pub async fn rename(&self, session_id: Uuid, title: &str) -> Result<(), SessionError> {
        let entry = edits::title_entry(session_id, title)?;
        self.with(session_id, move |path| edits::append(&path, session_id, &entry)).await
    }

    /// Tags a session, or takes its tag away. What cannot be seen in a tag is removed from it. When
    /// dropped, the tag may be given all the same.
    pub async fn tag(&self, session_id: Uuid, tag: Option<&str>) -> Result<(), SessionError> {
        let entry = edits::tag_entry(session_id, tag)?;
        self.with(session_id, move |path| edits::append(&path, session_id, &entry)).await
    }

    /// Archives a session: it stays where it is, and listings say [`SessionInfo::archived`], until a prompt is sent in it
    /// or [`SessionFiles::unarchive`] takes the mark back. The transcript is not changed, and a process that runs the
    /// session goes on. When dropped, it may be archived all the same.
    pub async fn archive(&self, session_id: Uuid) -> Result<(), SessionError> {
        self.mark(session_id, true).await
    }

    /// Takes the mark of [`SessionFiles::archive`] back. When dropped, it may be taken back all the same.
    pub async fn unarchive(&self, session_id: Uuid) -> Result<(), SessionError> {
        self.mark(session_id, false).await
    }

    /// Deletes a session with its subagents, for good. When dropped, it may be deleted all the same.
    pub async fn delete(&self, session_id: Uuid) -> Result<(), SessionError> {
        self.with(session_id, move |path| edits::delete(&path, session_id)).await
    }

    /// Copies a conversation into a new session with ids of its own, and says which. Subagents, progress
    /// and notes of the CLI are left behind. When dropped, the new session may exist all the same.
    pub async fn fork(&self, session_id: Uuid, options: ForkOptions) -> Result<Uuid, SessionError> {
        self.with(session_id, move |path| fork::fork_file(&path, session_id, &options)).await
    }

    /// The transcript of a session. Cancel safe.
    pub async fn transcript_path(&self, session_id: Uuid) -> Result<PathBuf, SessionError> {
        self.with(session_id, Ok).await
    }

    /// Beside each transcript that the session has, because listings may come by any of them.
    async fn mark(&self, session_id: Uuid, is_archived: bool) -> Result<(), SessionError> {
        let (config_dir, project, now) = (self.config_dir.clone(), self.project.clone(), SystemTime::now());
        let done = blocking(move || {
            let mut found = places::transcripts(&config_dir, &project, session_id).peekable();
            if found.peek().is_none() {
                return Err(SessionError::NotFound { session_id });
            }
            found.try_for_each(|transcript| archived::mark(&transcript, is_archived, now))
        });
        done.await.map_err(|error| SessionError::io("work in", &self.config_dir, error))?
    }

    /// Does something with the transcript of a session, off the async threads.
    async fn with<T: Send + 'static>(
        &self,
        session_id: Uuid,
        work: impl FnOnce(PathBuf) -> Result<T, SessionError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let (config_dir, project) = (self.config_dir.clone(), self.project.clone());
        let done = blocking(move || places::transcript(&config_dir, &project, session_id).and_then(work));
        done.await.map_err(|error| SessionError::io("work in", &self.config_dir, error))?
    }
}
