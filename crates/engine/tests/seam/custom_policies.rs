//! Custom policies judge where they are mandatory or chosen, from the next tool call on.

use crate::world::{World, all};
use domain::{
    Caller, DecidedBy, DecisionFilter, PermissionDecision, PolicyContent, Role, SessionId, SessionStatus,
    Verdict, session::SessionPatch,
};
use engine::{DryRun, Error, PolicyChoice, PolicyManager, RunsOver, SessionDraft, TriedCall};
use sdk_runtime::testing::ScriptedLauncher;
use serde_json::json;
use std::sync::atomic::Ordering;

const FORBID: &str =
    r#"@reason("not here") forbid(principal, action == Action::"use_tool", resource == Tool::"Echo");"#;
const ASK: &str =
    r#"@decision("ask") forbid(principal, action == Action::"use_tool", resource == Tool::"Echo");"#;
const PERMIT: &str = r#"permit(principal, action == Action::"use_tool", resource == Tool::"Echo");"#;

/// Agents that call Echo once per prompt.
fn world() -> (World, PolicyManager, Caller) {
    let launcher = ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        let ran = say.tool("Echo", json!({ "say": prompt.text() }), "it ran").await;
        say.text(if ran { "ran" } else { "did not run" });
    });
    let world = World::new(launcher);
    let policies = PolicyManager::new(world.manager.clone());
    let admin = Caller { role: Role::Admin, ..world.caller.clone() };
    (world, policies, admin)
}

fn content(text: &str, is_mandatory: bool) -> PolicyContent {
    PolicyContent { text: text.to_owned(), description: None, is_mandatory }
}

async fn choosing(world: &World, names: &[&str]) -> SessionId {
    let custom_policies = Some(names.iter().map(|name| (*name).to_owned()).collect());
    world.session_of(SessionDraft { custom_policies, ..SessionDraft::default() }).await
}

async fn newest(world: &World, session: SessionId) -> PermissionDecision {
    let filter = DecisionFilter::default();
    world.manager.decisions(&world.caller, session, &filter, &all()).await.unwrap().items.remove(0)
}

async fn answer(world: &World, session: SessionId) -> String {
    world.ask(session, "go").await.answer.unwrap()
}

