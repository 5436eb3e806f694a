//! The audit log of what agents wanted, what people said to it, and the rules about both.

use super::fixture::first;
use super::{
    AnyStore, Fixture,
    audit::{LIMIT, log, origin, source, told},
    decisions::decision,
    hooks::{endpoint, run},
    policies::version,
};
use domain::{
    Actor, ApprovalDecision, ApprovalOutcome, AuditEntry, AuditFilter, DecidedBy, Generation, HookRun,
    HookRunId, HookRunStatus, Opinion, Origin, PermissionDecision, Scope, SessionId, SessionStatus, TurnId,
    UserId, Verdict,
    audit::Fact,
    hook::{HookEndpointPatch, SealedSecret, SecretRotation},
    policy::Revision,
    ports::{Decided, Moved},
};
use serde_json::json;

/// As `sha256sum` has it, of `{"a":1,"command":"curl -H 'Authorization: s3cret' http://x"}`: the keys in their order.
const INPUT_SHA256: &str = "1ae325f1aa082f9d90de4b6d3ad0549afd9fc7784e68b491ae91f01f1e4c6f3a";
/// Of `two`.
const TWO_SHA256: &str = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";

pub async fn a_decision_with_a_verdict_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let before = log(&f.store).await.len();
    let input = json!({ "command": "curl -H 'Authorization: s3cret' http://x", "a": 1 });
    let mut decisions = vec![];
    for verdict in Verdict::ALL {
        let decision = PermissionDecision {
            opinion: Opinion {
                version: Some(7),
                ..Opinion::new(verdict, "no-push", "policy3", "not a word of the reason")
            },
            input_data: input.clone(),
            ..decision(&f, session, None)
        };
        f.store.record_decision(&decision, Generation::FIRST).await.unwrap();
        decisions.push(decision);
    }
    let theirs = PermissionDecision {
        opinion: Opinion::new(Verdict::Allow, "approval", "", ""),
        decided_by: DecidedBy::User(f.user.id),
        tool_name: "x".repeat(1000),
        ..decision(&f, session, None)
    };
    f.store.record_decision(&theirs, Generation::FIRST).await.unwrap();
    assert!(f.store.record_decision(&decision(&f, SessionId::new(), None), Generation::FIRST).await.is_err());

    let entries = log(&f.store).await.split_off(before);
    let expected = [
        ("decision.allow", "decision", decisions[1].id.to_string()),
        ("decision.ask", "decision", decisions[2].id.to_string()),
        ("decision.deny", "decision", decisions[3].id.to_string()),
        ("decision.allow", "decision", theirs.id.to_string()),
    ];
    assert_eq!(all_told(&entries), expected);
    let denied = &entries[2].event;
    assert_eq!((denied.actor, denied.session_id), (Actor::Agent, Some(session)));
    assert_eq!(denied.at, decisions[3].decided_at);
    for (name, fact) in [
        ("decided_by", "policy"),
        ("policy", "no-push"),
        ("rule", "policy3"),
        ("tool_name", "Bash"),
        ("tool_use_id", "toolu_1"),
        ("input_sha256", INPUT_SHA256),
    ] {
        assert_eq!(denied.data[name], Fact::from(fact), "{name}");
    }
    assert_eq!(denied.data["policy_version"], Fact::Number(7));
    for entry in &entries {
        let line = entry.line().unwrap();
        assert!(!line.contains("s3cret") && !line.contains("reason"), "{line}");
    }
    assert_eq!(entries[3].event.data["user_id"], Fact::Text(f.user.id.to_string()));
    assert_eq!(entries[3].event.data["tool_name"], Fact::Text("x".repeat(200)));
}

