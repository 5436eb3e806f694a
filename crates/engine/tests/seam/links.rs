//! Directories that became links after they were allowed.

use crate::world::World;
use domain::{SessionId, TurnFailure, TurnStatus};
use engine::{Error, SessionDraft};
use sdk_runtime::testing::ScriptedLauncher;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
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
