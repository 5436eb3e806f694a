//! Why costs and budgets cannot be told.

use super::{BeyondCalendar, UnknownTimeZone};
use domain::ports::StoreError;

/// Why a question about money has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CostError {
    /// Nobody has this id.
    #[error("find the {0}")]
    NotFound(&'static str),
    #[error(transparent)]
    TimeZone(#[from] UnknownTimeZone),
    #[error(transparent)]
    BeyondCalendar(#[from] BeyondCalendar),
    #[error(transparent)]
    Store(#[from] StoreError),
}
