//! Archives: a session is put away and comes back, whatever happens in between.

use crate::world::{World, kinds, soon};
use domain::{
    Archive, ArchiveStatus, EventBody, Operation, SessionId, SessionStatus, TurnStatus,
    ports::{Archives as _, Sessions as _},
};
use engine::{ArchiveRequest, ArchiveSettings, Error, SessionDraft};
use jiff::SignedDuration;
use sdk_runtime::testing::ScriptedLauncher;
use std::{path::PathBuf, sync::atomic::Ordering, time::Duration};
use tokio_util::sync::CancellationToken;

const WAIT: ArchiveRequest = ArchiveRequest { compression: None, to_s3: true, waits: true };
const AT_ONCE: ArchiveRequest = ArchiveRequest { waits: false, ..WAIT };

fn talking() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        if prompt.text() == "hang" {
            say.hang().await;
        }
        say.text("done");
    })
}

/// A session that has talked and has a file.
async fn worked(world: &World) -> SessionId {
    let session = world.session().await;
    assert_eq!(world.ask(session, "one").await.status, TurnStatus::Completed);
    assert_eq!(world.ask(session, "two").await.status, TurnStatus::Completed);
    std::fs::write(workspace(world, session).await.join("note"), "keep me").unwrap();
    session
}

async fn workspace(world: &World, session: SessionId) -> PathBuf {
    PathBuf::from(world.get(session).await.spec.working_directory)
}

fn agent_folder(world: &World, session: SessionId) -> PathBuf {
    world.settings.directories.agents.join(session.to_string())
}

async fn archive(world: &World, session: SessionId) -> Archive {
    let archive = soon(world.manager.archive(&world.caller, session, WAIT)).await.unwrap();
    assert_eq!(archive.status, ArchiveStatus::Completed, "{archive:?}");
    archive
}

/// Housekeeping in the background, until the returned guard is dropped.
fn keeping_house(world: &World) -> tokio_util::sync::DropGuard {
    let (manager, cancelled) = (world.manager.clone(), CancellationToken::new());
    let guard = cancelled.clone().drop_guard();
    #[expect(clippy::disallowed_methods, reason = "ends with its guard")]
    let keeping = tokio::spawn(async move { manager.keep_house(cancelled).await });
    drop(keeping);
    guard
}

