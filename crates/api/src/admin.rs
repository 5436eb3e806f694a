//! `/admin`: what only the people who answer for the server may see.

pub mod audit_log;
pub mod sessions;
pub mod stats;
pub mod users;
