//! Forking: a session that begins where another one was, with its words, its settings and its files.
//!
//! The files are put in place first, then everything else is stored in one unit of work: a fork that somebody can see
//! is whole. What a crash leaves of the files is found by the folder they were staged in.

mod checkpoint;
mod copy;
mod cut;
mod staging;

use crate::{
    Error, FieldError, Result, SessionManager,
    admission::Room,
    draft::SessionDraft,
    workdir::{self, WorkingDirectory},
};
use domain::{
    Caller, Counters, Session, SessionId, SessionMode,
    fork::{DirectorySource, NewFork, Relative},
    session::AgentConversation,
};
use staging::Staging;
use std::path::Path;

/// Members of a family that are shown.
const FAMILY_MAX: u32 = 1_000;

/// What a caller wants of a fork.
#[derive(Debug, Clone, Default)]
pub struct ForkDraft {
    /// The last message that is taken along; 0 takes none, `None` all.
    pub at_message: Option<u64>,
    /// Whether the files come along. Left out, those of a directory of its own do, and a shared one is shared again.
    pub include_working_directory: Option<bool>,
    /// What is left out in it is as the parent has it.
    pub session: SessionDraft,
}

impl SessionManager {
    /// Begins a session where another one of the caller's is, or was.
    pub async fn fork(&self, caller: &Caller, parent: SessionId, draft: ForkDraft) -> Result<Session> {
        self.admit_work()?;
        let parent = self.load(caller.scope(), parent).await?;
        let (this, caller) = (self.clone(), caller.clone());
        let initial_message = draft.session.initial_message.clone();
        let room = match initial_message {
            // A session whose first turn has no place, or no money, is not created.
            Some(_) => {
                self.afford(caller.user_id, None).await?;
                self.room_in_line(SessionMode::Forked.into()).await?
            }
            None => Room::Ask,
        };
        // A request that is given up must not leave files without a session.
        let fork = {
            let caller = caller.clone();
            self.see_through(async move { this.fork_loaded(&caller, &parent, draft).await }).await?
        };
        if let Some(prompt) = initial_message {
            self.begin_first(&fork, prompt, room).await?;
            return self.get(&caller, fork.id).await;
        }
        Ok(fork)
    }

    /// The family of a session: what it was forked from and all that was forked from that, parents before children.
    pub async fn family(&self, caller: &Caller, id: SessionId) -> Result<Vec<Relative>> {
        let family = self.inner.stores.sessions.family(caller.scope(), id, FAMILY_MAX).await?;
        if family.is_empty() { Err(Error::NotFound("session")) } else { Ok(family) }
    }

    async fn fork_loaded(&self, caller: &Caller, parent: &Session, draft: ForkDraft) -> Result<Session> {
        let inner = &self.inner;
        let cut = self.cut(parent, draft.at_message).await?;
        let given_directory = draft.session.working_directory.is_some();
        let mut session = draft.session.inheriting(parent);
        let mut faults = self.policy_faults(session.custom_policies.as_deref().unwrap_or_default()).await?;
        let hooks = session.hooks_enabled.as_deref().unwrap_or_default();
        faults.extend(self.hook_faults(caller.user_id, hooks).await?);
        faults.extend(self.mcp_faults(caller.user_id, session.sdk_options.as_ref()).await?);
        if given_directory && draft.include_working_directory == Some(true) {
            let message = "takes the parent's files along, and `working_directory` names others";
            faults.push(FieldError::new("/include_working_directory", "conflict", message));
        }
        let is_shared = !parent.spec.owns_directory && draft.include_working_directory.is_none();
        if is_shared && !given_directory {
            session.working_directory = Some(parent.spec.working_directory.clone());
        }
        session.check(&inner.settings, caller.user_id, faults)?;

        let (id, now) = (SessionId::new(), inner.clock.now());
        let settings = &inner.settings.directories;
        let staging = Staging::new(settings, caller.user_id, id);
        let (directory, source) = if let Some(asked) = &session.working_directory {
            let directory = workdir::prepare(settings, caller.user_id, id, Some(asked))?;
            (directory, DirectorySource::Shared)
        } else {
            let takes_files = draft.include_working_directory != Some(false);
            let source = if takes_files { self.stage(parent, cut.at_message, &staging).await? } else { None };
            match source {
                Some(source) => {
                    let path = staging.put_in_place().await?;
                    (WorkingDirectory { path, is_own: true }, source)
                }
                None => (workdir::prepare(settings, caller.user_id, id, None)?, DirectorySource::Empty),
            }
        };
        fail::fail_point!("fork.files_copied");
        let budget = session.budget;
        let (mut session, _) = session.in_directory(&inner.settings, caller.user_id, id, now, directory);
        session.mode = SessionMode::Forked;
        session.spec.directory_source = Some(source);
        session.parent_session_id = Some(parent.id);
        session.fork_at_message = Some(cut.at_message);
        session.counters = Counters { messages: cut.at_message, ..Counters::default() };
        session.agent = cut.place.map(|_| AgentConversation { id: id.0, last_entry: cut.last_entry });
        self.bound(id, budget, &caller.origin()).await?;
        let fork = NewFork { session, parent: parent.id, cut: cut.place };
        if let Err(error) = inner.stores.sessions.fork(&fork, &caller.origin()).await {
            staging.take_back(fork.session.spec.owns_directory).await;
            return Err(error.into());
        }
        fail::fail_point!("fork.transcript_copied");
        staging.forget().await;
        Ok(fork.session)
    }

    /// Puts the parent's files into the staging folder: as they were at that message where there is a checkpoint, else
    /// as they are; `None` when there are none. Those that another server has are not taken for none.
    async fn stage(
        &self,
        parent: &Session,
        at_message: u64,
        staging: &Staging,
    ) -> Result<Option<DirectorySource>> {
        // While it is archived its files go, and while it is restored they come; after that it is known where they are.
        let _alone = self.inner.archiving.enter(parent.id).await;
        let parent = &self.load(domain::Scope::All, parent.id).await?;
        let files = staging.begin().await?;
        let staged = async {
            if self.restore_checkpoint(parent, at_message, &files).await? {
                return Ok(Some(DirectorySource::Archive));
            }
            if self.has_files_elsewhere(parent) {
                return Err(Error::FilesElsewhere);
            }
            let settings = self.inner.settings.directories.clone();
            let (user, path) = (parent.user_id, parent.spec.working_directory.clone());
            let bytes_max = self.inner.settings.containment.disk_bytes_max;
            let copied = tokio::task::spawn_blocking(move || {
                let from = match workdir::open(&settings, user, Path::new(&path)) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                    opened => {
                        opened.map_err(|error| copy::NotCopied::Io { path: ".".into(), source: error })?
                    }
                };
                copy::copy(&from, &files, bytes_max).map(|()| true)
            });
            match copied.await {
                Ok(Ok(true)) => Ok(Some(DirectorySource::Current)),
                Ok(Ok(false)) => Ok(None),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(Error::Internal("copy the working directory")),
            }
        };
        let staged: Result<_> = staged.await;
        if !matches!(staged, Ok(Some(_))) {
            staging.forget().await;
        }
        staged
    }

    /// Removes what forks that a former life did not finish have left on disk.
    pub(crate) async fn sweep_forks(&self) -> Result<()> {
        for staging in Staging::left(&self.inner.settings.directories).await? {
            let is_there =
                self.inner.stores.sessions.get(domain::Scope::All, staging.fork()).await?.is_some();
            if is_there { staging.forget().await } else { staging.take_back(true).await }
        }
        Ok(())
    }
}
