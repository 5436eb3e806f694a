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

impl fmt::Debug for dyn Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What all policies together say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub opinion: Opinion,
    /// Whether a policy could not judge, which is a no.
    pub is_failure: bool,
}

/// All policies of a session, asked in order.
#[derive(Clone, Default)]
pub struct PolicyEngine {
    policies: Vec<Arc<dyn Policy>>,
}

impl fmt::Debug for PolicyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.policies).finish()
    }
}

impl PolicyEngine {
    /// Asks these policies, in this order.
    #[must_use]
    pub fn new(policies: Vec<Arc<dyn Policy>>) -> Self {
        Self { policies }
    }

    /// The same and further ones, asked after these.
    #[must_use]
    pub fn with(mut self, further: impl IntoIterator<Item = Arc<dyn Policy>>) -> Self {
        self.policies.extend(further);
        self
    }

    /// The greatest opinion of all policies. One that cannot judge is a no.
    pub async fn judge(&self, call: &ToolCall, surroundings: &Surroundings) -> Opinion {
        self.consider(call, surroundings).await.opinion
    }

    /// The same, and whether the no is one of a policy that could not judge.
    pub async fn consider(&self, call: &ToolCall, surroundings: &Surroundings) -> Judgement {
        let mut greatest = Opinion::abstain("none");
        for policy in &self.policies {
            match policy.judge(call, surroundings).await {
                Ok(opinion) => greatest = greatest.or(opinion),
                Err(error) => {
                    let opinion =
                        Opinion::new(Verdict::Deny, policy.name(), "cannot_judge", error.to_string());
                    return Judgement { opinion, is_failure: true };
                }
            }
            if greatest.verdict == Verdict::Deny {
                break;
            }
        }
        Judgement { opinion: greatest, is_failure: false }
    }
}
