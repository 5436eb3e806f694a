//! What the figures were taken on.

use std::{env::consts, fmt, fs, path::Path, process::Command, thread, time::Duration};

use super::{Contestants, python::SDK_VERSION};
use crate::process;

const VERSION_TIMEOUT: Duration = Duration::from_secs(30);
const UNKNOWN: &str = "unknown";

/// Facts about this machine and what is installed on it, as text; what cannot be found out says so.
#[derive(Debug, Default)]
pub(super) struct Machine {
    date: String,
    cores: usize,
    processor: String,
    memory: String,
    system: String,
    load: String,
    /// Said only of a run that does not take its turns like everybody else.
    priority: &'static str,
    rust: String,
    claude: String,
    python: String,
}

impl Machine {
    pub(super) fn look(contestants: &Contestants) -> Self {
        let python = contestants.python.as_deref();
        Self {
            date: said(Command::new("date").args(["--utc", "+%F"])),
            cores: thread::available_parallelism().map_or(1, usize::from),
            processor: value_in("/proc/cpuinfo", "model name").unwrap_or_else(|| consts::ARCH.to_owned()),
            memory: memory().unwrap_or_else(|| UNKNOWN.to_owned()),
            system: format!("{} {}", consts::OS, first_words("/proc/sys/kernel/osrelease", 1)),
            load: first_words("/proc/loadavg", 1),
            priority: if is_real_time() { "; run at real-time priority because of it" } else { "" },
            rust: version(Path::new("rustc")),
            claude: version(&contestants.claude),
            python: python.map_or_else(|| "none".to_owned(), version),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Taken on {}: {} cores ({}), {} of memory, {}; {}; {}; {} with claude-agent-sdk {SDK_VERSION}; load before \
             the run {}{}.",
            self.date,
            self.cores,
            self.processor,
            self.memory,
            self.system,
            self.rust,
            self.claude,
            self.python,
            self.load,
            self.priority
        )
    }
}

fn version(program: &Path) -> String {
    said(Command::new(program).arg("--version"))
}

fn said(command: &mut Command) -> String {
    process::output_within(command, VERSION_TIMEOUT).unwrap_or_else(|_| UNKNOWN.to_owned())
}

/// Whether this process goes before all others; what it starts does too.
fn is_real_time() -> bool {
    const POLICY_FIELD: usize = 41;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in brackets, may hold spaces; after it comes the third field.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let policy = after_name.split_whitespace().nth(POLICY_FIELD - 3);
    matches!(policy, Some("1" | "2"))
}

fn memory() -> Option<String> {
    let kib: f64 = value_in("/proc/meminfo", "MemTotal")?.split_whitespace().next()?.parse().ok()?;
    Some(format!("{:.0} GiB", kib / 1024.0 / 1024.0))
}

fn value_in(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn first_words(file: &str, count: usize) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|_| UNKNOWN.to_owned());
    text.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
}
