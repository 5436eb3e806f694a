//! Archives that somebody else has made, with a manifest to match: none of them writes where it should not, and
//! nothing of them stays.

use super::world::{LIMITS, World, files_in, random_file, reference};
use domain::{
    ArchivePlace, Compression,
    archive::ArchiveContent,
    ports::{ArchiveError, ArchiveRef, ArchiveStore, ArchiveTarget},
};
use flate2::{Compression as GzipLevel, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::symlink,
    sync::Arc,
};
use tar::EntryType;
use zip::{ZipWriter, write::SimpleFileOptions};

const TEXT: &[u8] = b"evil\n";

/// A tar that is made by hand.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(self, kind: EntryType, path: &str, target: &str, content: &[u8]) -> Self {
        self.sized(kind, path, target, content.len() as u64, content)
    }

    /// One that says it has so many bytes.
    fn sized(mut self, kind: EntryType, path: &str, target: &str, size: u64, mut content: impl Read) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(size);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.extend(header.as_bytes());
        let length = io::copy(&mut content, &mut self.0).unwrap();
        self.0.resize(self.0.len() + (length.next_multiple_of(512) - length) as usize, 0);
        self
    }

    fn folder(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", b"")
    }

    fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, "", content)
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, b"")
    }

    /// With the manifest and the end of a tar.
    fn finish(self, manifest: &[u8]) -> Vec<u8> {
        let mut tar = self.file("manifest.json", manifest);
        tar.0.extend([0; 1024]);
        tar.0
    }
}

fn folder(path: &str) -> Value {
    json!({ "type": "folder", "path": path, "mode": "755", "modified_at": "2026-01-01T00:00:00Z" })
}

fn file(path: &str, content: &[u8]) -> Value {
    sized_file(path, content.len() as u64, &hex::encode(Sha256::digest(content)))
}

fn sized_file(path: &str, size: u64, sha256: &str) -> Value {
    json!({ "type": "file", "path": path, "mode": "644", "modified_at": "2026-01-01T00:00:00Z",
            "size": size, "sha256": sha256 })
}

fn link(path: &str, target: &str) -> Value {
    json!({ "type": "link", "path": path, "target": target })
}

fn manifest(entries: &[Value]) -> Vec<u8> {
    let lines: Vec<String> = entries.iter().map(Value::to_string).collect();
    format!("{{\"version\":1,\"entries\":[\n{}\n]}}\n", lines.join(",\n")).into_bytes()
}

/// Puts it into the store as if it had been stored, so that its hashes are as on record.
fn plant(world: &World, compression: Compression, object: &[u8], manifest: &[u8]) -> ArchiveRef {
    let key = format!("{}/evil.{}", world.prefix, compression.extension());
    let path = world.object(&key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, object).unwrap();
    fs::write(world.object(&format!("{key}.manifest.json")), manifest).unwrap();
    let content = ArchiveContent {
        size_bytes: object.len() as u64,
        sha256: Sha256::digest(object).into(),
        manifest_sha256: Sha256::digest(manifest).into(),
        file_count: 1,
        unpacked_bytes: 1,
        excluded_count: 0,
    };
    ArchiveRef { place: ArchivePlace::Local, key, compression, content, limits: LIMITS }
}

async fn refused(world: &World, archive: &ArchiveRef) -> ArchiveError {
    let outside = world.folder.path().join("restored/outside");
    let outcome = world.archiver.restore(archive, "workspace", world.target().into()).await;
    assert!(!world.target().exists());
    assert!(world.beside_target().is_empty(), "{:?}", world.beside_target());
    assert!(!outside.exists(), "something was written outside");
    outcome.unwrap_err()
}

