//! `prometheus` and `promtool`, which check and try what is in `deploy/prometheus`: found on `PATH`, or unpacked into the
//! cache folder.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;

use crate::{packages::Wanted, process, settings::Settings};

/// The folder of both programs, for tests.
pub(crate) const FOLDER_VARIABLE: &str = "STEWARD_TEST_PROMETHEUS";

const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
const PROGRAMS: &str = "usr/bin";
const ADVICE: &str = "install Prometheus (2.42 or newer, with promtool) with the package manager of this system, or from \
                      prometheus.io";

/// The folder in which both programs are.
pub(crate) fn find_or_unpack(settings: &Settings) -> Result<PathBuf> {
    let path = settings.get("PATH").unwrap_or_default();
    if let Some(found) = env::split_paths(path).find(|folder| works(folder)) {
        return Ok(found);
    }
    let wanted = Wanted {
        name: "prometheus",
        download: &["--quiet", "download", "prometheus"],
        works: &|folder| works(&folder.join(PROGRAMS)),
        advice: ADVICE,
    };
    Ok(wanted.unpacked(settings)?.join(PROGRAMS))
}

fn works(programs: &Path) -> bool {
    ["prometheus", "promtool"].iter().all(|name| {
        process::output_within(Command::new(programs.join(name)).arg("--version"), VERSION_TIMEOUT).is_ok()
    })
}
