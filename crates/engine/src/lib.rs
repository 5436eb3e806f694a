//! The use cases of Steward: accounts, sessions, turns, live agents, and what watchers see.

mod accounts;
mod admission;
mod agent;
mod approvals;
mod attempt;
pub mod audit;
mod canary;
pub mod containment;
mod disk;
mod draft;
mod error;
mod feed;
pub mod files;
mod governance;
mod hook_endpoints;
mod housekeeping;
mod live;
mod passwords;
mod policies;
mod run;
mod sessions;
mod settings;
mod tokens;
mod transcribe;
mod transcript;
mod turns;
mod waits;
mod wake;
mod watch;
mod workdir;

pub use accounts::{AccountManager, PASSWORD_CHARS_MIN, Registrant, Registration, TokenPair};
pub use approvals::ApprovalReply;
pub use audit::AuditLog;
pub use containment::{ContainmentSettings, SandboxNetwork, SandboxSettings};
pub use draft::SessionDraft;
pub use error::{Error, FieldError, Place, Result};
pub use feed::Delta;
pub use hook_endpoints::HookDraft;
pub use policies::{Change, DryRun, DryRunReport, Evaluation, PolicyManager, RunsOver, TriedCall};
pub use sessions::{SessionManager, Stores};
pub use settings::{
    AgentSettings, ApprovalSettings, BackgroundApprovals, DirectorySettings, EngineSettings,
    GovernanceSettings, HookSettings, LimitSettings, PolicyChoice, SelfTestSetting, SessionDefaults,
};
pub use tokens::Tokens;
pub use turns::{FinishedTurn, StartedTurn, WhenBusy};
pub use watch::{Sight, Watch};
