//! The real CLI against the offline model.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

mod bench;
mod containment;
mod control;
mod conversation;
mod doctor;
mod endings;
mod hooks;
mod mcp;
mod mcp_external;
mod mcp_sse;
mod misfortunes;
mod options;
mod permissions;
mod retries;
mod sessions;
mod settings;
mod spares;
mod stored;
mod tap;
mod turns;
