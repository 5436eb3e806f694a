//! In-process MCP servers against the scripted agent and the recordings, in virtual time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

mod bench;
mod recordings;
mod services;
mod sets;
mod tools;
