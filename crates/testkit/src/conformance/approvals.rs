//! Approvals: asked once, decided once.

use super::{
    AnyStore, Fixture,
    fixture::{data, kinds},
};
use domain::{
    Approval, ApprovalAnswer, ApprovalDecision, ApprovalId, ApprovalKind, ApprovalOutcome, ApprovalStatus,
    Generation, Origin, PageRequest, Scope, SessionId, SessionStatus, TurnId, Verdict,
    ports::{Approvals, Decided},
};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

impl<S: AnyStore> Fixture<S> {
    /// A question that waits for an hour, with something in every field that its asker sets.
    pub fn question(&self, session: SessionId, turn: TurnId) -> Approval {
        let now = self.tick();
        Approval {
            id: ApprovalId::new(),
            session_id: session,
            turn_id: turn,
            user_id: self.user.id,
            kind: ApprovalKind::Tool,
            tool_name: "Bash".into(),
            tool_use_id: "toolu_1".into(),
            tool_input: json!({ "command": "make it so" }),
            agent_id: Some("agent-1".into()),
            title: Some("Run a command".into()),
            description: Some("Make it so".into()),
            reason: Some("nobody knows this command".into()),
            policy: Some("commands".into()),
            rule: Some("unknown".into()),
            suggestions: json!([{ "type": "addRules" }]),
            status: ApprovalStatus::Pending,
            default_verdict: Verdict::Deny,
            expires_at: now + SignedDuration::from_hours(1),
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

    /// Opens a question in a running turn.
    pub(super) async fn ask(&self, session: SessionId, turn: TurnId) -> Approval {
        let approval = self.question(session, turn);
        self.store.open(&approval, Generation::FIRST).await.unwrap().unwrap();
        approval
    }

    /// Decides now.
    pub(super) async fn decide(&self, id: ApprovalId, outcome: ApprovalOutcome) -> Decided {
        let decision = ApprovalDecision { outcome, at: self.tick() };
        self.store.decide(id, &decision, &Origin::system()).await.unwrap().unwrap()
    }

    pub(super) fn says(&self, is_allowed: bool) -> ApprovalAnswer {
        ApprovalAnswer {
            by: self.user.id,
            is_allowed,
            reason: Some("because".into()),
            updated_input: is_allowed.then(|| json!({ "command": "make it so, please" })),
            remember: false,
        }
    }

    pub(super) async fn approval(&self, of: &Approval) -> Approval {
        Approvals::get(&self.store, of.session_id, of.id).await.unwrap().unwrap()
    }
}

pub async fn an_approval_comes_back_as_it_was_asked_and_its_session_waits<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let before = f.journal(session).await.len();
    let approval = f.question(session, turn);
    let events = f.store.open(&approval, Generation::FIRST).await.unwrap().unwrap();
    assert_eq!(f.approval(&approval).await, approval);
    assert_eq!(kinds(&events), ["approval_requested", "status_change"]);
    assert_eq!(events, f.journal(session).await[before..]);
    let asked = data(&events[0]);
    assert_eq!(asked["approval_id"], approval.id.to_string());
    assert_eq!((&asked["tool_input"], &asked["policy"]), (&approval.tool_input, &json!("commands")));
    assert_eq!(data(&events[1]), &json!({ "from": "processing", "to": "waiting_user" }));
    assert_eq!(f.reload(session).await.status, SessionStatus::WaitingUser);

    let elsewhere = Approvals::get(&f.store, f.session().await.id, approval.id).await.unwrap();
    assert_eq!(elsewhere, None);

    let decided = f.decide(approval.id, ApprovalOutcome::Answered(f.says(true))).await;
    let Decided::Now(allowed, events) = decided else { panic!("{decided:?}") };
    assert_eq!(*allowed, f.approval(&approval).await);
    assert_eq!((allowed.status, allowed.decided_by), (ApprovalStatus::Allowed, Some(f.user.id)));
    assert_eq!(allowed.final_input(), &json!({ "command": "make it so, please" }));
    assert_eq!(kinds(&events), ["approval_decided", "status_change"]);
    assert_eq!(events[0].turn_id, Some(turn));
    let said = data(&events[0]);
    assert_eq!((&said["status"], &said["reason"]), (&json!("allowed"), &json!("because")));
    assert_eq!(said["decided_by"], f.user.id.to_string());
    assert_eq!(f.reload(session).await.status, SessionStatus::Processing);
}

pub async fn an_approval_is_not_opened_for_a_turn_that_is_over<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    f.store.end(turn, Generation::FIRST, &f.well()).await.unwrap();
    let before = f.journal(session).await;
    let late = f.question(session, turn);
    assert_eq!(f.store.open(&late, Generation::FIRST).await.unwrap(), None);
    assert_eq!(Approvals::get(&f.store, session, late.id).await.unwrap(), None);
    assert_eq!(f.journal(session).await, before);
}