/// Prompts where no policy minds, so that a person is asked; nobody answers.
async fn left_to_people(world: &World, session: SessionId, text: &str) {
    let started = world.prompt(session, text).await.unwrap();
    world.reaches(session, SessionStatus::WaitingUser).await;
    world.manager.interrupt(&world.caller, session).await.unwrap();
    world.end(started).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_judges_from_the_next_call_on_in_an_agent_that_lives() {
    let (world, policies, admin) = world();
    policies.create(&admin, "house".to_owned(), content(PERMIT, false)).await.unwrap();
    let (chooser, other) = (choosing(&world, &["house"]).await, world.session().await);
    assert_eq!(answer(&world, chooser).await, "ran");

    policies.replace(&admin, "house".to_owned(), 1, content(FORBID, false)).await.unwrap();
    assert_eq!(answer(&world, chooser).await, "did not run");
    let opinion = newest(&world, chooser).await.opinion;
    assert_eq!(
        (opinion.verdict, opinion.policy.as_str(), opinion.version),
        (Verdict::Deny, "house", Some(2))
    );
    assert_eq!(opinion.reason, "not here");
    assert_eq!(world.launcher.agents().len(), 1, "the agent stayed");

    // Nobody minds in a session that did not choose it, until everybody has to.
    left_to_people(&world, other, "go").await;
    assert_eq!(newest(&world, other).await.opinion.verdict, Verdict::Abstain);
    policies.replace(&admin, "house".to_owned(), 2, content(FORBID, true)).await.unwrap();
    assert_eq!(answer(&world, other).await, "did not run");
    assert_eq!(newest(&world, other).await.opinion.version, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_policy_denies_where_it_was_chosen_until_another_is() {
    let (world, policies, admin) = world();
    policies.create(&admin, "house".to_owned(), content(PERMIT, false)).await.unwrap();
    let session = choosing(&world, &["house"]).await;
    assert_eq!(answer(&world, session).await, "ran");
    policies.delete(&admin, "house", &domain::Expected::ANY).await.unwrap();
    assert_eq!(answer(&world, session).await, "did not run");
    let made = newest(&world, session).await;
    assert_eq!((made.opinion.verdict, made.decided_by), (Verdict::Deny, DecidedBy::Failure));
    assert!(made.opinion.reason.contains("not there any more"), "{}", made.opinion.reason);

    let none = SessionPatch { custom_policies: Some(vec![]), ..SessionPatch::default() };
    world.manager.patch(&world.caller, session, none).await.unwrap();
    left_to_people(&world, session, "go").await;
    assert_eq!(newest(&world, session).await.opinion.verdict, Verdict::Abstain);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_denies_once_what_was_read_is_old() {
    let (world, policies, admin) = world();
    policies.create(&admin, "house".to_owned(), content(PERMIT, false)).await.unwrap();
    let session = choosing(&world, &["house"]).await;
    assert_eq!(answer(&world, session).await, "ran");
    world.faults.policies.store(u32::MAX, Ordering::SeqCst);
    assert_eq!(answer(&world, session).await, "ran", "what was read just now still holds");
    world.clock.advance(jiff::SignedDuration::from_secs(2));
    assert_eq!(answer(&world, session).await, "did not run");
    assert_eq!(newest(&world, session).await.decided_by, DecidedBy::Failure);
    world.faults.policies.store(0, Ordering::SeqCst);
    assert_eq!(answer(&world, session).await, "ran");
}

#[tokio::test(start_paused = true)]
async fn only_policies_that_are_there_can_be_chosen_and_only_where_choosing_is_open() {
    let (world, policies, admin) = world();
    policies.create(&admin, "house".to_owned(), content(PERMIT, false)).await.unwrap();
    let draft = |names: &[&str]| SessionDraft {
        custom_policies: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..SessionDraft::default()
    };
    let pointer = |refused: Error| match refused {
        Error::Invalid(faults) => format!("{} {}", faults[0].pointer, faults[0].code),
        other => other.to_string(),
    };
    let refused = world.manager.create(&world.caller, draft(&["house", "home"])).await.unwrap_err();
    assert_eq!(pointer(refused), "/custom_policies/1 unknown");
    let session = world.session().await;
    let change = |names: &[&str]| SessionPatch {
        custom_policies: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..SessionPatch::default()
    };
    let refused = world.manager.patch(&world.caller, session, change(&["home"])).await.unwrap_err();
    assert_eq!(pointer(refused), "/custom_policies/0 unknown");
    let patched = world.manager.patch(&world.caller, session, change(&["house"])).await.unwrap();
    assert_eq!(patched.spec.custom_policies, ["house"]);

    let closed = World::with(ScriptedLauncher::new(), |settings| {
        settings.governance.policy_choice = PolicyChoice::Closed;
    });
    let refused = closed.manager.create(&closed.caller, draft(&["house"])).await.unwrap_err();
    assert_eq!(pointer(refused), "/custom_policies disabled");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_finds_exactly_the_decisions_that_would_have_been_others() {
    let (world, policies, admin) = world();
    let (one, two) = (world.session().await, world.session().await);
    left_to_people(&world, one, "fine").await;
    left_to_people(&world, two, "secret").await;
    let secret = r#"@id("secrets") @reason("no secrets") forbid(principal, action == Action::"use_tool", resource)
        when { resource.hasTag("say") && resource.getTag("say") == "secret" };"#;
    let run = |text: Option<&str>, over| DryRun {
        name: "secrets".to_owned(),
        text: text.map(str::to_owned),
        days: 1,
        over,
    };
    let report = policies.dry_run(&admin, run(Some(secret), RunsOver::All)).await.unwrap();
    assert_eq!((report.considered, report.changed, report.not_judged, report.is_complete), (2, 1, 0, true));
    let [change] = &report.changes[..] else { panic!("{report:?}") };
    assert_eq!((change.session_id, change.before), (two, Verdict::Abstain));
    assert_eq!((change.after.verdict, change.after.rule.as_str()), (Verdict::Deny, "secrets"));
    assert_eq!(change.decision_id, newest(&world, two).await.id);
    // Nobody chose it.
    let report = policies.dry_run(&admin, run(Some(secret), RunsOver::Choosing)).await.unwrap();
    assert_eq!((report.considered, report.changed), (0, 0));

    // In force, it decides; without it, nobody would have minded.
    policies.create(&admin, "secrets".to_owned(), content(secret, true)).await.unwrap();
    world.ask(two, "secret").await;
    assert_eq!(newest(&world, two).await.opinion.verdict, Verdict::Deny);
    let report = policies.dry_run(&admin, run(Some(ASK), RunsOver::All)).await.unwrap();
    let changes: Vec<_> = report.changes.iter().map(|change| (change.before, change.after.verdict)).collect();
    let (abstain, ask, deny) = (Verdict::Abstain, Verdict::Ask, Verdict::Deny);
    assert_eq!(changes, [(deny, ask), (abstain, ask), (abstain, ask)]);

    world.clock.advance(jiff::SignedDuration::from_hours(25));
    let report = policies.dry_run(&admin, run(None, RunsOver::All)).await.unwrap();
    assert_eq!(report.considered, 0);
    let refused = policies.dry_run(&world.caller, run(None, RunsOver::All)).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn trying_a_call_asks_everybody_and_leaves_no_trace() {
    let (world, policies, admin) = world();
    policies.create(&admin, "asking".to_owned(), content(ASK, false)).await.unwrap();
    policies.create(&admin, "all".to_owned(), content(PERMIT, true)).await.unwrap();
    let session = world.session().await;
    let tried = TriedCall {
        tool_name: "Echo".to_owned(),
        tool_input: json!({}),
        session_id: Some(session),
        policies: vec!["asking".to_owned()],
        text: Some(FORBID.to_owned()),
        ..TriedCall::default()
    };
    let evaluation = policies.evaluate(&world.caller, tried.clone()).await.unwrap();
    let custom: Vec<_> = evaluation
        .opinions
        .iter()
        .filter(|opinion| ["asking", "all", "(text)"].contains(&opinion.policy.as_str()))
        .map(|opinion| (opinion.policy.as_str(), opinion.version, opinion.verdict))
        .collect();
    let (allow, ask, deny) = (Verdict::Allow, Verdict::Ask, Verdict::Deny);
    assert_eq!(custom, [("all", Some(1), allow), ("asking", Some(1), ask), ("(text)", None, deny)]);
    assert_eq!((evaluation.opinion.verdict, evaluation.opinion.reason.as_str()), (deny, "not here"));
    assert!(evaluation.opinions.len() > 3, "the built-in ones are asked too: {evaluation:?}");
    assert_eq!(world.get(session).await.counters.permission_checks, 0);

    let somewhere = TriedCall { session_id: None, policies: vec![], text: None, ..tried.clone() };
    assert_eq!(policies.evaluate(&world.caller, somewhere).await.unwrap().opinion.verdict, allow);
    let bash = TriedCall {
        tool_name: "Bash".to_owned(),
        tool_input: json!({ "command": "cd / && rm -rf etc" }),
        policies: vec![],
        text: Some("permit(principal, action, resource);".to_owned()),
        ..tried.clone()
    };
    assert_eq!(policies.evaluate(&world.caller, bash).await.unwrap().opinion.verdict, deny);
    let stranger = crate::world::caller();
    let refused = policies.evaluate(&stranger, tried).await;
    assert!(matches!(refused, Err(Error::NotFound("session"))), "{refused:?}");
}
