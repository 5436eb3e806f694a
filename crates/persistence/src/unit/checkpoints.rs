//! Folding SQLite's write-ahead log into the file, out of the way of those who commit.
//!
//! By itself SQLite does it in whichever commit makes the log a thousand pages long, and that one waits for the disk. Here
//! a connection that reads does it, which SQLite allows beside a writer.

use sea_orm::sqlx::{self, SqlitePool};
use tokio_util::task::TaskTracker;

/// Commits between two checkpoints: some ten pages each, so that the log has as many as SQLite would let it have.
const COMMITS: u32 = 64;

/// When the next checkpoint is due.
#[derive(Debug)]
pub(super) struct Checkpoints {
    readers: SqlitePool,
    commits: u32,
    tasks: TaskTracker,
}

impl Checkpoints {
    pub(super) fn new(readers: SqlitePool) -> Self {
        Self { readers, commits: 0, tasks: TaskTracker::new() }
    }

    /// Counts a commit, and has a checkpoint made beside what follows if it is time.
    pub(super) fn committed(&mut self) {
        self.commits += 1;
        if self.commits < COMMITS || !self.tasks.is_empty() {
            return;
        }
        self.commits = 0;
        let readers = self.readers.clone();
        self.tasks.spawn(async move {
            // What one leaves in the log the next one takes, or a commit when the log is very long.
            if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&readers).await {
                tracing::debug!(%error, "the write-ahead log was not folded into the file");
            }
        });
    }

    /// Waits until none is being made.
    pub(super) async fn end(self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
