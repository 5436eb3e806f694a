//! Stores that fail, disks that are full, callers that go away: the error says so and nothing is left behind.

use super::world::{World, files_in, random_file, reference, snapshot};
use domain::{
    Compression,
    ports::{ArchiveError, ArchiveStore},
};
use nix::sys::{
    resource::{Resource, setrlimit},
    signal::{SigSet, Signal},
};
use std::{
    fs::{self, File},
    future::Future,
    io::Write,
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_full_disk_leaves_nothing_behind() {
    const ROOM: u64 = 3 << 20;
    let world = World::local();
    let small = world.new_folder("small");
    random_file(&small.join("random"), 2 << 20);
    let large = world.new_folder("large");
    fs::write(large.join("zeros"), vec![0; 8 << 20]).unwrap();
    // Whatever is written beyond the limit fails, instead of ending the process.
    SigSet::from(Signal::SIGXFSZ).thread_block().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Compressed there is room for both.
        let archive = world.job(&large, Compression::Zstd);
        let archive = reference(&archive, world.archiver.store(&archive).await.unwrap());
        let too_large = world.job(&large, Compression::None);
        let before = snapshot(&world.object(""));
        setrlimit(Resource::RLIMIT_FSIZE, ROOM, ROOM).unwrap();

        let error = world.archiver.store(&too_large).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Unavailable(_)), "{error:?}");
        let names =
            |snapshot: &std::collections::BTreeMap<_, _>| snapshot.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&snapshot(&world.object(""))), names(&before));

        let error = world.archiver.restore(&archive, "workspace", world.target().into()).await.unwrap_err();
        let ArchiveError::Files { path, .. } = &error else { unreachable!("{error:?}") };
        assert!(path.ends_with("workspace/zeros"), "{error:?}");
        assert!(world.beside_target().is_empty());

        let fits = world.job(&small, Compression::Gzip);
        let fits = reference(&fits, world.archiver.store(&fits).await.unwrap());
        world.archiver.restore(&fits, "workspace", world.target().into()).await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_or_shrinks_meanwhile_is_an_error() {
    let world = World::local();
    let folder = world.new_folder("work");
    let path = folder.join("log");
    for compression in Compression::ALL {
        random_file(&path, 32 << 20);
        let job = world.job(&folder, compression);
        let is_done = AtomicBool::new(false);
        let error = thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = File::options().append(true).open(&path).unwrap();
                while !is_done.load(Ordering::SeqCst) {
                    file.write_all(b"one more line\n").unwrap();
                }
            });
            let outcome = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(world.archiver.store(&job))
            });
            is_done.store(true, Ordering::SeqCst);
            outcome.unwrap_err()
        });
        assert!(matches!(&error, ArchiveError::Files { path: at, .. } if *at == path), "{error:?}");
        assert!(files_in(&world.object(&world.prefix)).is_empty());
    }

    random_file(&path, 32 << 20);
    let job = world.job(&folder, Compression::None);
    let has_begun = until(|| world.object(&format!("{}#1", job.key)).exists());
    let storing = async {
        let mut storing = world.archiver.store(&job);
        tokio::select! {
            biased;
            () = has_begun => {}
            _ = &mut storing => unreachable!("it was stored at once"),
        }
        File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
        storing.await
    };
    let error = storing.await.unwrap_err();
    assert!(matches!(&error, ArchiveError::Files { path: at, .. } if *at == path), "{error:?}");
    assert!(files_in(&world.object(&world.prefix)).is_empty());
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_not_cut() {
    let world = World::local();
    let folder = world.new_folder("work");
    for number in 0..10 {
        random_file(&folder.join(number.to_string()), 1_000);
    }
    for compression in Compression::ALL {
        let mut job = world.job(&folder, compression);
        job.limits.bytes_max = 9_999;
        let error = world.archiver.store(&job).await.unwrap_err();
        assert!(matches!(&error, ArchiveError::TooLarge(why) if why.contains("9999")), "{error:?}");
        job.limits.bytes_max = 10_000;
        job.limits.entries_max = 10;
        let error = world.archiver.store(&job).await.unwrap_err();
        assert!(matches!(&error, ArchiveError::TooLarge(why) if why.contains("10")), "{error:?}");
        assert!(files_in(&world.object(&world.prefix)).is_empty());
        job.limits.entries_max = 11;
        world.archiver.store(&job).await.unwrap();
        world.archiver.delete(job.place, &job.key).await.unwrap();
    }
    let mut job = world.job(&folder, Compression::Gzip);
    let deep = (0..250).fold(folder.clone(), |path, _| path.join("d"));
    fs::create_dir_all(&deep).unwrap();
    let error = world.archiver.store(&job).await.unwrap_err();
    assert!(matches!(&error, ArchiveError::TooLarge(why) if why.contains("deeper")), "{error:?}");
    job.roots[0].folder = world.folder.path().join("not there");
    let error = world.archiver.store(&job).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Files { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_waiting_leaves_nothing_after_the_next_call() {
    let world = World::local();
    let folder = world.new_folder("work");
    random_file(&folder.join("large"), 64 << 20);
    let job = world.job(&folder, Compression::None);
    let part = world.object(&format!("{}#1", job.key));
    drop_when(world.archiver.store(&job), || part.exists()).await;
    let archive = reference(&job, world.archiver.store(&job).await.unwrap());
    assert_eq!(files_in(&world.object(&world.prefix)).len(), 2);

    let is_unpacking = || world.beside_target().iter().any(|path| path.join("workspace/large").exists());
    drop_when(world.archiver.restore(&archive, "workspace", world.target().into()), is_unpacking).await;
    assert!(!world.target().exists());
    world.archiver.restore(&archive, "workspace", world.target().into()).await.unwrap();
    assert_eq!(world.beside_target(), [world.target()]);
    assert_eq!(snapshot(&world.target()), snapshot(&folder));
}

/// What kill -9 leaves: nobody ran to the end.
#[tokio::test]
async fn what_a_killed_server_has_left_is_removed_by_the_next_call() {
    let world = World::local();
    let folder = world.new_folder("work");
    fs::write(folder.join("a"), "a").unwrap();
    let job = world.job(&folder, Compression::Gzip);
    let parts = ["#1", "#2"].map(|end| world.object(&format!("{}{end}", job.key)));
    let others = ["#3x", "-other#1"].map(|end| world.object(&format!("{}{end}", job.key)));
    fs::create_dir_all(parts[0].parent().unwrap()).unwrap();
    let leave = || parts.iter().chain(&others).for_each(|path| fs::write(path, "half").unwrap());
    leave();
    let archive = reference(&job, world.archiver.store(&job).await.unwrap());
    assert!(parts.iter().all(|path| !path.exists()));
    assert!(others.iter().all(|path| path.exists()));

    let half = world.target().with_file_name(".workspace.restoring-Xyz");
    let other = world.target().with_file_name(".workspace2.restoring-Xyz");
    fs::create_dir_all(half.join("workspace/closed")).unwrap();
    fs::create_dir_all(&other).unwrap();
    fs::write(half.join("workspace/closed/inside"), "in").unwrap();
    fs::set_permissions(half.join("workspace/closed"), fs::Permissions::from_mode(0o555)).unwrap();
    world.archiver.restore(&archive, "workspace", world.target().into()).await.unwrap();
    assert!(!half.exists() && other.exists());

    leave();
    world.archiver.delete(job.place, &job.key).await.unwrap();
    assert!(parts.iter().all(|path| !path.exists()));
}

/// Drops a future once it has come so far.
pub async fn drop_when<T>(future: impl Future<Output = T>, is_there: impl FnMut() -> bool) {
    tokio::select! {
        biased;
        () = until(is_there) => {}
        _ = future => unreachable!("it came to its end"),
    }
}

/// Looks again and again.
pub async fn until(mut is_there: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < deadline, "it has not come to that");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
