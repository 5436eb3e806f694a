//! Policies, and the engine that asks all of them: the greatest verdict wins, and one that cannot judge denies.

use crate::{Surroundings, ToolCall};
use async_trait::async_trait;
use domain::{Opinion, Verdict};
use std::{fmt, sync::Arc};

/// Why a policy could not come to a verdict; the call is denied. Its text is shown to the agent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotJudge(pub String);

/// Something that judges tool calls.
#[async_trait]
pub trait Policy: Send + Sync {
    /// Its name in opinions.
    fn name(&self) -> &str;

    /// Its opinion of a call.
    async fn judge(&self, call: &ToolCall, surroundings: &Surroundings) -> Result<Opinion, CannotJudge>;
}

/// All policies of a session, asked in order.
#[derive(Clone, Default)]
pub struct PolicyEngine {
    policies: Vec<Arc<dyn Policy>>,
}

impl fmt::Debug for PolicyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.policies.iter().map(|policy| policy.name())).finish()
    }
}

impl PolicyEngine {
    /// Asks these policies, in this order.
    #[must_use]
    pub fn new(policies: Vec<Arc<dyn Policy>>) -> Self {
        Self { policies }
    }

    /// The greatest opinion of all policies. One that cannot judge is a no.
    pub async fn judge(&self, call: &ToolCall, surroundings: &Surroundings) -> Opinion {
        let mut greatest = Opinion::abstain("none");
        for policy in &self.policies {
            let opinion = policy.judge(call, surroundings).await.unwrap_or_else(|error| {
                Opinion::new(Verdict::Deny, policy.name(), "cannot_judge", error.to_string())
            });
            greatest = greatest.or(opinion);
            if greatest.verdict == Verdict::Deny {
                break;
            }
        }
        greatest
    }
}