#[tokio::test]
async fn what_would_be_written_elsewhere_is_hostile() {
    let world = World::local();
    let outside = world.folder.path().join("restored/outside").display().to_string();
    let root = || Tar::default().folder("workspace/");
    let in_root = |entry: Value| vec![folder("workspace"), entry];
    let cases: Vec<(&str, Tar, Vec<Value>)> = vec![
        ("an absolute path", root().file(&outside, TEXT), in_root(file(&outside, TEXT))),
        (
            "a path out",
            root().file("workspace/../../outside", TEXT),
            in_root(file("workspace/../../outside", TEXT)),
        ),
        ("a path out at once", Tar::default().file("../outside", TEXT), vec![file("../outside", TEXT)]),
        (
            "a path through a link of the archive",
            root().link("workspace/up", "../..").file("workspace/up/outside", TEXT),
            vec![folder("workspace"), link("workspace/up", "../.."), file("workspace/up/outside", TEXT)],
        ),
        (
            "a path through an absolute link of the archive",
            root().link("workspace/up", "/tmp").file("workspace/up/outside", TEXT),
            vec![folder("workspace"), link("workspace/up", "/tmp"), file("workspace/up/outside", TEXT)],
        ),
        (
            "a file in place of a link",
            root().link("workspace/up", "../../outside").file("workspace/up", TEXT),
            vec![folder("workspace"), link("workspace/up", "../../outside"), file("workspace/up", TEXT)],
        ),
        (
            "a folder in place of a link",
            root().link("workspace/up", "../..").folder("workspace/up/").file("workspace/up/outside", TEXT),
            vec![
                folder("workspace"),
                link("workspace/up", "../.."),
                folder("workspace/up"),
                file("workspace/up/outside", TEXT),
            ],
        ),
        (
            "the same file twice",
            root().file("workspace/a", TEXT).file("workspace/a", TEXT),
            vec![folder("workspace"), file("workspace/a", TEXT), file("workspace/a", TEXT)],
        ),
        (
            "a file in no folder",
            root().file("workspace/nowhere/a", TEXT),
            in_root(file("workspace/nowhere/a", TEXT)),
        ),
        ("a path with a dot", root().file("workspace/./a", TEXT), in_root(file("workspace/./a", TEXT))),
        ("a path with nothing", root().file("workspace//a", TEXT), in_root(file("workspace//a", TEXT))),
        (
            "a hard link out",
            root().entry(EntryType::Link, "workspace/a", "/etc/passwd", b""),
            in_root(file("workspace/a", b"")),
        ),
        (
            "a device",
            root().entry(EntryType::Char, "workspace/a", "", b""),
            in_root(file("workspace/a", b"")),
        ),
        ("a disk", root().entry(EntryType::Block, "workspace/a", "", b""), in_root(file("workspace/a", b""))),
        ("a pipe", root().entry(EntryType::Fifo, "workspace/a", "", b""), in_root(file("workspace/a", b""))),
        (
            "a kind that nobody knows",
            root().entry(EntryType::new(b'V'), "workspace/a", "", b""),
            in_root(file("workspace/a", b"")),
        ),
    ];
    for (what, tar, entries) in cases {
        let manifest = manifest(&entries);
        let archive = plant(&world, Compression::None, &tar.finish(&manifest), &manifest);
        let error = refused(&world, &archive).await;
        assert!(matches!(error, ArchiveError::Hostile(_)), "{what}: {error:?}");
    }
}

