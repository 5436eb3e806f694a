//! Containment: what an agent and everything it starts may use, see and reach.
//!
//! Two things that can be asked for separately, both through [`AgentOptions::with_containment`]:
//!
//! * [`ProcessLimits`] bound memory, CPU time, open files and processes. Those the kernel holds for each
//!   process (`process_*`, `open_files_max`, `file_bytes_max`) are set before the agent's first
//!   instruction and inherited by all it starts. Those that hold for the whole tree (`memory_bytes_max`,
//!   `cpu_time_max`, `processes_max`) have no counterpart in the kernel short of a cgroup of one's own, so
//!   the supervisor adds up the tree every `look_interval` and kills all of it when a sum is over;
//!   [`Exit::exceeded`](crate::Exit) then says which. Set both for memory: the sum bounds many small
//!   processes, the limit per process bounds a single one that grows faster than anybody looks.
//! * [`Jail`] runs the agent under [bubblewrap] in namespaces of its own: nothing is writable but the
//!   working directory, the configuration and what is named; `/tmp` and `/run` are private; when the
//!   first process goes, for whatever reason, the kernel ends all others, also those that left their
//!   session, their parent and their environment behind. That holds when the host is killed with
//!   SIGKILL, too.
//!
//! What holds how:
//!
//! | limit | of | held by | when |
//! |---|---|---|---|
//! | `process_memory_bytes_max`, `open_files_max`, `file_bytes_max` | each process | the kernel | at once; the call fails |
//! | `process_cpu_time_max` | each process | the kernel | at once; the process is killed |
//! | `niceness` | each process, and each session where the kernel groups by session | the kernel | at once; a session's share within one `look_interval` or a few |
//! | `user_threads_max` | the user, all programs | the kernel | at once, except for root; the call fails |
//! | `memory_bytes_max`, `cpu_time_max`, `processes_max` | the agent and all it started | this crate | within one and a half `look_interval`; all of it is killed |
//!
//! A look costs little where few processes are agents': those that have nothing to do with one are looked at once a
//! second, and a look that is younger than half of `look_interval` serves all agents of the host. Should a process of an
//! agent get the number of such a stranger, it is counted up to a second later.
//!
//! Without a jail the supervisor finds survivors by a mark in their environment, by descent and by
//! session. What escapes it: a process that gave up all three before anybody looked.
//!
//! A jail that cannot be had is an error ([`Error::NotContained`](crate::Error)); nothing ever runs less
//! contained than it was asked for.
//!
//! Memory is counted as anonymous and shared-memory pages (`RssAnon` + `RssShmem`); pages of the
//! executable are not counted. `RLIMIT_AS` is not offered: the CLI's runtime reserves about 10 GiB of
//! address space it never uses. `RLIMIT_DATA` (`process_memory_bytes_max`) works; the CLI starts with
//! 1 GiB.
//!
//! ```no_run
//! use std::time::Duration;
//! use sdk_runtime::{AgentOptions, Containment, Jail, Network, Outside, ProcessLimits};
//!
//! let limits = ProcessLimits::default()
//!     .with_memory_bytes_max(Some(2 << 30))
//!     .with_process_memory_bytes_max(Some(2 << 30))
//!     .with_processes_max(Some(200))
//!     .with_cpu_time_max(Some(Duration::from_secs(1800)));
//! let jail = Jail::default()
//!     .with_outside(Outside::Hidden)
//!     .with_network(Network::Loopback { host_ports: vec![8080] });
//! let options = AgentOptions::default()
//!     .with_containment(Containment::default().with_limits(limits).with_jail(Some(jail)));
//! ```
//!
//! [bubblewrap]: https://github.com/containers/bubblewrap
//! [`AgentOptions::with_containment`]: crate::AgentOptions::with_containment

use std::{fmt, path::PathBuf, time::Duration};

use crate::setters::setters;

/// Between two looks at what the tree uses.
const LOOK_INTERVAL_DEFAULT: Duration = Duration::from_millis(200);
/// Size of the private `/tmp`.
const TMP_BYTES_MAX_DEFAULT: u64 = 1 << 30;

