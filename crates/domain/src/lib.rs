//! What Steward is about, without I/O: entities, state machines, money, and the ports that adapters implement.

pub mod access;
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
pub mod entity_tag;
pub mod execution;
pub mod fork;
pub mod generation;
pub mod history;
pub mod hook;
pub mod idempotency;
pub mod identity;
pub mod ids;
pub mod journal;
pub mod login_throttle;
pub mod mcp;
pub mod model_access;
pub mod money;
pub mod page;
pub mod policy;
pub mod ports;
pub mod report;
pub mod schedule;
pub mod session;
pub mod snapshot;
pub mod spec;
pub mod task;
pub mod template;
pub mod transcript;
pub mod turn;
pub mod usage;
pub mod verdict;
pub mod whereabouts;

pub use access::{Access, Area, Reach};
pub use account::{ApiKey, NewUser, RefreshToken, User, UserPatch};
pub use alert::{Alert, AlertChannel, AlertTopic, Severity};
pub use approval::{
    Approval, ApprovalAnswer, ApprovalDecision, ApprovalKind, ApprovalOutcome, ApprovalStatus,
};
pub use archive::{Archive, ArchivePlace, ArchiveStatus, Compression};
pub use asks::OpenAsks;
pub use audit::{Actor, AuditEntry, AuditEvent, AuditFilter, AuditHead, AuditKey, Origin, Source};
pub use budget::{Budget, BudgetPeriod, BudgetStatus, Spender, WhenExhausted};
pub use caller::{Caller, Credential, Role, Scope};
pub use clock::{Clock, SystemClock};
pub use cost::CostSum;
pub use current_turn::CurrentTurn;
pub use decision::{DecidedBy, DecisionFilter, PermissionDecision};
pub use entity_tag::{EntityTag, Expected};
pub use execution::{Execution, ExecutionError, ExecutionStatus, ExecutionTrigger, Settlement};
pub use generation::Generation;
pub use history::{Message, MessageType, NewMessage, ToolCall, ToolCallStatus};
pub use hook::{
    FailMode, HookDelivery, HookDeliveryStatus, HookEndpoint, HookEndpointKind, HookRun, HookRunStatus,
};
pub use ids::{
    AlertId, ApiKeyId, ApprovalId, ArchiveId, ExecutionId, FamilyId, HookDeliveryId, HookEndpointId,
    HookRunId, McpServerId, MessageId, PermissionDecisionId, PolicyId, RefreshTokenId, ReportId,
    RequestUsageId, ServerId, SessionId, SnapshotId, TaskId, TemplateId, ToolCallId, TurnId, UserId,
};
pub use journal::{Entry, Event, EventBody, EventKind};
pub use mcp::{McpCheck, McpCheckStatus, McpServer, McpTransport};
pub use model_access::{AgentScope, ModelAccess, ModelEndpoint, RehearsedCall};
pub use money::{MicroUsd, MicroUsdPerMtok};
pub use page::{Page, PageRequest, Total};
pub use policy::{CustomPolicy, PolicyContent};
pub use report::{NewReport, Report, ReportFormat, ReportParts};
pub use schedule::{MissedRuns, Schedule, ScheduleError};
pub use session::{Counters, Operation, Session, SessionMode, SessionStatus};
pub use snapshot::MetricsSnapshot;
pub use spec::{SdkOptions, SessionSpec};
pub use task::{Task, TaskPatch, TaskSpec};
pub use template::SessionTemplate;
pub use turn::{Turn, TurnEnd, TurnFailure, TurnStatus};
pub use usage::{RequestUsage, TokenUsage};
pub use verdict::{AskTerms, Opinion, Verdict};
