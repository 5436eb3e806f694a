//! Which questions need no person any more, because one has answered them before.

use domain::{Approval, Verdict};
use sdk_runtime::{
    PermissionBehavior, PermissionDestination, PermissionRule, PermissionUpdate, ToolQuestion,
};
use serde::Deserialize as _;
use serde_json::Value;

/// An earlier yes that covers a question.
#[derive(Debug, PartialEq)]
pub(crate) enum Covered<'a> {
    /// It was given for the session, to this very input.
    Remembered(&'a Approval),
    /// It was given for the session, to calls of this kind.
    OfKind(&'a Approval),
    /// It was given to this very call, whose agent did not live to hear it.
    Once(&'a Approval),
}

/// The earlier yes that covers this question, if there is one.
///
/// A remembered yes covers the same input, and what the agent's own rules of that answer cover: the agent suggests the
/// rules that would let a call run, and when all it suggests now was granted before, the call is of the granted kind.
/// So nobody here needs to know how the agent matches its rules, and they hold for its next process too.
pub(crate) fn covering<'a>(standing: &'a [Approval], question: &ToolQuestion) -> Option<Covered<'a>> {
    let allowed = |approval: &&Approval| {
        approval.tool_name == question.tool_name && approval.verdict() == Some(Verdict::Allow)
    };
    let (remembered, once): (Vec<_>, Vec<_>) =
        standing.iter().filter(allowed).partition(|approval| approval.remember);
    let is_same = |approval: &&&Approval| {
        let same = |input| same_call(&question.tool_name, &question.input, input);
        same(&approval.tool_input) || same(approval.final_input())
    };
    if let Some(approval) = once.iter().find(is_same) {
        return Some(Covered::Once(approval));
    }
    if let Some(approval) = remembered.iter().find(is_same) {
        return Some(Covered::Remembered(approval));
    }
    // What a policy wants to be asked about is of no kind that the agent's rules know.
    if question.decision_reason_type.as_deref() == Some("hook") {
        return None;
    }
    let wanted = rules(&question.suggestions).filter(|wanted| !wanted.is_empty())?;
    let granted: Vec<_> =
        remembered.iter().filter_map(|approval| rules(&granted(approval))).flatten().collect();
    let is_covered = wanted.iter().all(|rule| granted.contains(rule));
    remembered.last().filter(|_| is_covered).map(|approval| Covered::OfKind(approval))
}

/// The rule changes that go to the agent with a remembered yes: what it suggested, as far as it allows calls, for the
/// session only. A change of the permission mode would allow far more than what was asked.
pub(crate) fn kept(approval: &Approval) -> Vec<PermissionUpdate> {
    let allows = |update: &PermissionUpdate| {
        matches!(update, PermissionUpdate::AddRules { behavior: PermissionBehavior::Allow, .. })
    };
    let updates = granted(approval).into_iter().filter(allows);
    updates.map(|update| update.kept_in(PermissionDestination::Session)).collect()
}

/// What the agent suggested, unless the person changed the input: then it was not this kind of call they agreed to.
fn granted(approval: &Approval) -> Vec<PermissionUpdate> {
    if approval.updated_input.is_some() {
        return Vec::new();
    }
    Vec::deserialize(&approval.suggestions).unwrap_or_default()
}

/// The rules in these changes; `None` if one of them is something else than rules that allow.
fn rules(updates: &[PermissionUpdate]) -> Option<Vec<PermissionRule>> {
    let mut all = Vec::new();
    for update in updates {
        match update {
            PermissionUpdate::AddRules { rules, behavior: PermissionBehavior::Allow, .. } => {
                all.extend(rules.iter().cloned());
            }
            _ => return None,
        }
    }
    Some(all)
}

/// Whether two inputs do the same. What a model says about a command may differ each time.
fn same_call(tool: &str, one: &Value, other: &Value) -> bool {
    if tool != "Bash" {
        return one == other;
    }
    let bare = |input: &Value| {
        let mut input = input.clone();
        if let Some(fields) = input.as_object_mut() {
            fields.remove("description");
        }
        input
    };
    bare(one) == bare(other)
}
