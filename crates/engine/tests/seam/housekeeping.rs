//! Housekeeping: what cannot be done for one session, or in one step, keeps nothing else from being done.

use crate::world::{World, kept_waiting, on_permit, soon};
use domain::{
    Archive, ArchivePlace, Clock as _, Compression, Expected, Origin, SessionId, SessionStatus, TurnStatus,
    ports::{Archives as _, Servers as _, Sessions as _},
};
use engine::Error;
use jiff::SignedDuration;
use sdk_runtime::testing::ScriptedLauncher;
use std::{fs, path::PathBuf, sync::atomic::Ordering, time::Duration};
use tokio_util::sync::{CancellationToken, DropGuard};

fn talking() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|_, say| async move { say.text("done") })
}

/// Housekeeping in the background, until the returned guard is dropped.
fn keeping_house(world: &World) -> DropGuard {
    let (manager, cancelled) = (world.manager.clone(), CancellationToken::new());
    let guard = cancelled.clone().drop_guard();
    #[expect(clippy::disallowed_methods, reason = "ends with its guard")]
    let keeping = tokio::spawn(async move { manager.keep_house(cancelled).await });
    drop(keeping);
    guard
}

async fn worked(world: &World) -> SessionId {
    let session = world.session().await;
    assert_eq!(world.ask(session, "one").await.status, TurnStatus::Completed);
    session
}

fn agent_folder(world: &World, session: SessionId) -> PathBuf {
    world.settings.directories.agents.join(session.to_string())
}

/// Something in the place of the session's directory that is not removed as one.
fn spoil(world: &World, session: SessionId) -> PathBuf {
    let folder = agent_folder(world, session);
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "no directory").unwrap();
    folder
}

/// The session was ended, and nothing of it is cleared away yet.
async fn end_in_store(world: &World, session: SessionId) {
    let (now, by) = (world.clock.now(), Origin::system());
    world.store.terminate(session, &Expected::ANY, now, &by).await.unwrap();
}

/// Somebody wants the session archived, and nobody has begun with it.
async fn ask_for_archive(world: &World, session: SessionId) {
    let session = world.get(session).await;
    let asked = Archive::pending(&session, ArchivePlace::Local, Compression::Gzip, world.clock.now());
    world.store.open_archive(&asked, &Origin::system()).await.unwrap();
}

