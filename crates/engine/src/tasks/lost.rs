//! Executions whose worker is gone: another one looks at what is on record and decides.
//!
//! First the execution is made this worker's, so that the one before cannot write to it any more; then its session is
//! kept from beginning anything, and its turn ended; only then is looked at what was done.

use super::TaskManager;
use crate::Result;
use domain::{Execution, Origin};

/// Executions that are taken over in one round.
const TAKEN_OVER_MAX: u32 = 50;

impl TaskManager {
    /// Takes over what workers had that are gone, and what this one had in an earlier life or could not store.
    pub(super) async fn take_over_lost(&self) -> Result<()> {
        let server = self.inner.sessions.server();
        for lost in self.store().lost_executions(server, &self.mine(), TAKEN_OVER_MAX).await? {
            let Some(taken) = lost.taken_over(server) else { continue };
            if !self.begin_mine(lost.id) {
                continue;
            }
            // What was its own before is nobody's business.
            let by = (lost.worker != Some(server)).then(Origin::system);
            let advanced = self.store().advance_execution(&taken, self.now(), by.as_ref()).await;
            let this = self.clone();
            match advanced {
                Ok(true) => self.inner.sessions.spawn(async move {
                    if let Err(error) = this.settle_lost(&taken).await {
                        tracing::warn!(execution_id = %taken.id, error = &error as &dyn std::error::Error,
                            "an execution whose worker is gone has to wait for the next look");
                    }
                    this.forget(taken.id);
                }),
                Ok(false) => self.forget(lost.id),
                Err(error) => {
                    self.forget(lost.id);
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    async fn settle_lost(&self, taken: &Execution) -> Result<()> {
        fail::fail_point!("execution.taken_over");
        let sessions = &self.inner.sessions;
        let Some(turn_id) = taken.turn_id.filter(|_| taken.session_created) else {
            // Whoever had it finds itself fenced before it prompts an agent.
            sessions.bar_task_session(taken.session_id).await?;
            return self.conclude(taken, taken.session_id, None, true).await;
        };
        let mut turn = sessions.lost_task_turn(taken.session_id, turn_id).await?;
        if turn.is_none() {
            sessions.bar_task_session(taken.session_id).await?;
            // It may have begun in that instant; from now on it cannot.
            turn = sessions.lost_task_turn(taken.session_id, turn_id).await?;
        }
        self.conclude(taken, taken.session_id, turn.as_ref(), true).await
    }
}
