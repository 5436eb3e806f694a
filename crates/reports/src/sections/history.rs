//! What was said, what tools did, and what was decided about it.

use super::{Body, Piece, Section, column, or_none};
use crate::words::{duration, instant, instant_if, word};
use domain::{
    MessageType,
    report::{ReportApproval, ReportDecision, ReportMessage, ReportToolCall},
};
use std::borrow::Cow;

pub(super) fn conversation(messages: &[ReportMessage]) -> Section<'_> {
    let entry = |message: &'_ ReportMessage| {
        let who = match message.message_type {
            MessageType::User => "User",
            MessageType::Assistant => "Assistant",
            MessageType::System => "System",
        };
        let mut about = vec![instant(message.created_at)];
        about.extend(message.model.clone());
        about.extend(message.parent_tool_use_id.as_ref().map(|_| "in a subagent".to_owned()));
        (format!("{} · {who}", message.sequence_number), about)
    };
    let pieces = messages.iter().map(|message| {
        let (title, about) = entry(message);
        Piece::Entry { title, about, body: vec![Body::Prose { text: &message.text }] }
    });
    or_none("Conversation", pieces.collect(), "Nothing was said.")
}

pub(super) fn tool_calls(calls: &[ReportToolCall]) -> Section<'_> {
    let pieces = calls.iter().map(|call| {
        let mut about = vec![word(call.status.as_str()), instant(call.created_at)];
        about.extend(call.duration_ms.map(duration));
        about.push(call.tool_use_id.clone());
        let mut body = vec![Body::Verbatim { label: "Input", text: Cow::Borrowed(call.input.as_str()) }];
        if let Some(output) = &call.output {
            body.push(Body::Verbatim { label: "Output", text: Cow::Borrowed(output.as_str()) });
        }
        let permission = [call.permission_decision.as_deref().map(word), call.permission_reason.clone()];
        let permission: Vec<String> = permission.into_iter().flatten().collect();
        if !permission.is_empty() {
            body.push(Body::Verbatim { label: "Permission", text: Cow::Owned(permission.join(": ")) });
        }
        Piece::Entry { title: call.tool_name.clone(), about, body }
    });
    or_none("Tool calls", pieces.collect(), "No tool was called.")
}

pub(super) fn decisions(decisions: &[ReportDecision]) -> Section<'_> {
    let rows: Vec<Vec<String>> = decisions
        .iter()
        .map(|decision| {
            let rule = match decision.rule.as_str() {
                "" => decision.policy.clone(),
                rule => format!("{}: {rule}", decision.policy),
            };
            vec![
                instant(decision.decided_at),
                decision.tool_name.clone(),
                decision.verdict.as_str().to_owned(),
                decision.decided_by.clone(),
                rule,
                decision.reason.clone(),
            ]
        })
        .collect();
    let columns = vec![
        column("At", 32),
        column("Tool", 16),
        column("Verdict", 12),
        column("By", 10),
        column("Rule", 26),
        column("Reason", 40),
    ];
    table_or_none("Decisions", columns, rows, "Nothing was decided.")
}

pub(super) fn approvals(approvals: &[ReportApproval]) -> Section<'_> {
    let rows: Vec<Vec<String>> = approvals
        .iter()
        .map(|approval| {
            let why = [&approval.title, &approval.reason, &approval.decision_reason];
            let why: Vec<&str> = why.into_iter().flatten().map(String::as_str).collect();
            vec![
                instant(approval.asked_at),
                approval.tool_name.clone(),
                word(approval.status.as_str()),
                instant_if(approval.decided_at).unwrap_or_default(),
                approval.decided_by.map(|user| user.to_string()).unwrap_or_default(),
                why.join(" — "),
            ]
        })
        .collect();
    let columns = vec![
        column("Asked", 36),
        column("Tool", 16),
        column("Answer", 12),
        column("Answered", 36),
        column("By", 24),
        column("Why", 36),
    ];
    table_or_none("Approvals", columns, rows, "Nobody was asked.")
}

fn table_or_none(
    title: &'static str,
    columns: Vec<super::Column>,
    rows: Vec<Vec<String>>,
    none: &str,
) -> Section<'static> {
    let pieces = if rows.is_empty() { vec![] } else { vec![Piece::Table { title: "", columns, rows }] };
    or_none(title, pieces, none)
}
