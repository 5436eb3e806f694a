//! How much one user may have of what stays until somebody deletes it.

use crate::{Error, Result};

/// API keys, hooks, templates or MCP servers of one user; so many servers fit into an exported file.
pub(crate) const OWNED_MAX: u32 = 1000;
/// Tasks of one user: a program may make one for each job it has.
pub(crate) const TASKS_MAX: u32 = 10_000;

/// Reports of one user, up to which they may have others made; some megabytes each at the most.
pub(crate) const REPORTS_MAX: u32 = 10_000;

/// The error for whoever has `max` of these already, for which reason no other was stored.
pub(crate) fn unless_full(is_stored: bool, what: &'static str, max: u32) -> Result<()> {
    if is_stored { Ok(()) } else { Err(Error::LimitReached { what, max }) }
}
