//! Which questions need no person any more, because one has answered them before.

use domain::{Approval, Verdict};
use sdk_runtime::{
    PermissionBehavior, PermissionDestination, PermissionRule, PermissionUpdate, ToolQuestion,
};
use serde::Deserialize as _;
use serde_json::Value;
use std::path::PathBuf;

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

/// What matters of a question here.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub tool_name: &'a str,
    pub input: &'a Value,
    pub suggestions: Vec<PermissionUpdate>,
    /// Whether a policy asks, and not the agent by itself.
    pub is_a_policys: bool,
}

impl<'a> From<&'a ToolQuestion> for Question<'a> {
    fn from(question: &'a ToolQuestion) -> Self {
        Self {
            tool_name: &question.tool_name,
            input: &question.input,
            suggestions: question.suggestions(),
            is_a_policys: question.decision_reason_type.as_deref() == Some("hook"),
        }
    }
}

/// The earlier yes that covers this question, if there is one.
///
/// A remembered yes covers the same input, and what the agent's own rules of that answer cover: the agent suggests the
/// rules that would let a call run, and when all it suggests now was granted before, the call is of the granted kind.
/// So nobody here needs to know how the agent matches its rules, and they hold for its next process too.
pub(crate) fn covering<'a>(standing: &'a [Approval], question: &Question<'_>) -> Option<Covered<'a>> {
    let allowed = |approval: &&Approval| {
        approval.tool_name == question.tool_name && approval.verdict() == Some(Verdict::Allow)
    };
    let (remembered, once): (Vec<_>, Vec<_>) =
        standing.iter().filter(allowed).partition(|approval| approval.remember);
    let is_same = |approval: &&&Approval| {
        let same = |input| same_call(question.tool_name, question.input, input);
        same(&approval.tool_input) || same(approval.final_input())
    };
    if let Some(approval) = once.iter().find(is_same) {
        return Some(Covered::Once(approval));
    }
    if let Some(approval) = remembered.iter().find(is_same) {
        return Some(Covered::Remembered(approval));
    }
    // What a policy wants to be asked about is of no kind that the agent's rules know.
    if question.is_a_policys {
        return None;
    }
    let wanted = Grants::of(&question.suggestions);
    let granted: Vec<_> = remembered.iter().flat_map(|approval| granted(approval)).collect();
    let is_covered = !wanted.rules.is_empty() && Grants::of(&granted).include(&wanted);
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

/// What rule changes allow. Changes of the permission mode are left out: the agent offers them as another way, which
/// nobody takes here.
#[derive(Default)]
struct Grants {
    rules: Vec<PermissionRule>,
    directories: Vec<PathBuf>,
}

impl Grants {
    fn of(updates: &[PermissionUpdate]) -> Self {
        let mut grants = Self::default();
        for update in updates {
            match update {
                PermissionUpdate::AddRules { rules, behavior: PermissionBehavior::Allow, .. } => {
                    grants.rules.extend(rules.iter().cloned());
                }
                PermissionUpdate::AddDirectories { directories, .. } => {
                    grants.directories.extend(directories.iter().cloned());
                }
                _ => {}
            }
        }
        grants
    }

    fn include(&self, wanted: &Self) -> bool {
        wanted.rules.iter().all(|rule| self.rules.contains(rule))
            && wanted.directories.iter().all(|directory| self.directories.contains(directory))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ApprovalId, ApprovalKind, ApprovalStatus, SessionId, TurnId, UserId};
    use jiff::Timestamp;
    use serde_json::json;

    fn allowed(input: Value, suggestions: Value, remember: bool) -> Approval {
        Approval {
            id: ApprovalId::new(),
            session_id: SessionId::new(),
            turn_id: TurnId::new(),
            user_id: UserId::new(),
            kind: ApprovalKind::Tool,
            tool_name: "Bash".into(),
            tool_use_id: "toolu_1".into(),
            tool_input: input,
            agent_id: None,
            title: None,
            description: None,
            reason: None,
            policy: None,
            rule: None,
            suggestions,
            status: ApprovalStatus::Allowed,
            default_verdict: Verdict::Deny,
            expires_at: Timestamp::UNIX_EPOCH,
            decided_at: None,
            decided_by: None,
            decision_reason: None,
            updated_input: None,
            remember,
            delivered_at: None,
            told_in: None,
            used_at: None,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn covers(standing: &[Approval], command: &str, suggestions: &Value, is_a_policys: bool) -> bool {
        let input = json!({ "command": command, "description": "words" });
        let suggestions = Vec::deserialize(suggestions).unwrap();
        let question = Question { tool_name: "Bash", input: &input, suggestions, is_a_policys };
        covering(standing, &question).is_some()
    }

    fn rule(content: &str) -> Value {
        json!({ "type": "addRules", "behavior": "allow", "destination": "localSettings",
                "rules": [{ "toolName": "Bash", "ruleContent": content }] })
    }

    fn directory(path: &str) -> Value {
        json!({ "type": "addDirectories", "directories": [path], "destination": "session" })
    }

    #[test]
    fn the_suggested_rules_cover_calls_of_that_kind_and_nothing_else() {
        let mode = json!({ "type": "setMode", "mode": "acceptEdits", "destination": "session" });
        let suggested = json!([rule("git push *"), directory("/here"), mode]);
        let remembered = [allowed(json!({ "command": "git push a" }), suggested.clone(), true)];
        let covers = |command: &str, suggestions: Value, is_a_policys: bool| {
            covers(&remembered, command, &suggestions, is_a_policys)
        };
        assert!(covers("git push a", json!([]), false), "the same call");
        assert!(covers("git push a", json!([]), true), "also when a policy asks");
        assert!(covers("git push b", suggested.clone(), false), "another of its kind");
        assert!(!covers("git push b", suggested.clone(), true), "a policy knows no kinds");
        assert!(!covers("git push b", json!([]), false), "nothing says what kind this is");
        assert!(!covers("git push b && rm c", json!([rule("git push *"), rule("rm *")]), false));
        assert!(!covers("git push b", json!([rule("git push *"), directory("/there")]), false));
        assert!(!covers("anything", json!([mode]), false), "a mode is no rule");
    }

    #[test]
    fn what_a_person_changed_is_remembered_as_that_call_alone() {
        let suggested = json!([rule("rm *")]);
        let mut changed = allowed(json!({ "command": "rm a" }), suggested.clone(), true);
        changed.updated_input = Some(json!({ "command": "ls a" }));
        assert_eq!(kept(&changed), []);
        let standing = [changed];
        assert!(!covers(&standing, "rm b", &suggested, false));
        assert!(covers(&standing, "rm a", &suggested, false));
    }

    #[test]
    fn a_yes_that_came_late_is_for_the_call_it_was_given_to() {
        let standing = [allowed(json!({ "command": "rm a" }), json!([rule("rm *")]), false)];
        assert!(covers(&standing, "rm a", &json!([rule("rm *")]), false));
        assert!(!covers(&standing, "rm b", &json!([rule("rm *")]), false));
    }
}
