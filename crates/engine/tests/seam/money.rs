//! Prompts for which there is no money, turns that run out of it, and sessions that go on when there is some again.

use crate::world::{World, soon};
use domain::{
    Budget, BudgetPeriod, Clock as _, MicroUsd, Origin, SessionId, SessionMode, SessionStatus, Spender,
    TurnFailure, TurnStatus, WhenExhausted,
    budget::{Account, Exhausted, UsedUp},
    ports::{Budgets as _, Turns as _},
};
use engine::{Error, ForkDraft, SessionDraft};
use jiff::SignedDuration;
use sdk_runtime::testing::ScriptedLauncher;
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Agents whose requests are refused when their prompt says so.
fn spending() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        match prompt.text().as_str() {
            "spend" => say.api_error(402, "API Error: 402 no more money"),
            _ => say.text("done"),
        }
    })
}

fn user(world: &World) -> Account {
    let month = monitoring::costs::month_of(world.clock.now(), "UTC").unwrap();
    Account { spender: Spender::User(world.caller.user_id), period: month, default: None }
}

/// Gives the user so much for the month, of which nothing is spent.
async fn allow(world: &World, limit: i64, when_exhausted: WhenExhausted) {
    let budget = Some(Budget { limit: MicroUsd(limit), when_exhausted });
    let now = world.clock.now();
    world
        .store
        .set_budget(&user(world), budget, &domain::Expected::ANY, now, &Origin::system())
        .await
        .unwrap();
}

fn used_up(world: &World, when_exhausted: WhenExhausted) -> UsedUp {
    let budget = Budget { limit: MicroUsd(5_000_000), when_exhausted };
    let spender = Spender::User(world.caller.user_id);
    UsedUp { exhausted: Exhausted { spender, budget, spent: MicroUsd(5_000_001) }, renews_at: None }
}

/// A session that ran out of money, with a prompt that waits.
async fn paused(world: &World) -> SessionId {
    let session = world.session().await;
    world.access.runs_out(Some(used_up(world, WhenExhausted::Pause)));
    let turn = world.ask(session, "spend").await;
    assert_eq!(turn.status, TurnStatus::BudgetExhausted);
    world.access.runs_out(None);
    session
}

/// Housekeeping in the background, until the returned guard is dropped.
fn keeping_house(world: &World) -> DropGuard {
    let stop = CancellationToken::new();
    let (manager, cancelled) = (world.manager.clone(), stop.clone());
    #[expect(clippy::disallowed_methods, reason = "ends with its guard")]
    let keeping = tokio::spawn(async move { manager.keep_house(cancelled).await });
    drop(keeping);
    stop.drop_guard()
}

fn is_refused<T: std::fmt::Debug>(answer: engine::Result<T>) -> UsedUp {
    let refused = answer.unwrap_err();
    let Error::BudgetExhausted(used_up) = refused else {
        unreachable!("refused for another reason: {refused:?}")
    };
    *used_up
}

