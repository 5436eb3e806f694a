//! Custom policies as people manage them: store, change, delete, try on a call, try on the past.

mod dry_run;
mod evaluate;

use crate::{Error, FieldError, Result, SessionManager, settings::PolicyChoice};
use domain::{
    Caller, CustomPolicy, Expected, Page, PageRequest, PolicyContent, Role,
    policy::{NewPolicyVersion, Revision},
    ports::StoreError,
};
use permissions::cedar::{CedarPolicy, TextFault};
use std::sync::Arc;

pub use dry_run::{Change, DryRun, DryRunReport, RunsOver};
pub use evaluate::{Evaluation, TriedCall};

/// Most policies that may be stored; each is looked at on every tool call of every session it judges.
const POLICIES_MAX: u64 = 1000;
/// Longest name of a policy.
const NAME_CHARS_MAX: usize = 64;
/// Names that policies of Steward's own have in opinions, and words that stand in a policy's place in addresses.
const RESERVED_NAMES: [&str; 12] = [
    "built-in", "canary", "commands", "custom", "evaluate", "network", "none", "paths", "record", "sandbox",
    "schema", "tools",
];

/// Custom policies. Everybody may see, try and choose them; admins write them.
#[derive(Debug, Clone)]
pub struct PolicyManager {
    sessions: SessionManager,
}

impl PolicyManager {
    /// The policies that judge in these sessions.
    #[must_use]
    pub fn new(sessions: SessionManager) -> Self {
        Self { sessions }
    }

    /// What policies can speak of, in the Cedar schema language.
    #[must_use]
    pub fn schema(&self) -> &'static str {
        permissions::cedar::SCHEMA
    }

    /// Stores a policy that was not there. It judges from the next tool call on, where it is mandatory or chosen.
    pub async fn create(
        &self,
        caller: &Caller,
        name: String,
        content: PolicyContent,
    ) -> Result<CustomPolicy> {
        admits(caller)?;
        let mut faults = name_faults(&name);
        faults.extend(text_faults(&name, &content.text).await?);
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let inner = &self.sessions.inner;
        let stored = inner.stores.policies.policies(&PageRequest::first(1)).await?.total;
        if stored.is_some_and(|stored| stored.count >= POLICIES_MAX) {
            return Err(Error::Forbidden("there are as many policies as there may be"));
        }
        let new = NewPolicyVersion { name, content, by: caller.user_id, at: inner.clock.now() };
        match inner.stores.policies.create_policy(&new, &caller.origin()).await {
            Err(StoreError::Conflict { .. }) => Err(Error::Exists("policy of that name")),
            created => Ok(self.announce(created?)),
        }
    }

    /// Stores the version after `expected`. Sessions are judged by it from the next tool call on.
    pub async fn replace(
        &self,
        caller: &Caller,
        name: String,
        expected: u32,
        content: PolicyContent,
    ) -> Result<CustomPolicy> {
        admits(caller)?;
        let faults = text_faults(&name, &content.text).await?;
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let inner = &self.sessions.inner;
        let next = NewPolicyVersion { name, content, by: caller.user_id, at: inner.clock.now() };
        match inner.stores.policies.revise_policy(&next, expected, &caller.origin()).await? {
            Revision::Stored(policy) => Ok(self.announce(*policy)),
            Revision::Stale(current) => Err(Error::PolicyChanged(current)),
            Revision::NoPolicy => Err(Error::NotFound("policy")),
        }
    }

    /// Deletes a policy; its versions can still be read. Tool calls of sessions that chose it are denied until they
    /// choose others: a rule does not fall away because somebody deleted it.
    pub async fn delete(&self, caller: &Caller, name: &str, expected: &Expected) -> Result<()> {
        admits(caller)?;
        let inner = &self.sessions.inner;
        let now = inner.clock.now();
        let deleted = inner.stores.policies.delete_policy(name, expected, now, &caller.origin()).await?;
        inner.governance.book.changed();
        if deleted { Ok(()) } else { Err(Error::NotFound("policy")) }
    }

    /// The newest version of a policy.
    pub async fn get(&self, name: &str) -> Result<CustomPolicy> {
        self.sessions.inner.stores.policies.policy(name).await?.ok_or(Error::NotFound("policy"))
    }

    /// One version of a policy, be it deleted: decisions name it.
    pub async fn version(&self, name: &str, version: u32) -> Result<CustomPolicy> {
        let found = self.sessions.inner.stores.policies.policy_version(name, version).await?;
        found.ok_or(Error::NotFound("policy version"))
    }

    /// The newest version of each policy.
    pub async fn list(&self, page: &PageRequest) -> Result<Page<CustomPolicy>> {
        Ok(self.sessions.inner.stores.policies.policies(page).await?)
    }

    /// The versions of a policy, newest first.
    pub async fn versions(&self, name: &str, page: &PageRequest) -> Result<Page<CustomPolicy>> {
        let versions = self.sessions.inner.stores.policies.policy_versions(name, page).await?;
        if versions.total.is_some_and(|total| total.count == 0) {
            Err(Error::NotFound("policy"))
        } else {
            Ok(versions)
        }
    }

    fn announce(&self, policy: CustomPolicy) -> CustomPolicy {
        self.sessions.inner.governance.book.changed();
        policy
    }
}

