//! What an agent wants to do is judged, put on record, and only then answered.

use crate::world::{World, all, kinds};
use async_trait::async_trait;
use domain::{
    DecidedBy, DecisionFilter, Opinion, PermissionDecision, SessionId, SessionStatus, TurnStatus, Verdict,
};
use permissions::{CannotJudge, Policy, Surroundings, ToolCall};
use sdk_runtime::testing::ScriptedLauncher;
use serde_json::{Value, json};
use std::sync::{Arc, atomic::Ordering};

/// Does as the call's own input says.
struct Obedient;

#[async_trait]
impl Policy for Obedient {
    fn name(&self) -> &str {
        "obedient"
    }

    #[expect(clippy::panic, reason = "policies may break down, and this one does so on purpose")]
    async fn judge(&self, call: &ToolCall, _: &Surroundings) -> Result<Opinion, CannotJudge> {
        match call.input["want"].as_str() {
            Some("fail") => Err(CannotJudge("the policy store is down".to_owned())),
            Some("hang") => std::future::pending().await,
            Some("panic") => panic!("as it was asked to"),
            word => {
                let verdict = word.and_then(Verdict::parse).unwrap_or(Verdict::Abstain);
                Ok(Opinion::new(verdict, "obedient", "its-rule", format!("it wants {word:?}")))
            }
        }
    }
}

/// Agents that call Echo with this input once per prompt.
fn calling(want: &'static str) -> World {
    let launcher = ScriptedLauncher::new().on_prompt(move |_, say| async move {
        let ran = say.tool("Echo", json!({ "want": want }), "it ran").await;
        say.text(if ran { "ran" } else { "did not run" });
    });
    World::with(launcher, |settings| settings.governance.further_policies = vec![Arc::new(Obedient)])
}

async fn decisions(world: &World, session: SessionId) -> Vec<PermissionDecision> {
    let filter = DecisionFilter::default();
    world.manager.decisions(&world.caller, session, &filter, &all()).await.unwrap().items
}

/// What the agent was told by its hook.
fn told(world: &World) -> Value {
    let answers = world.launcher.agents().iter().flat_map(|agent| agent.answers()).collect::<Vec<_>>();
    let of_hook = answers.into_iter().find(|answer| answer.to_string().contains("PreToolUse"));
    of_hook.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_verdict_reaches_the_agent_and_is_on_record_with_its_turn() {
    let world = calling("deny");
    let session = world.session().await;
    let turn = world.ask(session, "go").await;
    assert_eq!((turn.status, turn.answer.as_deref()), (TurnStatus::Completed, Some("did not run")));
    let told = told(&world).to_string();
    assert!(told.contains("it wants") && told.contains("denied by policy obedient"), "{told}");

    let made = decisions(&world, session).await;
    let [decision] = &made[..] else { panic!("{made:?}") };
    assert_eq!((decision.opinion.verdict, decision.opinion.rule.as_str()), (Verdict::Deny, "its-rule"));
    assert_eq!((decision.turn_id, decision.decided_by), (Some(turn.id), DecidedBy::Policy));
    assert_eq!((decision.tool_name.as_str(), &decision.input_data), ("Echo", &json!({ "want": "deny" })));
    assert_eq!(decision.context["cwd"], "/");
    assert!(decision.tool_use_id.is_some());
    assert_eq!(world.get(session).await.counters.permission_checks, 1);
    assert!(kinds(&world.journal(session).await).contains(&"permission_decision"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_policy_minds_is_on_record_too_and_left_to_the_agents_own_rules() {
    let world = calling("abstain");
    let session = world.session().await;
    let started = world.prompt(session, "go").await.unwrap();
    world.reaches(session, SessionStatus::WaitingUser).await;
    let made = decisions(&world, session).await;
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].opinion.verdict, Verdict::Abstain);
    world.manager.interrupt(&world.caller, session).await.unwrap();
    world.end(started).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_allowed_runs() {
    let world = calling("allow");
    let session = world.session().await;
    assert_eq!(world.ask(session, "go").await.answer.as_deref(), Some("ran"));
    assert_eq!(decisions(&world, session).await[0].opinion.verdict, Verdict::Allow);
}

#[tokio::test(start_paused = true)]
async fn each_decision_is_its_own_turns_although_the_agent_lives_on() {
    let world = calling("allow");
    let session = world.session().await;
    let (one, two) = (world.ask(session, "1").await, world.ask(session, "2").await);
    assert_eq!(world.launcher.agents().len(), 1);
    let turns: Vec<_> = decisions(&world, session).await.iter().map(|made| made.turn_id).collect();
    assert_eq!(turns, [Some(two.id), Some(one.id)]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_cannot_judge_hangs_or_panics_is_a_no() {
    for want in ["fail", "hang", "panic"] {
        let world = calling(want);
        let session = world.session().await;
        assert_eq!(world.ask(session, "go").await.answer.as_deref(), Some("did not run"), "{want}");
    }
    let world = calling("fail");
    let session = world.session().await;
    world.ask(session, "go").await;
    let made = decisions(&world, session).await;
    assert_eq!((made[0].opinion.verdict, made[0].decided_by), (Verdict::Deny, DecidedBy::Failure));
    assert!(told(&world).to_string().contains("the policy store is down"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recorded_does_not_run() {
    let world = calling("allow");
    let session = world.session().await;
    world.faults.decisions.store(1, Ordering::SeqCst);
    assert_eq!(world.ask(session, "go").await.answer.as_deref(), Some("did not run"));
    assert!(told(&world).to_string().contains("could not be put on record"));
    assert_eq!(decisions(&world, session).await, []);
    // The alert on this is told of it.
    let scraped = world.metrics.scrape().unwrap().text().unwrap();
    let counted = "steward_permission_decisions_total{rule=\"failure\",verdict=\"deny\"} 1";
    assert!(scraped.lines().any(|line| line == counted), "{scraped}");
    assert_eq!(world.ask(session, "again").await.answer.as_deref(), Some("ran"));
}

#[tokio::test(start_paused = true)]
async fn a_strangers_decisions_are_not_there() {
    let world = calling("allow");
    let session = world.session().await;
    let stranger = crate::world::caller();
    let read = world.manager.decisions(&stranger, session, &DecisionFilter::default(), &all()).await;
    assert!(matches!(read, Err(engine::Error::NotFound("session"))), "{read:?}");
}
