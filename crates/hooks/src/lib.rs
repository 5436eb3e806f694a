//! What happens around every event of an agent: built-in and custom hooks, run in order, recorded.

pub mod builtin;
mod chain;
mod excerpt;
mod hooks;
mod joined;
pub mod limits;
mod manager;
mod matcher;
pub mod observer;
mod recorder;
pub mod session_hook;
pub mod webhook;

pub use hooks::{Hooks, HooksError, Switches, Unknown};
pub use manager::{HookManager, HookScope};
pub use matcher::{BadMatcher, Matcher};
pub use observer::{Observation, Observed, Observer};
pub use recorder::Recorder;
pub use session_hook::{Always, Origin, SessionHook};
