//! Chains of hooks on a store in memory and in paused time, and endpoints on real sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod alerts;
mod chain;
mod load;
mod receiver;
mod recording;
mod requests;
mod sending;
mod world;
