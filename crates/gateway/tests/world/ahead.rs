//! Money is held before the first request of a turn comes, as the turn before tells what that will cost.

use std::time::Duration;

use domain::{MicroUsd, ModelAccess, TurnId};
use serde_json::json;

use crate::{PATIENCE, World, offline_model};

/// A token is a byte at least.
const ADDED: usize = gateway::limits::AHEAD_TOKENS_ADDED as usize;

fn asking(model: &str, prompt: &str) -> String {
    let messages = json!([{"role": "user", "content": prompt}]);
    json!({"model": model, "max_tokens": 10, "messages": messages}).to_string()
}

/// One turn of one request, and the next one begun.
async fn second_turn(world: &World) -> TurnId {
    let token = &world.agent.token;
    world.gateway.attribute(token, Some(TurnId::new()));
    assert!(world.request(asking("claude-opus-5-5", "one")).send().await.unwrap().status().is_success());
    world.settled().await;
    world.gateway.attribute(token, None);
    expected_turn(world)
}

/// A turn whose prompt the agent was told.
fn expected_turn(world: &World) -> TurnId {
    let (token, turn) = (&world.agent.token, TurnId::new());
    world.gateway.attribute(token, Some(turn));
    world.gateway.expect_request(token);
    turn
}

async fn until_open(world: &World, holds: usize) {
    let waiting = async {
        while world.budgets.open() != holds {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{} are held", world.budgets.open());
}

#[tokio::test]
async fn the_first_request_of_a_turn_takes_over_what_is_held_and_the_next_holds_for_itself() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let turn = second_turn(&world).await;
    until_open(&world, 1).await;
    let [first, ahead] = world.budgets.admitted().try_into().unwrap();
    assert_eq!((ahead.turn_id, &ahead.model, ahead.accounts), (Some(turn), &first.model, first.accounts));
    assert!(ahead.amount > first.amount);

    for _ in 0..2 {
        world.request(asking("claude-opus-5-5", "one and another")).send().await.unwrap();
    }
    world.drained().await;
    let (held, booked) = (world.budgets.admitted(), world.budgets.booked());
    assert_eq!((held.len(), booked.len()), (3, 3));
    for (held, booked) in held.iter().zip(&booked) {
        assert_eq!((booked.id, booked.turn_id), (held.id, held.turn_id));
    }
    assert_eq!(world.budgets.open(), 0);
}

#[tokio::test]
async fn what_it_does_not_cover_holds_for_itself_and_does_not_wait_for_it() {
    let dearer = asking("claude-opus-5-5", &"x".repeat(ADDED + 100));
    let other = asking("claude-haiku-4-5", "one");
    for body in [dearer, other] {
        let model = offline_model().await;
        let world = World::new(&model.url()).await;
        second_turn(&world).await;
        until_open(&world, 1).await;
        // All there is is held for the request itself.
        world.budgets.limit(world.budgets.spent() + MicroUsd(1));
        let answer = tokio::time::timeout(PATIENCE / 2, world.request(body).send()).await;
        assert!(answer.expect("it waited for its own money").unwrap().status().is_success());
        world.drained().await;
        let (held, booked) = (world.budgets.admitted(), world.budgets.booked());
        assert_eq!((held.len(), booked.len(), world.budgets.open()), (3, 2, 0));
        assert_eq!(booked[1].id, held[2].id);
    }
}

#[tokio::test]
async fn what_was_held_long_ago_lets_nothing_through() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    second_turn(&world).await;
    until_open(&world, 1).await;
    world.budgets.limit(world.budgets.spent());
    tokio::time::pause();
    tokio::time::advance(gateway::limits::AHEAD_LASTS).await;
    tokio::time::resume();
    let refused = world.request(asking("claude-opus-5-5", "one")).send().await.unwrap();
    assert_eq!(refused.status(), 402);
    assert_eq!(world.budgets.open(), 0);
}

#[tokio::test]
async fn what_no_request_came_for_is_given_back() {
    let model = offline_model().await;
    for end in 0..3 {
        let world = World::new(&model.url()).await;
        second_turn(&world).await;
        until_open(&world, 1).await;
        match end {
            0 => world.gateway.attribute(&world.agent.token, None),
            1 => world.gateway.revoke(&world.agent.token).await,
            _ => world.gateway.shutdown().await,
        }
        match end {
            0 => until_open(&world, 0).await,
            _ => assert_eq!(world.budgets.open(), 0, "it ended before that was given back"),
        }
        assert_eq!(world.budgets.booked().len(), 1);
    }
}

#[tokio::test]
async fn without_money_nothing_is_held_and_the_request_is_refused() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    world.budgets.limit(MicroUsd(1));
    second_turn(&world).await;
    let refused = world.request(asking("claude-opus-5-5", "one")).send().await.unwrap();
    assert_eq!(refused.status(), 402);
    assert!(world.gateway.used_up(&world.agent.token).is_some());
    assert_eq!((world.budgets.admitted().len(), world.budgets.open()), (1, 0));
}

#[tokio::test]
async fn a_hold_that_failed_is_asked_for_again() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let token = &world.agent.token;
    second_turn(&world).await;
    until_open(&world, 1).await;
    world.gateway.attribute(token, None);
    until_open(&world, 0).await;
    // No request came in that turn, so nothing tells what the next will cost.
    expected_turn(&world);
    assert!(world.request(asking("claude-opus-5-5", "one")).send().await.unwrap().status().is_success());
    world.budgets.fail_next_holds(1);
    expected_turn(&world);
    assert!(world.request(asking("claude-opus-5-5", "one")).send().await.unwrap().status().is_success());
    world.drained().await;
    assert_eq!(
        (world.budgets.admitted().len(), world.budgets.booked().len(), world.budgets.open()),
        (4, 3, 0)
    );
}

#[tokio::test]
async fn nothing_is_held_before_the_agent_has_its_prompt_nor_when_the_turn_is_over_by_then() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    second_turn(&world).await;
    until_open(&world, 1).await;
    world.request(asking("claude-opus-5-5", "one")).send().await.unwrap();
    world.drained().await;
    let held = world.budgets.admitted().len();

    world.gateway.attribute(&world.agent.token, Some(TurnId::new()));
    tokio::time::sleep(3 * gateway::limits::AHEAD_DELAY).await;
    assert_eq!(world.budgets.admitted().len(), held, "it has no prompt yet");
    world.gateway.expect_request(&world.agent.token);
    world.gateway.attribute(&world.agent.token, None);
    world.drained().await;
    tokio::time::sleep(3 * gateway::limits::AHEAD_DELAY).await;
    assert_eq!(world.budgets.admitted().len(), held, "it needs none any more");
}
