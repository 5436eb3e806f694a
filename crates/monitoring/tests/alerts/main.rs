//! Alerts as they are told: by a channel that fails in every way, and by mail to a real server.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

mod delivery;
mod mail;
mod world;
