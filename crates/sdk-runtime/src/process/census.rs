//! The census: which processes there are, read from `/proc` with as few system calls as do.
//!
//! Agents are looked at several times a second, on machines where most processes are none of theirs. So what was found
//! to have to do with no agent is left alone for a while, and an environment is read once for each program that a
//! process runs. Whoever has to be sure asks for everything anew.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read as _},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::{errno::Errno, unistd};
use procfs::{
    FromRead as _,
    process::{ProcState, Stat},
};

use super::{AGENT_MARKER, HOST_MARKER};

/// How long a process that has to do with no agent is left alone. Should its number have gone to another one meanwhile,
/// or its environment not have been there yet, that is noticed so much later.
const LEFT_ALONE: Duration = Duration::from_secs(1);
/// More than the kernel writes into `stat`.
const STAT_BYTES: usize = 4096;

/// A process, told from a later one with the same pid by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) pid: i32,
    pub(super) start_ticks: u64,
}

/// A process that lives.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) identity: Identity,
    pub(super) parent: i32,
    pub(super) session: i32,
    /// Its own and that of the children it waited for.
    pub(super) cpu_ticks: u64,
    /// The entries of its environment, `KEY=value`, by which agents are marked.
    pub(super) marks: Arc<[Vec<u8>]>,
}

/// Processes at one moment.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    /// This process and those above it.
    pub(super) spared: HashSet<i32>,
}

/// Every process, as it is now.
pub(super) fn whole() -> io::Result<Table> {
    let mut census = lock();
    census.count(Instant::now(), Extent::Whole)?;
    Ok(census.table(|_| true))
}

/// What has to do with agents, at most `age_max` ago: marked processes, what descends from them or is in their sessions,
/// and `agent`, if there is one. Many agents look often; one look does for all.
pub(super) fn of_agents(agent: Option<i32>, age_max: Duration) -> io::Result<Arc<Table>> {
    // Whoever comes while it is being read waits for it, instead of reading it as well.
    let mut census = lock();
    let now = Instant::now();
    if let Some((counted_at, table)) = &census.recent
        && now.duration_since(*counted_at) < age_max
        && agent.is_none_or(|agent| table.rows.iter().any(|row| row.identity.pid == agent))
    {
        return Ok(Arc::clone(table));
    }
    census.count(now, Extent::Agents(agent))?;
    let table = Arc::new(census.table(|seen| seen.is_watched));
    census.recent = Some((now, Arc::clone(&table)));
    Ok(table)
}

static CENSUS: LazyLock<Mutex<Census>> = LazyLock::new(Mutex::default);

/// What is known from earlier looks.
#[derive(Default)]
struct Census {
    seen: HashMap<i32, Seen>,
    recent: Option<(Instant, Arc<Table>)>,
}

/// What is looked at anew.
#[derive(Clone, Copy)]
enum Extent {
    Whole,
    /// What has to do with agents, who is new, and this one.
    Agents(Option<i32>),
}

struct Seen {
    row: Row,
    image: Image,
    seen_at: Instant,
    /// Whether it has, or had, to do with an agent.
    is_watched: bool,
}

/// The program that a process runs, by addresses that `exec` moves. There are none for who may not know them.
#[derive(PartialEq, Eq)]
struct Image([Option<u64>; 3]);

impl Census {
    fn count(&mut self, now: Instant, extent: Extent) -> io::Result<()> {
        let pids = pids()?;
        for &pid in &pids {
            let before = self.seen.get(&pid);
            let is_left_alone = match extent {
                Extent::Whole => false,
                Extent::Agents(agent) => before.is_some_and(|seen| {
                    !seen.is_watched
                        && agent != Some(pid)
                        && now.saturating_duration_since(seen.seen_at) < LEFT_ALONE
                }),
            };
            if is_left_alone {
                continue;
            }
            match Seen::look(pid, before, now)? {
                Some(seen) => self.seen.insert(pid, seen),
                None => self.seen.remove(&pid),
            };
        }
        self.seen.retain(|pid, _| pids.contains(pid));
        if let Extent::Agents(Some(agent)) = extent
            && let Some(seen) = self.seen.get_mut(&agent)
        {
            seen.is_watched = true;
        }
        self.watch();
        Ok(())
    }

