//! Documents that tests write down.

use super::*;
use domain::{
    ApprovalKind, ApprovalStatus, MessageType, MicroUsd, SessionId, SessionMode, SessionStatus,
    ToolCallStatus, TurnFailure, TurnStatus, UserId, Verdict,
    report::{
        DOCUMENT_VERSION, LeftOut, ReportApproval, ReportDecision, ReportMessage, ReportMetrics, ReportModel,
        ReportSession, ReportTokens, ReportToolCall, ReportTurn,
    },
};
use jiff::Timestamp;
use uuid::Uuid;

/// A small session with one of everything.
pub(crate) fn document() -> ReportDocument {
    let at = |second: i64| Timestamp::from_second(1_790_000_000 + second).unwrap();
    let tokens = ReportTokens { input: 1200, output: 340, cache_creation: 50_000, cache_read: 1_250_000 };
    let turn = |number: u64, cost: i64| ReportTurn {
        number,
        status: TurnStatus::Completed,
        failure: None,
        error_message: None,
        rounds: 3,
        retries: 0,
        cost_micro_usd: MicroUsd(cost),
        tokens,
        started_at: Some(at(10)),
        duration_ms: Some(12_345),
    };
    ReportDocument {
        version: DOCUMENT_VERSION,
        generated_at: at(100),
        session: ReportSession {
            id: SessionId(Uuid::from_u128(7)),
            user_id: UserId(Uuid::from_u128(8)),
            name: Some("Tidy <the> house".into()),
            description: Some("All | rooms".into()),
            mode: SessionMode::Interactive,
            status: SessionStatus::Active,
            model: Some("claude-sonnet-4-5".into()),
            permission_mode: "default".into(),
            working_directory: "/srv/house".into(),
            parent_session_id: None,
            error_message: None,
            created_at: at(0),
            started_at: Some(at(5)),
            completed_at: None,
        },
        metrics: Some(ReportMetrics {
            messages: 2,
            tool_calls: 1,
            permission_checks: 1,
            hook_executions: 4,
            errors: 0,
            retries: 0,
            cost_micro_usd: MicroUsd(54_321),
            tokens,
            duration_ms: Some(95_000),
            by_model: vec![ReportModel {
                model: "claude-sonnet-4-5".into(),
                requests: 3,
                cost_micro_usd: MicroUsd(54_321),
                tokens,
            }],
            turns: vec![
                turn(1, 20_000),
                ReportTurn {
                    status: TurnStatus::Failed,
                    failure: Some(TurnFailure::AgentFailed),
                    error_message: Some("it died".into()),
                    ..turn(2, 34_321)
                },
            ],
        }),
        messages: Some(vec![
            message(1, MessageType::User, "Please tidy up."),
            message(2, MessageType::Assistant, "I *did*.\n\n- kitchen\n- hall\n\n```sh\nrm -r dust\n```"),
        ]),
        tool_calls: Some(vec![ReportToolCall {
            tool_use_id: "toolu_1".into(),
            tool_name: "Bash".into(),
            input: "{\n  \"command\": \"ls\"\n}".into(),
            output: Some("dust\nmore dust".into()),
            status: ToolCallStatus::Completed,
            permission_decision: Some("allow".into()),
            permission_reason: Some("reading is allowed".into()),
            created_at: at(20),
            duration_ms: Some(120),
        }]),
        decisions: Some(vec![ReportDecision {
            tool_use_id: Some("toolu_1".into()),
            tool_name: "Bash".into(),
            verdict: Verdict::Allow,
            policy: "commands".into(),
            rule: "read-only".into(),
            reason: "reading is allowed".into(),
            decided_by: "policy".into(),
            decided_at: at(20),
        }]),
        approvals: Some(vec![ReportApproval {
            kind: ApprovalKind::Tool,
            tool_name: "Write".into(),
            tool_use_id: "toolu_2".into(),
            title: Some("Write a note?".into()),
            reason: None,
            status: ApprovalStatus::Denied,
            decided_by: Some(UserId(Uuid::from_u128(8))),
            decision_reason: Some("not now".into()),
            asked_at: at(30),
            decided_at: Some(at(40)),
        }]),
        left_out: LeftOut::default(),
    }
}

pub(crate) fn message(number: u64, message_type: MessageType, text: &str) -> ReportMessage {
    ReportMessage {
        sequence_number: number,
        message_type,
        text: text.into(),
        model: (message_type == MessageType::Assistant).then(|| "claude-sonnet-4-5".into()),
        parent_tool_use_id: None,
        created_at: Timestamp::from_second(1_790_000_000).unwrap(),
    }
}

/// A session in which nothing happened.
pub(crate) fn empty() -> ReportDocument {
    let full = document();
    ReportDocument {
        session: ReportSession { name: None, description: None, model: None, ..full.session },
        metrics: full.metrics.map(|metrics| ReportMetrics { by_model: vec![], turns: vec![], ..metrics }),
        messages: Some(vec![]),
        tool_calls: Some(vec![]),
        decisions: Some(vec![]),
        approvals: Some(vec![]),
        ..full
    }
}

#[test]
fn what_is_left_out_is_said() {
    let left_out = LeftOut { messages: 1500, older_turns: true, shortened_texts: 2, ..LeftOut::default() };
    let document = ReportDocument { left_out, ..document() };
    let said = sections(&document)[0].pieces.iter().find_map(|piece| match piece {
        Piece::Note { text } => Some(text.clone()),
        _ => None,
    });
    assert_eq!(
        said.unwrap(),
        "This report is not the whole session. Left out: the first 1\u{a0}500 messages, older turns. Shortened texts: \
         2; each says how long it was."
    );
}

#[test]
fn parts_that_were_not_wanted_are_not_there() {
    let document = ReportDocument {
        metrics: None,
        messages: None,
        tool_calls: None,
        decisions: None,
        approvals: None,
        ..document()
    };
    let titles: Vec<_> = sections(&document).iter().map(|section| section.title).collect();
    assert_eq!(titles, ["Session"]);
}

#[test]
fn a_document_survives_being_stored() {
    let stored = serde_json::to_vec(&document()).unwrap();
    assert_eq!(serde_json::from_slice::<ReportDocument>(&stored).unwrap(), document());
}
