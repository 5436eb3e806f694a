//! `/sessions`: conversations with agents.

pub mod archive;
pub mod audit_trail;
pub mod control;
pub mod create;
pub mod events;
pub mod files;
pub mod fork;
pub mod hooks;
pub mod list;
pub mod messages;
pub mod metrics;
pub mod one;
pub mod permissions;
pub mod query;
pub mod response;
pub mod sdk_options;
pub mod stream;
pub mod tool_calls;
pub mod tree;
pub mod turns;

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

/// Which part of a history is wanted.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    #[serde(default = "limit_default")]
    #[validate(range(min = 1, max = 1000))]
    limit: u32,
    /// From the `Link` header of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
}

fn limit_default() -> u32 {
    crate::page::HISTORY_LIMIT_DEFAULT
}

impl HistoryQuery {
    pub fn request(self) -> domain::PageRequest {
        domain::PageRequest { limit: self.limit, cursor: self.cursor, skip: 0 }
    }
}
