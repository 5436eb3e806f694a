//! What Steward is about, without I/O: entities, state machines, money, and the ports that adapters implement.

pub mod account;
pub mod alert;
pub mod approval;
pub mod archive;
pub mod asks;
pub mod audit;
pub mod budget;
pub mod caller;
pub mod clock;
pub mod cost;
pub mod current_turn;
pub mod decision;
pub mod fork;
pub mod generation;
pub mod history;
pub mod hook;
pub mod ids;
pub mod journal;
pub mod model_access;
pub mod money;
pub mod page;
pub mod policy;
pub mod ports;
pub mod report;
pub mod session;
pub mod snapshot;
pub mod spec;
pub mod transcript;
pub mod turn;
pub mod usage;
pub mod verdict;

pub use account::{ApiKey, NewUser, RefreshToken, User, UserPatch};
pub use alert::{Alert, AlertChannel, AlertTopic, Severity};
pub use approval::{
    Approval, ApprovalAnswer, ApprovalDecision, ApprovalKind, ApprovalOutcome, ApprovalStatus,
};
pub use archive::{Archive, ArchivePlace, ArchiveStatus, Compression};
pub use asks::OpenAsks;
pub use audit::{Actor, AuditEntry, AuditEvent, AuditFilter, AuditHead, AuditKey, Origin, Source};
pub use budget::{Budget, BudgetPeriod, BudgetStatus, Spender, WhenExhausted};
pub use caller::{Access, Caller, Credential, Role, Scope};
pub use clock::{Clock, SystemClock};
pub use cost::CostSum;
pub use current_turn::CurrentTurn;
pub use decision::{DecidedBy, DecisionFilter, PermissionDecision};
pub use generation::Generation;
pub use history::{Message, MessageType, NewMessage, ToolCall, ToolCallStatus};
pub use hook::{
    FailMode, HookDelivery, HookDeliveryStatus, HookEndpoint, HookEndpointKind, HookRun, HookRunStatus,
};
pub use ids::{
    AlertId, ApiKeyId, ApprovalId, ArchiveId, FamilyId, HookDeliveryId, HookEndpointId, HookRunId, MessageId,
    PermissionDecisionId, PolicyId, RefreshTokenId, ReportId, RequestUsageId, ServerId, SessionId,
    SnapshotId, ToolCallId, TurnId, UserId,
};
pub use journal::{Entry, Event, EventBody, EventKind};
pub use model_access::{AgentScope, ModelAccess, ModelEndpoint, RehearsedCall};
pub use money::{MicroUsd, MicroUsdPerMtok};
pub use page::{Page, PageRequest, Total};
pub use policy::{CustomPolicy, PolicyContent};
pub use report::{NewReport, Report, ReportFormat, ReportParts};
pub use session::{Counters, Operation, Session, SessionMode, SessionStatus};
pub use snapshot::MetricsSnapshot;
pub use spec::{SdkOptions, SessionSpec};
pub use turn::{Turn, TurnEnd, TurnFailure, TurnStatus};
pub use usage::{RequestUsage, TokenUsage};
pub use verdict::{AskTerms, Opinion, Verdict};