#[tokio::test]
async fn what_the_manifest_does_not_say_is_corrupt() {
    let world = World::local();
    let root = || Tar::default().folder("workspace/");
    let entries = |more: &[Value]| [&[folder("workspace")], more].concat();
    let cases: Vec<(&str, Tar, Vec<Value>)> = vec![
        ("one too many", root().file("workspace/a", TEXT), entries(&[])),
        ("one too few", root(), entries(&[file("workspace/a", TEXT)])),
        ("another content", root().file("workspace/a", b"good\n"), entries(&[file("workspace/a", TEXT)])),
        ("another size", root().file("workspace/a", b"longer\n"), entries(&[file("workspace/a", TEXT)])),
        ("another path", root().file("workspace/b", TEXT), entries(&[file("workspace/a", TEXT)])),
        ("another target", root().link("workspace/a", "b"), entries(&[link("workspace/a", "c")])),
        ("another kind", root().folder("workspace/a"), entries(&[file("workspace/a", b"")])),
        (
            "another order",
            root().file("workspace/b", TEXT).file("workspace/a", TEXT),
            entries(&[file("workspace/a", TEXT), file("workspace/b", TEXT)]),
        ),
        ("no root", Tar::default().folder("other/"), vec![folder("other")]),
    ];
    for (what, tar, entries) in cases {
        let manifest = manifest(&entries);
        let archive = plant(&world, Compression::None, &tar.finish(&manifest), &manifest);
        let error = refused(&world, &archive).await;
        assert!(matches!(error, ArchiveError::Corrupt(_)), "{what}: {error:?}");
    }
    let manifest = manifest(&[folder("workspace")]);
    let mut after = root().file("manifest.json", &manifest).file("workspace/a", TEXT).finish(&manifest);
    let error = refused(&world, &plant(&world, Compression::None, &after, &manifest)).await;
    assert!(matches!(&error, ArchiveError::Corrupt(why) if why.contains("after the manifest")), "{error:?}");
    after.truncate(after.len() / 2);
    let error = refused(&world, &plant(&world, Compression::None, &after[..700], &manifest)).await;
    assert!(matches!(error, ArchiveError::Corrupt(_)), "{error:?}");
    let of_future = String::from_utf8(manifest.clone()).unwrap().replace(":1,", ":2,");
    let tar = root().finish(of_future.as_bytes());
    let error = refused(&world, &plant(&world, Compression::None, &tar, of_future.as_bytes())).await;
    assert!(matches!(&error, ArchiveError::Corrupt(why) if why.contains("version 2")), "{error:?}");
}

#[tokio::test]
async fn links_that_lead_out_are_restored_and_nothing_is_written_through_them() {
    let world = World::local();
    let manifest = manifest(&[folder("workspace"), link("workspace/python", "/usr/bin/python3")]);
    let tar = Tar::default().folder("workspace/").link("workspace/python", "/usr/bin/python3");
    let archive = plant(&world, Compression::None, &tar.finish(&manifest), &manifest);
    world.archiver.restore(&archive, "workspace", world.target().into()).await.unwrap();
    assert_eq!(fs::read_link(world.target().join("python")).unwrap().to_str(), Some("/usr/bin/python3"));
}

#[tokio::test]
async fn nobody_gets_rights_by_an_archive() {
    let world = World::local();
    let mut evil = file("workspace/root-shell", TEXT);
    evil["mode"] = json!("6755");
    let manifest = manifest(&[folder("workspace"), evil]);
    let tar = Tar::default().folder("workspace/").file("workspace/root-shell", TEXT);
    let archive = plant(&world, Compression::None, &tar.finish(&manifest), &manifest);
    world.archiver.restore(&archive, "workspace", world.target().into()).await.unwrap();
    let mode = std::os::unix::fs::MetadataExt::mode(&world.target().join("root-shell").metadata().unwrap());
    assert_eq!(mode & 0o7777, 0o755);
}

const BOMB_BYTES: u64 = LIMITS.bytes_max + 1;

/// A gibibyte of nothing at all, in a few megabytes or less.
fn bomb(compression: Compression, kind: EntryType) -> Vec<u8> {
    let header = Tar::default().sized(kind, "workspace/a", "", BOMB_BYTES, io::empty());
    let start = [Tar::default().folder("workspace/").0, header.0].concat();
    if let Compression::Gzip = compression {
        let mut gzip = GzEncoder::new(Vec::new(), GzipLevel::fast());
        gzip.write_all(&start).unwrap();
        zeros(&mut gzip, BOMB_BYTES);
        return gzip.finish().unwrap();
    }
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    zstd.write_all(&start).unwrap();
    zeros(&mut zstd, BOMB_BYTES);
    zstd.finish().unwrap()
}

fn zeros(out: &mut impl Write, bytes: u64) {
    let piece = vec![0; 1 << 20];
    (0..bytes.div_ceil(1 << 20)).for_each(|_| out.write_all(&piece).unwrap());
}

