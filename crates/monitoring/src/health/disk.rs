//! Room on the disks: free bytes, and free inodes, without which no file can be made however many bytes are free.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::check::{Check, Finding, Importance, Outcome};

const NAME: &str = "disk";
const FRESH_FOR: Duration = Duration::from_secs(10);

/// How little room is too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskBounds {
    pub free_bytes_min: u64,
    pub free_inodes_min: u64,
}

/// What is free where a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub free_bytes: u64,
    /// `None` where the file system makes inodes as they are needed.
    pub free_inodes: Option<u64>,
}

impl Room {
    /// Asks the operating system about the disk that this path is on. Blocks, for as long as the disk does.
    pub fn at(path: &Path) -> io::Result<Self> {
        let stat = nix::sys::statvfs::statvfs(path)?;
        let free_inodes = (stat.files() > 0).then(|| stat.files_available());
        let free_bytes = stat.blocks_available().saturating_mul(stat.fragment_size());
        Ok(Self { free_bytes, free_inodes })
    }

    fn judge(self, bounds: DiskBounds) -> Outcome {
        let bytes = format!("{} MiB free", self.free_bytes >> 20);
        let inodes = self.free_inodes.map_or_else(String::new, |free| format!(", {free} inodes"));
        let found = format!("{bytes}{inodes}");
        let has_inodes = self.free_inodes.is_none_or(|free| free >= bounds.free_inodes_min);
        match self.free_bytes >= bounds.free_bytes_min && has_inodes {
            true => Ok(Some(found)),
            false => Err(format!(
                "{found}, which is less than {} MiB or {} inodes: make room there",
                bounds.free_bytes_min >> 20,
                bounds.free_inodes_min
            )),
        }
    }
}

/// A check of the room at these places, each with its name; `room` is [`Room::at`] except in tests. The server is
/// degraded when one is short of it: what cannot be written then fails by itself.
#[must_use]
pub fn disk(
    places: Vec<(&'static str, PathBuf)>,
    bounds: DiskBounds,
    room: impl Fn(&Path) -> io::Result<Room> + Send + Sync + 'static,
) -> Check {
    let (places, room) = (Arc::new(places), Arc::new(room));
    let check = Check::telling(NAME, Importance::Optional, move || {
        let (places, room) = (Arc::clone(&places), Arc::clone(&room));
        async move {
            let looked = tokio::task::spawn_blocking(move || {
                let judged = places.iter().map(|(name, path)| {
                    // Some of them are made when they are needed first, and then with the right mode.
                    let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
                    let room = room(there);
                    let outcome = room.map_err(|error| format!("could not look at it: {error}"));
                    ((*name).to_owned(), outcome.and_then(|room| room.judge(bounds)))
                });
                judged.collect::<BTreeMap<_, _>>()
            });
            let parts = looked.await.map_err(|_| "the check itself broke".to_owned())?;
            let detail = parts.iter().map(|(name, outcome)| match outcome {
                Ok(Some(found)) => format!("{name}: {found}"),
                Ok(None) | Err(_) => name.clone(),
            });
            Ok(Finding { detail: Some(detail.collect::<Vec<_>>().join("; ")), parts, ..Finding::default() })
        }
    });
    // A disk that hangs holds the thread that asks it, and nothing takes that back.
    check.fresh_for(FRESH_FOR).slow().never_given_up()
}
