//! Directories that became links after they were allowed.

use crate::world::{World, soon};
use domain::{Archive, ArchiveStatus, SessionId, TurnFailure, TurnStatus, ports::Archives as _};
use engine::{ArchiveRequest, Error, SessionDraft};
use sdk_runtime::testing::ScriptedLauncher;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

/// Puts a link to the server's own data in the place of a directory.
fn replace(world: &World, dir: &Path) {
    let data = world.root().join("data");
    fs::create_dir_all(data.join("inner")).unwrap();
    fs::write(data.join("secret_key"), "secret").unwrap();
    fs::write(data.join("inner/secret_key"), "secret").unwrap();
    fs::rename(dir, world.root().join("moved")).unwrap();
    symlink(data, dir).unwrap();
}

async fn working_in(world: &World, dir: &Path) -> SessionId {
    let working_directory = Some(dir.display().to_string());
    world.session_of(SessionDraft { working_directory, ..Default::default() }).await
}

/// Worlds in which a session's directory, one above it, or the owner's folder has become a link.
async fn replaced() -> Vec<(World, SessionId)> {
    let mut worlds = vec![];
    for (asked, link) in [
        (None, None),
        (Some("workspaces/own/inner"), Some("workspaces/own")),
        (Some("workspaces/own"), Some("workspaces")),
        (Some("shared/nested/inner"), Some("shared/nested")),
        (Some("shared/nested/inner"), Some("shared/nested/inner")),
    ] {
        let world = World::new(ScriptedLauncher::new());
        let home = world.settings.directories.workspaces.join(world.caller.user_id.to_string());
        let at = |path: &str| match path.strip_prefix("workspaces") {
            Some(below) => home.join(below.trim_start_matches('/')),
            None => world.root().join(path),
        };
        let session = match asked {
            Some(asked) => working_in(&world, &at(asked)).await,
            None => world.session().await,
        };
        let link = match link {
            // Joined with nothing, a path would end in a slash, and that follows links.
            Some("workspaces") => home,
            Some(link) => at(link),
            None => PathBuf::from(world.get(session).await.spec.working_directory),
        };
        replace(&world, &link);
        worlds.push((world, session));
    }
    worlds
}

