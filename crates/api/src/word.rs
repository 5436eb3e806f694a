//! The closed sets of words of the domain, as they stand in the document.

use domain::{
    ApprovalKind, ApprovalStatus, ArchivePlace, ArchiveStatus, Compression, EventKind, ExecutionStatus,
    ExecutionTrigger, FailMode, HookDeliveryStatus, HookEndpointKind, HookRunStatus, McpCheckStatus,
    McpTransport, MessageType, Operation, ReportFormat, Role, SessionMode, SessionStatus, Severity,
    ToolCallStatus, TurnFailure, TurnStatus, Verdict, WhenExhausted, fork::DirectorySource,
};
use monitoring::costs::Period;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A word of the domain on the wire; the domain itself reads and writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Word<T>(pub T);

/// A closed set of words.
pub trait Vocabulary: 'static {
    /// What the document calls the set.
    const NAME: &'static str;

    /// Every word, in a stable order.
    fn words() -> Vec<&'static str>;
}

impl<T: Vocabulary> JsonSchema for Word<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": T::words() })
    }
}

macro_rules! vocabularies {
    ($($domain:ident: $all:expr;)*) => { $(
        impl Vocabulary for $domain {
            const NAME: &'static str = stringify!($domain);

            fn words() -> Vec<&'static str> {
                $all.into_iter().map(Self::as_str).collect()
            }
        }
    )* };
}

vocabularies! {
    ApprovalKind: Self::ALL;
    ApprovalStatus: Self::ALL;
    ArchivePlace: Self::ALL;
    ArchiveStatus: Self::ALL;
    Compression: Self::ALL;
    DirectorySource: Self::ALL;
    EventKind: Self::ALL;
    ExecutionStatus: Self::ALL;
    ExecutionTrigger: Self::ALL;
    FailMode: Self::ALL.iter().copied();
    HookDeliveryStatus: Self::ALL.iter().copied();
    HookEndpointKind: Self::ALL.iter().copied();
    HookRunStatus: Self::ALL.iter().copied();
    McpCheckStatus: Self::ALL;
    McpTransport: Self::ALL;
    MessageType: Self::ALL;
    Operation: Self::ALL;
    Period: Self::ALL;
    ReportFormat: Self::ALL;
    Role: Self::ALL;
    SessionMode: Self::ALL;
    SessionStatus: Self::ALL;
    Severity: Self::ALL;
    ToolCallStatus: Self::ALL;
    TurnFailure: Self::ALL;
    TurnStatus: Self::ALL;
    Verdict: Self::ALL;
    WhenExhausted: Self::ALL;
}
