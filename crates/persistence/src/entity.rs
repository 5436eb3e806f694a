//! The rows, one file per table, each with its conversions from and to the domain.

#![expect(
    unreachable_pub,
    reason = "sea-orm's derives write `pub` for what they add, and ask the same of their input"
)]

pub(crate) mod alert;
pub(crate) mod alert_delivery;
pub(crate) mod api_key;
pub(crate) mod approval;
pub(crate) mod archive;
pub(crate) mod audit_entry;
pub(crate) mod audit_head;
pub(crate) mod budget;
pub(crate) mod execution;
pub(crate) mod execution_head;
pub(crate) mod hold;
pub(crate) mod hold_account;
pub(crate) mod hook_delivery;
pub(crate) mod hook_endpoint;
pub(crate) mod hook_run;
pub(crate) mod idempotency_key;
pub(crate) mod identity;
pub(crate) mod journal;
pub(crate) mod leftover;
pub(crate) mod login_tally;
pub(crate) mod mcp_server;
pub(crate) mod message;
pub(crate) mod metrics_snapshot;
pub(crate) mod permission_decision;
pub(crate) mod policy;
pub(crate) mod policy_version;
pub(crate) mod rate_report;
pub(crate) mod refresh_token;
pub(crate) mod report;
pub(crate) mod report_document;
pub(crate) mod request_usage;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod session_count;
pub(crate) mod session_template;
pub(crate) mod spend;
pub(crate) mod task;
pub(crate) mod template_share;
pub(crate) mod tool_call;
pub(crate) mod transcript_entry;
pub(crate) mod turn;
pub(crate) mod user;
