//! `bwrap`, in which agents are contained: found on `PATH`, or unpacked into the cache folder.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{packages::Wanted, process, settings::Settings};

const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
const PROGRAMS: &str = "usr/bin";
const ADVICE: &str =
    "install bubblewrap with the package manager of this system; without it agents cannot be contained";

/// A `PATH` on which `bwrap` is. Nothing is installed into the system, and no rights are needed.
pub(crate) fn path_with_bwrap(settings: &Settings) -> Result<OsString> {
    let path = settings.get("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(path).collect();
    if !folders.iter().any(|folder| works(folder)) {
        let wanted = Wanted {
            name: "bubblewrap",
            download: &["--quiet", "download", "bubblewrap"],
            works: &|folder| works(&folder.join(PROGRAMS)),
            advice: ADVICE,
        };
        folders.push(wanted.unpacked(settings)?.join(PROGRAMS));
    }
    env::join_paths(folders).context("PATH cannot be put together again")
}

fn works(programs: &Path) -> bool {
    process::output_within(Command::new(programs.join("bwrap")).arg("--version"), VERSION_TIMEOUT).is_ok()
}
