//! What Steward is about, without I/O: entities, state machines, money, and the ports that adapters implement.

pub mod account;
pub mod approval;
pub mod asks;
pub mod caller;
pub mod clock;
pub mod current_turn;
pub mod decision;
pub mod history;
pub mod ids;
pub mod journal;
pub mod model_access;
pub mod money;
pub mod page;
pub mod ports;
pub mod session;
pub mod spec;
pub mod turn;
pub mod usage;
pub mod verdict;

pub use account::{ApiKey, NewUser, RefreshToken, User};
pub use approval::{
    Approval, ApprovalAnswer, ApprovalDecision, ApprovalKind, ApprovalOutcome, ApprovalStatus,
};
pub use asks::OpenAsks;
pub use caller::{Access, Caller, Credential, Role, Scope};
pub use clock::{Clock, SystemClock};
pub use current_turn::CurrentTurn;
pub use decision::{DecidedBy, DecisionFilter, PermissionDecision};
pub use history::{Message, MessageType, NewMessage, ToolCall, ToolCallStatus};
pub use ids::{
    ApiKeyId, ApprovalId, FamilyId, MessageId, PermissionDecisionId, RefreshTokenId, RequestUsageId,
    SessionId, ToolCallId, TurnId, UserId,
};
pub use journal::{Entry, Event, EventBody, EventKind};
pub use model_access::{AgentScope, ModelAccess, ModelEndpoint};
pub use money::{MicroUsd, MicroUsdPerMtok};
pub use page::{Page, PageRequest};
pub use session::{Counters, Session, SessionMode, SessionStatus};
pub use spec::{SdkOptions, SessionSpec};
pub use turn::{Turn, TurnEnd, TurnFailure, TurnStatus};
pub use usage::{RequestUsage, TokenUsage};
pub use verdict::{AskTerms, Opinion, Verdict};
