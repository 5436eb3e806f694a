//! Snapshots of sessions' figures, and the levels that are noted while the server keeps house.

use crate::world::{World, soon};
use domain::{MetricsSnapshot, PageRequest, SessionId, SessionMode};
use engine::{SessionDraft, SnapshotSettings};
use jiff::SignedDuration;
use sdk_runtime::testing::ScriptedLauncher;
use std::time::Duration;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

fn talkative() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|_, say| async move { say.text("there") })
}

fn world() -> World {
    World::with(talkative(), |settings| {
        settings.snapshots = SnapshotSettings {
            interval: Duration::from_secs(60),
            retention: Some(SignedDuration::from_hours(1)),
        };
    })
}

async fn kept(world: &World, session: SessionId) -> Vec<MetricsSnapshot> {
    let page = PageRequest::first(100);
    world.manager.snapshots(&world.caller, session, &page).await.unwrap().items
}

/// Waits until there are so many of them.
async fn until_kept(world: &World, session: SessionId, count: usize) -> Vec<MetricsSnapshot> {
    soon(async {
        loop {
            let kept = kept(world, session).await;
            if kept.len() == count {
                return kept;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await
}

/// Keeps house until it is dropped.
struct House(CancellationToken, TaskTracker);

impl House {
    fn keep(world: &World) -> Self {
        let (token, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (manager, cancelled) = (world.manager.clone(), token.clone());
        tasks.spawn(async move { manager.keep_house(cancelled).await });
        Self(token, tasks)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.0.cancel();
        self.1.close();
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_in_which_something_happened_are_kept_and_no_others() {
    let world = world();
    let (busy, quiet) = (world.session().await, world.session().await);
    world.ask(busy, "one").await;
    let _house = House::keep(&world);
    let first = until_kept(&world, busy, 1).await;
    assert_eq!(first[0].counters, world.get(busy).await.counters);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(kept(&world, busy).await.len(), 1, "nothing has happened since");
    assert_eq!(kept(&world, quiet).await, []);

    world.ask(busy, "two").await;
    let second = until_kept(&world, busy, 2).await;
    assert!(second[0].counters.messages > first[0].counters.messages);
    let scraped = world.metrics.scrape().unwrap().text().unwrap();
    assert!(scraped.contains("\nsteward_snapshots_total 2\n"), "{scraped}");
}

#[tokio::test(start_paused = true)]
async fn a_session_leaves_its_figures_when_it_ends() {
    let world = world();
    let session = world.session().await;
    world.ask(session, "one").await;
    world.manager.terminate(&world.caller, session).await.unwrap();
    let last = kept(&world, session).await;
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].counters, world.get(session).await.counters);

    let background = SessionDraft {
        mode: Some(SessionMode::Background),
        initial_message: Some("work".into()),
        ..SessionDraft::default()
    };
    let worked = world.session_of(background).await;
    until_kept(&world, worked, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_keeps_what_it_knows() {
    let world = world();
    let session = world.session().await;
    world.ask(session, "one").await;
    world.manager.shut_down(Duration::from_secs(5)).await;
    assert_eq!(kept(&world, session).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn old_snapshots_are_removed() {
    let world = world();
    let session = world.session().await;
    world.ask(session, "one").await;
    let house = House::keep(&world);
    until_kept(&world, session, 1).await;
    world.clock.advance(SignedDuration::from_hours(2));
    world.ask(session, "two").await;
    let left = soon(async {
        loop {
            let left = kept(&world, session).await;
            if left.len() == 1 && left[0].counters.messages > 2 {
                return left;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    assert_eq!(left[0].counters, world.get(session).await.counters);
    drop(house);
}

#[tokio::test]
async fn levels_are_noted_while_the_server_keeps_house() {
    let world = World::new(talkative());
    let session = world.session().await;
    world.ask(session, "one").await;
    let _watch = world.manager.watch(&world.caller, session, 0).await.unwrap();
    let _house = House::keep(&world);
    let expected = [
        r#"steward_agents{state="idle"} 1"#,
        r#"steward_agents{state="running"} 0"#,
        r#"steward_sessions{mode="interactive",status="active"} 1"#,
        r#"steward_queue_depth{pool="interactive"} 0"#,
        "steward_approvals_pending 0",
        "steward_agents_memory_bytes 0",
        "steward_stream_watchers 1",
        r#"steward_turns_total{mode="interactive",outcome="completed"} 1"#,
        r#"steward_agent_starts_total{outcome="started"} 1"#,
    ];
    soon(async {
        loop {
            let scraped = world.metrics.scrape().unwrap().text().unwrap();
            if expected.iter().all(|line| scraped.lines().any(|told| told == *line)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
