//! Scenarios of probing, on paused time.

use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::time::{Instant, advance, sleep, timeout};

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

/// A check that says what it is told to, after as long as it is told to take.
fn scripted(answers: &Arc<Mutex<Vec<(Duration, Outcome)>>>) -> Check {
    let answers = Arc::clone(answers);
    Check::required("scripted", move || {
        let (duration, outcome) = answers.lock().unwrap().remove(0);
        async move {
            sleep(duration).await;
            outcome
        }
    })
}

fn answers(list: &[(u64, Result<&str, &str>)]) -> Arc<Mutex<Vec<(Duration, Outcome)>>> {
    let outcome = |outcome: Result<&str, &str>| outcome.map(|ok| Some(ok.to_owned())).map_err(str::to_owned);
    Arc::new(Mutex::new(
        list.iter().map(|(secs, said)| (Duration::from_secs(*secs), outcome(*said))).collect(),
    ))
}

async fn detail(checker: &HealthChecker) -> String {
    checker.check("scripted").await.unwrap().detail.unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_check_has_its_own_age_and_bad_news_never_grow_old() {
    let said = answers(&[(0, Ok("one")), (0, Err("two")), (0, Ok("three"))]);
    let checker = HealthChecker::new(vec![scripted(&said).fresh_for(Duration::from_secs(60))]);
    assert_eq!(detail(&checker).await, "one");
    advance(Duration::from_secs(59)).await;
    let known = checker.check("scripted").await.unwrap();
    assert_eq!((known.detail.as_deref(), known.age_ms), (Some("one"), 59_000));
    advance(Duration::from_secs(1)).await;
    assert_eq!(detail(&checker).await, "two");
    advance(REPORT_MAX_AGE).await;
    assert_eq!(detail(&checker).await, "three");
}

#[tokio::test(start_paused = true)]
async fn a_slow_check_is_waited_for_once_and_then_run_behind_the_old_news() {
    let said = answers(&[(3, Ok("one")), (4, Ok("two"))]);
    let check = scripted(&said).slow().within(Duration::from_secs(5)).fresh_for(Duration::from_secs(60));
    let checker = HealthChecker::new(vec![check]);
    let started = Instant::now();
    assert_eq!(detail(&checker).await, "one");
    assert_eq!(started.elapsed(), Duration::from_secs(3));
    advance(Duration::from_secs(60)).await;
    let started = Instant::now();
    assert_eq!(detail(&checker).await, "one");
    assert_eq!(started.elapsed(), Duration::ZERO, "the new run is not waited for");
    sleep(Duration::from_millis(4001)).await;
    assert_eq!(detail(&checker).await, "two");
}

#[tokio::test(start_paused = true)]
async fn old_good_news_do_not_hide_a_slow_check_that_hangs() {
    let said = answers(&[(0, Ok("one")), (1_000_000, Ok("never"))]);
    let check = scripted(&said).slow().within(Duration::from_secs(5)).fresh_for(Duration::from_secs(60));
    let checker = HealthChecker::new(vec![check]);
    assert_eq!(detail(&checker).await, "one");
    advance(Duration::from_secs(60)).await;
    assert_eq!(detail(&checker).await, "one");
    advance(Duration::from_secs(5)).await;
    assert_eq!(detail(&checker).await, "no answer within 5000 ms");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_is_joined_and_not_begun_again_and_given_up_in_the_end() {
    let runs = Arc::new(AtomicUsize::new(0));
    let hanging = counted(&runs, Duration::from_secs(1_000_000)).within(Duration::from_secs(1));
    let checker = HealthChecker::new(vec![hanging]);
    for _ in 0..9 {
        assert!(!checker.report().await.is_ready());
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    advance(Duration::from_secs(1)).await;
    let _ = checker.report().await;
    assert_eq!(runs.load(Ordering::SeqCst), 2, "it is begun anew, and the first one was ended");

    let runs = Arc::new(AtomicUsize::new(0));
    let hanging = counted(&runs, Duration::from_secs(1_000_000)).within(Duration::from_secs(1));
    let checker = HealthChecker::new(vec![hanging.never_given_up()]);
    for _ in 0..30 {
        let _ = checker.report().await;
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1, "what cannot be ended is never begun twice");
}

#[tokio::test(start_paused = true)]
async fn what_hung_and_came_back_is_known_at_the_next_look() {
    let said = answers(&[(8, Ok("late"))]);
    let checker = HealthChecker::new(vec![scripted(&said).within(Duration::from_secs(5))]);
    assert_eq!(detail(&checker).await, "no answer within 5000 ms");
    sleep(Duration::from_millis(3001)).await;
    assert_eq!(detail(&checker).await, "late");
}

#[tokio::test(start_paused = true)]
async fn one_part_that_fails_fails_the_check_and_is_named() {
    let check = Check::telling("mcp_servers", Importance::Optional, || async {
        let parts = [("files", Ok(None)), ("mail", Err("refused".to_owned()))];
        let parts = parts.map(|(name, outcome)| (name.to_owned(), outcome)).into();
        Ok(Finding { parts, ..Finding::default() })
    });
    let report = report(vec![check]).await;
    assert_eq!(report.status, Status::Degraded);
    let result = &report.checks["mcp_servers"];
    assert_eq!(result.detail.as_deref(), Some("mail: refused"));
    assert!(result.parts["files"].healthy && !result.parts["mail"].healthy);
}

#[tokio::test(start_paused = true)]
async fn the_latest_report_is_had_without_looking() {
    let runs = Arc::new(AtomicUsize::new(0));
    let checker = HealthChecker::new(vec![counted(&runs, Duration::ZERO)]);
    assert!(checker.latest().is_none());
    let report = checker.report().await;
    advance(Duration::from_secs(3600)).await;
    assert_eq!(checker.latest(), Some(report));
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

fn bounds() -> DiskBounds {
    DiskBounds { free_bytes_min: 100 << 20, free_inodes_min: 1000 }
}

#[tokio::test]
async fn a_disk_without_bytes_or_without_inodes_degrades_and_one_without_a_count_of_them_does_not() {
    let folder = tempfile::tempdir().unwrap();
    for (free_mib, free_inodes, is_healthy) in
        [(100, Some(1000), true), (99, Some(1000), false), (100, Some(999), false), (100, None, true)]
    {
        let room = move |_: &std::path::Path| Ok(Room { free_bytes: free_mib << 20, free_inodes });
        let report = report(vec![disk(vec![("data", folder.path().to_owned())], bounds(), room)]).await;
        let result = &report.checks["disk"];
        assert_eq!(result.healthy, is_healthy, "{result:?}");
        assert!(report.is_ready());
        assert!(result.parts["data"].detail.as_deref().unwrap().contains(&format!("{free_mib} MiB free")));
    }
}

#[tokio::test]
async fn the_room_of_this_machine_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = DiskBounds { free_bytes_min: 0, free_inodes_min: 0 };
    let below = folder.path().join("made/when/needed");
    let healthy = report(vec![disk(vec![("data", below.clone())], nothing, Room::at)]).await;
    assert!(healthy.checks["disk"].healthy, "{healthy:?}");
    assert!(!folder.path().join("made").exists(), "looking makes nothing");
    let failed = disk(vec![("data", below)], nothing, |_| Err(std::io::ErrorKind::NotConnected.into()));
    let failed = report(vec![failed]).await;
    assert!(failed.checks["disk"].detail.as_deref().unwrap().contains("could not look at it"), "{failed:?}");
}
