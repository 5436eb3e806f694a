//! The use cases of Steward: accounts, sessions, turns, live agents, and what watchers see.

// Whoever waits for a future has room for all of it, and is moved with it: each turn, each request.
#![deny(clippy::large_futures)]

mod accounts;
mod admission;
mod agent;
mod approvals;
mod archives;
mod attempt;
pub mod audit;
mod canary;
pub mod containment;
mod costs;
mod disk;
mod draft;
mod elsewhere;
mod error;
mod feed;
pub mod files;
mod fork;
mod governance;
mod handshake;
mod homes;
mod hook_endpoints;
mod housekeeping;
pub mod idempotency;
mod lease;
mod levels;
mod live;
mod manager;
mod mcp_registry;
mod mcp_servers;
mod money;
pub mod oidc;
mod overview;
mod owned;
mod passwords;
mod policies;
mod purge;
mod reporting;
mod reports;
mod revocations;
mod run;
mod seal;
mod seen;
mod sessions;
mod settings;
mod settle;
mod snapshots;
mod tasks;
mod templates;
mod temporary;
mod through;
mod tokens;
mod transcribe;
mod transcript;
mod trial;
mod turns;
mod users;
mod waits;
mod wake;
mod watch;
mod workdir;

pub use accounts::{AccountManager, PASSWORD_CHARS_MIN, Registrant, Registration, TokenPair};
pub use approvals::ApprovalReply;
pub use archives::ArchiveRequest;
pub use audit::AuditLog;
pub use containment::{ContainmentSettings, SandboxNetwork, SandboxSettings};
pub use costs::CostManager;
pub use draft::SessionDraft;
pub use error::{Error, FieldError, Place, Result};
pub use feed::Delta;
pub use fork::ForkDraft;
pub use handshake::AgentHealth;
pub use hook_endpoints::HookDraft;
pub use idempotency::Idempotency;
pub use manager::{SessionManager, Stores};
pub use mcp::{
    Recipe as McpRecipe,
    catalogue::{TEMPLATES as MCP_TEMPLATES, Template as McpTemplate},
};
pub use mcp_registry::{
    ImportOutcome, ImportedServer, McpCheckReport, McpRegistry, McpServerChange, McpServerDraft, Resealed,
    SecretChange, reseal,
};
pub use mcp_servers::McpServerHealth;
pub use oidc::{OidcError, OidcLogins, OidcSettings};
pub use overview::Overview;
pub use policies::{Change, DryRun, DryRunReport, Evaluation, PolicyManager, RunsOver, TriedCall};
pub use reporting::Reporting;
pub use reports::ReportManager;
pub use revocations::{Revocations, Revoked};
pub use settings::{
    AgentSettings, ApprovalSettings, ArchiveSettings, BackgroundApprovals, DirectorySettings, EngineSettings,
    GovernanceSettings, HookSettings, LimitSettings, McpSettings, PolicyChoice, SelfTestSetting,
    ServerSettings, SessionDefaults, SnapshotSettings,
};
pub use tasks::{AfterExecution, Aftercare, TaskChanges, TaskDraft, TaskManager, TaskSettings};
pub use tokens::Tokens;
pub use transcript::SessionTranscripts;
pub use turns::{FinishedTurn, StartedTurn, WhenBusy};
pub use watch::{Sight, Watch};
