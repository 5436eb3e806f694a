//! How much the directories hold that a session can write, looked at while its turn runs.
//!
//! The agent owns the directories, so everything is opened relative to a handle and no link is followed. What cannot be
//! measured is taken for too much.

use crate::{agent::Directories, settings::EngineSettings, workdir};
use cap_std::{
    ambient_authority,
    fs::{Dir, MetadataExt},
};
use domain::Session;
use std::{
    collections::HashSet,
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// From the beginning of a turn to the first look. The agent has not even asked its model yet, whose answer is what a tool
/// would run for; but it is about to, and a look would take the processor from it.
const FIRST_LOOK_DELAY: Duration = Duration::from_millis(10);
/// Between two looks, at least, of one turn or of one and the next: short turns that follow each other closely are not
/// looked at each time.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// A look that took long is followed by a pause this many times as long, so that large trees are not read all the time.
const PAUSE_FACTOR: u32 = 20;
/// What a turn may add that begins over the bound: enough to find out and clean up.
const CLEAN_UP_BYTES: u64 = 16 << 20;
/// Directories in directories; deeper ones are taken for a way of hiding something.
const DEPTH_MAX: usize = 100;
/// The unit in which the system counts what a file takes.
const BLOCK_BYTES: u64 = 512;

/// Why a turn is ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Overgrown {
    #[error("the session's directories hold {used} bytes, {max} allowed")]
    Bytes { used: u64, max: u64 },
    #[error("what the session's directories hold cannot be measured: {0}")]
    Unmeasurable(String),
}

/// What was seen last of the directories of an agent's session, by whichever turn.
#[derive(Debug, Default)]
pub struct LastLook(Mutex<Option<Seen>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    used: u64,
    /// When it is time to look again.
    until: Instant,
}

impl LastLook {
    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the session's directories hold more than its turn may leave in them; for ever when there is no bound.
pub(crate) async fn overgrown(settings: &EngineSettings, session: &Session, last: &LastLook) -> Overgrown {
    let Some(max) = settings.containment.disk_bytes_max else {
        return std::future::pending().await;
    };
    let mut next = Instant::now() + FIRST_LOOK_DELAY;
    let seen = last.seen().filter(|seen| seen.until > next);
    let mut bound = seen.map(|seen| bound_of_turn(max, seen.used));
    next = seen.map_or(next, |seen| seen.until);
    loop {
        sleep_until(next).await;
        let began = Instant::now();
        let (settings, session) = (settings.clone(), session.clone());
        let looked = tokio::task::spawn_blocking(move || used(&settings, &session)).await;
        let used = match looked.map_err(io::Error::other).flatten() {
            Ok(used) => used,
            Err(error) => return Overgrown::Unmeasurable(error.to_string()),
        };
        let bound = *bound.get_or_insert_with(|| bound_of_turn(max, used));
        if used > bound {
            return Overgrown::Bytes { used, max: bound };
        }
        next = Instant::now() + LOOK_INTERVAL.max(began.elapsed() * PAUSE_FACTOR);
        *last.seen() = Some(Seen { used, until: next });
    }
}

/// A turn that begins over the bound is let run, because nobody else can clean up; but it may not add much.
fn bound_of_turn(max: u64, used_at_start: u64) -> u64 {
    if used_at_start <= max { max } else { used_at_start.saturating_add(CLEAN_UP_BYTES) }
}

fn used(settings: &EngineSettings, session: &Session) -> io::Result<u64> {
    let spec = &session.spec;
    let named = std::iter::once(&spec.working_directory).chain(&spec.sdk_options.add_dirs);
    let named = named.map(|path| workdir::open(&settings.directories, session.user_id, Path::new(path)));
    let own = Directories::of(settings, session);
    let own = [own.config, own.temporary];
    let own = own.iter().map(|path| Dir::open_ambient_dir(path, ambient_authority()));
    let mut tally = Tally::default();
    for dir in named.chain(own) {
        match dir {
            Ok(dir) => tally.add(&dir, 0)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(tally.bytes)
}

/// The sum so far. A file with several names, and a directory within another that is counted, count once.
#[derive(Debug, Default)]
struct Tally {
    bytes: u64,
    counted: HashSet<(u64, u64)>,
}

impl Tally {
    fn add(&mut self, dir: &Dir, depth: usize) -> io::Result<()> {
        let own = dir.dir_metadata()?;
        if !self.counted.insert((own.dev(), own.ino())) {
            return Ok(());
        }
        if depth > DEPTH_MAX {
            return Err(io::Error::other(format!(
                "there are more than {DEPTH_MAX} directories in each other"
            )));
        }
        self.bytes = self.bytes.saturating_add(own.blocks() * BLOCK_BYTES);
        for entry in dir.entries()? {
            let entry = entry?;
            // Agents work while this looks, so anything may be gone.
            let Some(metadata) = unless_gone(entry.metadata())? else { continue };
            if metadata.is_dir() {
                match entry.open_dir() {
                    // Somebody else's, which the agent cannot write either.
                    Err(error)
                        if error.kind() == io::ErrorKind::PermissionDenied && metadata.uid() != own.uid() => {
                    }
                    opened => {
                        if let Some(below) = unless_gone(opened)? {
                            self.add(&below, depth + 1)?;
                        }
                    }
                }
            } else if metadata.nlink() == 1 || self.counted.insert((metadata.dev(), metadata.ino())) {
                self.bytes = self.bytes.saturating_add(metadata.blocks() * BLOCK_BYTES);
            }
        }
        Ok(())
    }
}

fn unless_gone<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tally(dir: &Path) -> io::Result<u64> {
        let mut tally = Tally::default();
        tally.add(&Dir::open_ambient_dir(dir, ambient_authority()).unwrap(), 0)?;
        Ok(tally.bytes)
    }

    #[test]
    fn files_count_once_and_links_lead_nowhere() {
        const MIB: usize = 1 << 20;
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/b/file"), vec![7; MIB]).unwrap();
        fs::hard_link(at("a/b/file"), at("again")).unwrap();
        fs::write(elsewhere.path().join("big"), vec![7; 8 * MIB]).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), at("out")).unwrap();
        std::os::unix::fs::symlink(dir.path(), at("round")).unwrap();
        let bytes = tally(dir.path()).unwrap();
        assert!((MIB as u64..2 * MIB as u64).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_tree_too_deep_to_be_measured_is_none_to_trust() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("d/".repeat(DEPTH_MAX))).unwrap();
        tally(dir.path()).unwrap();
        fs::create_dir_all(dir.path().join("d/".repeat(DEPTH_MAX + 2))).unwrap();
        assert!(tally(dir.path()).is_err());
    }

    #[test]
    fn a_turn_that_begins_over_the_bound_may_clean_up_and_not_go_on_filling() {
        assert_eq!(bound_of_turn(100, 100), 100);
        assert_eq!(bound_of_turn(100, 101), 101 + CLEAN_UP_BYTES);
    }
}