pub async fn an_approval_and_who_ended_it_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let before = log(&f.store).await.len();
    let by = origin(f.user.id);
    let mut ids = vec![];
    for n in 0..4 {
        let approval = f.ask(session, turn).await;
        ids.push(approval.id.to_string());
        let (outcome, at) = match n {
            0 => (ApprovalOutcome::Answered(f.says(true)), f.tick()),
            1 => (ApprovalOutcome::Answered(f.says(false)), f.tick()),
            // Whoever is too late did not decide.
            2 => (ApprovalOutcome::Answered(f.says(true)), approval.expires_at),
            _ => (ApprovalOutcome::Withdrawn, f.tick()),
        };
        let who = if n == 3 { Origin::system() } else { by.clone() };
        let decision = ApprovalDecision { outcome, at };
        let decided = f.store.decide(approval.id, &decision, &who).await.unwrap().unwrap();
        assert!(matches!(decided, Decided::Now(..)), "{decided:?}");
        let again = f.store.decide(approval.id, &decision, &who).await.unwrap().unwrap();
        assert!(matches!(again, Decided::Stands(_)), "{again:?}");
    }
    let of_no_turn = f.question(session, TurnId::new());
    assert_eq!(f.store.open(&of_no_turn, Generation::FIRST).await.unwrap(), None);

    let entries = log(&f.store).await.split_off(before);
    let entries: Vec<_> =
        entries.into_iter().filter(|entry| entry.event.action.starts_with("approval.")).collect();
    let expected: Vec<_> = ["allowed", "denied", "expired", "withdrawn"]
        .iter()
        .zip(&ids)
        .flat_map(|(end, id)| [("requested", id), (*end, id)])
        .map(|(word, id)| (format!("approval.{word}"), id.clone()))
        .collect();
    let found: Vec<_> = all_told(&entries).into_iter().map(|(word, _, id)| (word.to_owned(), id)).collect();
    assert_eq!(found, expected);
    let actors: Vec<_> = entries.iter().skip(1).step_by(2).map(|entry| entry.event.actor).collect();
    assert_eq!(actors, [by.actor, by.actor, Actor::System, Actor::System]);
    assert!(entries.iter().step_by(2).all(|entry| entry.event.actor == Actor::Agent));
    let (asked, allowed, expired) = (&entries[0].event, &entries[1].event, &entries[5].event);
    assert_eq!((&allowed.source, &expired.source), (&source(), &Origin::system().source));
    assert_eq!(allowed.data["input_was_changed"], Fact::Flag(true));
    assert_ne!(asked.data["input_sha256"], allowed.data["input_sha256"]);
    assert_eq!(expired.data["verdict"], Fact::from("deny"));
    for entry in &entries {
        assert_eq!(entry.event.session_id, Some(session));
        let line = entry.line().unwrap();
        assert!(!line.contains("because") && !line.contains("make it so"), "{line}");
    }
}

pub async fn a_hook_that_kept_something_from_happening_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let before = log(&f.store).await.len();
    let with = |status, continued, session| HookRun {
        id: HookRunId::new(),
        status,
        continued,
        is_notable: true,
        ..run(session, "PreToolUse", f.tick())
    };
    let runs = vec![
        with(HookRunStatus::Completed, true, session),
        with(HookRunStatus::Failed, true, session),
        with(HookRunStatus::TimedOut, true, session),
        with(HookRunStatus::Blocked, false, session),
        with(HookRunStatus::Failed, false, session),
        with(HookRunStatus::TimedOut, false, session),
        with(HookRunStatus::Blocked, false, SessionId::new()),
    ];
    f.store.record_hook_runs(first(&runs), vec![], f.tick()).await.unwrap();

    let entries = log(&f.store).await.split_off(before);
    let expected = [
        ("hook.blocked", "hook_run", runs[3].id.to_string()),
        ("hook.failed_closed", "hook_run", runs[4].id.to_string()),
        ("hook.failed_closed", "hook_run", runs[5].id.to_string()),
    ];
    assert_eq!(all_told(&entries), expected);
    let blocked = &entries[0].event;
    assert_eq!((blocked.actor, blocked.session_id), (Actor::Agent, Some(session)));
    assert_eq!(blocked.data["hook_name"], Fact::from("guard"));
    assert_eq!(entries[2].event.data["status"], Fact::from("timed_out"));
    assert!(entries.iter().all(|entry| !entry.line().unwrap().contains("tool_input")));
}

