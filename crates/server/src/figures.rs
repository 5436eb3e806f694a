//! What only the server can see of its parts, told to the metrics: the database's connections and errors, what telemetry
//! lost, and the models that have prices.

use std::{sync::Arc, time::Duration};

use gateway::PriceTable;
use monitoring::PoolLevels;
use persistence::{ErrorFigures, PoolFigures};
use tokio_util::sync::CancellationToken;

use crate::compose::Figured;

/// Between two looks; each is a few loads from memory.
const INTERVAL: Duration = Duration::from_secs(2);

/// Tells until cancelled.
pub async fn keep(parts: Figured, cancelled: CancellationToken) {
    let Figured { database, metrics, prices, drops } = parts;
    let mut known: Option<Arc<PriceTable>> = None;
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
        let table = prices.current();
        if known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &table)) {
            metrics.know_models(table.models());
            known = Some(table);
        }
    }
}