/// Waits until the session's newest archive is in this state.
async fn archive_reaches(world: &World, session: SessionId, status: ArchiveStatus) -> Archive {
    soon(async {
        loop {
            let latest = world.store.latest_archive(session).await.unwrap();
            if let Some(archive) = latest.filter(|archive| archive.status == status) {
                return archive;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn an_archived_session_leaves_the_disk_and_comes_back_as_it_was() {
    let world = World::new(talking());
    let session = worked(&world).await;
    let (workspace, agent) = (workspace(&world, session).await, agent_folder(&world, session));
    assert_eq!(world.launcher.alive().len(), 1);
    let archive = archive(&world, session).await;
    assert_eq!(world.launcher.alive().len(), 0, "its agent is closed before anything is read");
    assert_eq!(archive.at_message, 4);
    assert!(!workspace.exists() && !agent.exists(), "what is stored twice is removed");
    let object = world.archives.object(&archive.key).unwrap();
    assert_eq!(object["workspace"]["note"], "keep me");
    let transcripts = object["transcript"].as_object().unwrap();
    assert!(transcripts.keys().any(|path| path.ends_with(".jsonl")), "{transcripts:?}");
    let about: serde_json::Value =
        serde_json::from_str(object["session"]["session.json"].as_str().unwrap()).unwrap();
    assert_eq!(about["id"], session.to_string());

    let refused = world.prompt(session, "more").await;
    assert!(matches!(refused, Err(Error::WrongState(SessionStatus::Archived))), "{refused:?}");
    let again = soon(world.manager.archive(&world.caller, session, WAIT)).await.unwrap();
    assert_eq!(again, archive, "asking twice is fine");

    let restored = soon(world.manager.restore(&world.caller, session, true)).await.unwrap();
    assert_eq!((restored.status, restored.operation), (SessionStatus::Active, None));
    assert_eq!(restored.archive_id, Some(archive.id));
    assert_eq!(std::fs::read_to_string(workspace.join("note")).unwrap(), "keep me");
    assert!(agent.join("projects/-somewhere").join(format!("{session}.jsonl")).is_file());
    assert_eq!(world.ask(session, "three").await.status, TurnStatus::Completed);
    let agents = world.launcher.agents();
    assert!(agents.last().unwrap().args().contains(&format!("--resume={session}")), "it goes on");
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_while_a_session_is_held() {
    let world = World::new(talking());
    let session = worked(&world).await;
    world.archives.writes.send_replace(false);
    let begun = world.manager.archive(&world.caller, session, AT_ONCE).await.unwrap();
    assert!(matches!(begun.status, ArchiveStatus::Pending | ArchiveStatus::InProgress), "{begun:?}");
    assert_eq!(world.get(session).await.operation, Some(Operation::Archiving));
    let held = Operation::Archiving;
    let prompted = world.prompt(session, "more").await;
    assert!(matches!(prompted, Err(Error::Held(operation)) if operation == held), "{prompted:?}");
    let queued = world.queue(session, "more").await;
    assert!(matches!(queued, Err(Error::Held(_))), "{queued:?}");
    let paused = world.manager.pause(&world.caller, session).await;
    assert!(matches!(paused, Err(Error::Held(_))), "{paused:?}");
    let ended = world.manager.terminate(&world.caller, session).await;
    assert!(matches!(ended, Err(Error::Held(_))), "{ended:?}");
    let restored = world.manager.restore(&world.caller, session, true).await;
    assert!(matches!(restored, Err(Error::NotFound("archive"))), "{restored:?}");
    let same = world.manager.archive(&world.caller, session, AT_ONCE).await.unwrap();
    assert_eq!(same.id, begun.id);
    world.archives.writes.send_replace(true);
    archive_reaches(&world, session, ArchiveStatus::Completed).await;
    assert_eq!(world.archives.keys().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_works_is_not_archived() {
    let world = World::new(talking());
    let session = world.session().await;
    world.ask_and_leave(session, "hang").await;
    let refused = world.manager.archive(&world.caller, session, WAIT).await;
    assert!(matches!(refused, Err(Error::WrongState(status)) if status.is_busy()), "{refused:?}");
    assert_eq!(world.get(session).await.operation, None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_for_a_while_is_waited_for() {
    let world = World::new(talking());
    let session = worked(&world).await;
    world.archives.failures.store(2, Ordering::SeqCst);
    let pending = soon(world.manager.archive(&world.caller, session, WAIT)).await.unwrap();
    assert_eq!((pending.status, pending.attempt), (ArchiveStatus::Pending, 1));
    let why = pending.error_message.unwrap();
    assert_eq!(why, "could not reach the archive store: nobody answers");
    assert_eq!(std::fs::read_to_string(workspace(&world, session).await.join("note")).unwrap(), "keep me");
    let _house = keeping_house(&world);
    let completed = soon(async {
        loop {
            world.clock.advance(SignedDuration::from_secs(60));
            tokio::time::sleep(Duration::from_secs(6)).await;
            let latest = world.store.latest_archive(session).await.unwrap().unwrap();
            if latest.status == ArchiveStatus::Completed {
                return latest;
            }
        }
    })
    .await;
    assert_eq!((completed.attempt, completed.error_message), (3, None));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_down_gives_the_session_back() {
    let world = World::new(talking());
    let session = worked(&world).await;
    world.archives.failures.store(u32::MAX, Ordering::SeqCst);
    world.manager.archive(&world.caller, session, AT_ONCE).await.unwrap();
    let _house = keeping_house(&world);
    let failed = soon(async {
        loop {
            world.clock.advance(SignedDuration::from_mins(20));
            tokio::time::sleep(Duration::from_secs(6)).await;
            let latest = world.store.latest_archive(session).await.unwrap().unwrap();
            if latest.status == ArchiveStatus::Failed {
                return latest;
            }
        }
    })
    .await;
    assert_eq!(failed.error_message.as_deref(), Some("could not reach the archive store: nobody answers"));
    let let_go = world.get(session).await;
    assert_eq!((let_go.status, let_go.operation), (SessionStatus::Active, None));
    assert_eq!(std::fs::read_to_string(workspace(&world, session).await.join("note")).unwrap(), "keep me");
    assert_eq!(world.ask(session, "go on").await.status, TurnStatus::Completed);
    let journal = world.journal(session).await;
    assert!(
        journal.iter().any(|event| {
            matches!(&event.body, EventBody::Data(data) if data["what"] == "archive_failed")
        })
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_former_life_left_half_done_is_done_again() {
    let world = World::new(talking());
    let session = worked(&world).await;
    world.archives.writes.send_replace(false);
    let begun = world.manager.archive(&world.caller, session, AT_ONCE).await.unwrap();
    archive_reaches(&world, session, ArchiveStatus::InProgress).await;
    soon(world.manager.shut_down(Duration::ZERO)).await;
    assert_eq!(world.archives.keys(), [""; 0]);
    assert_eq!(world.get(session).await.operation, Some(Operation::Archiving));

    let world = world.next_life();
    world.archives.writes.send_replace(true);
    world.manager.recover().await.unwrap();
    let done = archive_reaches(&world, session, ArchiveStatus::Completed).await;
    assert_eq!((done.id, done.attempt), (begun.id, 2));
    assert_eq!(world.archives.keys(), std::slice::from_ref(&done.key));
    assert_ne!(done.key, begun.key, "what is taken for lost may go on all the same");
    world.reaches(session, SessionStatus::Archived).await;

    // Half-way back.
    world.archives.writes.send_replace(false);
    let held = world.manager.restore(&world.caller, session, false).await.unwrap();
    assert_eq!(held.operation, Some(Operation::Restoring));
    soon(world.manager.shut_down(Duration::ZERO)).await;
    let world = world.next_life();
    world.archives.writes.send_replace(true);
    world.manager.recover().await.unwrap();
    world.reaches(session, SessionStatus::Active).await;
    assert_eq!(std::fs::read_to_string(workspace(&world, session).await.join("note")).unwrap(), "keep me");
}

#[tokio::test(start_paused = true)]
async fn what_a_former_life_left_on_disk_is_removed() {
    let world = World::new(talking());
    let session = worked(&world).await;
    let claimed = {
        let asked = Archive::pending(
            &world.get(session).await,
            domain::ArchivePlace::Local,
            domain::Compression::Gzip,
            domain::Clock::now(&world.clock),
        );
        world.store.open_archive(&asked, &domain::Origin::system()).await.unwrap();
        let now = domain::Clock::now(&world.clock);
        world.store.claim_archive(&asked, world.settings.server.id, now).await.unwrap().unwrap()
    };
    // Completed, and killed before it removed what it had stored.
    let content = domain::archive::ArchiveContent {
        size_bytes: 1,
        sha256: [0; 32],
        manifest_sha256: [0; 32],
        file_count: 1,
        unpacked_bytes: 1,
        excluded_count: 0,
    };
    let now = domain::Clock::now(&world.clock);
    world.store.complete_archive(&claimed, &content, now).await.unwrap().unwrap();
    let workspace = workspace(&world, session).await;
    assert!(workspace.exists());
    let world = world.next_life();
    world.manager.recover().await.unwrap();
    assert!(!workspace.exists() && !agent_folder(&world, session).exists());
    assert_eq!(world.store.sessions_to_clean(world.settings.server.id, 10).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_others_use_stays() {
    let world = World::new(talking());
    let shared = world.root().join("shared/project");
    let draft =
        SessionDraft { working_directory: Some(shared.display().to_string()), ..SessionDraft::default() };
    let session = world.session_of(draft).await;
    std::fs::write(shared.join("ours"), "old").unwrap();
    archive(&world, session).await;
    std::fs::write(shared.join("ours"), "new").unwrap();
    soon(world.manager.restore(&world.caller, session, true)).await.unwrap();
    assert_eq!(std::fs::read_to_string(shared.join("ours")).unwrap(), "new");

    archive(&world, session).await;
    std::fs::remove_dir_all(&shared).unwrap();
    soon(world.manager.restore(&world.caller, session, true)).await.unwrap();
    assert_eq!(std::fs::read_to_string(shared.join("ours")).unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_archive_restores_nothing_and_says_so() {
    let world = World::new(talking());
    let session = worked(&world).await;
    archive(&world, session).await;
    world.archives.damage();
    let refused = soon(world.manager.restore(&world.caller, session, true)).await;
    assert!(matches!(&refused, Err(Error::NotRestored(why)) if why.contains("SHA-256")), "{refused:?}");
    let as_before = world.get(session).await;
    assert_eq!((as_before.status, as_before.operation), (SessionStatus::Archived, None));
    assert!(!workspace(&world, session).await.exists());
}

#[tokio::test(start_paused = true)]
async fn a_new_archive_takes_the_place_of_the_old_one() {
    let world = World::new(talking());
    let session = worked(&world).await;
    let first = archive(&world, session).await;
    soon(world.manager.restore(&world.caller, session, true)).await.unwrap();
    std::fs::write(workspace(&world, session).await.join("note"), "changed").unwrap();
    world.clock.advance(SignedDuration::from_secs(1));
    let second = archive(&world, session).await;
    assert_ne!(first.key, second.key);
    let _house = keeping_house(&world);
    soon(async {
        while world.archives.keys() != [second.key.clone()] {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    soon(world.manager.restore(&world.caller, session, true)).await.unwrap();
    assert_eq!(std::fs::read_to_string(workspace(&world, session).await.join("note")).unwrap(), "changed");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_lost_its_directory_gets_it_back_when_it_goes_on() {
    let world = World::new(talking());
    let session = worked(&world).await;
    archive(&world, session).await;
    soon(world.manager.restore(&world.caller, session, true)).await.unwrap();
    let workspace = workspace(&world, session).await;
    let still_there = world.manager.restore(&world.caller, session, true).await;
    assert!(matches!(still_there, Err(Error::WrongState(SessionStatus::Active))), "{still_there:?}");
    std::fs::remove_dir_all(&workspace).unwrap();
    // An archive of nothing would take the place of the one that has everything.
    let refused = soon(world.manager.archive(&world.caller, session, WAIT)).await;
    assert!(matches!(&refused, Err(Error::NotArchived(why)) if why.contains("restore it")), "{refused:?}");
    assert_eq!(world.ask(session, "go on").await.status, TurnStatus::Completed);
    assert_eq!(std::fs::read_to_string(workspace.join("note")).unwrap(), "keep me");
    let journal = world.journal(session).await;
    assert_eq!(kinds(&journal).iter().filter(|kind| **kind == "message_sent").count(), 3);
    std::fs::remove_dir_all(&workspace).unwrap();
    soon(world.manager.restore(&world.caller, session, true)).await.unwrap();
    assert_eq!(std::fs::read_to_string(workspace.join("note")).unwrap(), "keep me");
}

#[tokio::test(start_paused = true)]
async fn time_archives_what_lies_idle_and_ends_what_was_kept_long_enough() {
    let days = |days: i64| Some(SignedDuration::from_hours(24 * days));
    let world = World::with(talking(), |settings| {
        settings.archives = ArchiveSettings {
            auto_archive_after: days(10),
            retention: days(30),
            ..settings.archives.clone()
        };
    });
    let session = worked(&world).await;
    let _house = keeping_house(&world);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.status(session).await, SessionStatus::Active);
    world.clock.advance(SignedDuration::from_hours(24 * 11));
    world.reaches(session, SessionStatus::Archived).await;
    assert_eq!(world.archives.keys().len(), 1);
    world.clock.advance(SignedDuration::from_hours(24 * 31));
    world.reaches(session, SessionStatus::Terminated).await;
    soon(async {
        while !world.archives.keys().is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    let gone = world.manager.restore(&world.caller, session, true).await;
    assert!(matches!(gone, Err(Error::ArchiveRemoved)), "{gone:?}");
    let journal = world.journal(session).await;
    assert!(
        journal.iter().any(|event| {
            matches!(&event.body, EventBody::Data(data) if data["what"] == "archive_expired")
        })
    );
}

#[tokio::test(start_paused = true)]
async fn local_archives_have_a_limit() {
    let world = World::with(talking(), |settings| settings.archives.local_bytes_max = Some(100));
    let session = worked(&world).await;
    let refused = soon(world.manager.archive(&world.caller, session, WAIT)).await;
    assert!(matches!(&refused, Err(Error::NotArchived(why)) if why.contains("100 bytes")), "{refused:?}");
    assert_eq!(world.status(session).await, SessionStatus::Active);
    assert_eq!(std::fs::read_to_string(workspace(&world, session).await.join("note")).unwrap(), "keep me");
}

#[tokio::test(start_paused = true)]
async fn an_ended_session_can_be_put_away_too() {
    let world = World::new(talking());
    let session = worked(&world).await;
    world.manager.terminate(&world.caller, session).await.unwrap();
    let archive = archive(&world, session).await;
    assert_eq!(world.archives.object(&archive.key).unwrap()["workspace"], serde_json::json!({}));
    // And an archived one can be ended.
    world.manager.terminate(&world.caller, session).await.unwrap();
    assert_eq!(world.status(session).await, SessionStatus::Terminated);
    let ended = world.store.get(world.caller.scope(), session).await.unwrap().unwrap();
    assert_eq!(ended.archive_id, Some(archive.id), "until its time is up");
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_an_archive_store_that_does_not_delete() {
    let world = World::new(talking());
    let session = worked(&world).await;
    let old = archive(&world, session).await;
    soon(world.manager.restore(&world.caller, session, true)).await.unwrap();
    world.clock.advance(SignedDuration::from_secs(1));
    let new = archive(&world, session).await;
    world.archives.deletes.send_replace(false);

    let world = world.next_life();
    soon(world.manager.recover()).await.unwrap();
    let _house = keeping_house(&world);
    let another = worked(&world).await;
    let asked = Archive::pending(
        &world.get(another).await,
        domain::ArchivePlace::Local,
        domain::Compression::Gzip,
        domain::Clock::now(&world.clock),
    );
    world.store.open_archive(&asked, &domain::Origin::system()).await.unwrap();
    world.reaches(another, SessionStatus::Archived).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.archives.deletes.receiver_count(), 1, "one is deleted at a time");
    let begun = tokio::time::Instant::now();
    soon(world.manager.shut_down(Duration::from_secs(20))).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(world.archives.keys().contains(&old.key));

    let world = world.next_life();
    world.archives.deletes.send_replace(true);
    world.manager.recover().await.unwrap();
    soon(async {
        while world.archives.keys().contains(&old.key) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(world.archives.keys().contains(&new.key));
}

#[tokio::test(start_paused = true)]
async fn whatever_agents_make_among_their_temporary_files_keeps_no_archive() {
    let world = World::new(talking());
    let session = worked(&world).await;
    let id = session.to_string();
    let temporary = world.settings.directories.temporary.join(id.rsplit('-').next().unwrap());
    std::fs::create_dir_all(&temporary).unwrap();
    std::fs::write(temporary.join("archive"), "mine").unwrap();
    archive(&world, session).await;
    assert_eq!(std::fs::read_dir(&world.settings.directories.temporary).unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_deleted_keeps_nothing_else() {
    let world = World::new(talking());
    // As many as are looked at together, and one more.
    for _ in 0..65 {
        let session = world.session().await;
        let now = domain::Clock::now(&world.clock);
        let (place, compression) = (domain::ArchivePlace::Local, domain::Compression::Gzip);
        let asked = Archive::pending(&world.get(session).await, place, compression, now);
        world.store.open_archive(&asked, &domain::Origin::system()).await.unwrap();
        let claimed =
            world.store.claim_archive(&asked, world.settings.server.id, now).await.unwrap().unwrap();
        world.store.fail_archive(&claimed, "no", now).await.unwrap().unwrap();
    }
    world.archives.failures.store(64, Ordering::SeqCst);
    world.manager.recover().await.unwrap();
    soon(async {
        while world.store.objects_to_delete(world.settings.server.id, None, 100).await.unwrap().len() > 64 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
