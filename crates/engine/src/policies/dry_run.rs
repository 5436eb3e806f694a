//! Trying a policy on the past: which of the recorded decisions would have been others.

use super::{PolicyManager, admits, compile};
use crate::{
    Error, Result,
    agent::Directories,
    governance::{built_in_policies, surroundings},
};
use domain::{
    Caller, DecidedBy, Opinion, PageRequest, PermissionDecision, PermissionDecisionId, Scope, Session,
    SessionId, Verdict,
};
use jiff::{SignedDuration, Timestamp};
use permissions::{
    ToolCall,
    cedar::{CedarCall, CedarPolicy},
};
use std::{collections::HashMap, path::PathBuf, sync::Arc};

/// Most decisions that one dry run looks at, the newest first.
const DECISIONS_MAX: u64 = 20_000;
/// Most changed decisions that are listed; all are counted.
const CHANGES_MAX: usize = 1000;
/// Decisions that are read at a time.
const PAGE_ROWS: u32 = 500;

/// What is to be tried on which part of the past.
#[derive(Debug, Clone)]
pub struct DryRun {
    /// The policy that is tried, or that `text` would replace; with a text, it need not be stored.
    pub name: String,
    pub text: Option<String>,
    pub days: u32,
    pub over: RunsOver,
}

/// The sessions whose decisions are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsOver {
    /// All, as if the policy were mandatory.
    All,
    /// Those that choose it.
    Choosing,
}

/// What would have been.
#[derive(Debug, Clone, PartialEq)]
pub struct DryRunReport {
    pub since: Timestamp,
    /// Decisions of policies that were looked at. What people decided is not theirs to change.
    pub considered: u64,
    /// Of these, how many could not be judged again: their input is not on record as a whole.
    pub not_judged: u64,
    pub changed: u64,
    /// Whether all decisions of these days were looked at.
    pub is_complete: bool,
    /// The changed ones, newest first.
    pub changes: Vec<Change>,
}

/// A decision that would have been another.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub decision_id: PermissionDecisionId,
    pub session_id: SessionId,
    pub tool_name: String,
    pub decided_at: Timestamp,
    pub before: Verdict,
    /// The opinion that would have decided.
    pub after: Opinion,
}

impl PolicyManager {
    /// What would have been different in the last days. It shows everybody's decisions, so it is for admins.
    ///
    /// A recorded decision is the greatest opinion of all policies. One of another policy stands beside what the tried
    /// one says. One of this policy says nothing of the others, so those are asked again, as they are now.
    pub async fn dry_run(&self, caller: &Caller, run: DryRun) -> Result<DryRunReport> {
        admits(caller)?;
        let text = match run.text {
            Some(text) => text,
            None => self.get(&run.name).await?.content.text,
        };
        let tried = compile(&run.name, &text).await?.map_err(Error::Invalid)?;
        let stores = &self.sessions.inner.stores;
        let since = self.sessions.inner.clock.now() - SignedDuration::from_hours(24 * i64::from(run.days));
        let mut report = DryRunReport {
            since,
            considered: 0,
            not_judged: 0,
            changed: 0,
            is_complete: true,
            changes: vec![],
        };
        let mut sessions = HashMap::new();
        let mut page = PageRequest::first(PAGE_ROWS);
        let mut looked_at = 0;
        loop {
            let found = stores.decisions.decisions_since(since, &page).await?;
            for decision in found.items {
                if looked_at == DECISIONS_MAX {
                    report.is_complete = false;
                    return Ok(report);
                }
                looked_at += 1;
                let id = decision.session_id;
                if let std::collections::hash_map::Entry::Vacant(unknown) = sessions.entry(id) {
                    unknown.insert(stores.sessions.get(Scope::All, id).await?.map(Arc::new));
                }
                let Some(Some(session)) = sessions.get(&id) else { continue };
                let is_chosen = session.spec.custom_policies.contains(&run.name);
                let is_policys = matches!(decision.decided_by, DecidedBy::Policy | DecidedBy::Failure);
                if is_policys && (run.over == RunsOver::All || is_chosen) {
                    self.reconsider(&tried, decision, session, &mut report).await?;
                }
            }
            let Some(cursor) = found.next_cursor else { return Ok(report) };
            page.cursor = Some(cursor);
        }
    }

    async fn reconsider(
        &self,
        tried: &Arc<CedarPolicy>,
        decision: PermissionDecision,
        session: &Arc<Session>,
        report: &mut DryRunReport,
    ) -> Result<()> {
        report.considered += 1;
        let Some(call) = recorded_call(&decision) else {
            report.not_judged += 1;
            return Ok(());
        };
        let inner = &self.sessions.inner;
        let surroundings = surroundings(session, &Directories::of(&inner.settings, session));
        let in_words = CedarCall::new(&call, &surroundings, decision.decided_at);
        let before = decision.opinion.verdict;
        let says_nothing_of_others =
            decision.opinion.policy == tried.name() || decision.decided_by == DecidedBy::Failure;
        let others = if says_nothing_of_others {
            let judging =
                inner.governance.book.judging(&session.spec.custom_policies, Some(tried.name())).await;
            let built_in = built_in_policies(&inner.settings, session).judge(&call, &surroundings).await;
            match judging {
                Ok(judging) => {
                    judging.iter().map(|policy| policy.judge(&in_words)).fold(built_in, Opinion::or)
                }
                Err(error) => {
                    built_in.or(Opinion::new(Verdict::Deny, "custom", "cannot_judge", error.to_string()))
                }
            }
        } else {
            decision.opinion
        };
        let after = others.or(tried.judge(&in_words));
        if after.verdict != before {
            report.changed += 1;
            if report.changes.len() < CHANGES_MAX {
                report.changes.push(Change {
                    decision_id: decision.id,
                    session_id: decision.session_id,
                    tool_name: decision.tool_name,
                    decided_at: decision.decided_at,
                    before,
                    after,
                });
            }
        }
        Ok(())
    }
}

/// The call that was decided about, if it is on record as a whole.
fn recorded_call(decision: &PermissionDecision) -> Option<ToolCall> {
    let context = &decision.context;
    if context["input_is_cut"] == true {
        return None;
    }
    Some(ToolCall {
        tool_name: decision.tool_name.clone(),
        input: decision.input_data.clone(),
        tool_use_id: decision.tool_use_id.clone(),
        agent_id: context["agent_id"].as_str().map(str::to_owned),
        cwd: PathBuf::from(context["cwd"].as_str()?),
        permission_mode: context["permission_mode"].as_str().map(str::to_owned),
    })
}
