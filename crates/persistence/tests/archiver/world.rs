//! Folders with every kind of file, what is in them, and archivers on places of their own.

use domain::{
    ArchivePlace, Compression,
    ports::{ArchiveJob, ArchiveLimits, ArchiveRef, ArchiveRoot, Stored},
};
use nix::sys::stat::Mode;
use persistence::{ArchiverOptions, S3Options, StorageArchiver};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File, FileTimes},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

pub const LIMITS: ArchiveLimits =
    ArchiveLimits { bytes_max: 1 << 30, entries_max: 100_000, file_bytes_max: None };

/// An archiver, and folders that are gone with it.
pub struct World {
    pub archiver: StorageArchiver,
    pub place: ArchivePlace,
    /// Of this test alone, in a bucket that all share.
    pub prefix: String,
    pub folder: TempDir,
}

impl World {
    pub fn local() -> Self {
        Self::on(ArchivePlace::Local, None)
    }

    pub fn s3() -> Self {
        Self::on(ArchivePlace::S3, Some(s3_options()))
    }

    pub fn on(place: ArchivePlace, s3: Option<S3Options>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = ArchiverOptions { folder: folder.path().join("archives"), s3 };
        let archiver = StorageArchiver::new(&options).unwrap();
        let prefix = format!("test-{:016x}", rand::random::<u64>());
        Self { archiver, place, prefix, folder }
    }

    /// A new folder.
    pub fn new_folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub fn target(&self) -> PathBuf {
        self.folder.path().join("restored/workspace")
    }

    /// The folder as the root `workspace`, which may leave something out.
    pub fn job(&self, folder: &Path, compression: Compression) -> ArchiveJob {
        let root = ArchiveRoot {
            name: "workspace".into(),
            folder: folder.to_owned(),
            opened: None,
            may_exclude: true,
        };
        ArchiveJob {
            place: self.place,
            key: format!("{}/archive.{}", self.prefix, compression.extension()),
            compression,
            roots: vec![root],
            excludes: vec![],
            limits: LIMITS,
        }
    }

    /// Where an object is on the local disk.
    pub fn object(&self, key: &str) -> PathBuf {
        self.folder.path().join("archives").join(key)
    }

    /// What is beside the target of a restore.
    pub fn beside_target(&self) -> Vec<PathBuf> {
        files_in(self.target().parent().unwrap())
    }
}

pub fn reference(job: &ArchiveJob, stored: Stored) -> ArchiveRef {
    let Stored { content } = stored;
    let (key, limits) = (job.key.clone(), job.limits);
    ArchiveRef { place: job.place, key, compression: job.compression, content, limits }
}

/// The server that `cargo xtask test` starts.
pub fn s3_options() -> S3Options {
    let variable = |name| {
        let value = option_env(name);
        assert!(value.is_some(), "{name} is not set: run cargo xtask test");
        value
    };
    S3Options {
        bucket: variable("STEWARD_TEST_S3_BUCKET").unwrap(),
        region: Some("us-east-1".into()),
        endpoint: variable("STEWARD_TEST_S3_ENDPOINT"),
        access_key_id: variable("STEWARD_TEST_S3_ACCESS_KEY_ID"),
        secret_access_key: variable("STEWARD_TEST_S3_SECRET_ACCESS_KEY").map(Into::into),
        environment: vec![],
    }
}

#[expect(clippy::disallowed_methods, reason = "where the server is that the test runner has started")]
fn option_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What is at a path, as far as an archive keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Folder { mode: u32, modified: (i64, i64) },
    File { mode: u32, modified: (i64, i64), size: u64, sha256: [u8; 32] },
    Link { target: PathBuf },
    Other,
}

/// Everything in a folder, and the folder itself.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Item> {
    let mut items = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        let on_disk = if path.as_os_str().is_empty() { folder.to_owned() } else { folder.join(&path) };
        let metadata = fs::symlink_metadata(&on_disk).unwrap();
        let (mode, modified) = (metadata.mode() & 0o777, (metadata.mtime(), metadata.mtime_nsec()));
        let item = if metadata.is_dir() {
            open.extend(fs::read_dir(&on_disk).unwrap().map(|entry| path.join(entry.unwrap().file_name())));
            Item::Folder { mode, modified }
        } else if metadata.is_symlink() {
            Item::Link { target: fs::read_link(&on_disk).unwrap() }
        } else if metadata.is_file() {
            let sha256 = Sha256::digest(fs::read(&on_disk).unwrap()).into();
            Item::File { mode, modified, size: metadata.len(), sha256 }
        } else {
            Item::Other
        };
        items.insert(path, item);
    }
    items
}