#[tokio::test(start_paused = true)]
async fn a_prompt_without_money_is_refused_and_nothing_begins() {
    let world = World::new(spending());
    let session = world.session().await;
    allow(&world, 0, WhenExhausted::Block).await;
    let used_up = is_refused(world.prompt(session, "hello").await);
    assert_eq!(used_up.exhausted.spender, Spender::User(world.caller.user_id));
    assert_eq!(used_up.renews_at.unwrap().to_string(), "2026-02-01T00:00:00Z");
    is_refused(world.queue(session, "hello").await);
    is_refused(world.manager.check_budget(&world.caller).await);

    let (mode, initial_message) = (Some(SessionMode::Background), Some(json!("hello")));
    let draft = SessionDraft { mode, initial_message: initial_message.clone(), ..Default::default() };
    is_refused(world.manager.create(&world.caller, draft).await);
    let draft = SessionDraft { initial_message, ..Default::default() };
    let fork = ForkDraft { session: draft, ..ForkDraft::default() };
    is_refused(world.manager.fork(&world.caller, session, fork).await);

    let all = domain::session::SessionFilter::default();
    let sessions = world.manager.list(&world.caller, &all, &domain::PageRequest::first(10)).await.unwrap();
    assert_eq!(sessions.items.len(), 1, "nothing was made for it");
    assert_eq!(world.status(session).await, SessionStatus::Created);
    assert!(world.launcher.agents().is_empty());

    // A session without a prompt costs nothing.
    world.session().await;
    allow(&world, 1, WhenExhausted::Block).await;
    assert_eq!(world.ask(session, "hello").await.status, TurnStatus::Completed);
    // The agent is there and waits: that is no reason not to ask.
    allow(&world, 0, WhenExhausted::Block).await;
    is_refused(world.prompt(session, "and more").await);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_only_warns_refuses_nothing() {
    let world = World::new(spending());
    let session = world.session().await;
    allow(&world, 0, WhenExhausted::Warn).await;
    assert_eq!(world.ask(session, "hello").await.status, TurnStatus::Completed);
}

/// Leaves this session without money.
async fn impoverish(world: &World, session: SessionId) -> Spender {
    let (spender, period) = (Spender::Session(session), BudgetPeriod::default());
    let budget = Some(Budget { limit: MicroUsd::ZERO, when_exhausted: WhenExhausted::Block });
    let account = Account { spender: spender.clone(), period, default: None };
    let (any, now) = (domain::Expected::ANY, world.clock.now());
    world.store.set_budget(&account, budget, &any, now, &Origin::system()).await.unwrap();
    spender
}

#[tokio::test(start_paused = true)]
async fn who_has_no_money_costs_nobody_their_agent() {
    let world = World::with(spending(), |settings| settings.limits.interactive_agents_max = 1);
    let (rich, poor) = (world.session().await, world.session().await);
    impoverish(&world, poor).await;
    world.ask(rich, "hello").await;
    is_refused(world.prompt(poor, "hello").await);
    world.ask(rich, "and more").await;
    assert_eq!(world.launcher.agents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sessions_own_budget_counts_for_its_prompts_only() {
    let world = World::new(spending());
    let (poor, other) = (world.session().await, world.session().await);
    let spender = impoverish(&world, poor).await;
    let used_up = is_refused(world.prompt(poor, "hello").await);
    assert_eq!((used_up.exhausted.spender, used_up.renews_at), (spender, None));
    assert_eq!(world.ask(other, "hello").await.status, TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_runs_out_of_money_says_so_and_is_no_error() {
    let world = World::new(spending());
    let session = world.session().await;
    world.access.runs_out(Some(used_up(&world, WhenExhausted::Block)));
    let turn = world.ask(session, "spend").await;
    assert_eq!(
        (turn.status, turn.failure),
        (TurnStatus::BudgetExhausted, Some(TurnFailure::BudgetExhausted))
    );
    let words = turn.error_message.unwrap();
    assert!(words.contains("$5.000001 of $5.000000"), "{words}");
    let after = world.get(session).await;
    assert_eq!(
        (after.status, after.counters.errors, after.budget_paused_at),
        (SessionStatus::Active, 0, None)
    );
    assert_eq!(turn.retries, 0, "asking again would not help");

    // A model that fails for another reason is a failure of the model.
    world.access.runs_out(None);
    let turn = world.ask(session, "spend").await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Failed, Some(TurnFailure::ModelFailed)));
    // A turn that came to its end did so, whatever was refused on the way.
    world.access.runs_out(Some(used_up(&world, WhenExhausted::Block)));
    assert_eq!(world.ask(session, "hello").await.status, TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn background_work_fails_or_is_paused() {
    for (when_exhausted, status) in
        [(WhenExhausted::Block, SessionStatus::Failed), (WhenExhausted::Pause, SessionStatus::Paused)]
    {
        let world = World::new(spending());
        world.access.runs_out(Some(used_up(&world, when_exhausted)));
        let (mode, initial_message) = (Some(SessionMode::Background), Some(json!("spend")));
        let session = world.session_of(SessionDraft { mode, initial_message, ..Default::default() }).await;
        world.reaches(session, status).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_session_goes_on_by_itself_at_once_when_its_budget_is_raised() {
    let world = World::new(spending());
    let session = paused(&world).await;
    let now = world.get(session).await;
    assert_eq!(now.status, SessionStatus::Paused);
    assert!(now.budget_paused_at.is_some());
    allow(&world, 0, WhenExhausted::Pause).await;
    let house = keeping_house(&world);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.status(session).await, SessionStatus::Paused, "there is no money yet");
    is_refused(world.prompt(session, "hello").await);

    let before = tokio::time::Instant::now();
    allow(&world, 9, WhenExhausted::Pause).await;
    world.manager.budget_changed();
    let prompts = soon(async {
        loop {
            let prompts = world.launcher.last_agent().prompts();
            if prompts.iter().any(|prompt| prompt.to_string().contains("There is money again")) {
                return prompts;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    world.reaches(session, SessionStatus::Active).await;
    assert_eq!(world.get(session).await.budget_paused_at, None);
    let turns = world.manager.turns(&world.caller, session, &domain::PageRequest::first(10)).await.unwrap();
    assert_eq!(turns.items[0].status, TurnStatus::Completed, "{prompts:?}");
    assert_eq!(turns.items.len(), 2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let turns = world.manager.turns(&world.caller, session, &domain::PageRequest::first(10)).await.unwrap();
    assert_eq!(turns.items.len(), 2, "it goes on once");
    drop(house);
}

#[tokio::test(start_paused = true)]
async fn a_paused_session_goes_on_in_the_next_month_with_what_waited_after_it() {
    let world = World::new(spending());
    let session = paused(&world).await;
    allow(&world, 5, WhenExhausted::Pause).await;
    spend(&world, session, 5).await;
    let _house = keeping_house(&world);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.status(session).await, SessionStatus::Paused);
    world.clock.advance(SignedDuration::from_hours(24 * 31));
    world.reaches(session, SessionStatus::Active).await;
}

#[tokio::test(start_paused = true)]
async fn a_person_may_resume_it_but_still_has_no_money() {
    let world = World::new(spending());
    let session = paused(&world).await;
    allow(&world, 0, WhenExhausted::Pause).await;
    let resumed = world.manager.resume(&world.caller, session).await.unwrap();
    assert_eq!((resumed.status, resumed.budget_paused_at), (SessionStatus::Active, None));
    is_refused(world.prompt(session, "hello").await);
    let _house = keeping_house(&world);
    allow(&world, 9, WhenExhausted::Pause).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let turns = world.manager.turns(&world.caller, session, &domain::PageRequest::first(10)).await.unwrap();
    assert_eq!(turns.items.len(), 1, "a person took it up, so it does not go on by itself");
}

#[tokio::test(start_paused = true)]
async fn the_next_life_lets_it_go_on() {
    let world = World::new(spending());
    let session = paused(&world).await;
    assert_eq!(world.store.paused_by_budget(world.settings.server.id, 9).await.unwrap().len(), 1);
    let world = world.next_life();
    world.manager.recover().await.unwrap();
    let _house = keeping_house(&world);
    world.reaches(session, SessionStatus::Active).await;
}

/// Has a request on record that cost so much.
async fn spend(world: &World, session: SessionId, cost: i64) {
    let id = domain::RequestUsageId::new();
    let hold = domain::budget::NewHold {
        id,
        session_id: session,
        user_id: world.caller.user_id,
        turn_id: None,
        accounts: vec![user(world)],
        amount: MicroUsd(cost),
        server_id: world.settings.server.id,
        model: "m".into(),
        price_version: "1".into(),
        started_at: world.clock.now(),
    };
    assert_eq!(world.store.hold(&hold).await.unwrap(), domain::budget::Held::Admitted);
    let usage = domain::RequestUsage {
        id,
        session_id: session,
        user_id: world.caller.user_id,
        turn_id: None,
        model: "m".into(),
        tokens: domain::TokenUsage::default(),
        thinking_tokens: 0,
        tools: vec![],
        cost: MicroUsd(cost),
        price_version: "1".into(),
        is_priced: true,
        is_complete: true,
        is_estimated: false,
        http_status: 200,
        stop_reason: None,
        started_at: world.clock.now(),
        duration_ms: 1,
    };
    world.store.settle(&usage).await.unwrap();
}
