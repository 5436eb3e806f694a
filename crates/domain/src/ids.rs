//! One type per identifier, so that a turn is never looked up by a session's id.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh UUIDv7: ids made later sort later, which keeps indexes append-only.
            #[must_use]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )* };
}

ids! {
    /// A person or service account.
    UserId;
    /// A named API key.
    ApiKeyId;
    /// One refresh token; it is used once.
    RefreshTokenId;
    /// All refresh tokens that descend from one login; access tokens name it, so revoking it ends them too.
    FamilyId;
    /// A session.
    SessionId;
    /// One prompt and everything the agent did for it.
    TurnId;
    /// One message of a conversation.
    MessageId;
    /// One tool call.
    ToolCallId;
    /// One metered request to the model.
    RequestUsageId;
    /// One decision about a tool call.
    PermissionDecisionId;
    /// A custom policy, whatever its version.
    PolicyId;
    /// One hook, called once.
    HookRunId;
    /// An HTTP endpoint that is a hook.
    HookEndpointId;
    /// One message to such an endpoint.
    HookDeliveryId;
    /// A registered MCP server.
    McpServerId;
    /// One question to a person.
    ApprovalId;
    /// One archive of a session.
    ArchiveId;
    /// One report of a session.
    ReportId;
    /// One alert.
    AlertId;
    /// One snapshot of a session's figures.
    SnapshotId;
    /// A session template.
    TemplateId;
    /// A server, through all of its lives on one data folder.
    ServerId;
    /// A task: what is to be done, again and again.
    TaskId;
    /// One run of a task, through all of its attempts.
    ExecutionId;
}
