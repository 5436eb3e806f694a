//! Session stores: what each must do, and what happens when one does not.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

mod check_out;
mod conformance;
mod directory;
mod materialized;
mod mirror;
mod stored_sessions;
