//! A health check that starts a process, and so is not repeated for every probe.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use monitoring::Outcome;

/// How long good news is believed.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The same check, which gives out good news again for a while. Bad news are looked at anew each time, so that what was
/// put right is seen at once.
pub fn remembered<F, Fut>(look: F) -> impl Fn() -> BoxFuture<'static, Outcome> + Send + Sync + 'static
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<String, String>> + Send + 'static,
{
    let known: Arc<Mutex<Option<(Instant, String)>>> = Arc::default();
    move || {
        let known = Arc::clone(&known);
        let fresh = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, found)) = fresh.filter(|(at, _)| at.elapsed() < MAX_AGE) {
            return Box::pin(async move { Ok(Some(found)) });
        }
        let looking = look();
        Box::pin(async move {
            let found = looking.await?;
            *known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), found.clone()));
            Ok(Some(found))
        })
    }
}
