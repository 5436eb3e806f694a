//! Executions whose worker is gone: another one looks at what is on record and decides.
//!
//! First the execution is made this worker's, so that the one before cannot write to it any more; then its session is
//! kept from beginning anything, and its turn ended; only then is looked at what was done.

use super::TaskManager;
use crate::Result;
use domain::Execution;

impl TaskManager {
    /// Ends what is left of the attempt of a worker that is gone, and stores what came of it.
    pub(super) async fn settle_lost(&self, taken: &Execution) -> Result<()> {
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
