//! Waking: a session's agent is started ahead of the prompt that will need it.
//!
//! It takes a slot that nobody wants: never one that a prompt waits for, nor another session's agent. Once it is up it
//! is an idle agent like any other, which makes room for the next prompt.

use crate::{
    Error, Result, SessionManager,
    agent::TakeUp,
    attempt::launch::Launching,
    live::{Hold, Subject},
};
use domain::{Caller, Scope, Session, SessionId, SessionStatus};
use std::time::Duration;
use tokio::time::Instant;

/// How long an agent may take to start when nobody waits for it.
const WAKE_TIMEOUT: Duration = Duration::from_secs(60);

impl SessionManager {
    /// Has the session's agent started, if there is room for it; answers at once.
    pub async fn wake(&self, caller: &Caller, id: SessionId) -> Result<Session> {
        self.admit_work()?;
        let session = self.load(caller.scope(), id).await?;
        if !session.status.is_busy() && !SessionStatus::READY.contains(&session.status) {
            return Err(Error::WrongState(session.status));
        }
        if let Err(why) = &self.inner.settings.agent.cli {
            return Err(Error::AgentUnavailable(why.clone()));
        }
        self.wake_later(Subject::from(&session));
        Ok(session)
    }

    /// Starts the session's agent in a task of its own, unless it has one, or there is no room for it.
    pub(crate) fn wake_later(&self, subject: Subject) {
        let is_wanted = self.admit_work().is_ok()
            && self.inner.settings.agent.cli.is_ok()
            && !self.inner.admission.is_crowded(subject.mode.into());
        if is_wanted && let Some(hold) = self.inner.live.take_to_wake(subject) {
            let this = self.clone();
            self.spawn(async move {
                let hold = this.start_ahead(subject.session_id, hold).await;
                this.give_back(hold);
            });
        }
    }

    /// Whether nothing but a prompt is missing for a turn to begin here.
    fn may_wake(&self, session: &Session) -> bool {
        SessionStatus::READY.contains(&session.status)
            && session.operation.is_none()
            && session.server_id == Some(self.server())
            && !self.has_files_elsewhere(session)
    }

    async fn start_ahead(&self, id: SessionId, mut hold: Hold) -> Hold {
        // Looked at with the seat taken: whoever pauses or ends the session from now on waits for this.
        let session = match self.load(Scope::All, id).await {
            Ok(session) if self.may_wake(&session) => session,
            Ok(_) | Err(_) => return hold,
        };
        let launching = Launching {
            manager: self,
            session: &session,
            take_up: TakeUp::Continue,
            deadline: Instant::now() + WAKE_TIMEOUT,
        };
        match launching.run(&mut hold.stop).await {
            Ok((agent, _)) => {
                // Nothing was told to it yet, so the first prompt looks for what it has to be told.
                self.inner.desk.note_untold(id);
                hold.agent = Some(agent);
            }
            // The prompt will say so to whoever sends it.
            Err(ended) => {
                tracing::debug!(session_id = %id, why = ended.message, "an agent could not be started ahead");
            }
        }
        hold
    }
}
