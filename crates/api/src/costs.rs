//! `/monitoring/costs`: what was spent.

pub mod report;
pub mod session;
pub mod sums;
pub mod team;
pub mod total;
pub mod user;
