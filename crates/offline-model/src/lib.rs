//! A stand-in for the Anthropic Messages API that needs no network and no key.
//!
//! Tests, benchmarks and the demo point `ANTHROPIC_BASE_URL` at it. What it answers is written into the prompt
//! itself, so that a test reads from top to bottom and no state has to be set up beside it.
//!
//! ```text
#![doc = include_str!("reference.txt")]
//! ```

mod answer;
mod charges;
mod conversation;
mod directive;
mod options;
mod reply;
mod request_log;
mod routes;
mod server;
mod step;
mod stream;

pub use crate::{
    charges::Charge,
    options::Options,
    request_log::Recorded,
    routes::MAX_BODY_BYTES,
    server::Server,
    step::{DirectiveError, MAX_GENERATED_BYTES},
};

/// The directive language and the endpoints, as text for a terminal.
pub const REFERENCE: &str = include_str!("reference.txt");
