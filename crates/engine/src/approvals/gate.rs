//! The gate of one agent: what its rules and our policies leave open is asked of a person. Doubt means no.

use super::{
    desk::Desk,
    remembered::{self, Covered, Question},
    words,
};
use crate::{live::Subject, settings::BackgroundApprovals, waits::Waits};
use async_trait::async_trait;
use domain::{
    Approval, ApprovalId, ApprovalKind, ApprovalStatus, CurrentTurn, DecidedBy, Generation, Opinion,
    SessionMode, TurnId, Verdict,
};
use jiff::SignedDuration;
use monitoring::spans;
use permissions::{PermissionManager, ToolCall};
use sdk_runtime::{Decision, DecisionClassification, Gate, ToolQuestion, hook::SeamError};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tracing::Instrument;

/// The policy named in the record of what people decide.
const POLICY: &str = "approval";
const NOT_RECORDED: &str = "the decision about this call could not be put on record, so it does not run";

/// Asks people on behalf of one agent.
pub(crate) struct ApprovalGate {
    pub desk: Arc<Desk>,
    pub subject: Subject,
    pub working_directory: PathBuf,
    pub permissions: Arc<PermissionManager>,
    pub turn: CurrentTurn,
    pub waits: Waits,
    pub left_plan_mode: Arc<AtomicBool>,
}

#[async_trait]
impl Gate for ApprovalGate {
    async fn can_use_tool(&self, question: ToolQuestion) -> Result<Decision, SeamError> {
        let Some(turn) = self.turn.get() else {
            return Ok(Decision::deny("No turn is running, so nobody is asked and this call does not run."));
        };
        let asked = self.permissions.asks().take(&question.tool_use_id);
        let standing = self.desk.store.standing(self.subject.session_id, turn).await?;
        match remembered::covering(&standing, &Question::from(&question)) {
            Some(Covered::Remembered(approval)) => {
                return Ok(self
                    .allow(&question, approval, approval.updated_input.clone(), "remembered")
                    .await);
            }
            Some(Covered::OfKind(approval)) => {
                return Ok(self.allow(&question, approval, None, "remembered").await);
            }
            Some(Covered::Once(approval))
                if self
                    .desk
                    .store
                    .use_up(approval.id, self.subject.generation, self.desk.clock.now())
                    .await? =>
            {
                return Ok(self
                    .allow(&question, approval, approval.updated_input.clone(), "answered_late")
                    .await);
            }
            Some(Covered::Once(_)) | None => {}
        }
        if self.subject.mode == SessionMode::Background
            && self.desk.settings.background != BackgroundApprovals::Wait
        {
            let opinion = Opinion::new(Verdict::Deny, POLICY, "background", words::NOBODY_THERE);
            return Ok(match self.record(&question, &question.input, opinion, DecidedBy::Policy).await {
                Ok(()) => Decision::deny(words::NOBODY_THERE),
                Err(no) => no,
            });
        }
        let approval = self.approval(turn, &question, asked);
        // From here on the row exists, or may: whatever ends this future early withdraws it.
        let mut open =
            Open { desk: Arc::clone(&self.desk), generation: self.subject.generation, id: Some(approval.id) };
        let _waiting = self.waits.begin();
        if !self.desk.open(&approval, self.subject.generation).await? {
            open.id = None;
            return Ok(Decision::deny("The turn is over, so this call does not run."));
        }
        let step = spans::approval(turn, &question.tool_use_id, &question.tool_name);
        let decided = self.desk.wait(&approval).instrument(step.span()).await?;
        step.end(decided.status.as_str());
        let is_ours =
            self.desk.store.deliver(decided.id, self.subject.generation, self.desk.clock.now()).await?;
        open.id = None;
        if !is_ours {
            return Ok(Decision::deny("This call was settled elsewhere, so it does not run here."));
        }
        Ok(self.conclude(&question, &decided).await)
    }
}