#[tokio::test]
async fn nothing_is_read_through_a_directory_that_became_a_link() {
    for (world, session) in replaced().await {
        let (manager, caller) = (&world.manager, &world.caller);
        let listing = manager.files(caller, session).await;
        assert!(matches!(listing, Err(Error::NotFound("working directory"))), "{listing:?}");
        for path in ["secret_key", "inner/secret_key"] {
            let opened = manager.open_file(caller, session, path.to_owned()).await;
            assert!(matches!(opened, Err(Error::NotFound("working directory"))), "{opened:?}");
        }
        let archive = manager.archive_files(caller, session).await.map(|_| ());
        assert!(matches!(archive, Err(Error::NotFound("working directory"))), "{archive:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_agent_is_started_in_a_directory_that_became_a_link() {
    for (world, session) in replaced().await {
        let turn = world.ask(session, "one").await;
        assert_eq!((turn.status, turn.failure), (TurnStatus::Failed, Some(TurnFailure::AgentUnavailable)));
        assert_eq!((turn.retries, world.launcher.agents().len()), (0, 0));
        let message = turn.error_message.unwrap();
        let wanted = "the working directory is not allowed any more: is reached through a symbolic link";
        assert!(message.contains(wanted), "{message}");
        assert_eq!(world.access.open(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_agent_is_started_with_a_further_directory_that_became_a_link() {
    let world = World::new(ScriptedLauncher::new());
    let further = world.root().join("shared/further");
    fs::create_dir_all(&further).unwrap();
    let mut draft = SessionDraft::default();
    draft.sdk_options.get_or_insert_default().add_dirs = vec![further.display().to_string()];
    let session = world.session_of(draft).await;
    replace(&world, &further);
    let turn = world.ask(session, "one").await;
    assert_eq!((turn.failure, turn.retries), (Some(TurnFailure::AgentUnavailable), 0));
    assert_eq!(world.launcher.agents().len(), 0);
    let message = turn.error_message.unwrap();
    assert!(message.contains("add_dirs/0 is not allowed any more"), "{message}");
}

#[tokio::test]
async fn files_in_a_shared_directory_are_shown() {
    let world = World::new(ScriptedLauncher::new());
    let dir = world.root().join("shared/nested/inner");
    let session = working_in(&world, &dir).await;
    fs::write(dir.join("file"), "x").unwrap();
    let listing = world.manager.files(&world.caller, session).await.unwrap();
    assert_eq!(listing.entries.len(), 1);
    // The root itself is the operator's, who may have made it a link.
    let root = working_in(&world, &world.root().join("shared")).await;
    assert_eq!(world.manager.files(&world.caller, root).await.unwrap().entries.len(), 3);
}

#[tokio::test]
async fn nothing_is_read_through_a_link_that_stays_among_the_allowed() {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session().await;
    let dir = PathBuf::from(world.get(session).await.spec.working_directory);
    let other = world.session().await;
    fs::remove_dir(&dir).unwrap();
    symlink(other.to_string(), &dir).unwrap();
    let listing = world.manager.files(&world.caller, session).await;
    assert!(matches!(listing, Err(Error::NotFound("working directory"))), "{listing:?}");
}

const AT_ONCE: ArchiveRequest = ArchiveRequest { compression: None, to_s3: true, waits: false };

async fn archived(world: &World, session: SessionId) -> Archive {
    soon(async {
        loop {
            let latest = world.store.latest_archive(session).await.unwrap();
            if let Some(archive) = latest.filter(|archive| archive.status == ArchiveStatus::Completed) {
                return archive;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

/// Begins something that reads or writes an archive, and does this when everything is looked at and nothing done.
async fn meanwhile<T>(world: &World, begin: impl Future<Output = T>, act: impl FnOnce()) {
    world.archives.reads.send_replace(false);
    begin.await;
    soon(async {
        while world.archives.reads.receiver_count() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    act();
    world.archives.reads.send_replace(true);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_archived_through_a_link_in_the_place_of_transcripts() {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session().await;
    let (others, agent) =
        (world.root().join("others"), world.settings.directories.agents.join(session.to_string()));
    fs::create_dir_all(&others).unwrap();
    fs::write(others.join("file"), "of somebody else").unwrap();
    fs::create_dir_all(&agent).unwrap();
    symlink(&others, agent.join("projects")).unwrap();
    world.manager.archive(&world.caller, session, AT_ONCE).await.unwrap();
    let archive = archived(&world, session).await;
    let object = world.archives.object(&archive.key).unwrap();
    assert_eq!(object["transcript"], serde_json::json!({}), "{object}");
    assert_eq!(fs::read_to_string(others.join("file")).unwrap(), "of somebody else", "cleaning up is none");
}

#[tokio::test(start_paused = true)]
async fn what_is_archived_is_the_directory_that_was_looked_at() {
    let world = World::new(ScriptedLauncher::new());
    let dir = world.root().join("shared/nested/inner");
    let session = working_in(&world, &dir).await;
    fs::write(dir.join("note"), "keep me").unwrap();
    let archiving = async { world.manager.archive(&world.caller, session, AT_ONCE).await.unwrap() };
    meanwhile(&world, archiving, || replace(&world, &world.root().join("shared/nested"))).await;
    let archive = archived(&world, session).await;
    let object = world.archives.object(&archive.key).unwrap();
    assert_eq!(object["workspace"], serde_json::json!({ "note": "keep me" }), "{object}");
}

#[tokio::test(start_paused = true)]
async fn what_is_restored_goes_where_was_looked() {
    let world = World::new(ScriptedLauncher::new());
    let shared = working_in(&world, &world.root().join("shared/nested/inner")).await;
    let own = world.session().await;
    let home = world.settings.directories.workspaces.join(world.caller.user_id.to_string());
    for (session, above) in [(shared, world.root().join("shared/nested")), (own, home)] {
        let dir = PathBuf::from(world.get(session).await.spec.working_directory);
        fs::write(dir.join("note"), "keep me").unwrap();
        world.manager.archive(&world.caller, session, AT_ONCE).await.unwrap();
        archived(&world, session).await;
        soon(async {
            while !world.store.sessions_to_clean(world.settings.server.id, 10).await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        let restoring = async { world.manager.restore(&world.caller, session, false).await.unwrap() };
        meanwhile(&world, restoring, || replace(&world, &above)).await;
        world.reaches(session, domain::SessionStatus::Active).await;
        let (data, moved) = (world.root().join("data"), world.root().join("moved"));
        let name = dir.file_name().unwrap();
        assert_eq!(fs::read_to_string(moved.join(name).join("note")).unwrap(), "keep me");
        let mut in_data: Vec<_> =
            fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        in_data.sort();
        assert_eq!(in_data, ["inner", "secret_key"]);
        assert_eq!(fs::read_dir(data.join("inner")).unwrap().count(), 1, "nothing is written elsewhere");
        fs::rename(&moved, world.root().join(format!("done-{}", name.display()))).unwrap();
    }
}
