//! What reads the files in `deploy/`: Helm's engine, hadolint and the schemas of Kubernetes and Compose, installed into the
//! cache folder, and `systemd-analyze` as it is found on `PATH`.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{claude, process, settings::Settings};

/// The folder of these programs, for tests.
pub(crate) const FOLDER_VARIABLE: &str = "STEWARD_TEST_DEPLOY_TOOLS";

const REQUIREMENTS: &str = include_str!("deploy_tools/requirements.txt");
/// It stands in the folder when all of it is installed, and says what.
const INSTALLED: &str = "installed.txt";
const SYSTEMD: &str = "systemd-analyze";
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// The folder in which all of them are.
pub(crate) fn find_or_install(settings: &Settings) -> Result<PathBuf> {
    let cache = claude::cache_folder(settings)?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    // Two of these at once would write into each other's files.
    let lock = File::create(cache.join("deploy-tools.lock"))?;
    lock.lock().context("failed to lock the cache folder")?;
    let folder = cache.join("deploy-tools");
    if fs::read_to_string(folder.join(INSTALLED)).ok().as_deref() != Some(REQUIREMENTS) {
        install(&folder)?;
    }
    let programs = folder.join("bin");
    link_systemd(&programs, settings)?;
    Ok(programs)
}

fn install(folder: &Path) -> Result<()> {
    println!("installing what reads deploy/ into {} (about 450 MB)", folder.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))
        .context("failed to make an environment; python3 with venv is needed (3.11 or newer)")?;
    let wanted = folder.join("requirements.txt");
    fs::write(&wanted, REQUIREMENTS)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
    run(Command::new(folder.join("bin/python")).args(pip).arg("--requirement").arg(&wanted))
        .context("failed to install what reads deploy/")?;
    // Last, so that an install that was cut off is begun anew.
    fs::write(folder.join(INSTALLED), REQUIREMENTS).context("failed to note what was installed")
}

/// Beside the others, so that tests look in one place.
fn link_systemd(programs: &Path, settings: &Settings) -> Result<()> {
    let path = settings.get("PATH").unwrap_or_default();
    let works = |program: &PathBuf| {
        process::output_within(Command::new(program).arg("--version"), VERSION_TIMEOUT).is_ok()
    };
    let found = env::split_paths(path).map(|folder| folder.join(SYSTEMD)).find(works);
    let found = found.with_context(|| {
        format!(
            "{SYSTEMD} is not on PATH: install systemd (250 or newer) with the package manager of this system"
        )
    })?;
    let link = programs.join(SYSTEMD);
    if fs::read_link(&link).ok().as_deref() == Some(found.as_path()) {
        return Ok(());
    }
    if link.symlink_metadata().is_ok() {
        fs::remove_file(&link).with_context(|| format!("failed to remove {}", link.display()))?;
    }
    symlink(&found, &link).with_context(|| format!("failed to make {}", link.display()))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().context("failed to start it")?;
    ensure!(status.success(), "it ended with {status}, see above");
    Ok(())
}