impl ApprovalGate {
    fn approval(&self, turn: TurnId, question: &ToolQuestion, asked: Option<Opinion>) -> Approval {
        let now = self.desk.clock.now();
        let terms = asked.as_ref().and_then(|opinion| opinion.terms);
        let timeout = match terms {
            Some(terms) => SignedDuration::from_secs(terms.expires_after_seconds.into()),
            None => SignedDuration::try_from(self.desk.settings.timeout).unwrap_or(SignedDuration::MAX),
        };
        let is_yes = terms.is_some_and(|terms| terms.allows_when_expired);
        let reason = asked.as_ref().map(|opinion| opinion.reason.clone());
        Approval {
            id: ApprovalId::new(),
            session_id: self.subject.session_id,
            turn_id: turn,
            user_id: self.subject.user_id,
            kind: ApprovalKind::of_tool(&question.tool_name),
            tool_name: question.tool_name.clone(),
            tool_use_id: question.tool_use_id.clone(),
            tool_input: question.input.clone(),
            agent_id: question.agent_id.clone(),
            title: question.title.clone(),
            description: question.description.clone(),
            reason: reason.or_else(|| question.decision_reason.clone()),
            policy: asked.as_ref().map(|opinion| opinion.policy.clone()),
            rule: asked.map(|opinion| opinion.rule),
            suggestions: json!(question.suggestions()),
            status: ApprovalStatus::Pending,
            default_verdict: if is_yes { Verdict::Allow } else { Verdict::Deny },
            expires_at: now.saturating_add(timeout).unwrap_or(now),
            decided_at: None,
            decided_by: None,
            decision_reason: None,
            updated_input: None,
            remember: false,
            delivered_at: None,
            told_in: None,
            used_at: None,
            created_at: now,
        }
    }

    async fn conclude(&self, question: &ToolQuestion, decided: &Approval) -> Decision {
        if decided.verdict() == Some(Verdict::Allow) {
            return self.allow(question, decided, decided.updated_input.clone(), rule_of(decided)).await;
        }
        let words = words::denied(decided);
        let opinion = Opinion::new(Verdict::Deny, POLICY, rule_of(decided), words.clone());
        match self.record(question, &question.input, opinion, decided_by(decided)).await {
            Ok(()) => Decision::deny(words).with_classification(DecisionClassification::UserReject),
            Err(no) => no,
        }
    }

    /// A yes, unless a policy forbids what a person changed the call to, or it cannot be recorded.
    async fn allow(
        &self,
        question: &ToolQuestion,
        approval: &Approval,
        updated_input: Option<Value>,
        rule: &str,
    ) -> Decision {
        let input = updated_input.clone().unwrap_or_else(|| question.input.clone());
        if updated_input.is_some() && approval.kind == ApprovalKind::Tool {
            let opinion = self.permissions.judge(&self.call(question, &input)).await;
            if opinion.verdict == Verdict::Deny {
                let words = format!("{} (denied by policy {})", opinion.reason, opinion.policy);
                return match self.record(question, &input, opinion, DecidedBy::Policy).await {
                    Ok(()) => Decision::deny(words),
                    Err(no) => no,
                };
            }
        }
        let reason = approval.decision_reason.clone();
        let reason = reason.unwrap_or_else(|| format!("approval {} says so", approval.id));
        let opinion = Opinion::new(Verdict::Allow, POLICY, rule, reason);
        if let Err(no) = self.record(question, &input, opinion, decided_by(approval)).await {
            return no;
        }
        if approval.kind == ApprovalKind::Plan {
            self.left_plan_mode.store(true, Ordering::Relaxed);
        }
        let (updates, who) = if approval.remember {
            (remembered::kept(approval), DecisionClassification::UserPermanent)
        } else {
            (Vec::new(), DecisionClassification::UserTemporary)
        };
        Decision::allow().with_input(input).with_updates(updates).with_classification(who)
    }

    /// Puts a decision on record; the error is the answer to give then.
    async fn record(
        &self,
        question: &ToolQuestion,
        input: &Value,
        opinion: Opinion,
        by: DecidedBy,
    ) -> Result<(), Decision> {
        self.permissions.record(&self.call(question, input), opinion, by).await.map_err(|error| {
            tracing::error!(session_id = %self.subject.session_id, tool_name = question.tool_name,
                error = &error as &dyn std::error::Error, "denied a tool call that could not be recorded");
            Decision::deny(NOT_RECORDED)
        })
    }

    fn call(&self, question: &ToolQuestion, input: &Value) -> ToolCall {
        ToolCall {
            tool_name: question.tool_name.clone(),
            input: input.clone(),
            tool_use_id: Some(question.tool_use_id.clone()),
            agent_id: question.agent_id.clone(),
            // A question does not say where the agent stands now.
            cwd: self.working_directory.clone(),
            permission_mode: None,
        }
    }
}

fn decided_by(approval: &Approval) -> DecidedBy {
    match approval.decided_by {
        Some(user) => DecidedBy::User(user),
        None => DecidedBy::Expiry,
    }
}

fn rule_of(approval: &Approval) -> &'static str {
    approval.status.as_str()
}

/// An approval somebody waits for; it is withdrawn if they are stopped.
struct Open {
    desk: Arc<Desk>,
    generation: Generation,
    id: Option<ApprovalId>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.desk.withdraw_later(id, self.generation);
        }
    }
}