/// How an agent is contained; the default is not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Containment {
    /// Bounds of what it uses.
    pub limits: ProcessLimits,
    /// The sandbox; `None` for none.
    pub jail: Option<Jail>,
    /// The user the agent and everything it starts runs as; `None` for the host's own. Only root may choose
    /// another. There is no jail then: its namespaces are made by the host's user.
    pub user: Option<RunAs>,
}

/// A user and a group of the operating system, by number; an agent that runs as them has no other groups. The
/// working directory and the configuration must be theirs; the folder in which a session of a store is resumed is given
/// to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunAs {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// Bounds of an agent and everything it starts; `None` leaves the host's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ProcessLimits {
    /// Memory of the whole tree in bytes, looked at every `look_interval`. The CLI alone takes about
    /// 160 MiB of it.
    pub memory_bytes_max: Option<u64>,
    /// CPU time of the whole tree since it was started or since the last
    /// [`Agent::restart_cpu_time`](crate::Agent::restart_cpu_time), looked at every `look_interval`. Of a
    /// process that nobody waited for, the time is lost to the count once it is gone, unless there is a
    /// jail.
    pub cpu_time_max: Option<Duration>,
    /// Processes of the whole tree, looked at every `look_interval`.
    pub processes_max: Option<u32>,
    /// Data of each process in bytes (`RLIMIT_DATA`); an allocation beyond it fails.
    pub process_memory_bytes_max: Option<u64>,
    /// CPU time of each process (`RLIMIT_CPU`), in whole seconds; the kernel kills what goes beyond.
    pub process_cpu_time_max: Option<Duration>,
    /// Open files of each process (`RLIMIT_NOFILE`).
    pub open_files_max: Option<u64>,
    /// Size of each file written (`RLIMIT_FSIZE`), in bytes.
    pub file_bytes_max: Option<u64>,
    /// Threads of the user the agent runs as, all programs together (`RLIMIT_NPROC`). The kernel holds it
    /// without delay, but it is not a bound of this agent alone, and root is exempt.
    pub user_threads_max: Option<u64>,
    /// How much lower than the host's the priority of each process is, 0 to 19 (`nice`; more counts as 19). With 5 a
    /// process that wants a processor gets a third of what one of the host's gets.
    pub niceness: u8,
    /// Between two looks at the tree.
    pub look_interval: Duration,
}

/// Which sum of the tree was over its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exceeded {
    /// `memory_bytes_max`.
    Memory {
        /// What was used, in bytes.
        used: u64,
        /// The bound, in bytes.
        max: u64,
    },
    /// `cpu_time_max`.
    CpuTime {
        /// What was used.
        used: Duration,
        /// The bound.
        max: Duration,
    },
    /// `processes_max`.
    Processes {
        /// How many there were.
        used: u32,
        /// The bound.
        max: u32,
    },
}

/// A bubblewrap sandbox with namespaces of its own for processes, mounts, IPC and host name. It holds no
/// capability, also when the host is root.
///
/// Writable are the working directory, `add_dirs`, the configuration directory (`CLAUDE_CONFIG_DIR`, else
/// `$HOME/.claude`, which is then made the `CLAUDE_CONFIG_DIR`) and `writable`. `TMPDIR` becomes the
/// private `/tmp`, unless it lies in one of `writable`; files the agent names there do not exist for the host. The pid the agent gives for
/// itself is that of its namespace; `Agent::pid` is the sandbox's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Jail {
    /// The program: a path, or a name looked up in the host's `PATH`.
    pub bwrap: PathBuf,
    /// What of the host's files can be read.
    pub outside: Outside,
    /// What can be reached.
    pub network: Network,
    /// Further places that can be written. They must exist.
    pub writable: Vec<PathBuf>,
    /// Further places that can be read when the rest is hidden. They must exist.
    pub readable: Vec<PathBuf>,
    /// Places that are empty inside, although they lie in one that can be read. What is writable shows
    /// through all the same. One that does not exist is no mistake.
    pub masked: Vec<PathBuf>,
    /// Size of the private `/tmp`, in bytes; `None` for half of the machine's memory.
    pub tmp_bytes_max: Option<u64>,
}

