//! The named places at which a server may be killed: where they lie, and what is true there.

use super::world::{World, files_in, random_file, reference, snapshot};
use domain::{
    Compression,
    ports::{ArchiveError, ArchiveStore},
};
use fail::FailScenario;
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

#[tokio::test]
async fn an_object_that_is_not_what_was_sent_is_no_archive() {
    let scenario = FailScenario::setup();
    let world = World::local();
    let folder = world.new_folder("work");
    random_file(&folder.join("random"), 100_000);
    let job = world.job(&folder, Compression::Gzip);
    let (object, manifest) = (world.object(&job.key), world.object(&format!("{}.manifest.json", job.key)));
    // The disk that holds it is a bad one.
    fail::cfg_callback("archive.half_stored", move || {
        assert!(!manifest.exists());
        let mut bytes = fs::read(&object).unwrap();
        bytes[5_000] ^= 1;
        fs::write(&object, bytes).unwrap();
    })
    .unwrap();
    let error = world.archiver.store(&job).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Corrupt(_)), "{error:?}");
    assert!(files_in(&world.object(&world.prefix)).is_empty());
    scenario.teardown();
    world.archiver.store(&job).await.unwrap();
}

#[tokio::test]
async fn the_target_appears_after_all_is_unpacked() {
    let scenario = FailScenario::setup();
    let world = World::local();
    let folder = world.new_folder("work");
    (0..3).for_each(|number| random_file(&folder.join(number.to_string()), 1_000));
    let job = world.job(&folder, Compression::Zstd);
    let archive = reference(&job, world.archiver.store(&job).await.unwrap());
    let unpacked = Arc::new(AtomicUsize::new(0));
    let (counted, target, was) = (Arc::clone(&unpacked), world.target(), snapshot(&folder));
    fail::cfg_callback("restore.half_unpacked", move || {
        counted.fetch_add(1, Ordering::SeqCst);
    })
    .unwrap();
    fail::cfg_callback("restore.before_rename", move || {
        assert!(!target.exists());
        let staging = files_in(target.parent().unwrap());
        assert_eq!(staging.len(), 1);
        assert_eq!(snapshot(&staging[0].join("workspace")), was);
    })
    .unwrap();
    world.archiver.restore(&archive, "workspace", world.target().into()).await.unwrap();
    assert_eq!(unpacked.load(Ordering::SeqCst), 3);
    assert_eq!(world.beside_target(), [world.target()]);
    scenario.teardown();
}
