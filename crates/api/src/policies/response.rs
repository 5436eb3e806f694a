//! Policies and opinions on the wire.

use crate::word::Word;
use domain::{CustomPolicy, Opinion, Verdict};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// One version of a policy.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PolicyResponse {
    name: String,
    /// Counted from 1; decisions name it.
    version: u32,
    text: String,
    description: Option<String>,
    /// Whether it judges in every session, chosen or not.
    mandatory: bool,
    /// Who wrote this version.
    changed_by: Uuid,
    changed_at: Timestamp,
    created_at: Timestamp,
}

impl From<CustomPolicy> for PolicyResponse {
    fn from(policy: CustomPolicy) -> Self {
        Self {
            name: policy.name,
            version: policy.version,
            text: policy.content.text,
            description: policy.content.description,
            mandatory: policy.content.is_mandatory,
            changed_by: policy.changed_by.0,
            changed_at: policy.changed_at,
            created_at: policy.created_at,
        }
    }
}

/// What one policy says of a tool call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpinionResponse {
    policy: String,
    /// Of a custom policy that is stored.
    version: Option<u32>,
    verdict: Word<Verdict>,
    /// The rule that decided; empty when none did.
    rule: String,
    reason: String,
}

impl From<Opinion> for OpinionResponse {
    fn from(opinion: Opinion) -> Self {
        Self {
            policy: opinion.policy,
            version: opinion.version,
            verdict: Word(opinion.verdict),
            rule: opinion.rule,
            reason: opinion.reason,
        }
    }
}
