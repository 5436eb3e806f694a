//! The stored sessions, on files made for the purpose.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to fail")]

mod edits;
mod files;
mod listing;
mod reading;
