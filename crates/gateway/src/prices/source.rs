//! Where prices come from: the table that the program was built with, or a file that may change while it runs.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use sha2::{Digest, Sha256};

use super::{PriceTable, PriceTableError};
use crate::limits::{PRICE_FILE_BYTES_MAX, PRICE_FILE_INTERVAL};

/// Why a price file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceFileError {
    /// It cannot be read at all.
    #[error("open the price file {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// It is larger than any table is.
    #[error("read the price file {}: it has more than {PRICE_FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// It is no table, or one that contradicts itself; the source says where.
    #[error("use the price file {}", path.display())]
    Broken { path: PathBuf, source: PriceTableError },
}

/// The prices that hold now. A request is held and settled at those that held when it began.
#[derive(Debug)]
pub struct Prices {
    table: RwLock<Arc<PriceTable>>,
    file: Option<Watched>,
}

/// A price file, and what was seen of it.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    stamp: Option<Stamp>,
    /// Why the file as it is now does not hold.
    fault: Option<String>,
}

/// What tells that a file was changed.
type Stamp = (SystemTime, u64);

impl Prices {
    /// The table that this version of the program was built with.
    pub fn built_in() -> Result<Self, PriceTableError> {
        Ok(Self { table: RwLock::new(Arc::new(PriceTable::embedded()?)), file: None })
    }

    /// The table in this file, which takes the place of the built-in one.
    pub async fn from_file(path: PathBuf) -> Result<Self, PriceFileError> {
        let (stamp, table) = read(&path).await?;
        let seen = Mutex::new(Seen { stamp: Some(stamp), fault: None });
        Ok(Self { table: RwLock::new(Arc::new(table)), file: Some(Watched { path, seen }) })
    }

    /// The table that holds now.
    pub fn current(&self) -> Arc<PriceTable> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the file as it is now holds: the version in use, or why a changed file does not take its place.
    pub fn health(&self) -> Result<Option<String>, String> {
        let version = self.current().version().to_owned();
        let Some(file) = &self.file else { return Ok(Some(version)) };
        match &file.seen().fault {
            Some(fault) => Err(format!("{fault}; the prices of {version} still hold")),
            None => Ok(Some(version)),
        }
    }

    /// Looks at the file for as long as it is polled.
    pub(crate) async fn watch(&self) {
        let mut ticks = tokio::time::interval(PRICE_FILE_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.file.is_some() {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// Takes up the file if it was changed and is a table; the old one holds otherwise.
    pub async fn look(&self) {
        let Some(file) = &self.file else { return };
        let stamp = stamp(&file.path).await;
        if let (Ok(stamp), Some(seen)) = (&stamp, file.seen().stamp)
            && *stamp == seen
        {
            return;
        }
        match read(&file.path).await {
            Ok((stamp, table)) => {
                tracing::info!(version = table.version(), "new prices hold");
                *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
                *file.seen() = Seen { stamp: Some(stamp), fault: None };
            }
            Err(error) => {
                let fault = said(&error);
                let mut seen = file.seen();
                if seen.fault.as_ref() != Some(&fault) {
                    tracing::error!(
                        fault,
                        "the price file was changed and cannot be used; the old prices hold"
                    );
                }
                *seen = Seen { stamp: stamp.ok(), fault: Some(fault) };
            }
        }
    }
}

impl Watched {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file as it is, and its stamp from before: a change meanwhile is seen at the next look.
async fn read(path: &Path) -> Result<(Stamp, PriceTable), PriceFileError> {
    let unreadable = |source| PriceFileError::Unreadable { path: path.to_owned(), source };
    let stamp = stamp(path).await.map_err(unreadable)?;
    if stamp.1 > PRICE_FILE_BYTES_MAX {
        return Err(PriceFileError::TooLarge(path.to_owned()));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
    let broken = |source| PriceFileError::Broken { path: path.to_owned(), source };
    let mut table = PriceTable::parse(&text).map_err(broken)?;
    // Rows of the ledger name the table they were priced with, also when somebody edits it and leaves its version.
    let digest = Sha256::digest(&text);
    let mark: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    table.version = format!("{}#{mark}", table.version);
    Ok((stamp, table))
}

async fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = tokio::fs::metadata(path).await?;
    Ok((metadata.modified()?, metadata.len()))
}

/// An error and what led to it, in one line.
fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let words = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