    /// Watches what descends from the watched or is in their sessions, until nobody is added.
    fn watch(&mut self) {
        let watched = self.seen.values().filter(|seen| seen.is_watched);
        let mut watched: HashSet<i32> = watched.map(|seen| seen.row.identity.pid).collect();
        loop {
            let before = watched.len();
            for Seen { row, is_watched, .. } in self.seen.values_mut() {
                *is_watched |= watched.contains(&row.parent) || watched.contains(&row.session);
                if *is_watched {
                    watched.insert(row.identity.pid);
                }
            }
            if watched.len() == before {
                return;
            }
        }
    }

    fn table(&self, is_wanted: impl Fn(&Seen) -> bool) -> Table {
        let rows = self.seen.values().filter(|seen| is_wanted(seen)).map(|seen| seen.row.clone()).collect();
        Table { rows, spared: self.spared() }
    }

    fn spared(&self) -> HashSet<i32> {
        let mut spared = HashSet::new();
        let mut pid = unistd::getpid().as_raw();
        while spared.insert(pid) {
            pid = self.seen.get(&pid).map(|seen| seen.row.parent).unwrap_or_default();
        }
        spared
    }
}

impl Seen {
    /// `None` for a process that is gone or waits to be reaped.
    fn look(pid: i32, before: Option<&Self>, now: Instant) -> io::Result<Option<Self>> {
        let Some(stat) = stat(pid)? else {
            return Ok(None);
        };
        if matches!(stat.state(), Ok(ProcState::Zombie | ProcState::Dead)) {
            return Ok(None);
        }
        let identity = Identity { pid, start_ticks: stat.starttime };
        let image = Image([stat.arg_start, stat.env_start, stat.env_end]);
        let before = before.filter(|before| before.row.identity == identity);
        let marks = match before.filter(|before| before.image == image) {
            Some(before) => Arc::clone(&before.row.marks),
            None => marks(pid)?,
        };
        let is_watched = !marks.is_empty() || before.is_some_and(|before| before.is_watched);
        let cpu_ticks = cpu_ticks(&stat);
        let row = Row { identity, parent: stat.ppid, session: stat.session, cpu_ticks, marks };
        Ok(Some(Self { row, image, seen_at: now, is_watched }))
    }
}

fn lock() -> MutexGuard<'static, Census> {
    CENSUS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pids() -> io::Result<HashSet<i32>> {
    let mut pids = HashSet::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(pids)
}

/// What the kernel says of a process; `None` for one that is gone, or that is closed to us.
pub(super) fn stat(pid: i32) -> io::Result<Option<Stat>> {
    // One read is the whole file; the crate's own way takes three times as many system calls, and those are what a
    // look costs.
    let mut text = [0; STAT_BYTES];
    let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut text));
    let Some(read) = unless_absent(read)? else {
        return Ok(None);
    };
    Stat::from_read(text.get(..read).unwrap_or_default()).map(Some).map_err(io::Error::other)
}

/// Anonymous and shared-memory pages; zero for a process that is gone.
pub(super) fn memory_bytes(pid: i32) -> u64 {
    // The crate's type for it keeps all sixty lines.
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kibibytes = |line: &str| {
        let amount = line.strip_prefix("RssAnon:").or_else(|| line.strip_prefix("RssShmem:"))?;
        amount.trim().strip_suffix(" kB")?.parse().ok()
    };
    status.lines().filter_map(kibibytes).fold(0_u64, u64::saturating_add).saturating_mul(1024)
}

fn marks(pid: i32) -> io::Result<Arc<[Vec<u8>]>> {
    let environment = unless_absent(fs::read(format!("/proc/{pid}/environ")))?.unwrap_or_default();
    let is_mark = |entry: &&[u8]| {
        let named = |key: &str| entry.strip_prefix(key.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
        named(AGENT_MARKER) || named(HOST_MARKER)
    };
    Ok(environment.split(|byte| *byte == 0).filter(is_mark).map(<[u8]>::to_vec).collect())
}

/// `None` when the process is gone, or is somebody else's and closed to us, and so not ours. That it could not be read
/// for any other reason, such as too many open files, says nothing about it.
fn unless_absent<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ESRCH | Errno::EACCES | Errno::EPERM) => Ok(None),
            _ => Err(error),
        },
    }
}

fn cpu_ticks(stat: &Stat) -> u64 {
    let waited_for = u64::try_from(stat.cutime.saturating_add(stat.cstime)).unwrap_or_default();
    stat.utime.saturating_add(stat.stime).saturating_add(waited_for)
}

#[cfg(test)]
mod tests;