#[tokio::test]
async fn bombs_are_not_unpacked() {
    let world = World::local();
    let honest = manifest(&[folder("workspace"), sized_file("workspace/a", BOMB_BYTES, &"0".repeat(64))]);
    let lying = manifest(&[folder("workspace"), file("workspace/a", TEXT)]);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let object = bomb(compression, EntryType::Regular);
        assert!(object.len() < 16 << 20);
        // One that says how large it is, is too large; one that does not, is not what its manifest says.
        let error = refused(&world, &plant(&world, compression, &object, &honest)).await;
        assert!(matches!(error, ArchiveError::TooLarge(_)), "{error:?}");
        let error = refused(&world, &plant(&world, compression, &object, &lying)).await;
        assert!(matches!(error, ArchiveError::Corrupt(_)), "{error:?}");
        // A name that would fill the memory.
        let object = bomb(compression, EntryType::GNULongName);
        let before = memory_peak_kib();
        let error = refused(&world, &plant(&world, compression, &object, &lying)).await;
        assert!(matches!(&error, ArchiveError::Corrupt(why) if why.contains("more than")), "{error:?}");
        assert!(memory_peak_kib() - before < 64 * 1024);
    }
}

fn memory_peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_window_that_would_fill_the_memory_is_refused() {
    let world = World::local();
    let manifest = manifest(&[folder("workspace")]);
    let mut zstd = zstd::Encoder::new(Vec::new(), 19).unwrap();
    zstd.set_parameter(zstd::zstd_safe::CParameter::WindowLog(27)).unwrap();
    zstd.write_all(&Tar::default().folder("workspace/").finish(&manifest)).unwrap();
    let error = refused(&world, &plant(&world, Compression::Zstd, &zstd.finish().unwrap(), &manifest)).await;
    assert!(matches!(error, ArchiveError::Corrupt(_)), "{error:?}");
}

#[tokio::test]
async fn more_entries_than_the_limit_are_too_many() {
    let world = World::local();
    let names: Vec<String> = (0..1_001).map(|number| format!("workspace/{number}")).collect();
    let tar = names.iter().fold(Tar::default().folder("workspace/"), |tar, name| tar.file(name, b""));
    let files = names.iter().map(|name| file(name, b""));
    let manifest = manifest(&std::iter::once(folder("workspace")).chain(files).collect::<Vec<_>>());
    let mut archive = plant(&world, Compression::None, &tar.finish(&manifest), &manifest);
    archive.limits.entries_max = 1_001;
    let error = refused(&world, &archive).await;
    assert!(matches!(&error, ArchiveError::TooLarge(why) if why.contains("1001")), "{error:?}");
    // A manifest that alone would fill the disk is not even fetched.
    archive.limits.entries_max = 10;
    let error = refused(&world, &archive).await;
    assert!(matches!(&error, ArchiveError::TooLarge(why) if why.contains("manifest")), "{error:?}");
    archive.limits.entries_max = 1_002;
    archive.limits.bytes_max = 0;
    let restored = world.archiver.restore(&archive, "workspace", world.target().into()).await.unwrap();
    assert_eq!(restored.file_count, 1_001);
}

/// A tar of this many empty files, compressed as it is made: it is half a gigabyte.
fn many_files(count: u32) -> Vec<u8> {
    let one = Tar::default().file("workspace/0000000", b"").0;
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    zstd.write_all(&Tar::default().folder("workspace/").0).unwrap();
    for number in 0..count {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes().copy_from_slice(&one);
        header.as_old_mut().name[10..17].copy_from_slice(format!("{number:07}").as_bytes());
        header.set_cksum();
        zstd.write_all(header.as_bytes()).unwrap();
    }
    zstd.finish().unwrap()
}

/// A zip whose directory says that it has this many files, each of them the one that is in it.
fn many_times_one_file(count: u32) -> Vec<u8> {
    let mut zip = Vec::new();
    let sized = |signature: &[u8; 4], before: &[u8]| [signature.as_slice(), before].concat();
    // Version, flags, method, time, date, CRC, two sizes, length of the name, length of the rest.
    let about =
        |length: u16| [[10, 0, 0, 0, 0, 0].as_slice(), &[0; 16], &length.to_le_bytes(), &[0; 2]].concat();
    zip.extend(sized(b"PK\x03\x04", &about(17)));
    zip.extend(b"workspace/0000000");
    let start = zip.len() as u32;
    for number in 0..count {
        zip.extend(sized(b"PK\x01\x02", &[[10, 3].as_slice(), &about(17), &[0; 14]].concat()));
        zip.extend(format!("workspace/{number:07}").as_bytes());
    }
    let size = zip.len() as u64 - u64::from(start);
    let count = u64::from(count).to_le_bytes();
    let end = zip.len() as u64;
    zip.extend(sized(b"PK\x06\x06", &44_u64.to_le_bytes()));
    zip.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    zip.extend([count, count, size.to_le_bytes(), u64::from(start).to_le_bytes()].concat());
    zip.extend(sized(b"PK\x06\x07", &[[0; 4].as_slice(), &end.to_le_bytes(), &[1, 0, 0, 0]].concat()));
    zip.extend(sized(b"PK\x05\x06", &[[0; 4], [0xff; 4], [0xff; 4], [0xff; 4]].concat()));
    zip.extend([0; 2]);
    zip
}

