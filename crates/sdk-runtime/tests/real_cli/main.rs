//! The real CLI against the offline model.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

mod bench;
mod conversation;
mod endings;
mod turns;
