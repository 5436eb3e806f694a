//! The sweep: finds and kills what an agent started, wherever it hides.
//!
//! Each tool runs in a session of its own and survives its agent, so neither the process group nor the
//! parent is enough. A process belongs to the agent when its environment carries the mark, when it
//! descends from one that belongs, or when it is in a session led by one that belongs.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::{self, Pid},
};
use procfs::process::{ProcState, Process, Stat};

/// Between two looks at processes that are dying.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// How old a table may be that was read for another tree. Many agents look often; one look does for all.
const TABLE_MAX_AGE: Duration = Duration::from_millis(50);

/// An entry of the environment, `KEY=value`.
#[derive(Debug, Clone)]
pub(super) struct Mark(Vec<u8>);

/// Processes known to belong to the agent, with those seen earlier.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(HashSet<Identity>);

/// A process, told from a later one with the same pid by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    pid: i32,
    start_ticks: u64,
}

#[derive(Debug)]
struct Row {
    identity: Identity,
    parent: i32,
    session: i32,
    environment: Vec<u8>,
    cpu_ticks: u64,
}

/// What the processes that belong to an agent use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) processes: u32,
    pub(super) cpu_time: Duration,
    /// Anonymous and shared-memory pages; zero unless asked for.
    pub(super) memory_bytes: u64,
}

impl Row {
    fn carries(&self, mark: &Mark) -> bool {
        self.environment.split(|byte| *byte == 0).any(|entry| entry == mark.0)
    }
}

impl Mark {
    pub(super) fn new(key: &str, value: &str) -> Self {
        Self(format!("{key}={value}").into_bytes())
    }
}

/// Adds to `known` what belongs to the agent now.
pub(super) fn remember(mark: &Mark, agent_pid: u32, known: &mut Known) -> io::Result<()> {
    let table = read_table()?;
    let agent = i32::try_from(agent_pid).ok();
    if let Some(row) = table.iter().find(|row| Some(row.identity.pid) == agent) {
        known.0.insert(row.identity);
    }
    spread(&table, mark, known);
    Ok(())
}

/// Adds to `known` what belongs to the agent now, and says what all of it uses. Memory is another file per
/// process, and is read only when it is wanted.
pub(super) fn usage(
    mark: &Mark,
    agent_pid: u32,
    known: &mut Known,
    is_memory_wanted: bool,
) -> io::Result<Usage> {
    let table = recent_table()?;
    let agent = i32::try_from(agent_pid).ok();
    known.0.extend(table.iter().filter(|row| Some(row.identity.pid) == agent).map(|row| row.identity));
    spread(&table, mark, known);
    let mut usage = Usage::default();
    let mut ticks = 0_u64;
    for row in table.iter().filter(|row| known.0.contains(&row.identity)) {
        usage.processes = usage.processes.saturating_add(1);
        ticks = ticks.saturating_add(row.cpu_ticks);
        if is_memory_wanted {
            usage.memory_bytes = usage.memory_bytes.saturating_add(memory_bytes(row.identity.pid));
        }
    }
    usage.cpu_time = Duration::from_millis(ticks.saturating_mul(1000) / procfs::ticks_per_second().max(1));
    Ok(usage)
}

/// What each agent of the host takes. A process belongs to the agent that its environment names, else to that of its
/// parent or of its session's leader.
pub(super) fn memory_of_agents(host: &Mark, agent_key: &str) -> io::Result<Vec<u64>> {
    let table = recent_table()?;
    let key = format!("{agent_key}=");
    let named = |row: &Row| {
        let mut entries = row.environment.split(|byte| *byte == 0);
        entries.find(|entry| entry.starts_with(key.as_bytes())).map(<[u8]>::to_vec)
    };
    let marked = table.iter().filter(|row| row.carries(host));
    let mut agents: HashMap<i32, Vec<u8>> =
        marked.filter_map(|row| Some((row.identity.pid, named(row)?))).collect();
    let spared = spared(&table);
    agents.retain(|pid, _| !spared.contains(pid));
    loop {
        let of = |row: &Row| agents.get(&row.parent).or_else(|| agents.get(&row.session)).cloned();
        let unnamed = table.iter().filter(|row| !agents.contains_key(&row.identity.pid));
        let unnamed = unnamed.filter(|row| !spared.contains(&row.identity.pid));
        let found: Vec<(i32, Vec<u8>)> =
            unnamed.filter_map(|row| Some((row.identity.pid, of(row)?))).collect();
        if found.is_empty() {
            break;
        }
        agents.extend(found);
    }
    let mut sums: HashMap<Vec<u8>, u64> = HashMap::new();
    for (pid, agent) in agents {
        let sum = sums.entry(agent).or_default();
        *sum = sum.saturating_add(memory_bytes(pid));
    }
    Ok(sums.into_values().collect())
}

/// Zero for a process that is gone.
fn memory_bytes(pid: i32) -> u64 {
    let Ok(status) = Process::new(pid).and_then(|process| process.status()) else {
        return 0;
    };
    let kibibytes = status.rssanon.unwrap_or_default().saturating_add(status.rssshmem.unwrap_or_default());
    kibibytes.saturating_mul(1024)
}

