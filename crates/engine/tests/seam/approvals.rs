//! What a policy asks about is asked of a person, and the agent hears what came of it.

use crate::world::{World, all, soon};
use async_trait::async_trait;
use domain::{
    Actor, Approval, ApprovalStatus, AskTerms, AuditFilter, DecidedBy, DecisionFilter, Opinion,
    PermissionDecision, SessionId, SessionStatus, TurnStatus, Verdict, ports::Audit,
};
use engine::{ApprovalReply, Error, SessionDraft};
use jiff::SignedDuration;
use permissions::{CannotJudge, Policy, Surroundings, ToolCall};
use sdk_runtime::testing::ScriptedLauncher;
use serde_json::json;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Asks about every call, denies those that say so, and lets `patient` ones wait on terms of their own.
struct Cautious;

#[async_trait]
impl Policy for Cautious {
    fn name(&self) -> &str {
        "cautious"
    }

    async fn judge(&self, call: &ToolCall, _: &Surroundings) -> Result<Opinion, CannotJudge> {
        let opinion = |verdict| Opinion::new(verdict, "cautious", "every-call", "one never knows");
        let terms = AskTerms { expires_after_seconds: 60, allows_when_expired: true };
        Ok(match call.input["what"].as_str() {
            Some("bad") => opinion(Verdict::Deny),
            Some("harmless") => opinion(Verdict::Ask).with_terms(terms),
            _ => opinion(Verdict::Ask),
        })
    }
}

/// Agents that do with Echo what their prompt says, and say what came of it.
fn world() -> World {
    let launcher = ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        let what = prompt.text().rsplit('\n').next().unwrap_or_default().to_owned();
        let ran = say.tool("Echo", json!({ "what": what }), "it ran").await;
        say.text(if ran { "ran" } else { "did not run" });
    });
    World::with(launcher, |settings| settings.governance.further_policies = vec![Arc::new(Cautious)])
}

async fn asked(world: &World, session: SessionId) -> Approval {
    world.reaches(session, SessionStatus::WaitingUser).await;
    let pending = world.manager.pending_approvals(&world.caller, &all()).await.unwrap().items;
    pending.into_iter().find(|approval| approval.session_id == session).unwrap()
}

async fn reply(world: &World, approval: &Approval, reply: ApprovalReply) -> engine::Result<Approval> {
    world.manager.answer(&world.caller, approval.session_id, approval.id, reply).await
}

fn yes() -> ApprovalReply {
    ApprovalReply { is_allowed: true, ..ApprovalReply::default() }
}

async fn decisions(world: &World, session: SessionId) -> Vec<PermissionDecision> {
    let filter = DecisionFilter::default();
    world.manager.decisions(&world.caller, session, &filter, &all()).await.unwrap().items
}

