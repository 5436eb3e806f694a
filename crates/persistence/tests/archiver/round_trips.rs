//! What is archived comes back as it was, in every format, and what is left out is named.

use super::world::{
    World, assert_same, every_kind_of_file, files_in, kept, random_file, reference, s3_options, snapshot,
};
use domain::{
    ArchivePlace, Compression,
    ports::{ArchiveError, ArchiveRoot, ArchiveStore, ByteStream},
};
use futures::TryStreamExt;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;

const LARGE_BYTES: usize = 50 << 20;

#[tokio::test]
async fn every_kind_of_file_comes_back_from_the_local_disk() {
    comes_back(World::local()).await;
}

#[tokio::test]
async fn every_kind_of_file_comes_back_from_s3() {
    comes_back(World::s3()).await;
}

async fn comes_back(world: World) {
    let folder = world.new_folder("work");
    every_kind_of_file(&folder, LARGE_BYTES);
    let was = kept(&folder);
    for compression in Compression::ALL {
        let job = world.job(&folder, compression);
        let stored = world.archiver.store(&job).await.unwrap();
        let archive = reference(&job, stored);
        let content = &archive.content;
        let object = whole(world.archiver.open(&archive, None).await.unwrap()).await;
        assert_eq!(object.len() as u64, content.size_bytes);
        assert_eq!(<[u8; 32]>::from(Sha256::digest(&object)), content.sha256);
        let manifest = whole(world.archiver.manifest(&archive).await.unwrap()).await;
        assert_eq!(<[u8; 32]>::from(Sha256::digest(&manifest)), content.manifest_sha256);
        let found = world.archiver.find(job.place, &job.key).await.unwrap().unwrap();
        assert_eq!(found.size_bytes, content.size_bytes);

        let target = world.target();
        let restored = world.archiver.restore(&archive, "workspace", target.clone().into()).await.unwrap();
        // Of pipes and sockets there are none in it.
        assert_same(&snapshot(&target), &was, compression.as_str());
        assert_eq!((restored.file_count, restored.bytes), (content.file_count, content.unpacked_bytes));
        assert_eq!(world.beside_target().as_slice(), std::slice::from_ref(&target));
        fs::remove_dir_all(&target).unwrap();

        world.archiver.delete(job.place, &job.key).await.unwrap();
        assert!(world.archiver.find(job.place, &job.key).await.unwrap().is_none());
        assert!(matches!(world.archiver.manifest(&archive).await, Err(ArchiveError::Missing)));
        world.archiver.delete(job.place, &job.key).await.unwrap();
    }
}

#[tokio::test]
async fn each_root_comes_back_by_itself_and_an_empty_target_is_taken() {
    let world = World::local();
    let (work, transcript) = (world.new_folder("work"), world.new_folder("transcript"));
    fs::write(work.join("code"), "fn main() {}").unwrap();
    fs::write(transcript.join("main.jsonl"), "{}\n").unwrap();
    let session = world.folder.path().join("session.json");
    fs::write(&session, "{\"id\":1}").unwrap();
    let mut job = world.job(&work, Compression::Zstd);
    for (name, folder) in [("transcript", &transcript), ("session.json", &session)] {
        job.roots.push(ArchiveRoot {
            name: name.into(),
            folder: folder.clone(),
            opened: None,
            may_exclude: false,
        });
    }
    let archive = reference(&job, world.archiver.store(&job).await.unwrap());

    let target = world.new_folder("restored/transcript");
    let restored = world.archiver.restore(&archive, "transcript", target.clone().into()).await.unwrap();
    assert_eq!(restored.file_count, 1);
    assert_eq!(snapshot(&target), snapshot(&transcript));
    let target = world.folder.path().join("restored/session");
    world.archiver.restore(&archive, "session.json", target.clone().into()).await.unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "{\"id\":1}");

    let refused = world.archiver.restore(&archive, "nothing", world.target().into()).await;
    assert!(matches!(&refused, Err(ArchiveError::Corrupt(why)) if why.contains("nothing")), "{refused:?}");
    let full = world.new_folder("restored/full");
    fs::write(full.join("mine"), "mine").unwrap();
    let refused = world.archiver.restore(&archive, "workspace", full.clone().into()).await;
    assert!(matches!(refused, Err(ArchiveError::Files { .. })), "{refused:?}");
    assert_eq!(files_in(&full), [full.join("mine")]);
    assert_eq!(world.beside_target().len(), 3, "nothing is left beside them");
}

