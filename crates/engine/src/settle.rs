//! Settling in: a session's own working directory where its next turn begins. It is the one that counts, or the newest
//! that can be had, and then the journal and the agent are told how old it is.

use crate::{Error, Result, SessionManager, workdir};
use domain::{ArchiveId, Entry, Session, journal::data, ports::ArchiveError, turn::BegunTurn};
use serde_json::Value;
use std::path::Path;

/// A working directory that is not what the session had last.
pub(crate) enum Found {
    /// Unpacked from this archive.
    Archived { id: ArchiveId, at_message: u64 },
    /// The one that was left on this server when the session had so many messages.
    Left(u64),
    /// A new one, and empty.
    Nothing,
}

impl Found {
    fn notice(&self) -> Value {
        match self {
            Self::Archived { id, .. } => data::restored(*id),
            Self::Left(messages) => data::workspace_outdated(*messages),
            Self::Nothing => data::workspace_missing(),
        }
    }

    /// What the agent is told before the prompt with which the session, which has so many messages with it, goes on.
    fn note(&self, messages: u64) -> Option<String> {
        let at = match self {
            // Made when all but the prompt was there.
            Self::Archived { at_message, .. } if at_message.saturating_add(1) >= messages => return None,
            Self::Archived { at_message, .. } => *at_message,
            Self::Left(at) => *at,
            Self::Nothing => {
                return Some(
                    "This session goes on at another server, which has none of its files: the working directory is \
                     empty. Whatever you did in it before is not there. Look before you rely on it."
                        .to_owned(),
                );
            }
        };
        let since = messages.saturating_sub(1).saturating_sub(at);
        Some(format!(
            "This session goes on at another server, which has no newer files of it than these: the working directory \
             is as it was {since} messages ago. Whatever you did in it since is not there. Look before you rely on it."
        ))
    }
}

impl SessionManager {
    /// The turn with its session at home here; what its agent has to be told of that. A session that comes from another
    /// server, or whose data folder was moved, has its own working directory at this server's place from now on.
    pub(crate) async fn settle_in(&self, begun: &mut BegunTurn) -> Result<Option<String>> {
        let session = &begun.session;
        if !session.spec.owns_directory {
            return Ok(None);
        }
        let here = workdir::own(&self.inner.settings.directories, session.user_id, session.id);
        let is_here = session.spec.whereabouts.is_at(self.server());
        if is_here && Path::new(&session.spec.working_directory) == here {
            return Ok(None);
        }
        let (notice, note) = if self.has_workspace(session).await? {
            (data::workspace_moved(), None)
        } else {
            let found = self.find_workspace(session).await?;
            (found.notice(), found.note(session.counters.messages))
        };
        let (path, now) = (here.display().to_string(), self.inner.clock.now());
        let servers = &self.inner.lease.store;
        let (moved, event) = servers.relocate(session.id, session.generation, &path, notice, now).await?;
        begun.session = moved;
        self.inner.feed.publish([event]);
        Ok(note)
    }

    /// Where a session that is about to start here has lost its own working directory: gives it another one, and says so
    /// in the journal.
    pub(crate) async fn bring_back_lost(&self, session: &Session) -> Result<()> {
        if !session.spec.owns_directory || self.has_workspace(session).await? {
            return Ok(());
        }
        let (notice, now) = (self.find_workspace(session).await?.notice(), self.inner.clock.now());
        let (journal, turn) = (&self.inner.stores.journal, session.current_turn_id);
        let notice = vec![Entry::Notice(notice)];
        let events = journal.record(session.id, session.generation, turn, notice, now).await?;
        self.inner.feed.publish(events);
        Ok(())
    }

    /// Puts the newest directory of the session that this server can get at in its place: that of its last archive, or an
    /// older one that was left here, if that has seen more of the conversation. What was done since is in neither.
    async fn find_workspace(&self, session: &Session) -> Result<Found> {
        let own = workdir::own(&self.inner.settings.directories, session.user_id, session.id);
        let is_there = tokio::fs::try_exists(&own).await;
        let is_there =
            is_there.map_err(|source| Error::Files { action: "look at the working directory", source })?;
        let left = is_there.then(|| session.spec.whereabouts.left_at(self.server()));
        if let Some((archive, stored)) = self.archive_within_reach(session).await?
            && left.is_none_or(|left| archive.at_message > left)
        {
            match self.unpack_workspace(session, &stored).await {
                Ok(_) => return Ok(Found::Archived { id: archive.id, at_message: archive.at_message }),
                // It will not be there at the next prompt either.
                Err(Error::Archive(ArchiveError::Missing)) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(messages) = left {
            return Ok(Found::Left(messages));
        }
        workdir::make_own(&own)?;
        Ok(Found::Nothing)
    }
}
