//! Processes that end with the value that stands for them, and how much memory they take.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Longer than the server takes to end its agents.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
const KIB_PER_MIB: f64 = 1024.0;

/// A process that has no input and writes to a log.
#[derive(Debug)]
pub(crate) struct Process(Child);

/// What a process takes, in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Everything it has in memory, also what others have too.
    pub(crate) resident: f64,
    /// The same, with what is shared divided among those who share it.
    pub(crate) proportional: f64,
    /// What would be free without it.
    pub(crate) private: f64,
}

impl Process {
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let program = Path::new(command.get_program()).to_owned();
        let log = File::options().create(true).append(true).open(log).context("failed to open a log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        Ok(Self(child))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn check_running(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended by itself: {status}"),
        }
    }

    /// Asks it to end, and kills it if it does not.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?);
        if self.0.try_wait()?.is_none() {
            // It has not been waited for, so the id is still its own.
            kill(pid, Signal::SIGTERM)?;
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.0.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.0.kill()?;
                self.0.wait()?;
                bail!("it had to be killed");
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("failed to end process {}: {error:#}", self.0.id());
        }
    }
}

/// What this process takes now, as Linux tells it.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .context("failed to read the memory of a process; only Linux tells it")?;
    let sum =
        |names: &[&str]| rollup.lines().filter_map(|line| kib(line, names)).sum::<u64>() as f64 / KIB_PER_MIB;
    Ok(Memory {
        resident: sum(&["Rss:"]),
        proportional: sum(&["Pss:"]),
        private: sum(&["Private_Clean:", "Private_Dirty:"]),
    })
}

/// The figure of a line such as `Rss:   1234 kB`, if it is one of these.
fn kib(line: &str, names: &[&str]) -> Option<u64> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    names.contains(&name).then(|| words.next()?.parse().ok())?
}

/// A variable of the environment a process was started with.
pub(crate) fn environment_of(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0).filter_map(|one| std::str::from_utf8(one).ok());
    variables.find_map(|one| one.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

/// The processes that this one has started.
pub(crate) fn children_of(pid: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("failed to look at a process")? {
        // A thread may end while we look.
        let text = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        children.extend(text.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    Ok(children)
}
