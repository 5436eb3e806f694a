//! Custom policies and all their versions.

use super::{
    MemoryStore, State,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    CustomPolicy, Expected, Origin, Page, PageRequest, PolicyId,
    audit::events,
    policy::{NewPolicyVersion, PolicyInForce, Revision},
    ports::{Policies, StoreError, StoreResult},
};
use jiff::Timestamp;

/// A policy with its versions, the oldest first; there is always one.
#[derive(Debug)]
pub(super) struct StoredPolicy {
    versions: Vec<CustomPolicy>,
    is_deleted: bool,
}

#[async_trait]
impl Policies for MemoryStore {
    async fn create_policy(&self, new: &NewPolicyVersion, origin: &Origin) -> StoreResult<CustomPolicy> {
        let mut state = self.state();
        let created = match state.stored_policy(&new.name) {
            Some(known) if !known.is_deleted => {
                return Err(StoreError::Conflict { what: "a policy of this name" });
            }
            Some(known) => {
                known.is_deleted = false;
                known.add(new)
            }
            None => {
                let first = version(PolicyId::new(), 1, new, new.at);
                state.policies.push(StoredPolicy { versions: vec![first.clone()], is_deleted: false });
                first
            }
        };
        state.audit(events::policy_created(&created, origin))?;
        Ok(created)
    }

    async fn revise_policy(
        &self,
        next: &NewPolicyVersion,
        expected: u32,
        origin: &Origin,
    ) -> StoreResult<Revision> {
        let mut state = self.state();
        let known = state.stored_policy(&next.name).filter(|known| !known.is_deleted);
        let Some(known) = known else { return Ok(Revision::NoPolicy) };
        let current = known.versions.len();
        if current != expected as usize {
            return Ok(Revision::Stale(number(current)));
        }
        let revised = known.add(next);
        state.audit(events::policy_changed(&revised, origin))?;
        Ok(Revision::Stored(Box::new(revised)))
    }

    async fn policy(&self, name: &str) -> StoreResult<Option<CustomPolicy>> {
        Ok(self.newest_policies().into_iter().find(|policy| policy.name == name))
    }

    async fn policy_version(&self, name: &str, version: u32) -> StoreResult<Option<CustomPolicy>> {
        let mut state = self.state();
        let known = state.stored_policy(name);
        let mut versions = known.into_iter().flat_map(|known| &known.versions);
        Ok(versions.find(|known| known.version == version).cloned())
    }

    async fn policies(&self, page: &PageRequest) -> StoreResult<Page<CustomPolicy>> {
        let key = |policy: &CustomPolicy| instant_key(policy.created_at, policy.id.0);
        read_page("policies", self.newest_policies(), key, Direction::Descending, page)
    }

    async fn policy_versions(&self, name: &str, page: &PageRequest) -> StoreResult<Page<CustomPolicy>> {
        let known = self.state().stored_policy(name).map(|known| known.versions.clone());
        let key = |policy: &CustomPolicy| (policy.version.into(), policy.id.0);
        read_page("policy-versions", known.unwrap_or_default(), key, Direction::Descending, page)
    }

    async fn policies_in_force(&self) -> StoreResult<Vec<PolicyInForce>> {
        let mut known = self.newest_policies();
        known.sort_by(|a, b| a.name.cmp(&b.name));
        let in_force = known.into_iter().map(|policy| PolicyInForce {
            name: policy.name,
            version: policy.version,
            is_mandatory: policy.content.is_mandatory,
        });
        Ok(in_force.collect())
    }

    async fn delete_policy(
        &self,
        name: &str,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let known = state.stored_policy(name).filter(|known| !known.is_deleted);
        let Some(known) = known else { return Ok(false) };
        known.versions.last().map_or(Ok(()), |newest| expected.admit(newest))?;
        known.is_deleted = true;
        if let Some(deleted) = known.versions.last().cloned() {
            state.audit(events::policy_deleted(&deleted, origin, at))?;
        }
        Ok(true)
    }
}

impl MemoryStore {
    fn newest_policies(&self) -> Vec<CustomPolicy> {
        let state = self.state();
        let known = state.policies.iter().filter(|known| !known.is_deleted);
        known.filter_map(|known| known.versions.last().cloned()).collect()
    }
}

impl State {
    fn stored_policy(&mut self, name: &str) -> Option<&mut StoredPolicy> {
        self.policies.iter_mut().find(|known| known.versions.iter().any(|version| version.name == name))
    }
}

impl StoredPolicy {
    fn add(&mut self, new: &NewPolicyVersion) -> CustomPolicy {
        let (id, created_at) =
            self.versions.first().map_or((PolicyId::new(), new.at), |first| (first.id, first.created_at));
        let next = version(id, number(self.versions.len() + 1), new, created_at);
        self.versions.push(next.clone());
        next
    }
}

fn version(id: PolicyId, version: u32, new: &NewPolicyVersion, created_at: Timestamp) -> CustomPolicy {
    CustomPolicy {
        id,
        name: new.name.clone(),
        version,
        content: new.content.clone(),
        changed_by: new.by,
        changed_at: new.at,
        created_at,
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
