//! Checkpoints: a session's files as they were at a message, which is what an archive that was made there holds.

use crate::{Error, Result, SessionManager, archives::WORKSPACE};
use domain::{Session, SessionStatus};
use std::path::Path;

impl SessionManager {
    /// Unpacks the files of the session as they were when this was its last message into `target`, which is not there
    /// yet; false when nothing keeps them. Of an archived session, whose directory is gone, its archive does, whatever
    /// the message.
    pub(super) async fn restore_checkpoint(
        &self,
        session: &Session,
        at_message: u64,
        target: &Path,
    ) -> Result<bool> {
        let is_archived = session.status == SessionStatus::Archived;
        let Some((archive, stored)) = self.archive_within_reach(session).await? else {
            // There is one, and nowhere else are its files.
            return if is_archived { Err(Error::FilesElsewhere) } else { Ok(false) };
        };
        if !is_archived && archive.at_message != at_message {
            return Ok(false);
        }
        let _room = self.inner.archiving.room().await;
        self.inner.stores.archive_store.restore(&stored, WORKSPACE, target.to_owned().into()).await?;
        Ok(true)
    }
}
