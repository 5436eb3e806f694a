//! What only the server can see of its parts, told to the metrics: the database's connections and errors.

use std::{sync::Arc, time::Duration};

use monitoring::{MetricsCollector, PoolLevels};
use persistence::{Database, ErrorFigures, PoolFigures};
use tokio_util::sync::CancellationToken;

/// Between two looks; each is a few loads from memory.
const INTERVAL: Duration = Duration::from_secs(2);

/// Tells until cancelled.
pub async fn keep(database: Database, metrics: Arc<MetricsCollector>, cancelled: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    while cancelled.run_until_cancelled(ticks.tick()).await.is_some() {
        let level = |figures: PoolFigures| {
            let PoolFigures { pool, used, idle, max } = figures;
            PoolLevels { pool, used, idle, max }
        };
        metrics.note_database(&database.pools().into_iter().map(level).collect::<Vec<_>>());
        let ErrorFigures { unavailable, failed, inconsistent } = database.errors();
        metrics.note_store_errors("unavailable", unavailable);
        metrics.note_store_errors("failed", failed);
        metrics.note_store_errors("inconsistent", inconsistent);
        metrics.note_drops(&drops);
        if let Some(changed) = prices.changed(&mut known) {
            metrics.know_models(changed.models());
        }
    }
}
