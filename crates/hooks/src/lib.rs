//! What happens around every event of an agent: built-in and custom hooks, run in order, recorded.

pub mod session_hook;

pub use session_hook::{Always, SessionHook};
