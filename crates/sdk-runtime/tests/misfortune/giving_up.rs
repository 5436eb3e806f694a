//! Giving up: every future of an agent, dropped at each of its await points. What is begun again afterwards
//! works, and nothing is left.

use std::{future::Future, task::Poll, time::Duration};

use futures::StreamExt as _;
use sdk_runtime::{
    Agent, AgentOptions, Conversation, Event, Limits, Prompt, Queued, query_with, testing::ScriptedLauncher,
};
use serde_json::json;
use uuid::Uuid;

use crate::puppet::{Plumber, Valve};

/// More await points than any future here has.
const POLLS_MAX: usize = 200;

/// Polls a future this often, while the others get on in between, and drops it then.
pub(crate) async fn give_up<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = futures::poll!(&mut future) {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Calls `attempt` with 0, 1, 2… polls until it came to its end.
pub(crate) async fn at_each_point<F: Future<Output = bool>>(mut attempt: impl FnMut(usize) -> F) {
    for polls in 0..POLLS_MAX {
        let bounded = tokio::time::timeout(Duration::from_secs(3600), attempt(polls));
        if bounded.await.unwrap_or_else(|_| panic!("it hangs after {polls} polls")) {
            return;
        }
    }
    panic!("it never came to its end");
}

async fn answered(agent: &Agent, events: &mut sdk_runtime::Events) {
    let id = agent.prompt("are you there").await.unwrap();
    loop {
        match events.next().await.unwrap() {
            Event::Finished { prompts, .. } if prompts.contains(&id) => return,
            Event::Exited(said) => panic!("{}", said.words()),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_leaves_no_agent() {
    at_each_point(|polls| async move {
        let launcher = ScriptedLauncher::new();
        let started = give_up(Agent::start(&launcher, AgentOptions::default()), polls).await;
        let is_done = started.is_some();
        drop(started);
        for agent in launcher.agents() {
            agent.ended().await;
        }
        is_done
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_prompt_was_sent_or_not_and_the_next_is_answered() {
    let launcher = ScriptedLauncher::new();
    let (agent, mut events) = Agent::start(&launcher, AgentOptions::default()).await.unwrap();
    at_each_point(|polls| {
        let (agent, id) = (agent.clone(), Uuid::new_v4());
        async move { give_up(agent.prompt_with_id(id, "x"), polls).await.is_some() }
    })
    .await;
    answered(&agent, &mut events).await;
    let told = agent.close().await;
    assert_eq!(told.code, Some(0), "what was sent was answered: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn control_requests_and_interrupts_wedge_nobody() {
    let launcher = ScriptedLauncher::new();
    let mut limits = Limits::default();
    limits.write_queue_max = 1;
    let options = AgentOptions::default().with_limits(limits);
    let (agent, mut events) = Agent::start(&launcher, options).await.unwrap();
    at_each_point(|polls| {
        let agent = agent.clone();
        async move { give_up(agent.control("get_settings", json!({})), polls).await.is_some() }
    })
    .await;
    at_each_point(|polls| {
        let agent = agent.clone();
        async move { give_up(agent.interrupt(Queued::Keep), polls).await.is_some() }
    })
    .await;
    at_each_point(|polls| {
        let agent = agent.clone();
        async move { give_up(agent.reinitialize(), polls).await.is_some() }
    })
    .await;
    at_each_point(|polls| {
        let agent = agent.clone();
        async move { give_up(agent.set_mcp_servers(Default::default()), polls).await.is_some() }
    })
    .await;
    answered(&agent, &mut events).await;
    agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_goes_on_once_it_was_begun() {
    at_each_point(|polls| async move {
        let launcher = ScriptedLauncher::new();
        let (agent, _events) = Agent::start(&launcher, AgentOptions::default()).await.unwrap();
        let closed = give_up(agent.close(), polls).await;
        if polls > 0 {
            assert_eq!(agent.exited().await.exit.code, Some(0));
        }
        closed.is_some()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_found_no_room_may_be_sent_again_under_its_id() {
    let valve = Valve::default();
    let launcher = Plumber { launcher: ScriptedLauncher::new(), valve: valve.clone() };
    let mut limits = Limits::default();
    limits.write_queue_max = 1;
    let options = AgentOptions::default().with_limits(limits);
    let (conversation, _background) = Conversation::start(&launcher, options).await.unwrap();
    valve.shut(true);
    // One is being written, one waits; there is no room for a third.
    let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(conversation.send("x"))).collect();
    for sending in &mut waiting {
        for _ in 0..5 {
            assert!(futures::poll!(&mut *sending).is_pending());
            tokio::task::yield_now().await;
        }
    }
    let id = Uuid::new_v4();
    assert!(give_up(conversation.send(Prompt::text("x").with_id(id)), 10).await.is_none());
    valve.shut(false);
    for sending in waiting {
        assert_eq!(sending.await.unwrap().text().await.unwrap(), "done");
    }
    let turn = conversation.send(Prompt::text("x").with_id(id)).await.unwrap();
    assert_eq!(turn.text().await.unwrap(), "done");
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn turns_are_sent_or_not_and_lose_no_message() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        for _ in 0..5 {
            say.delta("a");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let (conversation, background) =
        Conversation::start(&launcher, AgentOptions::default().with_partial_messages(true)).await.unwrap();
    drop(background);
    at_each_point(|polls| {
        let conversation = conversation.clone();
        async move { give_up(conversation.send("x"), polls).await.is_some() }
    })
    .await;
    let whole: Vec<_> = conversation.send("x").await.unwrap().collect().await;
    // Each message is waited for and given up several times before it is there.
    let mut turn = conversation.send("x").await.unwrap();
    let mut heard = 0;
    loop {
        match give_up(turn.next(), 2).await {
            Some(Some(message)) => drop((message.unwrap(), heard += 1)),
            Some(None) => break,
            None => tokio::time::sleep(Duration::from_micros(300)).await,
        }
    }
    assert_eq!(heard, whole.len());
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_query_leaves_no_agent() {
    at_each_point(|polls| async move {
        let launcher = ScriptedLauncher::new();
        let query = query_with(std::sync::Arc::new(launcher.clone()), "x", AgentOptions::default());
        let is_done = give_up(query.text(), polls).await.is_some();
        for agent in launcher.agents() {
            agent.ended().await;
        }
        is_done
    })
    .await;
}