/// The same without what an archive does not hold.
pub fn kept(folder: &Path) -> BTreeMap<PathBuf, Item> {
    let mut items = snapshot(folder);
    items.retain(|_, item| *item != Item::Other);
    items
}

/// Compares two, and shows what is different and no more.
pub fn assert_same(left: &BTreeMap<PathBuf, Item>, right: &BTreeMap<PathBuf, Item>, what: &str) {
    let all: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let different = all.into_iter().map(|path| (path, left.get(path), right.get(path)));
    let different: Vec<_> = different.filter(|(_, left, right)| left != right).collect();
    assert!(different.is_empty(), "{what}: {different:#?}");
}

pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => vec![],
    }
}

/// A file of random bytes, the same each time.
pub fn random_file(path: &Path, bytes: usize) {
    let mut content = vec![0; bytes];
    SmallRng::seed_from_u64(bytes as u64).fill_bytes(&mut content);
    fs::write(path, content).unwrap();
}

pub fn name(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Everything that a working directory may hold.
pub fn every_kind_of_file(folder: &Path, large_bytes: usize) {
    random_file(&folder.join("large.bin"), large_bytes);
    fs::write(folder.join("empty"), "").unwrap();
    fs::write(folder.join("zeros"), vec![0; 300_000]).unwrap();
    fs::create_dir(folder.join("empty folder")).unwrap();
    let long = "n".repeat(255);
    let odd: [&[u8]; 14] = [
        b"with space ",
        b"new\nline",
        b"quo\"te's",
        b"-dash",
        b"back\\slash",
        b"not UTF-8 \xff\xfe",
        b"\xff first",
        "ünï ☃ 名".as_bytes(),
        b".hidden",
        b"...",
        b"#1",
        b"star*?[x]",
        b"%2F",
        long.as_bytes(),
    ];
    for name_bytes in odd {
        fs::write(folder.join(name(name_bytes)), name_bytes).unwrap();
    }
    // Longer than a header of either format has room for, and not UTF-8 either.
    let deep = (0..30).fold(folder.join("deep"), |path, _| path.join("d".repeat(60)));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("bottom"), "deep").unwrap();
    let odd_folder = folder.join(name(&[b"\xfe".as_slice(), &[b'x'; 120]].concat()));
    fs::create_dir(&odd_folder).unwrap();
    fs::write(odd_folder.join(name(&[0xff; 200])), "odd").unwrap();

    for (file, mode) in [("run.sh", 0o755), ("private", 0o600), ("read-only", 0o444), ("world", 0o666)] {
        fs::write(folder.join(file), mode.to_string()).unwrap();
        fs::set_permissions(folder.join(file), fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink("empty", folder.join("link")).unwrap();
    symlink("../../outside", folder.join("link out")).unwrap();
    symlink("/usr/bin/python3", folder.join("absolute link")).unwrap();
    symlink("not there//./x/", folder.join("dangling link")).unwrap();
    symlink("empty folder", folder.join("folder link")).unwrap();
    symlink(name(b"not UTF-8 \xff\xfe"), folder.join(name(b"link \xff"))).unwrap();
    symlink("t".repeat(300), folder.join("long link")).unwrap();
    fs::hard_link(folder.join("zeros"), folder.join("hard link")).unwrap();
    nix::unistd::mkfifo(&folder.join("pipe"), Mode::S_IRWXU).unwrap();
    drop(UnixListener::bind(folder.join("socket")).unwrap());

    set_modified(&folder.join("empty"), SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789));
    set_modified(&folder.join("private"), SystemTime::UNIX_EPOCH - Duration::from_secs(86_400));
    // Last: nobody may write into it, which its restoring must survive.
    let closed = folder.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("inside"), "in").unwrap();
    set_modified(&closed, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
}

pub fn set_modified(path: &Path, at: SystemTime) {
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(at)).unwrap();
}
