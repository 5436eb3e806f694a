//! Every way a request can end books it once.

use std::time::Duration;

use domain::{MicroUsd, ModelAccess};
use gateway::Options;

use crate::{PATIENCE, REAL_KEY, World, canned::Canned, error_type, offline_model};

#[tokio::test]
async fn an_agent_that_goes_away_is_booked_for_what_was_seen() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let mut response = world.ask_streaming("[[usage:in=7,out=100]][[endless]][[chunk_delay:1]]").await;
    let first = response.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: message_start"));
    assert!(world.budgets.booked().is_empty());
    drop(response);
    world.drained().await;
    let usage = world.budgets.only();
    assert_eq!((usage.tokens.input, usage.is_complete, usage.is_estimated), (7, false, true));
    assert!(usage.tokens.output >= 1);
    assert_eq!(usage.cost, MicroUsd(7 * 4 + 20 * usage.tokens.output as i64));
}

#[tokio::test]
async fn an_agent_that_goes_away_before_the_answer_is_booked_too() {
    let upstream = Canned::new().await;
    let world = World::new(&upstream.url()).await;
    let asking = tokio::task::spawn(world.request(crate::body("hi", true)).send());
    let (socket, _) = tokio::time::timeout(PATIENCE, upstream.accept()).await.unwrap();
    asking.abort();
    world.drained().await;
    drop(socket);
    world.settled().await;
    let usage = world.budgets.only();
    assert_eq!((usage.http_status, usage.is_complete, usage.model.as_str()), (0, false, "claude-opus-5-5"));
    assert!(usage.is_estimated && usage.cost > MicroUsd::ZERO, "it was asked, so it is not free: {usage:?}");
}

#[tokio::test]
async fn a_stream_that_is_cut_is_cut_for_the_agent_and_incomplete() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let response = world.ask_streaming("[[usage:in=7]][[deltas:9]][[cut:2]]").await;
    assert!(response.text().await.is_err(), "the agent must not take it for whole");
    world.drained().await;
    let usage = world.budgets.only();
    assert_eq!((usage.tokens.input, usage.is_complete, usage.http_status), (7, false, 200));
    assert!(usage.is_estimated);
}

#[tokio::test]
async fn an_error_within_a_stream_is_incomplete() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let text =
        world.ask_streaming("[[usage:in=7]][[sse_error:overloaded_error]]").await.text().await.unwrap();
    assert!(text.contains("event: error"));
    world.settled().await;
    assert!(!world.budgets.only().is_complete);
}

#[tokio::test]
async fn an_error_that_breaks_off_costs_nothing() {
    let upstream = Canned::new().await;
    let world = World::new(&upstream.url()).await;
    let head =
        "HTTP/1.1 529 Overloaded\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"type\":";
    let upstream = upstream.answer(vec![head.into()]);
    let response = world.ask("hi").await;
    assert!(!response.status().is_success());
    upstream.await.unwrap();
    world.settled().await;
    let usage = world.budgets.only();
    assert_eq!((usage.http_status, usage.cost), (529, MicroUsd::ZERO));
}

#[tokio::test]
async fn an_error_of_the_upstream_passes_and_costs_nothing() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let response = world.ask("[[error:529 retry_after=3]]").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (529, &"3".parse().unwrap())
    );
    assert_eq!(error_type(response).await, "overloaded_error");
    world.settled().await;
    let usage = world.budgets.only();
    assert_eq!((usage.http_status, usage.cost, usage.is_complete), (529, MicroUsd::ZERO, true));
    assert_eq!(usage.model, "claude-opus-5-5");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_502() {
    let gone = Canned::new().await.url();
    let world = World::new(&gone).await;
    let response = world.ask("hi").await;
    assert_eq!(response.status(), 502);
    assert_eq!(error_type(response).await, "api_error");
    world.settled().await;
    let usage = world.budgets.only();
    assert_eq!((usage.http_status, usage.cost, usage.is_complete), (0, MicroUsd::ZERO, true));
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_504() {
    let model = offline_model().await;
    let mut options = Options::new(model.url(), Some(REAL_KEY.into()));
    options.upstream_idle_timeout = Duration::from_millis(100);
    let world = World::with(&options).await;
    let response = world.ask("[[hang]]").await;
    assert_eq!(response.status(), 504);
    assert_eq!(error_type(response).await, "timeout_error");
    world.settled().await;
    assert!(!world.budgets.only().is_complete);
}

#[tokio::test]
async fn a_ledger_that_fails_is_asked_again() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    world.budgets.fail_next(2);
    world.ask_streaming("hi").await.text().await.unwrap();
    world.settled().await;
    assert!(world.budgets.only().is_complete);
}

#[tokio::test]
async fn revoking_waits_then_cuts_what_is_left() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let mut response = world.ask_streaming("[[usage:in=7]][[first:3600000]]").await;
    assert!(response.chunk().await.unwrap().is_some());
    tokio::time::timeout(PATIENCE, world.gateway.revoke(&world.agent.token)).await.unwrap();
    let usage = world.budgets.only();
    assert_eq!((usage.tokens.input, usage.is_complete), (7, false));
    assert!(response.text().await.is_err());
    assert_eq!(world.ask("again").await.status(), 401);
}

#[tokio::test]
async fn shutting_down_books_what_is_in_flight() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let mut response = world.ask_streaming("[[usage:in=7]][[first:3600000]]").await;
    assert!(response.chunk().await.unwrap().is_some());
    tokio::time::timeout(PATIENCE, world.gateway.shutdown()).await.unwrap();
    assert_eq!(world.budgets.only().tokens.input, 7);
    assert!(world.request("{}").send().await.is_err(), "it still listens");
}
