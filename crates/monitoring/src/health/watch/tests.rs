//! When somebody is told, and how often.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use domain::{
    AlertChannel, Page, PageRequest, Scope,
    alert::DueAlert,
    ports::{StoreError, StoreResult},
};

use super::*;
use crate::health::{Check, REPORT_MAX_AGE};

/// A store of alerts that can be away.
#[derive(Debug, Default)]
struct Told {
    is_away: AtomicBool,
    alerts: Mutex<Vec<Alert>>,
}

#[async_trait]
impl Alerts for Told {
    async fn raise(&self, alert: &Alert) -> StoreResult<bool> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("gone".into()));
        }
        self.alerts.lock().unwrap().push(alert.clone());
        Ok(true)
    }

    async fn alerts(&self, _: Scope, _: &PageRequest) -> StoreResult<Page<Alert>> {
        unreachable!("nobody asks")
    }

    async fn take_due_alerts(
        &self,
        _: AlertChannel,
        _: Timestamp,
        _: SignedDuration,
        _: u32,
    ) -> StoreResult<Vec<DueAlert>> {
        unreachable!("nobody asks")
    }

    async fn alert_told(&self, _: AlertId, _: AlertChannel, _: Timestamp) -> StoreResult<()> {
        unreachable!("nobody asks")
    }

    async fn alert_failed(
        &self,
        _: AlertId,
        _: AlertChannel,
        _: &str,
        _: Option<Timestamp>,
    ) -> StoreResult<()> {
        unreachable!("nobody asks")
    }
}

/// Seconds since 1970, which pass with tokio's time.
#[derive(Debug)]
struct Ticking(tokio::time::Instant);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(self.0.elapsed().as_secs().cast_signed())
    }
}

struct Watched {
    watch: HealthWatch,
    told: Arc<Told>,
    is_broken: Arc<AtomicBool>,
}

impl Watched {
    fn new(required: bool) -> Self {
        let is_broken = Arc::new(AtomicBool::new(true));
        let broken = Arc::clone(&is_broken);
        let run = move || {
            let outcome = if broken.load(Ordering::SeqCst) { Err("gone".to_owned()) } else { Ok(None) };
            std::future::ready(outcome)
        };
        let check = if required { Check::required("disk", run) } else { Check::optional("disk", run) };
        let (checker, told) = (Arc::new(HealthChecker::new(vec![check])), Arc::new(Told::default()));
        let settings = WatchSettings { interval: Duration::from_secs(15), alert_after: 3 };
        let clock = Arc::new(Ticking(tokio::time::Instant::now()));
        let watch = HealthWatch::new(checker, told.clone(), clock, settings);
        Self { watch, told, is_broken }
    }

    async fn rounds(&mut self, count: u32) {
        for _ in 0..count {
            self.watch.round().await;
            tokio::time::advance(REPORT_MAX_AGE).await;
        }
    }

    fn told(&self) -> Vec<Alert> {
        self.told.alerts.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_failing_is_told_once_and_again_when_it_comes_back_to_fail() {
    let mut watched = Watched::new(true);
    watched.rounds(2).await;
    assert!(watched.told().is_empty(), "it may pass");
    watched.rounds(10).await;
    let [alert] = &watched.told()[..] else { panic!("{:?}", watched.told()) };
    assert_eq!(alert.topic, AlertTopic::Health { check: "disk".to_owned(), since: Timestamp::UNIX_EPOCH });
    assert_eq!((alert.severity, alert.user_id), (Severity::Critical, None));
    assert!(
        alert.message.contains("disk has failed for 4 s") && alert.message.contains("gone"),
        "{}",
        alert.message
    );

    watched.is_broken.store(false, Ordering::SeqCst);
    watched.rounds(1).await;
    watched.is_broken.store(true, Ordering::SeqCst);
    watched.rounds(3).await;
    let told = watched.told();
    assert_eq!(told.len(), 2);
    assert_ne!(told[0].topic, told[1].topic, "another time is another topic");
}

#[tokio::test(start_paused = true)]
async fn what_passes_again_in_time_is_told_to_nobody() {
    let mut watched = Watched::new(true);
    for _ in 0..5 {
        watched.is_broken.store(true, Ordering::SeqCst);
        watched.rounds(2).await;
        watched.is_broken.store(false, Ordering::SeqCst);
        watched.rounds(1).await;
    }
    assert!(watched.told().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_alert_waits_for_a_store_that_is_away_also_when_all_is_well_again() {
    let mut watched = Watched::new(false);
    watched.told.is_away.store(true, Ordering::SeqCst);
    watched.rounds(4).await;
    watched.is_broken.store(false, Ordering::SeqCst);
    watched.rounds(1).await;
    assert!(watched.told().is_empty());
    watched.told.is_away.store(false, Ordering::SeqCst);
    watched.rounds(2).await;
    let told = watched.told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].severity, Severity::Warning);
}

#[tokio::test(start_paused = true)]
async fn it_watches_until_it_is_cancelled() {
    let Watched { watch, told, .. } = Watched::new(true);
    let cancelled = CancellationToken::new();
    let ending = cancelled.clone();
    tokio::join!(watch.keep(cancelled), async move {
        tokio::time::sleep(Duration::from_secs(15 * 4)).await;
        ending.cancel();
    });
    assert_eq!(told.alerts.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_round_is_told_of() {
    let Watched { watch, is_broken, .. } = Watched::new(true);
    let seen = Arc::new(Mutex::new(vec![]));
    let noted = Arc::clone(&seen);
    let mut watch = watch.telling(move |report| noted.lock().unwrap().push(report.is_ready()));
    watch.round().await;
    tokio::time::advance(REPORT_MAX_AGE).await;
    is_broken.store(false, Ordering::SeqCst);
    watch.round().await;
    assert_eq!(*seen.lock().unwrap(), [false, true]);
}