/// The first process of the agent's own process namespace, which is the only child of a jail's monitor.
pub(super) fn child_of(pid: u32) -> io::Result<Option<i32>> {
    let parent = i32::try_from(pid).map_err(io::Error::other)?;
    let processes = procfs::process::all_processes().map_err(io::Error::other)?;
    let is_child = |process: &Process| process.stat().is_ok_and(|stat| stat.ppid == parent);
    Ok(processes.flatten().find(is_child).map(|process| process.pid))
}

/// Kills what belongs until nothing is left, and says how many processes that were.
pub(super) fn sweep(mark: &Mark, known: &mut Known, bound: Duration) -> io::Result<usize> {
    // Without one there is no moment that far away.
    let deadline = Instant::now().checked_add(bound);
    let mut killed: HashSet<Identity> = HashSet::new();
    loop {
        let table = read_table()?;
        spread(&table, mark, known);
        let left: Vec<Identity> =
            table.iter().map(|row| row.identity).filter(|identity| known.0.contains(identity)).collect();
        if left.is_empty() {
            return Ok(killed.len());
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let message = format!("{} processes would not die within {bound:?}", left.len());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        for identity in left {
            if end(identity)? {
                killed.insert(identity);
            }
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Marks, descent and sessions, followed until nobody is added.
fn spread(table: &[Row], mark: &Mark, known: &mut Known) {
    let spared = spared(table);
    let mut belongs: HashSet<i32> = table
        .iter()
        .filter(|row| row.carries(mark) || known.0.contains(&row.identity))
        .map(|row| row.identity.pid)
        .collect();
    loop {
        let before = belongs.len();
        for row in table {
            if belongs.contains(&row.parent) || belongs.contains(&row.session) {
                belongs.insert(row.identity.pid);
            }
        }
        belongs.retain(|pid| !spared.contains(pid));
        if belongs.len() == before {
            break;
        }
    }
    let belonging = table.iter().filter(|row| belongs.contains(&row.identity.pid));
    known.0.extend(belonging.map(|row| row.identity));
    known.0.retain(|identity| !spared.contains(&identity.pid));
}

/// This process and those above it, who may carry a mark when the host itself runs inside an agent.
fn spared(table: &[Row]) -> HashSet<i32> {
    let parents: HashMap<i32, i32> = table.iter().map(|row| (row.identity.pid, row.parent)).collect();
    let mut spared = HashSet::new();
    let mut pid = unistd::getpid().as_raw();
    while spared.insert(pid) {
        pid = parents.get(&pid).copied().unwrap_or_default();
    }
    spared
}

/// The table as it is or was a moment ago.
fn recent_table() -> io::Result<Arc<[Row]>> {
    type Dated = (Instant, Arc<[Row]>);
    static RECENT: Mutex<Option<Dated>> = Mutex::new(None);
    // Whoever comes while it is being read waits for it, instead of reading it as well.
    let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, table)) = recent.as_ref().filter(|(read_at, _)| read_at.elapsed() < TABLE_MAX_AGE) {
        return Ok(Arc::clone(table));
    }
    let table: Arc<[Row]> = read_table()?.into();
    *recent = Some((Instant::now(), Arc::clone(&table)));
    Ok(table)
}

fn read_table() -> io::Result<Vec<Row>> {
    let processes = procfs::process::all_processes().map_err(io::Error::other)?;
    Ok(processes.filter_map(|process| read_row(&process.ok()?)).collect())
}

/// `None` for a process that is gone or waits to be reaped.
fn read_row(process: &Process) -> Option<Row> {
    let stat = process.stat().ok()?;
    if matches!(stat.state(), Ok(ProcState::Zombie | ProcState::Dead)) {
        return None;
    }
    // The environment of other users' processes is closed to us; those are not ours.
    let environment = std::fs::read(format!("/proc/{}/environ", stat.pid)).unwrap_or_default();
    Some(Row {
        identity: Identity { pid: stat.pid, start_ticks: stat.starttime },
        parent: stat.ppid,
        session: stat.session,
        environment,
        cpu_ticks: cpu_ticks(&stat),
    })
}

/// Its own and that of the children it waited for.
fn cpu_ticks(stat: &Stat) -> u64 {
    let waited_for = u64::try_from(stat.cutime.saturating_add(stat.cstime)).unwrap_or_default();
    stat.utime.saturating_add(stat.stime).saturating_add(waited_for)
}

/// Kills exactly this process; `false` when it is gone, even if its pid is in use again.
fn end(identity: Identity) -> io::Result<bool> {
    let start_ticks =
        Process::new(identity.pid).and_then(|process| process.stat()).map(|stat| stat.starttime);
    if !start_ticks.is_ok_and(|ticks| ticks == identity.start_ticks) {
        return Ok(false);
    }
    match kill(Pid::from_raw(identity.pid), Signal::SIGKILL) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
