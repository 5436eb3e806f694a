//! A turn's time limit, which stands still while people are waited for.

use std::time::Duration;
use tokio::{sync::watch, time::Instant};

/// Counts the time in which an agent waits for people; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Waits(watch::Sender<Waited>);

#[derive(Debug, Clone, Copy, Default)]
struct Waited {
    /// Questions that are open now, and since when any is.
    open: usize,
    since: Option<Instant>,
    /// Of the waits that are over.
    total: Duration,
}

/// A question is open until this is dropped.
#[derive(Debug)]
pub struct Waiting(Waits);

impl Waits {
    /// Notes that a person is waited for. Questions at the same time count once.
    pub fn begin(&self) -> Waiting {
        self.0.send_modify(|waited| {
            waited.open += 1;
            waited.since.get_or_insert_with(Instant::now);
        });
        Waiting(self.clone())
    }

    /// How long people were waited for until now, apart from a wait that is going on.
    pub fn total(&self) -> Duration {
        self.0.borrow().total
    }

    /// Waits until this instant has passed and as much time more as people were waited for since `before`, the total
    /// at some earlier time. It never comes while a question is open.
    pub async fn past(&self, instant: Instant, before: Duration) {
        let mut changes = self.0.subscribe();
        loop {
            let waited = *changes.borrow_and_update();
            // Fails only without a sender, and this value holds one.
            if waited.open > 0 {
                let _ = changes.changed().await;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep_until(instant + waited.total.saturating_sub(before)) => return,
                _ = changes.changed() => {}
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.send_modify(|waited| {
            waited.open -= 1;
            if waited.open == 0
                && let Some(since) = waited.since.take()
            {
                waited.total += since.elapsed();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_limit_moves_by_as_long_as_anybody_was_waited_for() {
        let waits = Waits::default();
        let start = Instant::now();
        let (first, second) = (waits.begin(), waits.begin());
        tokio::time::advance(SECOND * 100).await;
        drop(first);
        assert_eq!(waits.past(start + SECOND, Duration::ZERO).now_or_never(), None);
        tokio::time::advance(SECOND * 50).await;
        drop(second);
        assert_eq!(waits.total(), SECOND * 150);
        waits.past(start + SECOND, Duration::ZERO).await;
        assert_eq!(start.elapsed(), SECOND * 151);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_turns_waits_do_not_count() {
        let waits = Waits::default();
        let earlier = waits.begin();
        tokio::time::advance(SECOND * 100).await;
        drop(earlier);
        let (start, before) = (Instant::now(), waits.total());
        waits.past(start + SECOND, before).await;
        assert_eq!(start.elapsed(), SECOND);
    }
}
