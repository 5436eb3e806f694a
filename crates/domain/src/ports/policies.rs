//! Custom policies and all their versions.

use super::StoreResult;
use crate::{
    CustomPolicy, Expected, Origin, Page, PageRequest,
    policy::{NewPolicyVersion, PolicyInForce, Revision},
};
use async_trait::async_trait;
use jiff::Timestamp;

/// Custom policies.
#[async_trait]
pub trait Policies: Send + Sync {
    /// Stores a policy; [`super::StoreError::Conflict`] if there is one of that name. One that was deleted is taken up
    /// again under its id, with the version after its last.
    async fn create_policy(&self, new: &NewPolicyVersion, origin: &Origin) -> StoreResult<CustomPolicy>;

    /// Stores the version after `expected`, if that is the newest.
    async fn revise_policy(
        &self,
        next: &NewPolicyVersion,
        expected: u32,
        origin: &Origin,
    ) -> StoreResult<Revision>;

    /// The newest version of a policy that is not deleted.
    async fn policy(&self, name: &str) -> StoreResult<Option<CustomPolicy>>;

    /// One version, also of a deleted policy.
    async fn policy_version(&self, name: &str, version: u32) -> StoreResult<Option<CustomPolicy>>;

    /// The newest version of each policy that is not deleted, the last created policy first.
    async fn policies(&self, page: &PageRequest) -> StoreResult<Page<CustomPolicy>>;

    /// The versions of a policy, newest first, also of a deleted one.
    async fn policy_versions(&self, name: &str, page: &PageRequest) -> StoreResult<Page<CustomPolicy>>;

    /// Every policy that is not deleted, by name.
    async fn policies_in_force(&self) -> StoreResult<Vec<PolicyInForce>>;

    /// Deletes a policy; false if there is none. Its versions stay.
    async fn delete_policy(
        &self,
        name: &str,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool>;
}