/// Everything the agent was answered, as text.
fn heard(world: &World) -> String {
    let agents = world.launcher.agents();
    agents.iter().flat_map(|agent| agent.answers()).map(|answer| answer.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_policys_question_names_it_and_a_yes_lets_the_call_run() {
    let world = world();
    let session = world.session().await;
    let started = world.prompt(session, "this").await.unwrap();
    let approval = asked(&world, session).await;
    assert_eq!(
        (approval.policy.as_deref(), approval.rule.as_deref()),
        (Some("cautious"), Some("every-call"))
    );
    assert_eq!(approval.reason.as_deref(), Some("one never knows"));
    reply(&world, &approval, yes()).await.unwrap();
    assert_eq!(world.end(started).await.answer.as_deref(), Some("ran"));
    let made = decisions(&world, session).await;
    assert_eq!(
        (made[0].opinion.verdict, made[0].decided_by),
        (Verdict::Allow, DecidedBy::User(world.caller.user_id))
    );
    assert_eq!(made[1].opinion.verdict, Verdict::Ask);
}

#[tokio::test(start_paused = true)]
async fn a_yes_that_cannot_be_recorded_is_a_no() {
    let world = world();
    let session = world.session().await;
    let started = world.prompt(session, "this").await.unwrap();
    let approval = asked(&world, session).await;
    world.faults.decisions.store(1, Ordering::SeqCst);
    reply(&world, &approval, yes()).await.unwrap();
    assert_eq!(world.end(started).await.answer.as_deref(), Some("did not run"));
    assert!(heard(&world).contains("could not be put on record"));
}

#[tokio::test(start_paused = true)]
async fn a_person_cannot_change_a_call_into_one_that_is_forbidden() {
    let world = world();
    let session = world.session().await;
    let started = world.prompt(session, "this").await.unwrap();
    let approval = asked(&world, session).await;
    let changed = |what: &str| ApprovalReply { updated_input: Some(json!({ "what": what })), ..yes() };
    let Err(Error::Invalid(faults)) = reply(&world, &approval, changed("bad")).await else {
        panic!("accepted")
    };
    assert_eq!((faults[0].pointer.as_str(), faults[0].code), ("/updated_input", "policy"));
    reply(&world, &approval, changed("else")).await.unwrap();
    world.end(started).await;
    assert!(heard(&world).contains(r#""updatedInput":{"what":"else"}"#), "{}", heard(&world));
}

#[tokio::test(start_paused = true)]
async fn a_rule_says_how_long_a_person_has_and_what_holds_then() {
    let world = world();
    let session = world.session().await;
    let started = world.prompt(session, "harmless").await.unwrap();
    let approval = asked(&world, session).await;
    assert_eq!(approval.expires_at.duration_since(approval.created_at), SignedDuration::from_secs(60));
    world.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(world.end(started).await.answer.as_deref(), Some("ran"));
    let late = reply(&world, &approval, ApprovalReply::default()).await;
    assert!(matches!(late, Err(Error::AlreadyDecided(stands)) if stands.status == ApprovalStatus::Expired));
    assert_eq!(decisions(&world, session).await[0].decided_by, DecidedBy::Expiry);
}

#[tokio::test(start_paused = true)]
async fn a_turns_time_stands_still_while_a_person_is_asked() {
    let world = world();
    let session = world.session().await;
    let started = world.prompt(session, "this").await.unwrap();
    let approval = asked(&world, session).await;
    let limit = u64::from(world.get(session).await.spec.timeout_seconds);
    tokio::time::sleep(Duration::from_secs(limit * 2)).await;
    reply(&world, &approval, yes()).await.unwrap();
    let turn = world.end(started).await;
    assert_eq!((turn.status, turn.answer.as_deref()), (TurnStatus::Completed, Some("ran")));
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_covers_the_same_call_and_never_a_forbidden_one() {
    let world = world();
    let session = world.session().await;
    let started = world.prompt(session, "this").await.unwrap();
    let approval = asked(&world, session).await;
    reply(&world, &approval, ApprovalReply { remember: true, ..yes() }).await.unwrap();
    world.end(started).await;
    assert_eq!(world.ask(session, "this").await.answer.as_deref(), Some("ran"));
    assert_eq!(world.ask(session, "bad").await.answer.as_deref(), Some("did not run"));
    let started = world.prompt(session, "that").await.unwrap();
    let other = asked(&world, session).await;
    assert_eq!(other.tool_input, json!({ "what": "that" }));
    reply(&world, &other, ApprovalReply::default()).await.unwrap();
    assert_eq!(world.end(started).await.answer.as_deref(), Some("did not run"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_another_server_is_seen_too() {
    let world = world();
    let session = world.session().await;
    let started = world.prompt(session, "this").await.unwrap();
    let approval = asked(&world, session).await;
    let elsewhere = world.next_life();
    reply(&elsewhere, &approval, yes()).await.unwrap();
    assert_eq!(world.end(started).await.answer.as_deref(), Some("ran"));
}

#[tokio::test(start_paused = true)]
async fn a_terminated_session_asks_nobody_any_more() {
    let world = world();
    let session = world.session().await;
    let started = world.prompt(session, "this").await.unwrap();
    let approval = asked(&world, session).await;
    soon(world.manager.terminate(&world.caller, session)).await.unwrap();
    assert_eq!(world.end(started).await.status, TurnStatus::Interrupted);
    soon(async {
        while !matches!(reply(&world, &approval, yes()).await, Err(Error::AlreadyDecided(stands)) if stands.status == ApprovalStatus::Withdrawn) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(world.manager.pending_approvals(&world.caller, &all()).await.unwrap().items, []);
}

#[tokio::test(start_paused = true)]
async fn a_background_session_is_denied_at_once_and_that_is_on_record() {
    let world = world();
    let draft = SessionDraft {
        mode: Some(domain::SessionMode::Background),
        initial_message: Some(json!("this")),
        ..SessionDraft::default()
    };
    let session = world.session_of(draft).await;
    world.reaches(session, SessionStatus::Completed).await;
    let made = decisions(&world, session).await;
    assert_eq!((made[0].opinion.verdict, made[0].opinion.rule.as_str()), (Verdict::Deny, "background"));
    assert!(heard(&world).contains("nobody is there"));
}

#[tokio::test(start_paused = true)]
async fn who_asked_and_who_answered_is_in_the_audit_log() {
    let world = world();
    let session = world.session().await;
    let started = world.prompt(session, "this").await.unwrap();
    let approval = asked(&world, session).await;
    reply(&world, &approval, yes()).await.unwrap();
    world.end(started).await;
    world.manager.pause(&world.caller, session).await.unwrap();

    let filter = AuditFilter { session_id: Some(session), ..AuditFilter::default() };
    let entries = world.store.entries_after(0, 100, &filter).await.unwrap();
    let person = world.caller.origin().actor;
    let told: Vec<_> = entries.iter().map(|entry| (entry.event.action.as_ref(), entry.event.actor)).collect();
    let expected = [
        ("session.created", person),
        ("decision.ask", Actor::Agent),
        ("approval.requested", Actor::Agent),
        ("approval.allowed", person),
        ("decision.allow", Actor::Agent),
        ("session.paused", person),
    ];
    assert_eq!(told, expected);
}
