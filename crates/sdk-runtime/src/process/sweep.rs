//! The sweep: finds and kills what an agent started, wherever it hides.
//!
//! Each tool runs in a session of its own and survives its agent, so neither the process group nor the
//! parent is enough. A process belongs to the agent when its environment carries the mark, when it
//! descends from one that belongs, or when it is in a session led by one that belongs.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io, thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::census::{self, Identity, Row, Table};

/// Between two looks at processes that are dying.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How old a look may be when somebody wants to know what all agents take.
const AGE_MAX: Duration = Duration::from_millis(100);

/// An entry of the environment, `KEY=value`.
#[derive(Debug, Clone)]
pub(super) struct Mark(Vec<u8>);

/// Processes known to belong to the agent, with those seen earlier.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(HashSet<Identity>);

/// What the processes that belong to an agent use together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) processes: u32,
    pub(super) cpu_time: Duration,
    /// Anonymous and shared-memory pages; zero unless asked for.
    pub(super) memory_bytes: u64,
    /// Of each of their sessions one process that is in it.
    pub(super) sessions: BTreeMap<i32, i32>,
}

/// What came of killing one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Gone,
    /// It runs as somebody whom this process may not signal.
    OutOfReach,
}

impl Row {
    fn carries(&self, mark: &Mark) -> bool {
        self.marks.contains(&mark.0)
    }
}

impl Mark {
    pub(super) fn new(key: &str, value: &str) -> Self {
        Self(format!("{key}={value}").into_bytes())
    }
}

/// Adds to `known` what belongs to the agent now.
pub(super) fn remember(mark: &Mark, agent_pid: u32, known: &mut Known) -> io::Result<()> {
    let table = census::whole()?;
    know(&table, i32::try_from(agent_pid).ok(), known);
    spread(&table, mark, known);
    Ok(())
}

/// Makes `known` what belongs to the agent now or did at most `age_max` ago, and says what all of it uses. Memory is
/// another file per process, and is read only when it is wanted.
pub(super) fn usage(
    mark: &Mark,
    agent_pid: u32,
    known: &mut Known,
    age_max: Duration,
    is_memory_wanted: bool,
) -> io::Result<Usage> {
    let agent = i32::try_from(agent_pid).ok();
    let table = census::of_agents(agent, age_max)?;
    know(&table, agent, known);
    spread(&table, mark, known);
    let mut belonging = Known::default();
    let mut usage = Usage::default();
    let mut ticks = 0_u64;
    for row in table.rows.iter().filter(|row| known.0.contains(&row.identity)) {
        usage.processes = usage.processes.saturating_add(1);
        ticks = ticks.saturating_add(row.cpu_ticks);
        if is_memory_wanted {
            usage.memory_bytes = usage.memory_bytes.saturating_add(census::memory_bytes(row.identity.pid));
        }
        usage.sessions.insert(row.session, row.identity.pid);
        belonging.0.insert(row.identity);
    }
    // Who is gone does not come back.
    *known = belonging;
    usage.cpu_time = Duration::from_millis(ticks.saturating_mul(1000) / procfs::ticks_per_second().max(1));
    Ok(usage)
}

/// What each agent of the host takes. A process belongs to the agent that its environment names, else to that of its
/// parent or of its session's leader.
pub(super) fn memory_of_agents(host: &Mark, agent_key: &str) -> io::Result<Vec<u64>> {
    let table = census::of_agents(None, AGE_MAX)?;
    let Table { rows, spared } = &*table;
    let key = format!("{agent_key}=");
    let named = |row: &Row| row.marks.iter().find(|mark| mark.starts_with(key.as_bytes())).cloned();
    let marked = rows.iter().filter(|row| row.carries(host));
    let mut agents: HashMap<i32, Vec<u8>> =
        marked.filter_map(|row| Some((row.identity.pid, named(row)?))).collect();
    agents.retain(|pid, _| !spared.contains(pid));
    loop {
        let of = |row: &Row| agents.get(&row.parent).or_else(|| agents.get(&row.session)).cloned();
        let unnamed = rows.iter().filter(|row| !agents.contains_key(&row.identity.pid));
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
        *sum = sum.saturating_add(census::memory_bytes(pid));
    }
    Ok(sums.into_values().collect())
}

