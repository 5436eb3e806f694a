//! The built-in hooks. Each keeps a book of its own, and each can be switched off.

mod audit;
mod metrics;
mod notification;

pub use audit::{AuditHook, AuditSink, LogSink, SecurityEvent};
pub use metrics::MetricsHook;
pub use notification::NotificationHook;

/// The name of the hook that judges every tool call.
pub const VERDICT: &str = "permissions";

/// Names that custom hooks may not have.
pub const NAMES: [&str; 5] = ["audit", "metrics", "persistence", "notification", VERDICT];
