//! One archiving or restoring in a process of its own, which says how long it took and how much memory.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use domain::{
    ArchivePlace, Compression,
    archive::ArchiveContent,
    ports::{ArchiveJob, ArchiveLimits, ArchiveRef, ArchiveRoot, ArchiveStore},
};
use persistence::{ArchiverOptions, S3Options, StorageArchiver};
use serde_json::{Value, json};

/// The first argument of this program when it is to be a worker.
pub(crate) const ARGUMENT: &str = "archive-worker";
const LIMITS: ArchiveLimits =
    ArchiveLimits { bytes_max: 16 << 30, entries_max: 1_000_000, file_bytes_max: None };
const ROOT: &str = "workspace";

/// What to do.
#[derive(Debug)]
pub(super) enum Job {
    Store,
    StoreInS3,
    /// With what storing said.
    Restore(Value),
}

/// What to do it to.
#[derive(Debug)]
pub(super) struct Task<'a> {
    pub(super) compression: Compression,
    pub(super) source: &'a Path,
    pub(super) archives: &'a Path,
    pub(super) target: &'a Path,
}

/// What a worker is started with.
pub(super) fn arguments(job: &Job, task: &Task<'_>) -> Vec<OsString> {
    let job = match job {
        Job::Store => "store".to_owned(),
        Job::StoreInS3 => "store-in-s3".to_owned(),
        Job::Restore(content) => content.to_string(),
    };
    let paths = [task.source, task.archives, task.target].map(|path| path.as_os_str().to_owned());
    let words = [ARGUMENT.to_owned(), job, task.compression.as_str().to_owned()].map(OsString::from);
    words.into_iter().chain(paths).collect()
}

/// Does what the arguments of this process say.
pub(crate) fn run() -> Result<()> {
    let arguments: Vec<OsString> = env::args_os().skip(2).collect();
    let [job, compression, source, archives, target] = arguments.as_slice() else {
        bail!("a worker has five arguments");
    };
    let (job, compression) = (job.to_string_lossy(), compression.to_string_lossy());
    let compression = Compression::parse(&compression).context("there is no such compression")?;
    let s3 = (job == "store-in-s3").then(s3_options).transpose()?;
    let options = ArchiverOptions { folder: PathBuf::from(archives), s3 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (seconds, content) = runtime.block_on(async {
        let archiver = StorageArchiver::new(&options)?;
        let (place, key) = (archiver.place(), format!("bench.{}", compression.extension()));
        let started = Instant::now();
        if let Ok(content @ Value::Object(_)) = serde_json::from_str(&job) {
            let content = content_of(&content)?;
            let archive = ArchiveRef { place, key, compression, content, limits: LIMITS };
            archiver.restore(&archive, ROOT, PathBuf::from(target).into()).await?;
            return anyhow::Ok((started.elapsed(), Value::Null));
        }
        let root = ArchiveRoot { name: ROOT.into(), folder: source.into(), opened: None, may_exclude: true };
        let job =
            ArchiveJob { place, key, compression, roots: vec![root], excludes: Vec::new(), limits: LIMITS };
        let stored = archiver.store(&job).await?;
        let elapsed = started.elapsed();
        if place == ArchivePlace::S3 {
            archiver.delete(place, &job.key).await?;
        }
        Ok((elapsed, said(&stored.content)))
    })?;
    let said = json!({
        "seconds": seconds.as_secs_f64(),
        "memory_mib": memory_peak_mib()?,
        "content": content,
    });
    println!("{said}");
    Ok(())
}

fn s3_options() -> Result<S3Options> {
    let variable = |name: &str| env::var(name).with_context(|| format!("{name} is not set"));
    Ok(S3Options {
        bucket: variable("STEWARD_TEST_S3_BUCKET")?,
        region: Some("us-east-1".to_owned()),
        endpoint: Some(variable("STEWARD_TEST_S3_ENDPOINT")?),
        access_key_id: Some(variable("STEWARD_TEST_S3_ACCESS_KEY_ID")?),
        secret_access_key: Some(variable("STEWARD_TEST_S3_SECRET_ACCESS_KEY")?.into()),
        environment: Vec::new(),
    })
}

fn said(content: &ArchiveContent) -> Value {
    json!({
        "size_bytes": content.size_bytes,
        "sha256": content.sha256,
        "manifest_sha256": content.manifest_sha256,
        "file_count": content.file_count,
        "unpacked_bytes": content.unpacked_bytes,
    })
}

fn content_of(said: &Value) -> Result<ArchiveContent> {
    let number = |name: &str| said[name].as_u64().with_context(|| format!("storing says no {name}"));
    let hash = |name: &str| serde_json::from_value(said[name].clone()).context("storing says no hash");
    Ok(ArchiveContent {
        size_bytes: number("size_bytes")?,
        sha256: hash("sha256")?,
        manifest_sha256: hash("manifest_sha256")?,
        file_count: number("file_count")?,
        unpacked_bytes: number("unpacked_bytes")?,
        excluded_count: 0,
    })
}

/// The most this process has ever had in memory.
fn memory_peak_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("only Linux tells it")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("it is not told")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
