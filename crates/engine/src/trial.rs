//! A session of nobody, in which the CLI is tried: nothing of it is stored, booked or seen, and nothing of it is left.

use crate::{Error, SessionDraft, SessionManager, agent::Directories};
use domain::{Session, UserId};

/// The session, whose directories go with [`Trial::end`].
#[derive(Debug)]
pub(crate) struct Trial {
    pub session: Session,
}

impl Trial {
    /// A session as this draft says, which has nothing on disk yet.
    pub(crate) fn new(manager: &SessionManager, draft: SessionDraft) -> Result<Self, String> {
        let inner = &manager.inner;
        let drafted = draft.into_session(&inner.settings, UserId::new(), inner.clock.now(), Vec::new());
        drafted.map(|(session, _)| Self { session }).map_err(|error| format!("could not {error}"))
    }

    /// Removes what it has left.
    pub(crate) async fn end(self, manager: &SessionManager) {
        let settings = &manager.inner.settings;
        let directories = Directories::of(settings, &self.session);
        let home = settings.directories.workspaces.join(self.session.user_id.to_string());
        let removed = tokio::task::spawn_blocking(move || {
            directories.remove().and_then(|()| match std::fs::remove_dir(home) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                removed => {
                    removed.map_err(|source| Error::Files { action: "remove the trial's directory", source })
                }
            })
        });
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "something of a trial is left");
        }
    }
}