pub async fn of_many_answers_at_once_the_first_stands_and_the_others_learn_of_it<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    for _ in 0..10 {
        let session = f.session().await.id;
        let turn = f.begin(session).await.turn_id;
        let approval = f.ask(session, turn).await;
        let answers = (0..8).map(|n| ApprovalAnswer { reason: Some(n.to_string()), ..f.says(n % 2 == 0) });
        let decisions: Vec<_> = answers
            .map(|answer| ApprovalDecision { outcome: ApprovalOutcome::Answered(answer), at: f.tick() })
            .collect();
        let nobody = Origin::system();
        let all = decisions.iter().map(|decision| f.store.decide(approval.id, decision, &nobody));
        let outcomes: Vec<Decided> =
            join_all(all).await.into_iter().map(|decided| decided.unwrap().unwrap()).collect();
        let now = outcomes.iter().filter(|decided| matches!(decided, Decided::Now(..))).count();
        assert_eq!(now, 1, "{outcomes:?}");
        let stands = f.approval(&approval).await;
        assert!(outcomes.iter().all(|decided| decided.approval() == &stands), "{outcomes:?}");
        let decided = f.journal(session).await;
        let decided = kinds(&decided).into_iter().filter(|kind| *kind == "approval_decided");
        assert_eq!(decided.count(), 1);
    }
}

pub async fn a_session_waits_until_the_last_of_its_approvals_is_decided<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let (first, second) = (f.ask(session, turn).await, f.ask(session, turn).await);
    f.decide(first.id, ApprovalOutcome::Answered(f.says(false))).await;
    assert_eq!(f.reload(session).await.status, SessionStatus::WaitingUser);
    f.decide(second.id, ApprovalOutcome::Withdrawn).await;
    assert_eq!(f.reload(session).await.status, SessionStatus::Processing);
    let withdrawn = f.approval(&second).await;
    assert_eq!(withdrawn.status, ApprovalStatus::Withdrawn);
    assert!(withdrawn.delivered_at.is_some(), "there is nobody to tell");
}

pub async fn an_answer_that_comes_too_late_is_an_expiry<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let approval = f.ask(session, turn).await;
    let at = |at: Timestamp, outcome| ApprovalDecision { outcome, at };
    let before = approval.expires_at - SignedDuration::from_secs(1);
    let early =
        f.store.decide(approval.id, &at(before, ApprovalOutcome::Expired), &Origin::system()).await.unwrap();
    assert_eq!(early, Some(Decided::Stands(Box::new(approval.clone()))));
    assert_eq!(f.store.due(before, 10).await.unwrap(), []);
    assert_eq!(f.store.due(approval.expires_at, 10).await.unwrap(), std::slice::from_ref(&approval));

    let outcomes = [ApprovalOutcome::Answered(f.says(true)), ApprovalOutcome::Expired]
        .map(|outcome| at(approval.expires_at, outcome));
    let nobody = Origin::system();
    let race = outcomes.iter().map(|decision| f.store.decide(approval.id, decision, &nobody));
    let outcomes: Vec<_> =
        join_all(race).await.into_iter().map(|decided| decided.unwrap().unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|decided| matches!(decided, Decided::Now(..))).count(), 1);
    let expired = f.approval(&approval).await;
    assert_eq!((expired.status, expired.decided_by), (ApprovalStatus::Expired, None));
    assert_eq!(expired.verdict(), Some(Verdict::Deny));
    assert_eq!(f.store.due(approval.expires_at, 10).await.unwrap(), []);
}

pub async fn an_approval_outlives_its_turn_and_leaves_the_session_alone_then<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let approval = f.ask(session, turn).await;
    f.store.end(turn, Generation::FIRST, &f.well()).await.unwrap();
    assert_eq!(f.approval(&approval).await.status, ApprovalStatus::Pending);
    assert_eq!(f.reload(session).await.status, SessionStatus::Active);

    // Another turn waits for something else meanwhile.
    let second = f.begin(session).await.turn_id;
    f.ask(session, second).await;
    let decided = f.decide(approval.id, ApprovalOutcome::Answered(f.says(true))).await;
    let Decided::Now(_, events) = decided else { panic!("{decided:?}") };
    assert_eq!(kinds(&events), ["approval_decided"]);
    assert_eq!(f.reload(session).await.status, SessionStatus::WaitingUser);
}

pub async fn pending_approvals_are_listed_newest_first_and_by_owner<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let mut asked = Vec::new();
    for _ in 0..5 {
        let session = f.session().await.id;
        let turn = f.begin(session).await.turn_id;
        asked.push(f.ask(session, turn).await);
    }
    f.decide(asked[2].id, ApprovalOutcome::Withdrawn).await;
    asked.remove(2);
    asked.reverse();
    let first = f.store.pending(Scope::Owner(f.user.id), &PageRequest::first(3)).await.unwrap();
    assert_eq!((first.total, first.items.as_slice()), (Some(domain::Total::exactly(4)), &asked[..3]));
    let next = PageRequest { cursor: first.next_cursor, ..PageRequest::first(3) };
    assert_eq!(f.store.pending(Scope::All, &next).await.unwrap().items, asked[3..]);
    let stranger = f.another_user("eve").await;
    let theirs = f.store.pending(Scope::Owner(stranger.id), &PageRequest::first(3)).await.unwrap();
    assert_eq!(theirs.total, Some(domain::Total::exactly(0)));
}

pub async fn approvals_are_listed_by_session_and_status<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let (first, second) = (f.ask(session, turn).await, f.ask(session, turn).await);
    f.decide(first.id, ApprovalOutcome::Answered(f.says(true))).await;
    let ids = async |status| {
        let page = Approvals::list(&f.store, session, status, &PageRequest::first(10)).await.unwrap();
        page.items.into_iter().map(|approval| approval.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None).await, [second.id, first.id]);
    assert_eq!(ids(Some(ApprovalStatus::Allowed)).await, [first.id]);
    assert_eq!(ids(Some(ApprovalStatus::Denied)).await, []);
}
