//! The permission manager: judges every tool call of an agent, and puts each decision on record before the agent learns
//! of it.

use crate::{PolicyEngine, Surroundings, ToolCall, canary, excerpt::excerpt};
use async_trait::async_trait;
use domain::{
    Clock, CurrentTurn, DecidedBy, OpenAsks, Opinion, PermissionDecision, PermissionDecisionId, Verdict,
    ports::{Decisions, StoreResult},
};
use sdk_runtime::{Hook, HookInput, HookOutput, hook::SeamError};
use serde_json::json;
use std::{fmt, path::PathBuf, sync::Arc};

/// Judges what one agent wants to do. It is the agent's last `PreToolUse` hook, in every permission mode.
pub struct PermissionManager {
    engine: PolicyEngine,
    surroundings: Surroundings,
    turn: CurrentTurn,
    decisions: Arc<dyn Decisions>,
    clock: Arc<dyn Clock>,
    asks: OpenAsks,
}

impl fmt::Debug for PermissionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermissionManager")
            .field("engine", &self.engine)
            .field("surroundings", &self.surroundings)
            .finish_non_exhaustive()
    }
}

impl PermissionManager {
    /// Judges for the agent in these surroundings by these policies.
    #[must_use]
    pub fn new(
        engine: PolicyEngine,
        surroundings: Surroundings,
        turn: CurrentTurn,
        decisions: Arc<dyn Decisions>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { engine, surroundings, turn, decisions, clock, asks: OpenAsks::default() }
    }

    /// What the policies said of the calls that the agent now brings to its gate.
    #[must_use]
    pub fn asks(&self) -> &OpenAsks {
        &self.asks
    }

    /// What the policies say of a call, without any record: to look before somebody else decides.
    pub async fn judge(&self, call: &ToolCall) -> Opinion {
        self.engine.judge(call, &self.surroundings).await
    }

    /// What is to become of a call. It is on record when this answers; what cannot be recorded does not run.
    pub async fn decide(&self, call: &ToolCall) -> Opinion {
        let judgement = self.engine.consider(call, &self.surroundings).await;
        if canary::is_passed_trial(call, &judgement.opinion) {
            return judgement.opinion;
        }
        let decided_by = if judgement.is_failure { DecidedBy::Failure } else { DecidedBy::Policy };
        let decision = self.decision(call, judgement.opinion.clone(), decided_by);
        match self.decisions.record_decision(&decision, self.surroundings.generation).await {
            Ok(_) => judgement.opinion,
            Err(error) => {
                tracing::error!(session_id = %self.surroundings.session_id, tool_name = call.tool_name,
                    error = &error as &dyn std::error::Error, "denied a tool call that could not be recorded");
                Opinion::new(
                    Verdict::Deny,
                    "record",
                    "not_recorded",
                    "the decision about this call could not be put on record, so it does not run",
                )
            }
        }
    }

    /// Puts on record what somebody else decided about a call, such as a person. Unless this succeeds it does not run.
    pub async fn record(&self, call: &ToolCall, opinion: Opinion, decided_by: DecidedBy) -> StoreResult<()> {
        let decision = self.decision(call, opinion, decided_by);
        self.decisions.record_decision(&decision, self.surroundings.generation).await.map(drop)
    }

    fn decision(&self, call: &ToolCall, opinion: Opinion, decided_by: DecidedBy) -> PermissionDecision {
        let (input_data, is_cut) = excerpt(&call.input);
        PermissionDecision {
            id: PermissionDecisionId::new(),
            session_id: self.surroundings.session_id,
            turn_id: self.turn.get(),
            tool_use_id: call.tool_use_id.clone(),
            tool_name: call.tool_name.clone(),
            input_data,
            context: json!({
                "cwd": call.cwd,
                "permission_mode": call.permission_mode,
                "agent_id": call.agent_id,
                "input_is_cut": is_cut,
            }),
            opinion,
            decided_by,
            interrupted: false,
            decided_at: self.clock.now(),
        }
    }
}

#[async_trait]
impl Hook for PermissionManager {
    async fn on(&self, input: HookInput) -> Result<HookOutput, SeamError> {
        let Some(call) = tool_call(&input) else {
            return Err("a tool call without a name or a working directory cannot be judged".into());
        };
        let opinion = self.decide(&call).await;
        let output = answer(&opinion);
        if opinion.verdict == Verdict::Ask
            && let Some(tool_use_id) = call.tool_use_id
        {
            self.asks.put(tool_use_id, opinion);
        }
        Ok(output)
    }
}

/// The call as policies see it. The working directory decides what relative paths mean, so there is no judging without.
fn tool_call(input: &HookInput) -> Option<ToolCall> {
    Some(ToolCall {
        tool_name: input.tool_name.clone()?,
        input: input.tool_input.clone(),
        tool_use_id: input.tool_use_id.clone(),
        agent_id: input.agent_id.clone(),
        cwd: input.raw["cwd"].as_str().filter(|cwd| cwd.starts_with('/')).map(PathBuf::from)?,
        permission_mode: input.raw["permission_mode"].as_str().map(str::to_owned),
    })
}

/// The opinion in the agent's words. The policy is named, so that people know whom to ask.
fn answer(opinion: &Opinion) -> HookOutput {
    let Opinion { policy, reason, .. } = opinion;
    match opinion.verdict {
        Verdict::Abstain => HookOutput::proceed(),
        Verdict::Allow => HookOutput::allow_tool(),
        Verdict::Ask => HookOutput::ask_gate(format!("{reason} (policy {policy})")),
        Verdict::Deny => HookOutput::deny_tool(format!("{reason} (denied by policy {policy})")),
    }
}
