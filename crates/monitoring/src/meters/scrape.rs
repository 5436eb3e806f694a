//! What Prometheus is told: every family of the catalogue, also those that have no series yet.

use super::catalogue::catalogue;
use crate::AgentSeries;
use prometheus::{Registry, TextEncoder};
use std::{collections::BTreeSet, fmt::Write};

/// The media type of a scrape.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why a scrape cannot be given.
#[derive(Debug, thiserror::Error)]
#[error("write the metrics as text")]
pub struct ScrapeError(#[from] prometheus::Error);

/// Reads all instruments.
#[derive(Debug, Clone)]
pub struct Scrape(Registry);

impl Scrape {
    pub(crate) fn new(registry: Registry) -> Self {
        Self(registry)
    }

    /// Shows these series from now on.
    pub(crate) fn add(&self, series: AgentSeries) -> Result<(), ScrapeError> {
        Ok(self.0.register(Box::new(series))?)
    }

    /// Everything as text. It touches nothing but memory and `/proc/self`.
    pub fn text(&self) -> Result<String, ScrapeError> {
        let families = self.0.gather();
        let mut text = TextEncoder::new().encode_to_string(&families)?;
        let present: BTreeSet<&str> = families.iter().map(|family| family.name()).collect();
        // Whoever writes a panel or an alert finds the name before the first thing has happened.
        for metric in catalogue() {
            let name = metric.name();
            if !present.contains(name.as_str()) {
                // Writing to a string does not fail.
                let _ =
                    writeln!(text, "# HELP {name} {}\n# TYPE {name} {}", metric.help, metric.kind.as_str());
            }
        }
        Ok(text)
    }
}
