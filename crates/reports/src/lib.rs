//! Writes reports down. One document becomes sections, and sections become a file: Markdown, HTML or PDF.
//!
//! What people, agents and tools wrote goes into a file as text and never as markup of it. Nothing here is touched before
//! the first report is asked for, and nothing is kept after it.

mod chart;
mod html;
mod markdown;
mod pdf;
mod prose;
mod renderer;
mod sections;
mod words;

pub use renderer::{Renderer, RendererSettings};

use domain::{ReportFormat, report::ReportDocument};
use std::time::Instant;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("write it in time")]
    Late,
    #[error("write the document as JSON")]
    Json(#[from] serde_json::Error),
    #[error("fill the template")]
    Template(#[from] minijinja::Error),
    #[error("draw the chart: {0}")]
    Chart(String),
    #[error("put the PDF together: {0}")]
    Pdf(String),
}

/// The document in this format. It looks at the clock now and then, and gives up at `deadline`.
pub(crate) fn write(
    document: &ReportDocument,
    format: ReportFormat,
    settings: &RendererSettings,
    deadline: Instant,
) -> Result<Vec<u8>, WriteError> {
    match format {
        ReportFormat::Json => Ok(serde_json::to_vec_pretty(document)?),
        ReportFormat::Markdown => Ok(markdown::write(document).into_bytes()),
        ReportFormat::Html => Ok(html::write(document)?.into_bytes()),
        ReportFormat::Pdf => pdf::write(document, settings.fonts.as_deref(), deadline),
    }
}
