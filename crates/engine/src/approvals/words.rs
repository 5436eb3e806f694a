//! What the model reads about decisions of people.

use domain::{Approval, ApprovalKind, ApprovalStatus, Verdict};
use serde_json::Value;

/// Input longer than this is not repeated to the model, which has it in its own words already.
const INPUT_CHARS_MAX: usize = 4000;

/// Why the call does not run.
pub(crate) fn denied(approval: &Approval) -> String {
    match (approval.status, &approval.decision_reason) {
        (ApprovalStatus::Denied, Some(reason)) => format!("The user denied this call: {reason}"),
        (ApprovalStatus::Denied, None) => "The user denied this call.".to_owned(),
        (ApprovalStatus::Expired, _) => {
            let seconds = approval.expires_at.duration_since(approval.created_at).as_secs();
            format!("Nobody approved this call within {seconds} s, so it was denied.")
        }
        _ => "This call was not approved.".to_owned(),
    }
}

/// What is said at once in a background session where nobody is asked.
pub(crate) const NOBODY_THERE: &str = "This session works in the background and nobody is there to approve this call, so \
    it was denied. Go on without it.";

/// The prompt with which a session goes on by itself after a decision that came late.
pub(crate) fn go_on(approval: &Approval) -> String {
    match approval.verdict() {
        Some(Verdict::Allow) if approval.kind == ApprovalKind::Tool => {
            format!("{} Make it now, exactly like this, and go on with your work.", decision(approval))
        }
        _ => format!("{} Go on with your work.", decision(approval)),
    }
}

/// What the model is told, before its next prompt, of decisions that came late.
pub(crate) fn note(approvals: &[Approval]) -> String {
    let decisions: Vec<String> = approvals.iter().map(decision).collect();
    format!("Decisions about calls you asked for before you were interrupted:\n\n{}", decisions.join("\n\n"))
}

fn decision(approval: &Approval) -> String {
    let tool = &approval.tool_name;
    let said = approval.decision_reason.as_ref();
    let said = said.map(|reason| format!(" They said: {reason}")).unwrap_or_default();
    if approval.verdict() == Some(Verdict::Allow) {
        let edited =
            if approval.updated_input.is_some() { ", with this input in place of yours" } else { "" };
        let input = shown(approval.final_input());
        return match approval.kind {
            ApprovalKind::Question => {
                let answers = shown(&approval.final_input()["answers"]);
                format!("Your questions from before the interruption were answered: {answers}{said}")
            }
            ApprovalKind::Tool | ApprovalKind::Plan => format!(
                "The call of {tool} that you asked for before you were interrupted was approved{edited}: {input}{said}"
            ),
        };
    }
    let input = shown(&approval.tool_input);
    match approval.status {
        ApprovalStatus::Expired => {
            format!("Nobody approved the call of {tool} in time, so it is denied: {input}")
        }
        _ => format!("The user denied the call of {tool}: {input}{said}"),
    }
}

fn shown(input: &Value) -> String {
    let text = input.to_string();
    if text.chars().count() <= INPUT_CHARS_MAX {
        return text;
    }
    let start: String = text.chars().take(INPUT_CHARS_MAX).collect();
    format!("{start}… (cut)")
}