impl SessionManager {
    /// What is wrong with the policies a session wants to be judged by.
    pub(crate) async fn policy_faults(&self, chosen: &[String]) -> Result<Vec<FieldError>> {
        let mut faults = vec![];
        if chosen.is_empty() {
            return Ok(faults);
        }
        if self.inner.settings.governance.policy_choice == PolicyChoice::Closed {
            let message = "sessions may not choose policies on this server (ENABLE_CUSTOM_POLICIES)";
            return Ok(vec![FieldError::new("/custom_policies", "disabled", message)]);
        }
        let in_force = self.inner.stores.policies.policies_in_force().await?;
        for (index, name) in chosen.iter().enumerate() {
            if !in_force.iter().any(|policy| policy.name == *name) {
                let message = format!("there is no policy named {name:?} on this server");
                faults.push(FieldError::new(format!("/custom_policies/{index}"), "unknown", message));
            }
        }
        Ok(faults)
    }
}

fn admits(caller: &Caller) -> Result<()> {
    match caller.role {
        Role::Admin => Ok(()),
        Role::Member | Role::Viewer => Err(Error::Forbidden("only admins write policies")),
    }
}

fn name_faults(name: &str) -> Vec<FieldError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let well_formed = name.len() <= NAME_CHARS_MAX
        && name.starts_with(is_plain)
        && name.chars().all(|c| is_plain(c) || matches!(c, '-' | '_' | '.'));
    if !well_formed {
        let message = format!(
            "at most {NAME_CHARS_MAX} lower-case letters, digits, - _ and ., beginning with a letter or digit"
        );
        return vec![FieldError::new("/name", "name", message)];
    }
    if RESERVED_NAMES.contains(&name) {
        return vec![FieldError::new("/name", "reserved", "this name has a meaning of its own")];
    }
    vec![]
}

async fn text_faults(name: &str, text: &str) -> Result<Vec<FieldError>> {
    Ok(compile(name, text).await?.err().unwrap_or_default())
}

/// The policy, or its faults as those of the field `text`.
async fn compile(name: &str, text: &str) -> Result<std::result::Result<Arc<CedarPolicy>, Vec<FieldError>>> {
    let (name, text) = (name.to_owned(), text.to_owned());
    // The worst of texts takes a second, which no other request should wait.
    let compiled = tokio::task::spawn_blocking(move || CedarPolicy::compile(name, None, &text)).await;
    let compiled = compiled.map_err(|_| Error::Internal("check the policy's text"))?;
    let fault =
        |TextFault { line, column, code, message }| FieldError::new("/text", code, message).at(line, column);
    Ok(compiled.map(Arc::new).map_err(|faults| faults.into_iter().map(fault).collect()))
}