#[tokio::test]
async fn a_million_entries_are_refused_before_any_is_written() {
    const MILLION: u32 = 1_000_000;
    let world = World::local();
    let lying = manifest(&[folder("workspace"), file("workspace/0000000", b"")]);
    for (compression, object) in
        [(Compression::Zstd, many_files(MILLION)), (Compression::Zip, many_times_one_file(MILLION))]
    {
        let archive = plant(&world, compression, &object, &lying);
        let error = refused(&world, &archive).await;
        assert!(matches!(error, ArchiveError::Corrupt(_)), "{compression:?}: {error:?}");
    }
    // A manifest that has them all is refused for that alone; what it is the manifest of is not looked at.
    let mut honest = b"{\"version\":1,\"entries\":[\n".to_vec();
    let line = file("workspace/0000000", b"").to_string();
    for number in 0..=MILLION {
        honest.extend(line.replace("0000000", &format!("{number:07}")).as_bytes());
        honest.extend(if number == MILLION { b"\n".as_slice() } else { b",\n" });
    }
    honest.extend(b"]}\n");
    let mut archive = plant(&world, Compression::Zstd, b"not even an archive", &honest);
    archive.limits.entries_max = MILLION.into();
    drop(honest);
    let error = refused(&world, &archive).await;
    assert!(matches!(&error, ArchiveError::TooLarge(why) if why.contains("1000000")), "{error:?}");
}

#[tokio::test]
async fn a_zip_is_as_mistrusted_as_a_tar() {
    let world = World::local();
    let manifest = manifest(&[folder("workspace"), file("workspace/a", TEXT)]);
    let zip = |path: &str, mode: u32, content: &[u8], times, method| {
        let options = SimpleFileOptions::default().compression_method(method).large_file(true);
        let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
        zip.add_directory("workspace/", options).unwrap();
        let of_file = options.system(zip::System::Unix).external_attributes(mode << 16);
        zip.start_file(path, of_file).unwrap();
        (0..times).for_each(|_| zip.write_all(content).unwrap());
        zip.start_file("manifest.json", options).unwrap();
        zip.write_all(&manifest).unwrap();
        zip.finish().unwrap().into_inner()
    };
    use zip::CompressionMethod::{Deflated, Stored};
    let good = zip("workspace/a", 0o100_644, TEXT, 1, Deflated);
    let archive = plant(&world, Compression::Zip, &good, &manifest);
    world.archiver.restore(&archive, "workspace", world.target().into()).await.unwrap();
    assert_eq!(fs::read(world.target().join("a")).unwrap(), TEXT);
    fs::remove_dir_all(world.target()).unwrap();

    for (path, mode) in [("../outside", 0o100_644), ("/outside", 0o100_644), ("workspace/a", 0o020_644)] {
        let object = zip(path, mode, TEXT, 1, Stored);
        let error = refused(&world, &plant(&world, Compression::Zip, &object, &manifest)).await;
        assert!(matches!(error, ArchiveError::Hostile(_)), "{path} {mode:o}: {error:?}");
    }
    let bomb = zip("workspace/a", 0o100_644, &[0; 1 << 16], 1 << 12, Deflated);
    let error = refused(&world, &plant(&world, Compression::Zip, &bomb, &manifest)).await;
    assert!(matches!(error, ArchiveError::Corrupt(_)), "{error:?}");
    // The same with headers that lie about it: what is unpacked is counted.
    let mut lying = bomb.clone();
    for place in 0..lying.len() - 8 {
        if lying[place..place + 8] == (1_u64 << 28).to_le_bytes() {
            lying[place..place + 8].copy_from_slice(&(TEXT.len() as u64).to_le_bytes());
        }
    }
    assert_ne!(lying, bomb);
    let error = refused(&world, &plant(&world, Compression::Zip, &lying, &manifest)).await;
    assert!(matches!(error, ArchiveError::Corrupt(_)), "{error:?}");
}

