//! The built-in hooks. Each keeps a book of its own, and each can be switched off.

mod audit;
mod metrics;
mod notification;

pub use audit::{AuditHook, AuditSink, LogSink, SecurityEvent};
pub use metrics::MetricsHook;
pub use notification::NotificationHook;

/// Names that custom hooks may not have.
pub const NAMES: [&str; 5] = ["audit", "metrics", "persistence", "notification", "permissions"];
