//! Decisions about tool calls.

use super::{AnyStore, Fixture, fixture::data};
use domain::{
    DecidedBy, DecisionFilter, EventKind, Generation, Opinion, PageRequest, PermissionDecision,
    PermissionDecisionId, SessionId, TurnId, UserId, Verdict, ports::StoreError,
};
use futures::future::join_all;
use serde_json::json;

pub async fn a_decision_is_stored_counted_and_journalled_at_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let decision = PermissionDecision {
        opinion: Opinion {
            version: Some(7),
            ..Opinion::new(Verdict::Deny, "no-force-push", "policy3", "history is not rewritten")
        },
        decided_by: DecidedBy::User(f.user.id),
        interrupted: true,
        ..decision(&f, session, Some(turn))
    };
    let event = f.store.record_decision(&decision, Generation::FIRST).await.unwrap();
    assert_eq!((event.kind, event.turn_id), (EventKind::PermissionDecision, Some(turn)));
    let expected = json!({
        "decision_id": decision.id, "tool_use_id": "toolu_1", "tool_name": "Bash", "decision": "deny",
        "policy": "no-force-push", "policy_version": 7, "rule": "policy3",
        "reason": "history is not rewritten", "decided_by": "user",
    });
    assert_eq!(data(&event), &expected);
    assert_eq!(f.journal(session).await.last(), Some(&event));
    assert_eq!(f.reload(session).await.counters.permission_checks, 1);
    let page = f.store.decisions(session, &DecisionFilter::default(), &PageRequest::first(10)).await.unwrap();
    assert_eq!(page.items, [decision]);
}

pub async fn everybody_who_may_decide_comes_back_as_stored<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let mut stored = vec![];
    for by in [DecidedBy::Policy, DecidedBy::User(UserId::new()), DecidedBy::Expiry, DecidedBy::Failure] {
        for verdict in Verdict::ALL {
            let opinion = Opinion::new(verdict, "tools", "", "");
            let decision = PermissionDecision { decided_by: by, opinion, ..decision(&f, session, None) };
            f.store.record_decision(&decision, Generation::FIRST).await.unwrap();
            stored.insert(0, decision);
        }
    }
    let page =
        f.store.decisions(session, &DecisionFilter::default(), &PageRequest::first(100)).await.unwrap();
    assert_eq!(page.items, stored);
}

pub async fn decisions_are_listed_newest_first_and_by_what_they_are<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, other) = (f.session().await.id, f.session().await.id);
    f.store.record_decision(&decision(&f, other, None), Generation::FIRST).await.unwrap();
    let mut asked = vec![];
    for round in 0..6 {
        let verdict = if round % 2 == 0 { Verdict::Ask } else { Verdict::Abstain };
        let tool_name = if round < 4 { "Bash" } else { "Write" }.to_owned();
        let opinion = Opinion::new(verdict, "paths", "", "");
        let decision = PermissionDecision { opinion, tool_name, ..decision(&f, session, None) };
        f.store.record_decision(&decision, Generation::FIRST).await.unwrap();
        if verdict == Verdict::Ask {
            asked.insert(0, decision);
        }
    }
    let filter = DecisionFilter { decision: Some(Verdict::Ask), tool_name: None };
    let mut listed = Vec::new();
    let mut page = PageRequest::first(2);
    loop {
        let found = f.store.decisions(session, &filter, &page).await.unwrap();
        listed.extend(found.items);
        let Some(cursor) = found.next_cursor else { break };
        page.cursor = Some(cursor);
    }
    assert_eq!(listed, asked);
    let filter = DecisionFilter { decision: Some(Verdict::Ask), tool_name: Some("Write".into()) };
    let found = f.store.decisions(session, &filter, &PageRequest::first(9)).await.unwrap();
    assert_eq!(found.items, asked[..1]);
    let cursor = page.cursor;
    let elsewhere = PageRequest { cursor, ..PageRequest::first(2) };
    let refused = f.store.decisions_since(f.tick(), &elsewhere).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)), "{refused:?}");
}

pub async fn recent_decisions_are_found_across_sessions<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (one, two) = (f.session().await.id, f.session().await.id);
    f.store.record_decision(&decision(&f, one, None), Generation::FIRST).await.unwrap();
    let mut recent = vec![];
    for session in [two, one, two] {
        let decision = decision(&f, session, None);
        f.store.record_decision(&decision, Generation::FIRST).await.unwrap();
        recent.insert(0, decision);
    }
    let since = recent[2].decided_at;
    let first = f.store.decisions_since(since, &PageRequest::first(2)).await.unwrap();
    assert_eq!(first.items, recent[..2]);
    let next = PageRequest { cursor: first.next_cursor, ..PageRequest::first(2) };
    let next = f.store.decisions_since(since, &next).await.unwrap();
    assert_eq!((next.items, next.next_cursor), (recent[2..].to_vec(), None));
}

pub async fn concurrent_decisions_are_all_counted<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let decisions: Vec<_> = (0..20).map(|_| decision(&f, session, None)).collect();
    for recorded in
        join_all(decisions.iter().map(|decision| f.store.record_decision(decision, Generation::FIRST))).await
    {
        recorded.unwrap();
    }
    assert_eq!(f.reload(session).await.counters.permission_checks, 20);
    assert_eq!(f.journal(session).await.len(), 20);
}

pub async fn no_decision_is_recorded_for_a_session_that_is_not_there<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let nowhere = SessionId::new();
    assert!(f.store.record_decision(&decision(&f, nowhere, None), Generation::FIRST).await.is_err());
    let page = f.store.decisions_since(f.user.created_at, &PageRequest::first(10)).await.unwrap();
    assert_eq!(page.items, []);
}

pub(super) fn decision<S: AnyStore>(
    f: &Fixture<S>,
    session: SessionId,
    turn: Option<TurnId>,
) -> PermissionDecision {
    PermissionDecision {
        id: PermissionDecisionId::new(),
        session_id: session,
        turn_id: turn,
        tool_use_id: Some("toolu_1".into()),
        tool_name: "Bash".into(),
        input_data: json!({ "command": "git push --force\u{0}", "timeout": 1.5 }),
        context: json!({ "cwd": "/work", "permission_mode": "default", "agent_id": null }),
        opinion: Opinion::abstain("none"),
        decided_by: DecidedBy::Policy,
        interrupted: false,
        decided_at: f.tick(),
    }
}
