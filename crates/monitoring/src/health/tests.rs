//! Scenarios of probing, on paused time.

use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::time::{advance, sleep};

use super::*;

fn good(name: &'static str) -> Check {
    Check::required(name, || async { Ok(Some("2.1".to_owned())) })
}

async fn report(checks: Vec<Check>) -> Arc<Report> {
    HealthChecker::new(checks).report().await
}

/// A check that counts how often it ran and takes `duration`.
fn counted(runs: &Arc<AtomicUsize>, duration: Duration) -> Check {
    let runs = Arc::clone(runs);
    Check::required("counted", move || {
        runs.fetch_add(1, Ordering::SeqCst);
        async move {
            sleep(duration).await;
            Ok(None)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn all_good_is_healthy_and_shows_what_was_found() {
    let report = report(vec![good("a"), good("b")]).await;
    assert_eq!(report.status, Status::Healthy);
    assert_eq!(report.checks["a"].detail.as_deref(), Some("2.1"));
    assert_eq!(report.checks.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_a_required_check_makes_the_server_not_ready() {
    let optional = Check::optional("extra", || async { Err("gone".to_owned()) });
    let degraded = report(vec![good("a"), optional.clone()]).await;
    assert_eq!(degraded.status, Status::Degraded);
    assert!(degraded.is_ready());

    let required = Check::required("main", || async { Err("gone".to_owned()) });
    let unhealthy = report(vec![good("a"), optional, required]).await;
    assert_eq!(unhealthy.status, Status::Unhealthy);
    assert!(!unhealthy.is_ready());
    assert_eq!(unhealthy.checks["main"].detail.as_deref(), Some("gone"));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_fails_alone_and_in_time() {
    let stuck = Check::optional("stuck", pending::<Outcome>).within(Duration::from_millis(300));
    let started = Instant::now();
    let report = report(vec![good("a"), stuck]).await;
    assert_eq!(started.elapsed(), Duration::from_millis(300));
    assert_eq!(report.checks["stuck"].detail.as_deref(), Some("no answer within 300 ms"));
    assert_eq!(report.checks["stuck"].duration_ms, 300);
    assert!(report.checks["a"].healthy);
}

#[tokio::test(start_paused = true)]
async fn checks_run_at_the_same_time() {
    let slow = |name| {
        Check::required(name, || async {
            sleep(Duration::from_secs(1)).await;
            Ok(None)
        })
    };
    let started = Instant::now();
    let _ = report(vec![slow("a"), slow("b"), slow("c")]).await;
    assert_eq!(started.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn many_probes_cost_one_run_until_the_report_is_old() {
    let runs = Arc::new(AtomicUsize::new(0));
    let checker = HealthChecker::new(vec![counted(&runs, Duration::from_millis(50))]);
    join_all((0..20).map(|_| checker.report())).await;
    advance(REPORT_MAX_AGE - Duration::from_millis(1)).await;
    let _ = checker.report().await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);

    advance(Duration::from_millis(1)).await;
    let _ = checker.report().await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn probes_that_go_away_do_not_start_a_run_each() {
    let runs = Arc::new(AtomicUsize::new(0));
    let checker = HealthChecker::new(vec![counted(&runs, Duration::from_secs(1))]);
    for _ in 0..5 {
        assert!(timeout(Duration::from_millis(10), checker.report()).await.is_err());
    }
    assert!(checker.report().await.is_ready());
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_is_a_failed_check() {
    let broken = Check::required("broken", || async { panic!("bug") });
    let report = report(vec![broken, good("a")]).await;
    assert!(!report.checks["broken"].healthy);
    assert!(report.checks["a"].healthy);
}
