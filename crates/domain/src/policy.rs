//! Custom policies: texts with a name, of which every version is kept.

use crate::{PolicyId, UserId};
use jiff::Timestamp;

/// One version of a custom policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomPolicy {
    pub id: PolicyId,
    /// What sessions choose it by.
    pub name: String,
    /// Counted from 1 and never given out again, not even after the policy was deleted: a decision that names a version
    /// is about one text for good.
    pub version: u32,
    pub content: PolicyContent,
    /// Who wrote this version, and when.
    pub changed_by: UserId,
    pub changed_at: Timestamp,
    /// When the first version was stored.
    pub created_at: Timestamp,
}

/// What an admin decides about a policy; each change of it is a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyContent {
    /// In Cedar, by the published schema.
    pub text: String,
    pub description: Option<String>,
    /// Whether it judges in every session, chosen or not.
    pub is_mandatory: bool,
}

/// A policy, or a version of one, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicyVersion {
    pub name: String,
    pub content: PolicyContent,
    pub by: UserId,
    pub at: Timestamp,
}

/// A policy that judges now, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInForce {
    pub name: String,
    pub version: u32,
    pub is_mandatory: bool,
}

/// What came of storing a next version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    Stored(Box<CustomPolicy>),
    /// Somebody else was faster: this is the version now.
    Stale(u32),
    NoPolicy,
}
