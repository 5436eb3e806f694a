//! MCP servers of people: their secrets at rest, what agents are told of them, and a handshake that tells how they are.

pub mod catalogue;
pub mod desktop;
mod keyring;
mod probe;
mod recipe;

pub use keyring::{Keyring, KeyringError, SecretsLost};
pub use probe::{Found, FoundTool, Prober, Surroundings};
pub use recipe::{Fault, Recipe};
