//! Sessions between servers: archived by their home, restored anywhere, taken over with what their archive has, forked
//! with the files that are within reach.

use crate::world::{World, soon};
use domain::{
    Archive, ArchivePlace, ArchiveStatus, EventBody, SessionId, SessionStatus, TurnStatus,
    fork::DirectorySource,
    ports::{ArchiveStore as _, Archives as _, Servers as _, Sessions as _, Transcripts as _},
    transcript::{TranscriptEntry, TranscriptKey},
};
use engine::{ArchiveRequest, Error, ForkDraft};
use sdk_runtime::testing::ScriptedLauncher;
use std::{fs, path::PathBuf, time::Duration};
use tokio_util::sync::{CancellationToken, DropGuard};

const ASKED: ArchiveRequest = ArchiveRequest { compression: None, to_s3: true, waits: true };

fn talking() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|_, say| async move { say.text("done") })
}

/// Two servers that know of each other, and a session of the first one that has talked and has a file.
async fn two(place: ArchivePlace) -> (World, World, SessionId) {
    let first = World::with_archives_in(place, talking());
    let second = first.another_server(talking());
    first.manager.recover().await.unwrap();
    second.manager.recover().await.unwrap();
    let session = first.session().await;
    assert_eq!(first.ask(session, "one").await.status, TurnStatus::Completed);
    mirror(&first, session).await;
    fs::write(workspace(&first, session).join("note"), "keep me").unwrap();
    (first, second, session)
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

/// Stores a transcript of what was said, as an agent that writes one down has it stored.
async fn mirror(world: &World, session: SessionId) {
    let session = world.get(session).await;
    let conversation = session.agent.unwrap().id;
    let key = TranscriptKey { session_id: session.id, conversation, subpath: None };
    let text = r#"{"type":"user","uuid":"said"}"#.to_owned();
    let entry = TranscriptEntry { uuid: Some("said".to_owned()), text };
    world.store.append_transcript(&key, session.generation, &[entry], session.updated_at).await.unwrap();
}

fn workspace(world: &World, session: SessionId) -> PathBuf {
    let folder = world.settings.directories.workspaces.join(world.caller.user_id.to_string());
    folder.join(session.to_string())
}

fn note(world: &World, session: SessionId) -> Option<String> {
    fs::read_to_string(workspace(world, session).join("note")).ok()
}

async fn archive(world: &World, session: SessionId) -> Archive {
    let archive = soon(world.manager.archive(&world.caller, session, ASKED)).await.unwrap();
    assert_eq!(archive.status, ArchiveStatus::Completed, "{archive:?}");
    archive
}

/// What the journal says of the session's files.
async fn notices(world: &World, session: SessionId) -> Vec<String> {
    let journal = world.journal(session).await;
    let whats = journal.iter().filter_map(|event| match &event.body {
        EventBody::Data(data) => data["what"].as_str(),
        EventBody::Message(_) => None,
    });
    whats.filter(|what| what.starts_with("workspace") || *what == "restored").map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_session_is_archived_by_its_home_whoever_was_asked_and_restored_by_anybody() {
    let (first, second, session) = two(ArchivePlace::S3).await;
    let asked = soon(second.manager.archive(&second.caller, session, ASKED)).await.unwrap();
    assert_eq!((asked.status, asked.attempt), (ArchiveStatus::Pending, 0), "it is not done here");
    second.manager.recover().await.unwrap();
    assert_eq!(first.archives.keys(), [""; 0]);
    let house = keeping_house(&first);
    first.reaches(session, SessionStatus::Archived).await;
    soon(async {
        while first.get(session).await.server_id.is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    drop(house);
    let done = first.store.latest_archive(session).await.unwrap().unwrap();
    assert_eq!((done.id, done.server_id), (asked.id, Some(first.settings.server.id)));
    assert!(!workspace(&first, session).exists());

    // The first one lives, and the session is nobody's.
    let restored = soon(second.manager.restore(&second.caller, session, true)).await.unwrap();
    assert_eq!(
        (restored.status, restored.server_id),
        (SessionStatus::Active, Some(second.settings.server.id))
    );
    assert_eq!(note(&second, session).as_deref(), Some("keep me"));
    assert_eq!(second.ask(session, "two").await.status, TurnStatus::Completed);
    let agents = second.launcher.agents();
    assert!(agents.last().unwrap().args().contains(&format!("--resume={session}")), "it goes on");
    assert_eq!(notices(&second, session).await, ["restored"]);

    // It is at work there: nothing of it was lost that could be restored here.
    let refused = soon(first.manager.restore(&first.caller, session, true)).await;
    assert!(matches!(refused, Err(Error::FilesElsewhere)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn an_archive_on_one_servers_disk_is_restored_there_only() {
    let (first, second, session) = two(ArchivePlace::Local).await;
    let archive = archive(&first, session).await;
    let refused = soon(second.manager.restore(&second.caller, session, true)).await;
    assert!(matches!(refused, Err(Error::FilesElsewhere)), "{refused:?}");
    let refused = second.manager.read_archive(&archive, None).await;
    assert!(matches!(refused, Err(Error::FilesElsewhere)));
    assert_eq!(first.get(session).await.operation, None);
    let restored = soon(first.manager.restore(&first.caller, session, true)).await.unwrap();
    assert_eq!(restored.status, SessionStatus::Active);
    assert_eq!(note(&first, session).as_deref(), Some("keep me"));
}

/// A session that goes on at the second server after the first one, which had an archive of it, is gone.
async fn goes_on_elsewhere(place: ArchivePlace, spoil: bool) -> (World, SessionId) {
    let (first, second, session) = two(place).await;
    let archive = archive(&first, session).await;
    soon(first.manager.restore(&first.caller, session, true)).await.unwrap();
    fs::write(workspace(&first, session).join("later"), "lost").unwrap();
    soon(first.manager.shut_down(Duration::ZERO)).await;
    if spoil {
        first.archives.delete(place, &archive.key).await.unwrap();
    }
    let _house = keeping_house(&second);
    assert_eq!(second.ask(session, "two").await.status, TurnStatus::Completed);
    assert_eq!(second.ask(session, "three").await.status, TurnStatus::Completed);
    let now = second.get(session).await;
    assert_eq!(now.spec.working_directory, workspace(&second, session).display().to_string());
    assert!(!workspace(&second, session).join("later").exists());
    (second, session)
}

#[tokio::test(start_paused = true)]
async fn a_session_of_a_dead_server_has_the_files_of_its_last_archive() {
    let (world, session) = goes_on_elsewhere(ArchivePlace::S3, false).await;
    assert_eq!(note(&world, session).as_deref(), Some("keep me"));
    // By a person, and by moving.
    assert_eq!(notices(&world, session).await, ["restored", "restored"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_archive_is_out_of_reach_begins_with_an_empty_directory_and_says_so() {
    for (place, spoil) in [(ArchivePlace::Local, false), (ArchivePlace::S3, true)] {
        let (world, session) = goes_on_elsewhere(place, spoil).await;
        assert_eq!(fs::read_dir(workspace(&world, session)).unwrap().count(), 0, "{place:?}");
        assert_eq!(notices(&world, session).await, ["restored", "workspace_missing"], "{place:?}");
    }
}

/// A session that went from the first server to the second, and back to the first in its next life. `archives` says
/// whether the second one archived it meanwhile.
async fn there_and_back(archives: bool) -> (World, SessionId) {
    let (first, second, session) = two(ArchivePlace::S3).await;
    soon(first.manager.shut_down(Duration::ZERO)).await;
    {
        let _house = keeping_house(&second);
        assert_eq!(second.ask(session, "two").await.status, TurnStatus::Completed);
        assert_eq!(notices(&second, session).await, ["workspace_missing"]);
        fs::write(workspace(&second, session).join("note"), "newer").unwrap();
        if archives {
            archive(&second, session).await;
            soon(second.manager.restore(&second.caller, session, true)).await.unwrap();
        }
    }
    soon(second.manager.shut_down(Duration::ZERO)).await;
    let back = first.next_life();
    back.manager.recover().await.unwrap();
    (back, session)
}

#[tokio::test(start_paused = true)]
async fn a_session_that_comes_back_has_what_it_had_last_and_not_what_it_left() {
    let (world, session) = there_and_back(true).await;
    let _house = keeping_house(&world);
    assert_eq!(note(&world, session).as_deref(), Some("keep me"), "it is still what was left");
    assert_eq!(world.ask(session, "three").await.status, TurnStatus::Completed);
    assert_eq!(note(&world, session).as_deref(), Some("newer"));
    // By a person, and by coming back.
    assert_eq!(notices(&world, session).await, ["workspace_missing", "restored", "restored"]);
    let now = world.get(session).await;
    assert!(now.spec.whereabouts.is_at(world.settings.server.id));
    assert_eq!(now.spec.working_directory, workspace(&world, session).display().to_string());

    let home = workspace(&world, session);
    let names = fs::read_dir(home.parent().unwrap()).unwrap().flatten().map(|entry| entry.path());
    let mut aside: Vec<_> = names.filter(|path| *path != home).collect();
    let aside = aside.pop().filter(|_| aside.is_empty()).unwrap();
    assert_eq!(fs::read_to_string(aside.join("note")).unwrap(), "keep me");
    world.manager.terminate(&world.caller, session).await.unwrap();
    assert!(!aside.exists() && !home.exists());
}

#[tokio::test(start_paused = true)]
async fn what_was_left_is_taken_up_again_only_if_nothing_newer_is_there_and_everybody_is_told() {
    let (world, session) = there_and_back(false).await;
    let _house = keeping_house(&world);
    // Nothing here takes it for what the session has.
    let files = world.manager.files(&world.caller, session).await;
    assert!(matches!(files, Err(Error::FilesElsewhere)), "{files:?}");
    let fork = world.manager.fork(&world.caller, session, ForkDraft::default()).await;
    assert!(matches!(fork, Err(Error::FilesElsewhere)), "{fork:?}");
    let refused = soon(world.manager.archive(&world.caller, session, ASKED)).await;
    assert!(matches!(refused, Err(Error::NotArchived(_))), "{refused:?}");

    assert_eq!(world.ask(session, "three").await.status, TurnStatus::Completed);
    assert_eq!(note(&world, session).as_deref(), Some("keep me"));
    assert_eq!(notices(&world, session).await, ["workspace_missing", "workspace_outdated"]);
    let prompts = world.launcher.last_agent().prompts();
    let said = prompts[0]["message"]["content"].to_string();
    assert!(said.contains("no newer files") && said.contains("three"), "{said}");
    assert_eq!(world.ask(session, "four").await.status, TurnStatus::Completed);
    let prompts = world.launcher.last_agent().prompts();
    assert_eq!(prompts[1]["message"]["content"], "four", "told once");
}

/// A data folder on a volume that is mounted at the same path everywhere: no path says whose files they are.
#[tokio::test(start_paused = true)]
async fn a_server_at_the_same_path_is_not_taken_for_the_one_that_had_the_files() {
    let (first, second, session) = two(ArchivePlace::S3).await;
    soon(first.manager.shut_down(Duration::ZERO)).await;
    let here = workspace(&second, session);
    fs::create_dir_all(&here).unwrap();
    fs::write(here.join("note"), "of long ago").unwrap();
    let (before, path) = (first.get(session).await, here.display().to_string());
    let at = before.updated_at;
    first.store.relocate(session, before.generation, &path, serde_json::json!({}), at).await.unwrap();
    let _house = keeping_house(&second);
    assert_eq!(second.ask(session, "two").await.status, TurnStatus::Completed);
    assert_eq!(notices(&second, session).await, ["workspace_outdated"]);
}

#[tokio::test(start_paused = true)]
async fn the_transcript_in_an_archive_is_what_the_store_has() {
    let world = World::new(talking());
    let session = world.session().await;
    world.ask(session, "one").await;
    mirror(&world, session).await;
    fs::remove_dir_all(world.settings.directories.agents.join(session.to_string())).unwrap();
    let archive = archive(&world, session).await;
    let object = world.archives.object(&archive.key).unwrap();
    let files = object["transcript"].as_object().unwrap();
    let main = files.iter().find(|(path, _)| path.ends_with(&format!("{session}.jsonl")));
    let (_, text) = main.unwrap_or_else(|| panic!("{files:?}"));
    assert!(text.as_str().unwrap().contains("said"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_was_made_at_the_message_is_what_a_fork_takes_along() {
    let world = World::new(talking());
    let session = world.session().await;
    world.ask(session, "one").await;
    mirror(&world, session).await;
    fs::write(workspace(&world, session).join("note"), "as it was").unwrap();
    let archive = archive(&world, session).await;
    let fork = async || world.manager.fork(&world.caller, session, ForkDraft::default()).await.unwrap();
    let source = |fork: &domain::Session| fork.spec.directory_source;

    // Archived, so nowhere else; the message does not matter.
    let early = ForkDraft { at_message: Some(0), ..ForkDraft::default() };
    for draft in [ForkDraft::default(), early] {
        let of_archived = world.manager.fork(&world.caller, session, draft).await.unwrap();
        assert_eq!(source(&of_archived), Some(DirectorySource::Archive));
        assert_eq!(note(&world, of_archived.id).as_deref(), Some("as it was"));
    }
    assert!(!workspace(&world, session).exists(), "the parent stays where it is");

    soon(world.manager.restore(&world.caller, session, true)).await.unwrap();
    fs::write(workspace(&world, session).join("note"), "as it is").unwrap();
    assert_eq!(archive.at_message, world.get(session).await.counters.messages);
    let at_it = fork().await;
    assert_eq!(source(&at_it), Some(DirectorySource::Archive));
    assert_eq!(note(&world, at_it.id).as_deref(), Some("as it was"));
    let before = ForkDraft { at_message: Some(0), ..ForkDraft::default() };
    let before = world.manager.fork(&world.caller, session, before).await.unwrap();
    assert_eq!(source(&before), Some(DirectorySource::Current));
    assert_eq!(note(&world, before.id).as_deref(), Some("as it is"));
}

#[tokio::test(start_paused = true)]
async fn a_fork_is_not_made_without_the_files_that_another_server_has() {
    let (first, second, session) = two(ArchivePlace::S3).await;
    let fork = async |world: &World, draft| world.manager.fork(&world.caller, session, draft).await;
    let refused = fork(&second, ForkDraft::default()).await;
    assert!(matches!(refused, Err(Error::FilesElsewhere)), "{refused:?}");
    let staged = second.settings.directories.workspaces.join(".forks");
    assert_eq!(fs::read_dir(staged).unwrap().count(), 0, "nothing is left of it");
    let without = ForkDraft { include_working_directory: Some(false), ..ForkDraft::default() };
    let without = fork(&second, without).await.unwrap();
    assert_eq!(without.spec.directory_source, Some(DirectorySource::Empty));
    assert_eq!(without.server_id, Some(second.settings.server.id));
    assert_eq!(
        fork(&first, ForkDraft::default()).await.unwrap().spec.directory_source,
        Some(DirectorySource::Current)
    );

    archive(&first, session).await;
    let of_archived = fork(&second, ForkDraft::default()).await.unwrap();
    assert_eq!(of_archived.spec.directory_source, Some(DirectorySource::Archive));
    assert_eq!(note(&second, of_archived.id).as_deref(), Some("keep me"));
}

#[tokio::test(start_paused = true)]
async fn what_is_purged_at_another_server_leaves_nothing_at_its_home() {
    let (first, second, session) = two(ArchivePlace::Local).await;
    let agents = first.settings.directories.agents.join(session.to_string());
    let theirs = [workspace(&first, session), agents];
    soon(second.manager.purge(&second.caller, session)).await.unwrap();
    assert!(theirs.iter().all(|folder| folder.exists()), "they are on another disk");
    assert!(second.store.get(second.caller.scope(), session).await.unwrap().is_none());
    // Its home may have died meanwhile.
    let first = first.next_life();
    first.manager.recover().await.unwrap();
    assert!(!theirs.iter().any(|folder| folder.exists()), "{theirs:?}");
    assert_eq!(first.store.leftovers(first.settings.server.id, 10).await.unwrap(), []);
}

/// A server that was taken for gone, and is slow only: what it goes on to store is not what counts.
#[tokio::test(start_paused = true)]
async fn a_server_that_was_taken_for_gone_stores_over_nothing() {
    let (first, second, session) = two(ArchivePlace::S3).await;
    // Ended, so that the other one can archive it too.
    first.manager.terminate(&first.caller, session).await.unwrap();
    let projects = first.settings.directories.agents.join(session.to_string()).join("projects");
    fs::create_dir_all(&projects).unwrap();
    fs::write(projects.join("here"), "and nowhere else").unwrap();
    first.archives.writes.send_replace(false);
    let asked = ArchiveRequest { waits: false, ..ASKED };
    let begun = first.manager.archive(&first.caller, session, asked).await.unwrap();
    let is_writing = async |is: bool| {
        soon(async {
            while (first.archives.writes.receiver_count() > 0) != is {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    };
    is_writing(true).await;
    first.store.resign(first.settings.server.id).await.unwrap();
    second.manager.recover().await.unwrap();
    second.reaches(session, SessionStatus::Archived).await;
    let done = second.store.latest_archive(session).await.unwrap().unwrap();
    assert_eq!((done.id, done.attempt), (begun.id, 2));

    first.archives.writes.send_replace(true);
    is_writing(false).await;
    // All that it does then takes no time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(first.archives.keys(), [done.key], "what nobody looks for is removed");
    let restored = soon(second.manager.restore(&second.caller, session, true)).await.unwrap();
    assert_eq!(restored.status, SessionStatus::Active);
}