/// The first process of the agent's own process namespace, which is the only child of a jail's monitor.
pub(super) fn child_of(pid: u32) -> io::Result<Option<i32>> {
    let parent = i32::try_from(pid).map_err(io::Error::other)?;
    // The kernel tells the children of each thread; of these programs, each has only one.
    match fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) {
        Ok(children) => Ok(children.split_whitespace().find_map(|child| child.parse().ok())),
        // The parent is gone, or the kernel was built without this file.
        Err(_) => {
            let table = census::whole()?;
            let child = table.rows.into_iter().find(|row| row.parent == parent);
            Ok(child.map(|row| row.identity.pid))
        }
    }
}

/// Kills what belongs until nothing is left that can be killed, and says how many processes that were.
pub(super) fn sweep(mark: &Mark, known: &mut Known, bound: Duration) -> io::Result<usize> {
    sweep_by(mark, known, bound, census::whole, end)
}

fn sweep_by(
    mark: &Mark,
    known: &mut Known,
    bound: Duration,
    mut look: impl FnMut() -> io::Result<Table>,
    mut end: impl FnMut(Identity) -> io::Result<End>,
) -> io::Result<usize> {
    // Without one there is no moment that far away.
    let deadline = Instant::now().checked_add(bound);
    let mut killed: HashSet<Identity> = HashSet::new();
    let mut out_of_reach: HashSet<Identity> = HashSet::new();
    let mut is_last = false;
    loop {
        let problem = match look() {
            Ok(table) => {
                spread(&table, mark, known);
                let identities = table.rows.iter().map(|row| row.identity);
                let left: Vec<Identity> = identities
                    .filter(|identity| known.0.contains(identity) && !out_of_reach.contains(identity))
                    .collect();
                if left.is_empty() {
                    return Ok(killed.len());
                }
                let message = format!("{} processes would not die within {bound:?}", left.len());
                let mut problem = io::Error::new(io::ErrorKind::TimedOut, message);
                for identity in left {
                    match end(identity) {
                        Ok(End::Killed) => {
                            killed.insert(identity);
                        }
                        Ok(End::Gone) => {}
                        // One that runs as somebody else does not keep the others alive, nor a host from starting.
                        Ok(End::OutOfReach) => {
                            tracing::warn!(
                                pid = identity.pid,
                                "a process of an agent may not be killed and is left"
                            );
                            out_of_reach.insert(identity);
                        }
                        // Whose pid it is now is not known, so it is left to the next look.
                        Err(error) => problem = error,
                    }
                }
                problem
            }
            // Out of files or of memory, which passes; that nobody was seen does not mean that nobody is there.
            Err(error) => error,
        };
        if is_last {
            return Err(problem);
        }
        // A look may have to wait for others; whoever it found late was killed all the same, and is looked for once more.
        is_last = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        thread::sleep(LOOK_INTERVAL);
    }
}

/// The agent itself belongs, whatever its environment says.
fn know(table: &Table, agent: Option<i32>, known: &mut Known) {
    let agent = table.rows.iter().find(|row| Some(row.identity.pid) == agent);
    known.0.extend(agent.map(|row| row.identity));
}

/// Marks, descent and sessions, followed until nobody is added.
fn spread(Table { rows, spared }: &Table, mark: &Mark, known: &mut Known) {
    let mut belongs: HashSet<i32> = rows
        .iter()
        .filter(|row| row.carries(mark) || known.0.contains(&row.identity))
        .map(|row| row.identity.pid)
        .collect();
    loop {
        let before = belongs.len();
        for row in rows {
            if belongs.contains(&row.parent) || belongs.contains(&row.session) {
                belongs.insert(row.identity.pid);
            }
        }
        belongs.retain(|pid| !spared.contains(pid));
        if belongs.len() == before {
            break;
        }
    }
    let belonging = rows.iter().filter(|row| belongs.contains(&row.identity.pid));
    known.0.extend(belonging.map(|row| row.identity));
    known.0.retain(|identity| !spared.contains(&identity.pid));
}

/// Kills exactly this process, and not another one that has its pid by now.
fn end(identity: Identity) -> io::Result<End> {
    let Identity { pid, start_ticks } = identity;
    if census::stat(pid)?.is_none_or(|stat| stat.starttime != start_ticks) {
        return Ok(End::Gone);
    }
    match kill(Pid::from_raw(pid), Signal::SIGKILL) {
        Ok(()) => Ok(End::Killed),
        Err(Errno::ESRCH) => Ok(End::Gone),
        Err(Errno::EPERM) => Ok(End::OutOfReach),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
