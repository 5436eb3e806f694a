//! Archives are for everybody: the tools of the system test them, open them, and find the same files.

#![expect(clippy::disallowed_methods, reason = "the tools are programs")]

use super::world::{Item, World, assert_same, every_kind_of_file, files_in, kept, snapshot};
use domain::{Compression, ports::ArchiveStore};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Several blocks of gzip's, several jobs of zstd's.
const LARGE_BYTES: usize = 6 << 20;

#[tokio::test]
async fn tar_opens_what_gzip_and_zstd_find_whole() {
    let world = World::local();
    let folder = world.new_folder("work");
    every_kind_of_file(&folder, LARGE_BYTES);
    for (compression, test, read) in [
        (Compression::Gzip, Some("gzip -t"), "tar xzpf"),
        (Compression::Zstd, Some("zstd -q -t"), "tar --zstd -xpf"),
        (Compression::None, None, "tar xpf"),
    ] {
        let job = world.job(&folder, compression);
        world.archiver.store(&job).await.unwrap();
        let object = world.object(&job.key);
        if let Some(test) = test {
            run(test, &object, world.folder.path());
        }
        let opened = world.new_folder(&format!("opened {compression:?}"));
        run(read, &object, &opened);
        assert_same(&in_seconds(kept(&opened.join("workspace"))), &in_seconds(kept(&folder)), read);
        let manifest = fs::read(opened.join("manifest.json")).unwrap();
        assert_eq!(manifest, fs::read(world.object(&format!("{}.manifest.json", job.key))).unwrap());
    }
}

#[tokio::test]
async fn unzip_opens_what_it_finds_whole() {
    let world = World::local();
    let folder = world.new_folder("work");
    every_kind_of_file(&folder, LARGE_BYTES);
    let job = world.job(&folder, Compression::Zip);
    world.archiver.store(&job).await.unwrap();
    let object = world.object(&job.key);
    run("unzip -q -t", &object, world.folder.path());

    // It has its own mind about names that are not text or have two lines.
    for path in
        files_in(&folder).into_iter().filter(|path| path.to_str().is_none_or(|path| path.contains('\n')))
    {
        fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).unwrap();
    }
    world.archiver.store(&job).await.unwrap();
    let opened = world.new_folder("opened");
    run("unzip -q", &object, &opened);
    let (mut ours, mut theirs) = (snapshot(&opened.join("workspace")), kept(&folder));
    // And about letters beyond ASCII.
    for items in [&mut ours, &mut theirs] {
        items.retain(|path, _| path.to_str().is_some_and(str::is_ascii));
    }
    assert!(ours.len() > 40, "{} files were compared", ours.len());
    assert_same(&in_seconds(ours), &in_seconds(theirs), "unzip");
}

/// Archives of tar and zip know no smaller unit; the manifest does.
fn in_seconds(items: BTreeMap<PathBuf, Item>) -> BTreeMap<PathBuf, Item> {
    let seconds = |(seconds, _)| (i64::max(seconds, 0), 0);
    let item = |item| match item {
        Item::Folder { mode, modified } => Item::Folder { mode, modified: seconds(modified) },
        Item::File { mode, modified, size, sha256 } => {
            Item::File { mode, modified: seconds(modified), size, sha256 }
        }
        other => other,
    };
    items.into_iter().map(|(path, one)| (path, item(one))).collect()
}

fn run(command: &str, object: &Path, folder: &Path) {
    let mut words = command.split(' ');
    let mut process = Command::new(words.next().unwrap());
    let output = process.args(words).arg(object).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {said}{}", String::from_utf8_lossy(&output.stdout));
}