async fn to_clear(world: &World) -> Vec<SessionId> {
    let terminated = world.store.terminated(world.settings.server.id, 10).await.unwrap();
    terminated.into_iter().map(|session| session.id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_files_cannot_be_removed_keeps_no_other_waiting() {
    let world = World::new(talking());
    let (stuck, other, kept) = (worked(&world).await, worked(&world).await, worked(&world).await);
    let spoilt = spoil(&world, stuck);
    let refused = soon(world.manager.terminate(&world.caller, stuck)).await;
    assert!(matches!(refused, Err(Error::Files { .. })), "{refused:?}");
    assert_eq!(world.status(stuck).await, SessionStatus::Terminated);
    let workspace = PathBuf::from(world.get(stuck).await.spec.working_directory);
    assert!(!workspace.exists(), "the rest of it is gone");
    end_in_store(&world, other).await;
    ask_for_archive(&world, kept).await;

    let world = world.next_life();
    world.manager.recover().await.unwrap();
    assert!(!agent_folder(&world, other).exists());
    assert_eq!(to_clear(&world).await, [stuck]);
    world.reaches(kept, SessionStatus::Archived).await;

    let another = worked(&world).await;
    end_in_store(&world, another).await;
    let _house = keeping_house(&world);
    soon(async {
        while to_clear(&world).await != [stuck] {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    fs::remove_file(spoilt).unwrap();
    soon(async {
        while !to_clear(&world).await.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_archived_session_whose_files_cannot_be_removed_keeps_no_other_waiting() {
    let world = World::new(talking());
    let (stuck, other) = (worked(&world).await, worked(&world).await);
    // Archived, and killed before it removed what it had stored.
    for session in [stuck, other] {
        ask_for_archive(&world, session).await;
        let (home, now) = (world.settings.server.id, world.clock.now());
        let asked = world.store.open_archives(home, now, 10).await.unwrap();
        let claimed = world.store.claim_archive(&asked[0], home, now).await.unwrap().unwrap();
        let content = domain::archive::ArchiveContent {
            size_bytes: 1,
            sha256: [0; 32],
            manifest_sha256: [0; 32],
            file_count: 1,
            unpacked_bytes: 1,
            excluded_count: 0,
        };
        world.store.complete_archive(&claimed, &content, now).await.unwrap().unwrap();
    }
    spoil(&world, stuck);
    let world = world.next_life();
    world.manager.recover().await.unwrap();
    assert!(!agent_folder(&world, other).exists());
    let left = world.store.sessions_to_clean(world.settings.server.id, 10).await.unwrap();
    assert_eq!(left.into_iter().map(|session| session.id).collect::<Vec<_>>(), [stuck]);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_keeps_no_other_from_its_turn() {
    let world = World::new(talking());
    let (first, second) = (worked(&world).await, worked(&world).await);
    ask_for_archive(&world, first).await;
    let world = world.next_life();
    world.leases.is_unreadable.store(true, Ordering::SeqCst);
    world.manager.recover().await.unwrap();
    world.reaches(first, SessionStatus::Archived).await;
    ask_for_archive(&world, second).await;
    let _house = keeping_house(&world);
    world.reaches(second, SessionStatus::Archived).await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_ends_while_the_store_is_asked_what_runs_was_not_lost() {
    let (launcher, go_on) = on_permit();
    let world = World::new(launcher);
    let session = world.session().await;
    let first = world.ask_and_leave(session, "one").await;
    // It runs for so long that it would be taken for lost if it did not run here.
    world.clock.advance(SignedDuration::from_mins(10));
    world.faults.answers_running.send_replace(false);
    let _house = keeping_house(&world);
    kept_waiting(&world.faults.answers_running, true).await;
    go_on.add_permits(1);
    assert_eq!(world.end(first).await.status, TurnStatus::Completed);
    let second = world.ask_and_leave(session, "two").await;
    let generation = world.get(session).await.generation;
    world.faults.answers_running.send_replace(true);
    kept_waiting(&world.faults.answers_running, false).await;
    // That round is over when the next one asks.
    world.faults.answers_running.send_replace(false);
    kept_waiting(&world.faults.answers_running, true).await;
    assert_eq!(world.get(session).await.generation, generation, "nobody took the session over");
    go_on.add_permits(1);
    assert_eq!(world.end(second).await.status, TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_begins_while_the_store_is_asked_what_runs_is_not_lost() {
    let (launcher, go_on) = on_permit();
    let world = World::new(launcher);
    let session = world.session().await;
    world.faults.reads_running.send_replace(false);
    let _house = keeping_house(&world);
    kept_waiting(&world.faults.reads_running, true).await;
    // Its prompt came long ago, and has waited for an agent to be woken.
    world.clock.advance(SignedDuration::from_mins(-10));
    let turn = world.ask_and_leave(session, "one").await;
    world.clock.advance(SignedDuration::from_mins(10));
    let generation = world.get(session).await.generation;
    world.faults.reads_running.send_replace(true);
    kept_waiting(&world.faults.reads_running, false).await;
    // That round is over when the next one asks.
    world.faults.reads_running.send_replace(false);
    kept_waiting(&world.faults.reads_running, true).await;
    assert_eq!(world.get(session).await.generation, generation, "nobody took the session over");
    go_on.add_permits(1);
    assert_eq!(world.end(turn).await.status, TurnStatus::Completed);
}

#[tokio::test]
async fn temporary_folders_of_a_former_life_are_removed_and_those_of_sessions_are_not() {
    let world = World::new(ScriptedLauncher::new());
    let temporary = &world.settings.directories.temporary;
    for name in ["mcp-a1B2/deep", "archive-0/workspace", "0123456789ab"] {
        std::fs::create_dir_all(temporary.join(name)).unwrap();
    }
    world.manager.recover().await.unwrap();
    let left: Vec<_> =
        std::fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["0123456789ab"]);
}
