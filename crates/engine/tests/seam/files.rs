//! The working directory, read from outside, with an agent in it that plants traps.

use crate::world::{World, soon};
use domain::SessionId;
use engine::{
    Error,
    files::{DOWNLOADS_MAX, FileKind},
};
use futures::StreamExt as _;
use sdk_runtime::testing::ScriptedLauncher;
use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

/// A session whose directory holds a file, a folder, good and bad links, and a socket.
async fn trapped() -> (World, SessionId, PathBuf) {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session().await;
    let dir = PathBuf::from(world.get(session).await.spec.working_directory);
    fs::write(world.root().join("secret"), "secret").unwrap();
    fs::create_dir_all(dir.join("src/deep")).unwrap();
    fs::write(dir.join("readme"), "hello").unwrap();
    fs::write(dir.join("src/deep/main.rs"), "fn main() {}").unwrap();
    symlink("readme", dir.join("good")).unwrap();
    symlink("deep/main.rs", dir.join("src/inner")).unwrap();
    symlink(world.root().join("secret"), dir.join("absolute")).unwrap();
    symlink("../../../secret", dir.join("relative")).unwrap();
    symlink(world.root(), dir.join("folder")).unwrap();
    symlink("loop", dir.join("loop")).unwrap();
    // Made where its path is short enough for a socket.
    std::os::unix::net::UnixListener::bind(world.root().join("s")).unwrap();
    fs::rename(world.root().join("s"), dir.join("pipe")).unwrap();
    (world, session, dir)
}

#[tokio::test]
async fn a_listing_shows_everything_by_path_and_follows_no_link() {
    let (world, session, _) = trapped().await;
    let listing = world.manager.files(&world.caller, session).await.unwrap();
    assert!(!listing.is_truncated);
    let shown: Vec<_> = listing.entries.iter().map(|e| (e.path.as_str(), e.kind, e.size_bytes)).collect();
    use FileKind::{Directory, File, Other, Symlink};
    assert_eq!(
        shown,
        [
            ("absolute", Symlink, 0),
            ("folder", Symlink, 0),
            ("good", Symlink, 0),
            ("loop", Symlink, 0),
            ("pipe", Other, 0),
            ("readme", File, 5),
            ("relative", Symlink, 0),
            ("src", Directory, 0),
            ("src/deep", Directory, 0),
            ("src/deep/main.rs", File, 12),
            ("src/inner", Symlink, 0),
        ]
    );
}

#[tokio::test]
async fn files_inside_are_opened() {
    let (world, session, _) = trapped().await;
    for (path, content) in [("readme", "hello"), ("good", "hello"), ("src/inner", "fn main() {}")] {
        let mut opened = world.manager.open_file(&world.caller, session, path.to_owned()).await.unwrap();
        let mut text = String::new();
        opened.file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), opened.size_bytes), (content, content.len() as u64));
    }
}

#[tokio::test]
async fn a_path_that_leads_outside_or_is_no_file_names_nothing() {
    let (world, session, _) = trapped().await;
    let outside = world.root().join("secret").display().to_string();
    let paths = [
        "absolute",
        "relative",
        "folder/secret",
        "folder",
        "loop",
        "pipe",
        "src",
        "missing",
        "readme/x",
        "",
        "../secret",
        "src/../../../../secret",
        "a\0b",
        &outside,
    ];
    for path in paths {
        let opened = soon(world.manager.open_file(&world.caller, session, path.to_owned())).await;
        assert!(matches!(opened, Err(Error::NotFound("file"))), "{path:?}: {opened:?}");
    }
    let stranger = crate::world::caller();
    let opened = world.manager.open_file(&stranger, session, "readme".to_owned()).await;
    assert!(matches!(opened, Err(Error::NotFound("session"))), "{opened:?}");
}

/// Every path below a folder with what is there.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                folders.push(path.clone());
                "a folder".to_owned()
            } else if metadata.is_file() {
                fs::read_to_string(&path).unwrap()
            } else {
                continue;
            };
            found.insert(path.strip_prefix(root).unwrap().to_path_buf(), content);
        }
    }
    found
}

#[tokio::test]
async fn an_archive_unpacks_to_the_same_tree() {
    let (world, session, dir) = trapped().await;
    let long = dir.join("long".repeat(20)).join("name".repeat(20));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("file"), "x").unwrap();
    let stream = world.manager.archive_files(&world.caller, session).await.unwrap();
    let chunks: Vec<_> = soon(stream.collect::<Vec<_>>()).await;
    let bytes: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.unwrap().to_vec()).collect();
    let copy = world.root().join("copy");
    tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..])).unpack(&copy).unwrap();
    assert_eq!(tree(&copy), tree(&dir));
}

/// Bytes that cannot be packed into a few chunks.
fn noise() -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..4 << 20).map(|_| next()).collect()
}

#[tokio::test]
async fn an_archive_that_nobody_reads_on_is_given_up() {
    let (world, session, dir) = trapped().await;
    fs::write(dir.join("big"), noise()).unwrap();
    let mut stream = world.manager.archive_files(&world.caller, session).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
    // Shutting down waits for the task, and says nothing if it is stuck; so the time tells.
    let ended =
        tokio::time::timeout(Duration::from_secs(20), world.manager.shut_down(Duration::from_secs(60)));
    ended.await.unwrap();
}

#[tokio::test]
async fn slow_readers_have_so_many_threads_and_keep_no_server_from_ending() {
    let (world, session, dir) = trapped().await;
    fs::write(dir.join("big"), noise()).unwrap();
    let download = || world.manager.archive_files(&world.caller, session);
    let mut downloads = vec![];
    for _ in 0..DOWNLOADS_MAX {
        let mut stream = download().await.unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        downloads.push(stream);
    }
    let refused = download().await.map(|_| ());
    assert!(matches!(refused, Err(Error::DownloadsBusy(_))), "{refused:?}");
    drop(downloads.pop());
    soon(async {
        while let Err(Error::DownloadsBusy(_)) = download().await.map(|stream| downloads.push(stream)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(downloads.len(), DOWNLOADS_MAX);
    let ended =
        tokio::time::timeout(Duration::from_secs(20), world.manager.shut_down(Duration::from_secs(60)));
    ended.await.unwrap();
    let rest = soon(downloads.remove(0).collect::<Vec<_>>()).await;
    assert!(rest.last().unwrap().is_err(), "it does not look like a whole one");
    let refused = download().await.map(|_| ());
    assert!(matches!(refused, Err(Error::ShuttingDown)), "{refused:?}");
}

#[tokio::test]
async fn a_session_without_its_directory_has_no_files() {
    let (world, session, _) = trapped().await;
    world.manager.terminate(&world.caller, session).await.unwrap();
    let listing = world.manager.files(&world.caller, session).await;
    assert!(matches!(listing, Err(Error::NotFound("working directory"))), "{listing:?}");
}