/// What of the host's files the agent can read beside what is its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outside {
    /// All the user can read, except `/tmp` and `/run`. Secrets in home directories included.
    #[default]
    ReadOnly,
    /// `/usr`, `/bin`, `/sbin`, `/lib*`, `/etc` and the CLI; the rest does not exist. Of `/etc` and
    /// `/usr/local/etc`, what not everybody may read is empty: keys, hashes, other services' settings.
    Hidden,
}

/// What the agent can reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Network {
    /// What the host can, its loopback services and abstract sockets included.
    #[default]
    Open,
    /// A loopback of its own and these ports of the host's `127.0.0.1`, such as that of a gateway to the
    /// model; nothing else. The host carries the connections, and needs `CAP_SYS_ADMIN` for it;
    /// `Gateway` does without.
    Loopback {
        /// Ports of `127.0.0.1`, the same inside and outside.
        host_ports: Vec<u16>,
    },
    /// A loopback of its own, and a socket file over which the CLI, but no other program, finds its way
    /// to this port of the host's `127.0.0.1`: that of a gateway to the model which speaks HTTP without
    /// TLS. Any process in the jail could use the file all the same. The host needs no capability for it.
    /// A host that is killed leaves the file behind, in a folder `/tmp/agent-*`.
    Gateway {
        /// Port of `127.0.0.1`. `ANTHROPIC_BASE_URL` has to begin with `http://`; its port is not used.
        host_port: u16,
        /// Whether the port is to be reached as one of the jail's own loopback too, by what knows no socket file:
        /// the CLI's telemetry. Where the host lacks `CAP_SYS_ADMIN` it is not, and nothing else is different.
        also_as_port: bool,
    },
    /// A loopback of its own and nothing else. The model cannot be reached either, so this is for
    /// agents that are only asked what needs no model.
    Off,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: None,
            cpu_time_max: None,
            processes_max: None,
            process_memory_bytes_max: None,
            process_cpu_time_max: None,
            open_files_max: None,
            file_bytes_max: None,
            user_threads_max: None,
            niceness: 0,
            look_interval: LOOK_INTERVAL_DEFAULT,
        }
    }
}

impl Default for Jail {
    fn default() -> Self {
        Self {
            bwrap: "bwrap".into(),
            outside: Outside::default(),
            network: Network::default(),
            writable: Vec::new(),
            readable: Vec::new(),
            masked: Vec::new(),
            tmp_bytes_max: Some(TMP_BYTES_MAX_DEFAULT),
        }
    }
}

impl ProcessLimits {
    /// Whether somebody has to add up the tree.
    pub(crate) fn has_sums(&self) -> bool {
        self.memory_bytes_max.is_some() || self.cpu_time_max.is_some() || self.processes_max.is_some()
    }
}

impl Network {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { used, max } => write!(f, "{used} bytes of memory in use, {max} allowed"),
            Self::CpuTime { used, max } => write!(f, "{used:?} of CPU time used, {max:?} allowed"),
            Self::Processes { used, max } => write!(f, "{used} processes, {max} allowed"),
        }
    }
}

setters! { Containment, into:
    with_limits, limits: ProcessLimits;
    with_jail, jail: Option<Jail>;
    with_user, user: Option<RunAs>;
}

setters! { ProcessLimits, into:
    with_memory_bytes_max, memory_bytes_max: Option<u64>;
    with_cpu_time_max, cpu_time_max: Option<Duration>;
    with_processes_max, processes_max: Option<u32>;
    with_process_memory_bytes_max, process_memory_bytes_max: Option<u64>;
    with_process_cpu_time_max, process_cpu_time_max: Option<Duration>;
    with_open_files_max, open_files_max: Option<u64>;
    with_file_bytes_max, file_bytes_max: Option<u64>;
    with_user_threads_max, user_threads_max: Option<u64>;
    with_niceness, niceness: u8;
    with_look_interval, look_interval: Duration;
}

setters! { Jail, into:
    with_bwrap, bwrap: PathBuf;
    with_outside, outside: Outside;
    with_network, network: Network;
    with_writable, writable: Vec<PathBuf>;
    with_readable, readable: Vec<PathBuf>;
    with_masked, masked: Vec<PathBuf>;
    with_tmp_bytes_max, tmp_bytes_max: Option<u64>;
}
