//! `/admin`: what only the people who answer for the server may see.

pub mod audit_log;
pub mod users;