#[tokio::test]
async fn one_bit_that_flipped_in_the_store_is_seen() {
    let world = World::local();
    let work = world.new_folder("work");
    random_file(&work.join("random"), 200_000);
    fs::write(work.join("text"), "text\n".repeat(1_000)).unwrap();
    for compression in Compression::ALL {
        let job = world.job(&work, compression);
        let archive = reference(&job, world.archiver.store(&job).await.unwrap());
        let objects = [world.object(&job.key), world.object(&format!("{}.manifest.json", job.key))];
        for object in objects {
            let whole = fs::read(&object).unwrap();
            for place in [0, 600, whole.len() / 2, whole.len() - 1].map(|place| place % whole.len()) {
                let mut damaged = whole.clone();
                damaged[place] ^= 1;
                fs::write(&object, &damaged).unwrap();
                let error = refused(&world, &archive).await;
                let is_refused = matches!(error, ArchiveError::Corrupt(_) | ArchiveError::Hostile(_));
                assert!(is_refused, "{compression:?} at {place}: {error:?}");
            }
            fs::write(&object, &whole[..whole.len() - 1]).unwrap();
            let error = refused(&world, &archive).await;
            assert!(matches!(error, ArchiveError::Corrupt(_)), "{error:?}");
            fs::write(&object, [&whole[..], &[0; 512]].concat()).unwrap();
            let error = refused(&world, &archive).await;
            assert!(matches!(error, ArchiveError::Corrupt(_)), "{error:?}");
            fs::remove_file(&object).unwrap();
            let error = refused(&world, &archive).await;
            assert!(matches!(error, ArchiveError::Missing), "{error:?}");
            fs::write(&object, &whole).unwrap();
        }
        assert_eq!(files_in(&world.object(&world.prefix)).len(), 2);
        world.archiver.delete(job.place, &job.key).await.unwrap();
    }
}

#[tokio::test]
async fn a_root_that_is_a_link_is_not_archived() {
    let world = World::local();
    let (others, link) = (world.new_folder("others"), world.folder.path().join("link"));
    fs::write(others.join("file"), TEXT).unwrap();
    for target in [others.clone(), others.join("file")] {
        symlink(&target, &link).unwrap();
        let job = world.job(&link, Compression::None);
        let refused = world.archiver.store(&job).await.unwrap_err();
        assert!(
            matches!(&refused, ArchiveError::Files { action: "read", path, .. } if *path == link),
            "{refused:?}"
        );
        assert!(!world.object(&job.key).exists());
        fs::remove_file(&link).unwrap();
    }
}

/// What was opened counts, whatever is in its place by now.
#[tokio::test]
async fn a_folder_that_is_held_is_read_and_written_although_another_is_in_its_place() {
    let world = World::local();
    let (folder, others) = (world.new_folder("folder"), world.new_folder("others"));
    let moved = world.folder.path().join("moved");
    fs::write(folder.join("mine"), "mine").unwrap();
    let held = Arc::new(fs::File::open(&folder).unwrap().into());
    fs::rename(&folder, &moved).unwrap();
    symlink(&others, &folder).unwrap();
    fs::write(others.join("theirs"), "theirs").unwrap();
    let mut job = world.job(&folder, Compression::None);
    job.roots[0].opened = Some(Arc::clone(&held));
    let archive = reference(&job, world.archiver.store(&job).await.unwrap());

    let target = ArchiveTarget { folder: folder.join("restored"), above: Some(held) };
    world.archiver.restore(&archive, "workspace", target).await.unwrap();
    assert_eq!(files_in(&moved.join("restored")), [moved.join("restored/mine")]);
    assert_eq!(files_in(&others), [others.join("theirs")]);
}