#[tokio::test]
async fn patterns_leave_out_what_they_say_and_the_manifest_names_it() {
    let world = World::local();
    let folder = world.new_folder("work");
    for path in ["node_modules/a/x.js", "src/main.rs", "src/keep.log", "deep/target/o", ".gitignore", "big"] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "src\n").unwrap();
    }
    random_file(&folder.join("big"), 3000);
    let mut job = world.job(&folder, Compression::Gzip);
    job.excludes = ["node_modules/", "target", "*.log", "!keep.log", "/main.rs"].map(str::to_owned).into();
    job.limits.file_bytes_max = Some(2999);
    let stored = world.archiver.store(&job).await.unwrap();
    assert_eq!(stored.content.excluded_count, 3);
    let archive = reference(&job, stored);
    world.archiver.restore(&archive, "workspace", world.target().into()).await.unwrap();
    let mut left: Vec<String> =
        snapshot(&world.target()).into_keys().map(|path| path.display().to_string()).collect();
    left.sort();
    // What the folder's own `.gitignore` says is not asked.
    assert_eq!(left, ["", ".gitignore", "deep", "src", "src/keep.log", "src/main.rs"]);

    let manifest = whole(world.archiver.manifest(&archive).await.unwrap()).await;
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["version"], 1);
    let entries = manifest["entries"].as_array().unwrap();
    let why = |path| {
        let entry = entries.iter().find(|entry| entry["path"] == path).unwrap();
        (entry["type"].as_str().unwrap(), entry["why"].as_str().unwrap())
    };
    assert_eq!(why("workspace/node_modules"), ("left_out", "excluded"));
    assert_eq!(why("workspace/deep/target"), ("left_out", "excluded"));
    assert_eq!(why("workspace/big"), ("left_out", "too_large"));

    job.excludes = vec!["a{b".into()];
    let refused = world.archiver.store(&job).await;
    assert!(matches!(refused, Err(ArchiveError::BadPattern(_))), "{refused:?}");
    let mut job = world.job(&folder, Compression::Gzip);
    job.roots[0].may_exclude = false;
    job.excludes = vec!["*".into()];
    assert_eq!(world.archiver.store(&job).await.unwrap().content.excluded_count, 0);
}

#[tokio::test]
async fn ranges_are_what_they_are_in_the_whole() {
    let worlds = [World::local(), World::on(ArchivePlace::S3, Some(s3_options()))];
    for world in worlds {
        let folder = world.new_folder("work");
        random_file(&folder.join("random"), 9 << 20);
        let job = world.job(&folder, Compression::None);
        let archive = reference(&job, world.archiver.store(&job).await.unwrap());
        let object = whole(world.archiver.open(&archive, None).await.unwrap()).await;
        let size = archive.content.size_bytes;
        for range in [0..1, 0..size, 1_048_575..1_048_577, size - 1..size, 5..5, 8_388_000..size + 100] {
            let (start, end) = (range.start as usize, range.end.min(size) as usize);
            let part = whole(world.archiver.open(&archive, Some(range)).await.unwrap()).await;
            assert!(part == object[start..end], "{start}..{end}");
        }
    }
}

#[tokio::test]
async fn storing_again_replaces_and_a_check_leaves_nothing() {
    let world = World::local();
    let folder = world.new_folder("work");
    fs::write(folder.join("a"), "1").unwrap();
    let job = world.job(&folder, Compression::Zip);
    world.archiver.store(&job).await.unwrap();
    fs::write(folder.join("a"), "22").unwrap();
    let archive = reference(&job, world.archiver.store(&job).await.unwrap());
    world.archiver.restore(&archive, "workspace", world.target().into()).await.unwrap();
    assert_eq!(fs::read_to_string(world.target().join("a")).unwrap(), "22");

    let archives = world.folder.path().join("archives");
    assert_eq!(world.archiver.check().await.unwrap(), archives.display().to_string());
    assert_eq!(files_in(&archives).len(), 1);
}

pub async fn whole(stream: ByteStream) -> Vec<u8> {
    stream.try_collect::<Vec<_>>().await.unwrap().concat()
}
