//! The whole service as a user has it: the `steward` binary, the real CLI behind it, real sockets and files. Only the
//! model is a stand-in.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "e2e/world.rs"]
mod world;

#[path = "e2e/client.rs"]
mod client;

#[path = "e2e/alerts.rs"]
mod alerts;
#[path = "e2e/approvals.rs"]
mod approvals;
#[path = "e2e/approvals_alone.rs"]
mod approvals_alone;
#[path = "e2e/archives.rs"]
mod archives;
#[path = "e2e/audit.rs"]
mod audit;
#[path = "e2e/bad_luck.rs"]
mod bad_luck;
#[path = "e2e/bounds.rs"]
mod bounds;
#[path = "e2e/canary.rs"]
mod canary;
#[path = "e2e/crash.rs"]
mod crash;
#[path = "e2e/crash_turn.rs"]
mod crash_turn;
#[path = "e2e/custom_policies.rs"]
mod custom_policies;
#[path = "e2e/ending.rs"]
mod ending;
#[path = "e2e/forks.rs"]
mod forks;
#[path = "e2e/governance.rs"]
mod governance;
#[path = "../../hooks/tests/hooks/receiver.rs"]
mod receiver;

#[path = "../../oidc/tests/provider/process.rs"]
mod provider;

#[path = "deploy/files.rs"]
mod files;
#[path = "deploy/queries.rs"]
mod queries;

#[path = "../../monitoring/tests/export/collector.rs"]
mod collector;
#[path = "e2e/health.rs"]
mod health;
#[path = "e2e/hooks.rs"]
mod hooks;
#[path = "e2e/keyed.rs"]
mod keyed;
#[path = "e2e/large.rs"]
mod large;
#[path = "e2e/limits.rs"]
mod limits;
#[path = "e2e/mcp_servers.rs"]
mod mcp_servers;
#[path = "e2e/metrics.rs"]
mod metrics;
#[path = "e2e/money.rs"]
mod money;
#[path = "e2e/moving.rs"]
mod moving;
#[path = "e2e/oidc.rs"]
mod oidc;
#[path = "e2e/postgres.rs"]
mod postgres;
#[path = "e2e/postgres_tasks.rs"]
mod postgres_tasks;
#[path = "e2e/prometheus.rs"]
mod prometheus;
#[path = "e2e/queueing.rs"]
mod queueing;
#[path = "e2e/reports.rs"]
mod reports;
#[path = "e2e/sandbox.rs"]
mod sandbox;
#[path = "e2e/settings.rs"]
mod settings;
#[path = "e2e/task_ends.rs"]
mod task_ends;
#[path = "e2e/tasks.rs"]
mod tasks;
#[path = "e2e/tour.rs"]
mod tour;
#[path = "e2e/traces.rs"]
mod traces;
#[path = "e2e/two_servers.rs"]
mod two_servers;
#[path = "e2e/user_guide.rs"]
mod user_guide;
#[path = "e2e/watching.rs"]
mod watching;
#[path = "e2e/workflows.rs"]
mod workflows;
