//! Bad luck and second thoughts: agents that misbehave, hosts that give up half-way. Without a process, in
//! virtual time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

mod bad_luck;
mod endless;
mod giving_up;
mod giving_up_parts;
mod puppet;
