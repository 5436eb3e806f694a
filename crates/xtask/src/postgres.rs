//! A PostgreSQL for tests and benchmarks: found on this system or unpacked into the cache folder, and a cluster of its
//! own that is gone afterwards.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::unistd::{User, geteuid};
use tempfile::TempDir;

use crate::{packages::Wanted, process, settings::Settings};

/// Where the cluster is, for tests.
pub(crate) const URL_VARIABLE: &str = "STEWARD_TEST_POSTGRES_URL";
/// A command that runs one of PostgreSQL's programs as the user it is willing to run as, for tests that need a cluster
/// of their own. It can write to the folder it is in.
pub(crate) const RUN_VARIABLE: &str = "STEWARD_TEST_POSTGRES_RUN";

/// Where Debian and its like keep programs that are not on `PATH`, by version.
const VERSIONS: &str = "usr/lib/postgresql";
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
/// PostgreSQL refuses to run as root.
const INSTEAD_OF_ROOT: &str = "nobody";
const ADVICE: &str = "install PostgreSQL (its server, 13 or newer) with the package manager of this system";
/// Nobody who may not read its folder can reach it, so nobody is asked for a password.
const SETTINGS: &str = "
listen_addresses = ''
max_connections = 300
# What is in it is gone with it, so nothing waits for the disk.
fsync = off
synchronous_commit = off
full_page_writes = off
";

/// A cluster that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: TempDir,
}

impl Cluster {
    /// Starts one, with nothing in it.
    pub(crate) fn start(settings: &Settings) -> Result<Self> {
        let programs = find_or_unpack(settings)?;
        // A short name: the path of its socket has a limit.
        let cluster = Self { folder: TempDir::with_prefix("sp-")? };
        cluster.hand_over(&programs)?;
        let data = cluster.path("data");
        cluster
            .run(&["initdb", "--username=steward", "--auth=trust", "--encoding=UTF8", "--locale=C"], &data)?;
        let mut conf = fs::read_to_string(data.join("postgresql.conf"))?;
        conf.push_str(SETTINGS);
        conf.push_str(&format!("unix_socket_directories = '{}'\n", cluster.folder.path().display()));
        fs::write(data.join("postgresql.conf"), conf)?;
        let log = cluster.path("log");
        cluster.run(&["pg_ctl", "start", "--wait", "--log", &log.to_string_lossy()], &data)?;
        Ok(cluster)
    }

    /// Where it is: in a socket, whose folder stands for the host.
    pub(crate) fn url(&self) -> String {
        let host = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://steward@{host}/postgres")
    }

    /// The command of [`RUN_VARIABLE`].
    pub(crate) fn runner(&self) -> PathBuf {
        self.path("run")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Gives the folder to whoever PostgreSQL may run as, and writes the command that runs its programs so.
    fn hand_over(&self, programs: &Path) -> Result<()> {
        let folder = self.folder.path();
        let mut programs = programs.to_owned();
        let mut instead = String::new();
        if geteuid().is_root() {
            let user = User::from_name(INSTEAD_OF_ROOT)?.context("this system has no user nobody")?;
            chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
            instead = format!("setpriv --reuid={} --regid={} --clear-groups ", user.uid, user.gid);
            // What is in a home folder, only its owner can reach.
            if !programs.starts_with("/usr") {
                let root = unpacked_root(&programs)?.to_owned();
                let copied =
                    Command::new("cp").arg("-r").arg(&root).arg(folder.join("postgresql")).status()?;
                ensure!(
                    copied.success(),
                    "PostgreSQL could not be copied to where {INSTEAD_OF_ROOT} can reach it"
                );
                programs = folder.join("postgresql").join(programs.strip_prefix(&root)?);
            }
        }
        let libraries = libraries(&programs);
        let script = format!(
            "#!/bin/sh\nname=$1; shift\nLC_ALL=C LD_LIBRARY_PATH='{libraries}' HOME='{}' exec {instead}'{}'/\"$name\" \"$@\"\n",
            folder.display(),
            programs.display(),
        );
        fs::write(self.runner(), script)?;
        fs::set_permissions(self.runner(), fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Runs a program on the cluster's data.
    fn run(&self, command: &[&str], data: &Path) -> Result<()> {
        let mut process = Command::new(self.runner());
        process.args(command).arg("--pgdata").arg(data).current_dir(self.folder.path());
        // Not piped: the cluster would hold the other end for as long as it runs.
        let output = fs::File::create(self.path("output"))?;
        let status = process.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).status()?;
        ensure!(
            status.success(),
            "PostgreSQL does not start: {}{}",
            fs::read_to_string(self.path("output"))?,
            fs::read_to_string(self.path("log")).unwrap_or_default()
        );
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.run(&["pg_ctl", "stop", "--wait", "--mode=immediate"], &self.path("data")) {
            eprintln!("xtask: {error:#}");
        }
    }
}

/// The folder of `initdb` and all that belongs to it.
fn find_or_unpack(settings: &Settings) -> Result<PathBuf> {
    let on_path = env::split_paths(settings.get("PATH").unwrap_or_default()).find(|folder| works(folder));
    if let Some(found) = on_path.or_else(|| newest(Path::new("/"))) {
        return Ok(found);
    }
    let wanted = Wanted {
        name: "postgresql",
        // With what it depends on, as far as this system has not got it. The names of the last two make it use the
        // folder it runs in, and nobody's lock.
        download: &[
            "--quiet",
            "install",
            "--download-only",
            "--yes",
            "--no-install-recommends",
            "--option=Dir::Cache::archives=.",
            "--option=Debug::NoLocking=true",
            "postgresql",
        ],
        works: &|folder| newest(folder).is_some(),
        advice: ADVICE,
    };
    newest(&wanted.unpacked(settings)?).context(ADVICE)
}

/// The newest version under this root that runs.
fn newest(root: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(root.join(VERSIONS)).ok()?;
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<PathBuf> = versions.filter_map(|entry| Some(entry.ok()?.path())).collect();
    versions.sort_by_key(version);
    versions.iter().rev().map(|folder| folder.join("bin")).find(|programs| works(programs))
}

fn works(programs: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| {
        let mut command = Command::new(programs.join(name));
        command.arg("--version").env("LD_LIBRARY_PATH", libraries(programs));
        process::output_within(&mut command, VERSION_TIMEOUT).is_ok()
    })
}

/// The folder into which packages were unpacked, above the programs in it.
fn unpacked_root(programs: &Path) -> Result<&Path> {
    let depth = Path::new(VERSIONS).components().count() + 2;
    programs.ancestors().nth(depth).context("the programs are not where packages put them")
}

/// The libraries that were unpacked beside the programs. For those of the system there are none.
fn libraries(programs: &Path) -> String {
    let root = unpacked_root(programs).unwrap_or(Path::new("/"));
    if root == Path::new("/") {
        return String::new();
    }
    let in_folder = |folder: &str| fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    let folders = in_folder("usr/lib").chain(in_folder("lib")).map(|entry| entry.path());
    let folders = folders.filter(|folder| folder.to_string_lossy().ends_with("-linux-gnu"));
    folders.map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(":")
}
