//! Archiving and restoring, beside `tar` with `zstd` and `gzip`; and what it takes to bring an archive to S3.

mod files;
mod worker;

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use domain::Compression;
use serde_json::Value;
use tokio::process::Command;

pub(crate) use self::worker::{ARGUMENT as WORKER_ARGUMENT, run as run_worker};
use self::{
    files::{MIB, write_files},
    worker::{Job, Task},
};
use crate::{figures::Sample, report::Row, scale::Scale, tools::Tools};

const RATIO_TARGET: f64 = 1.15;
const MEMORY_TARGET_MIB: f64 = 96.0;
const S3_BYTES: u64 = 100 * MIB;
const S3_TARGET_S: f64 = 3.0;

/// Programs that do the same, as `bash` runs them: `$1` is the folder, `$2` the archive, `$3` where to unpack it.
struct Reference {
    compression: Compression,
    name: &'static str,
    pack: &'static str,
    unpack: &'static str,
}

// What we store is on the disk when we say so; theirs has to be too.
const REFERENCES: [Reference; 2] = [
    Reference {
        compression: Compression::Zstd,
        name: "zstd",
        pack: r#"tar cf - -C "$1" . | zstd -q -o "$2" && sync "$2""#,
        unpack: r#"zstd -q -d -c "$2" | tar xpf - -C "$3""#,
    },
    Reference {
        compression: Compression::Gzip,
        name: "gzip",
        pack: r#"tar cf - -C "$1" . | gzip > "$2" && sync "$2""#,
        unpack: r#"gzip -d -c "$2" | tar xpf - -C "$3""#,
    },
];

/// Measurements of one folder in one format, both ways.
#[derive(Default)]
struct Pace {
    packing: [Sample; 2],
    unpacking: [Sample; 2],
    memory: [Sample; 2],
}

pub(crate) async fn measure(tools: &Tools, scale: &Scale, problems: &mut Vec<String>) -> Result<Vec<Row>> {
    let folder = tools.new_folder("archive")?;
    let mut rows = Vec::new();
    for count in [scale.archive_files, 1] {
        let source = folder.join("source");
        let bytes = scale.archive_bytes;
        write_files(&source, count, bytes)?;
        let what = match count {
            1 => format!("one file of {} MiB", bytes / MIB),
            _ => format!("{} MiB in {count} files", bytes / MIB),
        };
        for reference in &REFERENCES {
            let mut pace = Pace::default();
            for _ in 0..scale.archive_rounds {
                round(&folder, &source, reference, &mut pace).await?;
            }
            rows.extend(pace.rows(&what, reference, scale.archive_rounds));
        }
        fs::remove_dir_all(&source)?;
    }
    match to_s3(&folder, scale.archive_rounds).await {
        Ok(row) => rows.push(row),
        Err(error) => problems.push(format!("archive to S3: {error:#}")),
    }
    Ok(rows)
}

async fn round(folder: &Path, source: &Path, reference: &Reference, pace: &mut Pace) -> Result<()> {
    let archives = folder.join("ours");
    let theirs = folder.join("theirs");
    let (ours_out, theirs_out) = (folder.join("ours-out"), folder.join("theirs-out"));
    let task = Task { compression: reference.compression, source, archives: &archives, target: &ours_out };

    written_out().await?;
    let (stored, content) = worker(&Job::Store, &task).await?;
    pace.packing[0].push(stored.seconds);
    pace.memory[0].push(stored.memory_mib);
    let paths = [source, &theirs, &theirs_out];
    written_out().await?;
    pace.packing[1].push(shell(reference.pack, &paths).await?);

    written_out().await?;
    let (restored, _) = worker(&Job::Restore(content), &task).await?;
    pace.unpacking[0].push(restored.seconds);
    pace.memory[1].push(restored.memory_mib);
    fs::create_dir(&theirs_out)?;
    written_out().await?;
    pace.unpacking[1].push(shell(reference.unpack, &paths).await?);

    for left in [&archives, &ours_out, &theirs_out] {
        fs::remove_dir_all(left)?;
    }
    fs::remove_file(&theirs)?;
    Ok(())
}

/// Waits until nobody's files are on their way to the disk, where they would slow down whoever comes next.
async fn written_out() -> Result<()> {
    shell("sync", &[]).await.map(drop)
}

impl Pace {
    fn rows(&self, what: &str, reference: &Reference, rounds: usize) -> Vec<Row> {
        let name = reference.name;
        let how = format!(
            "{rounds} rounds by turns, each in a process of its own, on one disk with warm caches. Ours hashes each \
             file and the whole, is on the disk at its end like the reference (`{}`), and reads back what it has \
             stored; restoring compares every file with its hash (beside `{}`)",
            reference.pack, reference.unpack
        );
        let time = |verb: &str, samples: &[Sample; 2]| {
            Row::new(format!("{verb} {what}, {name}"), "s", samples[0].median(), &how)
                .beside(format!("`tar` and `{name}`"), samples[1].median())
                .at_ratio(samples[0].over(&samples[1]).median())
                .ratio_at_most(RATIO_TARGET)
        };
        let memory = |verb: &str, sample: &Sample| {
            let how = format!("`VmHWM` of that process, the highest of {rounds}");
            Row::new(format!("memory, {verb} {what}, {name}"), "MiB", sample.percentile(100.0), how)
                .at_most(MEMORY_TARGET_MIB)
        };
        vec![
            time("archive", &self.packing),
            memory("archive", &self.memory[0]),
            time("restore", &self.unpacking),
            memory("restore", &self.memory[1]),
        ]
    }
}

async fn to_s3(folder: &Path, rounds: usize) -> Result<Row> {
    let (source, archives) = (folder.join("source"), folder.join("ours"));
    write_files(&source, 1, S3_BYTES)?;
    let task = Task { compression: Compression::None, source: &source, archives: &archives, target: folder };
    let mut seconds = Sample::default();
    for _ in 0..rounds {
        seconds.push(worker(&Job::StoreInS3, &task).await?.0.seconds);
    }
    let how =
        format!("{rounds} rounds, uncompressed, to a server on this machine; stored, read back and compared");
    Ok(Row::new("archive 100 MiB to S3", "s", seconds.median(), how).at_most(S3_TARGET_S))
}

/// What the worker says of itself.
struct Measured {
    seconds: f64,
    memory_mib: f64,
}

/// A process of its own, so that its memory is its own too.
async fn worker(job: &Job, task: &Task<'_>) -> Result<(Measured, Value)> {
    let mut command = Command::new(std::env::current_exe().context("failed to find this program")?);
    command.args(worker::arguments(job, task)).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("failed to start a worker")?;
    ensure!(output.status.success(), "the worker failed: {}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).context("the worker said something else")?;
    let number = |name: &str| said[name].as_f64().with_context(|| format!("the worker says no {name}"));
    let measured = Measured { seconds: number("seconds")?, memory_mib: number("memory_mib")? };
    Ok((measured, said["content"].clone()))
}

/// How many seconds it took.
async fn shell(script: &str, paths: &[&Path]) -> Result<f64> {
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", script, "bench"]).args(paths);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let started = Instant::now();
    let output = command.output().await.context("failed to start bash")?;
    let seconds = Duration::as_secs_f64(&started.elapsed());
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(seconds)
}
