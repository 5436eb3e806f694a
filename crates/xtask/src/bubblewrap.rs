//! `bwrap`, in which agents are contained: found on `PATH`, or unpacked into the cache folder.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{claude::cache_folder, process, settings::Settings};

const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
const ADVICE: &str =
    "install bubblewrap with the package manager of this system; without it agents cannot be contained";

/// A `PATH` on which `bwrap` is. Nothing is installed into the system, and no rights are needed.
pub(crate) fn path_with_bwrap(settings: &Settings) -> Result<OsString> {
    let path = settings.get("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(path).collect();
    if !folders.iter().any(|folder| works(&folder.join("bwrap"))) {
        folders.push(unpacked(settings)?);
    }
    env::join_paths(folders).context("PATH cannot be put together again")
}

fn works(bwrap: &Path) -> bool {
    process::output_within(Command::new(bwrap).arg("--version"), VERSION_TIMEOUT).is_ok()
}

/// The folder of a `bwrap` that was unpacked from this system's own package.
fn unpacked(settings: &Settings) -> Result<PathBuf> {
    let cache = cache_folder(settings)?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    let folder = cache.join("bubblewrap");
    let programs = folder.join("usr/bin");
    let lock = File::create(cache.join("bubblewrap-install.lock"))?;
    lock.lock().context("failed to lock the cache folder")?;
    if works(&programs.join("bwrap")) {
        return Ok(programs);
    }
    println!("unpacking bubblewrap into {}", folder.display());
    // A package that is cut off is downloaded again: nothing that does not work is taken for it.
    fs::create_dir_all(&folder)?;
    // The lists of packages may be missing, as in a container; fetching them takes root, which is who is missing them.
    if !run("apt-get", &["--quiet", "download", "bubblewrap"], &folder)? {
        run("apt-get", &["--quiet", "update"], &folder)?;
        ensure!(run("apt-get", &["--quiet", "download", "bubblewrap"], &folder)?, "{ADVICE}");
    }
    let package = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let package = package.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).max();
    let package = package.context("apt-get has downloaded nothing")?;
    let package = package.to_str().context("the cache folder's name is not UTF-8")?;
    ensure!(run("dpkg-deb", &["--extract", package, "."], &folder)?, "{ADVICE}");
    ensure!(works(&programs.join("bwrap")), "the unpacked bwrap does not run: {ADVICE}");
    Ok(programs)
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> Result<bool> {
    match Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).status() {
        Ok(status) => Ok(status.success()),
        Err(error) => bail!("{program} cannot be run ({error}): {ADVICE}"),
    }
}
