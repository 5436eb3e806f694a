//! Settings of reports: how many are written at once, for how long, and in which fonts.

use std::{path::PathBuf, time::Duration};

use super::{parse::number, reader::Reader, seconds};

/// How reports are written.
#[derive(Debug, Clone)]
pub struct ReportsConfig {
    pub at_once_max: usize,
    /// How long one may wait for its turn, and then again how long writing it may take.
    pub timeout: Duration,
    /// Fonts for what the built-in ones lack.
    pub fonts: Option<PathBuf>,
}

impl ReportsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let at_once = reader.value("REPORTS_AT_ONCE_MAX", "1", number(1..=64_usize));
        let timeout = reader.value("REPORT_TIMEOUT_SECONDS", "30", seconds(1..=600));
        let fonts = reader.option("REPORT_FONTS_DIR", |text| {
            let folder = PathBuf::from(text);
            if folder.is_absolute() && folder.is_dir() {
                Ok(folder)
            } else {
                Err("a folder that is there, by its absolute path".to_owned())
            }
        });
        Some(Self { at_once_max: at_once?, timeout: timeout?, fonts: fonts? })
    }
}