pub async fn the_life_of_an_endpoint_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let by = origin(f.user.id);
    let mine = endpoint(f.user.id, "guard", f.tick());
    let before = log(&f.store).await.len();
    f.store.create_endpoint(&mine, u32::MAX, &by).await.unwrap();
    let patch = HookEndpointPatch {
        url: Some("https://hooks.example.org/?token=s3cret".into()),
        is_enabled: Some(false),
        ..HookEndpointPatch::default()
    };
    f.store
        .patch_endpoint(Scope::All, mine.id, &patch, &domain::Expected::ANY, f.tick(), &by)
        .await
        .unwrap()
        .unwrap();
    let at = f.tick();
    let (rotation, any) =
        (SecretRotation { secret: SealedSecret(vec![9; 40]), old_until: at }, domain::Expected::ANY);
    assert!(f.store.rotate_secret(Scope::All, mine.id, &rotation, &any, at, &by).await.unwrap());
    // What is not theirs to change does not change.
    let stranger = Scope::Owner(UserId::new());
    assert!(
        f.store
            .patch_endpoint(stranger, mine.id, &patch, &domain::Expected::ANY, at, &by)
            .await
            .unwrap()
            .is_none()
    );
    assert!(!f.store.rotate_secret(stranger, mine.id, &rotation, &any, at, &by).await.unwrap());
    assert!(!f.store.delete_endpoint(stranger, mine.id, &domain::Expected::ANY, at, &by).await.unwrap());
    f.store.create_endpoint(&endpoint(f.user.id, "guard", at), u32::MAX, &by).await.unwrap_err();
    assert!(
        f.store.delete_endpoint(Scope::All, mine.id, &domain::Expected::ANY, f.tick(), &by).await.unwrap()
    );
    assert!(
        !f.store.delete_endpoint(Scope::All, mine.id, &domain::Expected::ANY, f.tick(), &by).await.unwrap()
    );

    let entries = log(&f.store).await.split_off(before);
    let actions = ["hook.created", "hook.changed", "hook.secret_rotated", "hook.deleted"];
    assert_eq!(all_told(&entries), actions.map(|action| (action, "hook", mine.id.to_string())));
    assert!(entries.iter().all(|entry| entry.event.actor == by.actor && entry.event.source == source()));
    assert!(entries.iter().all(|entry| !entry.line().unwrap().contains("s3cret")));
    let changed = &entries[1].event.data;
    assert_eq!(changed["fields"], Fact::List(vec!["url".into(), "is_enabled".into()]));
    assert_eq!(changed["is_enabled"], Fact::Flag(false));
    assert_eq!(changed["owner_id"], Fact::Text(f.user.id.to_string()));
    assert_ne!(entries[0].event.data["url_sha256"], changed["url_sha256"]);
}

pub async fn the_life_of_a_policy_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let by = origin(f.user.id);
    let before = log(&f.store).await.len();
    let first = f.store.create_policy(&version(&f, "p", "one"), &by).await.unwrap();
    let next = version(&f, "p", "two");
    assert!(matches!(f.store.revise_policy(&next, 1, &by).await.unwrap(), Revision::Stored(_)));
    assert_eq!(f.store.revise_policy(&next, 1, &by).await.unwrap(), Revision::Stale(2));
    f.store.create_policy(&next, &by).await.unwrap_err();
    assert!(f.store.delete_policy("p", &domain::Expected::ANY, f.tick(), &by).await.unwrap());
    assert!(!f.store.delete_policy("p", &domain::Expected::ANY, f.tick(), &by).await.unwrap());
    assert_eq!(f.store.revise_policy(&next, 2, &by).await.unwrap(), Revision::NoPolicy);
    f.store.create_policy(&version(&f, "p", "three"), &by).await.unwrap();

    let entries = log(&f.store).await.split_off(before);
    let actions = ["policy.created", "policy.changed", "policy.deleted", "policy.created"];
    assert_eq!(all_told(&entries), actions.map(|action| (action, "policy", first.id.to_string())));
    let versions: Vec<_> = entries.iter().map(|entry| entry.event.data["version"].clone()).collect();
    assert_eq!(versions, [1, 2, 2, 3].map(Fact::Number));
    assert_eq!(entries[1].event.data["text_sha256"], Fact::from(TWO_SHA256));
    assert_eq!(entries[2].event.data["text_sha256"], Fact::from(TWO_SHA256));
    assert_eq!(entries[0].event.data["name"], Fact::from("p"));
    assert!(entries.iter().all(|entry| entry.event.actor == by.actor && entry.event.source == source()));
}

pub async fn who_sets_a_session_aside_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let by = origin(f.user.id);
    let id = f.session().await.id;
    let before = log(&f.store).await.len();
    let paused = f.store.pause(id, f.tick(), &by).await.unwrap();
    let Moved::Moved(paused, _) = paused else { panic!("it was not paused: {paused:?}") };
    assert_eq!(paused.status, SessionStatus::Paused);
    assert_eq!(f.store.pause(id, f.tick(), &by).await.unwrap(), Moved::Refused(SessionStatus::Paused));
    let resumed = f.store.resume(id, f.tick(), &by).await.unwrap();
    let Moved::Moved(resumed, _) = resumed else { panic!("it was not resumed: {resumed:?}") };
    assert_eq!(resumed.status, SessionStatus::Active);
    assert_eq!(f.store.resume(SessionId::new(), f.tick(), &by).await.unwrap(), Moved::NoSession);

    let entries = log(&f.store).await.split_off(before);
    let actions = ["session.paused", "session.resumed"];
    assert_eq!(all_told(&entries), actions.map(|action| (action, "session", id.to_string())));
    let filter = AuditFilter { session_id: Some(id), actor: Some(f.user.id.0), ..AuditFilter::default() };
    let theirs = f.store.entries_after(before as u64, LIMIT, &filter).await.unwrap();
    assert_eq!(theirs, entries);
}

fn all_told(entries: &[AuditEntry]) -> Vec<(&str, &str, String)> {
    entries.iter().map(|entry| told(&entry.event)).collect()
}
