//! How often a session's directories are looked at, and what is found there.

use crate::world::World;
use domain::{SessionId, TurnFailure, TurnStatus};
use sdk_runtime::testing::ScriptedLauncher;
use std::time::Duration;
use tokio::time::Instant;

const MAX: u64 = 1 << 20;

/// Agents that take as many milliseconds as the prompt says.
fn world() -> World {
    let launcher = ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        tokio::time::sleep(Duration::from_millis(prompt.text().parse().unwrap())).await;
        say.text("done");
    });
    World::with(launcher, |settings| settings.containment.disk_bytes_max = Some(MAX))
}

async fn overfill(world: &World, session: SessionId) {
    let directory = world.get(session).await.spec.working_directory;
    std::fs::write(std::path::Path::new(&directory).join("file"), vec![7; 2 * MAX as usize]).unwrap();
}

#[tokio::test(start_paused = true)]
async fn turns_that_follow_each_other_closely_are_looked_at_every_other_second() {
    let world = world();
    let session = world.session().await;
    let began = Instant::now();
    assert_eq!(world.ask(session, "50").await.status, TurnStatus::Completed);
    overfill(&world, session).await;
    assert_eq!(world.ask(session, "500").await.status, TurnStatus::Completed, "it was looked at too soon");
    let turn = world.ask(session, "60000").await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Failed, Some(TurnFailure::AgentLimitExceeded)));
    let looked = began.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(3)).contains(&looked), "{looked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_follows_late_is_looked_at_when_it_begins() {
    let world = world();
    let session = world.session().await;
    assert_eq!(world.ask(session, "50").await.status, TurnStatus::Completed);
    overfill(&world, session).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    // What it finds it may clean up, and it may add a little.
    assert_eq!(world.ask(session, "5000").await.status, TurnStatus::Completed);
    assert_eq!(world.ask(session, "50").await.status, TurnStatus::Completed);
}
