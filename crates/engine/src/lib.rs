//! The use cases of Steward: accounts, sessions, turns, live agents, and what watchers see.

mod accounts;
mod agent;
mod approvals;
mod attempt;
mod draft;
mod error;
mod feed;
pub mod files;
mod governance;
mod housekeeping;
mod live;
mod passwords;
mod run;
mod sessions;
mod settings;
mod tokens;
mod transcribe;
mod transcript;
mod turns;
mod waits;
mod watch;
mod workdir;

pub use accounts::{AccountManager, PASSWORD_CHARS_MIN, Registrant, Registration, TokenPair};
pub use approvals::ApprovalReply;
pub use draft::SessionDraft;
pub use error::{Error, FieldError, Result};
pub use feed::Delta;
pub use sessions::{SessionManager, Stores};
pub use settings::{
    AgentSettings, ApprovalSettings, BackgroundApprovals, DirectorySettings, EngineSettings,
    GovernanceSettings, LimitSettings, SessionDefaults,
};
pub use tokens::Tokens;
pub use turns::{FinishedTurn, StartedTurn, WhenBusy};
pub use watch::{Sight, Watch};
