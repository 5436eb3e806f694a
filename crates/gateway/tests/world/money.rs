//! Money is held before a request is sent, and freed or spent whichever way it ends.

use std::time::Duration;

use domain::{MicroUsd, ModelAccess, RequestUsage, TurnId};
use gateway::{Options, UnknownModel};
use serde_json::{Value, json};

use crate::{PATIENCE, REAL_KEY, World, body, canned::Canned, error_type, offline_model};

/// Waits for a level that somebody else brings about.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}

fn sized(max_tokens: u64, prompt: &str) -> String {
    let messages = json!([{"role": "user", "content": prompt}]);
    json!({"model": "claude-opus-5-5", "max_tokens": max_tokens, "messages": messages}).to_string()
}

#[tokio::test]
async fn the_most_that_a_request_can_cost_is_held_until_it_is_settled() {
    let standard = sized(1_000, "hi");
    let fast = standard.replacen('{', r#"{"speed":"fast","#, 1);
    // Inference in the US, and a cache of an hour. Without being asked for, fast mode is not to be paid.
    for (body, input, output) in [(standard, 8, 20), (fast, 16, 40)] {
        let upstream = Canned::new().await;
        let world = World::new(&upstream.url()).await;
        let turn = TurnId::new();
        world.gateway.attribute(&world.agent.token, Some(turn));
        let bytes = body.len() as i64;
        let asking = tokio::task::spawn(world.request(body).send());
        let (socket, _) = tokio::time::timeout(PATIENCE, upstream.accept()).await.unwrap();
        let held = world.budgets.admitted().remove(0);
        assert_eq!(
            (held.turn_id, held.user_id, held.model.as_str()),
            (Some(turn), world.scope.user_id, "claude-opus-5-5")
        );
        // A token is at least a byte.
        let most = ((bytes + 2_000) * input + 1_000 * output) * 110;
        assert_eq!(held.amount, MicroUsd((most + 99) / 100));
        assert_eq!(world.budgets.open(), 1);
        drop(socket);
        asking.await.unwrap().unwrap();
        world.drained().await;
        let booked = world.budgets.only();
        assert_eq!((booked.id, booked.turn_id, booked.started_at), (held.id, Some(turn), held.started_at));
        assert!(booked.cost <= held.amount);
        assert_eq!(world.budgets.open(), 0);
    }
}

#[tokio::test]
async fn an_exhausted_budget_refuses_in_words_and_nothing_is_sent() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    world.budgets.limit(MicroUsd(1));
    world.ask("[[usage:in=100,out=100]]").await;
    assert_eq!(world.gateway.used_up(&world.agent.token), None);

    let refused = world.ask("and more").await;
    assert_eq!(refused.status(), 402);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["error"]["type"], "billing_error");
    let words = problem["error"]["message"].as_str().unwrap();
    for part in ["the user's monthly budget is used up", "$0.002400 of $0.000001", "begins at 20"] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(model.requests().len(), 1);
    assert_eq!((world.budgets.booked().len(), world.budgets.open()), (1, 0));
    let used_up = world.gateway.used_up(&world.agent.token).unwrap();
    assert_eq!((used_up.exhausted.spent, used_up.renews_at.is_some()), (MicroUsd(2_400), true));

    // A budget that was raised counts for the next request.
    world.budgets.limit(MicroUsd(1_000_000));
    assert!(world.ask("and more").await.status().is_success());
    assert_eq!(world.gateway.used_up(&world.agent.token), None);
}

#[tokio::test]
async fn a_new_turn_begins_without_the_refusals_of_the_last() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    world.budgets.limit(MicroUsd::ZERO);
    assert_eq!(world.ask("hi").await.status(), 402);
    assert!(world.gateway.used_up(&world.agent.token).is_some());
    world.gateway.attribute(&world.agent.token, Some(TurnId::new()));
    assert_eq!(world.gateway.used_up(&world.agent.token), None);
}

#[tokio::test]
async fn whoever_finds_the_rest_held_waits_for_it() {
    let upstream = Canned::new().await;
    let world = World::new(&upstream.url()).await;
    world.budgets.limit(MicroUsd(10));
    let first = tokio::task::spawn(world.request(sized(10, "first")).send());
    let (socket, _) = tokio::time::timeout(PATIENCE, upstream.accept()).await.unwrap();
    let second = tokio::task::spawn(world.request(sized(10, "second")).send());
    // The first gives up and cost more than there is, by what one request may cost.
    let third = tokio::time::timeout(Duration::from_millis(100), upstream.accept()).await;
    assert!(third.is_err(), "the second was sent although everything is held");
    assert!(!second.is_finished());
    drop(socket);
    assert_eq!(first.await.unwrap().unwrap().status(), 502);
    let second = tokio::time::timeout(PATIENCE, second).await.unwrap().unwrap().unwrap();
    assert_eq!(second.status(), 402, "the estimated cost of the first used it up");
}

#[tokio::test]
async fn many_requests_at_once_spend_no_more_than_the_cap_and_one_request() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let cap = MicroUsd(100_000);
    world.budgets.limit(cap);
    let asks = (0..48).map(|_| world.ask("[[usage:in=1000,out=500]]"));
    let answers = futures::future::join_all(asks).await;
    let sent = answers.iter().filter(|answer| answer.status().is_success()).count();
    assert!(answers.iter().all(|answer| [200, 402].contains(&answer.status().as_u16())), "{answers:?}");
    let each = 1_000 * 4 + 500 * 20;
    assert_eq!(sent, (cap.0 as usize).div_ceil(each), "nobody is refused while there is money");
    assert_eq!(world.budgets.spent(), MicroUsd((sent * each) as i64));
    assert_eq!(world.budgets.open(), 0);
}

#[tokio::test]
async fn whoever_goes_away_while_waiting_leaves_nothing_held() {
    let upstream = Canned::new().await;
    let world = World::new(&upstream.url()).await;
    world.budgets.limit(MicroUsd(10));
    let first = tokio::task::spawn(world.request(sized(10, "first")).send());
    let (socket, _) = tokio::time::timeout(PATIENCE, upstream.accept()).await.unwrap();
    let second = tokio::task::spawn(world.request(sized(10, "second")).send());
    tokio::task::yield_now().await;
    second.abort();
    drop(socket);
    first.await.unwrap().unwrap();
    world.drained().await;
    until("nothing is held", || world.budgets.open() == 0).await;
    assert_eq!(world.budgets.booked().len(), 1);
}

#[tokio::test]
async fn a_store_that_cannot_answer_lets_nothing_through() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    world.budgets.fail_next_holds(1);
    let refused = world.ask("hi").await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(error_type(refused).await, "api_error");
    assert!(model.requests().is_empty() && world.budgets.booked().is_empty());
    assert!(world.ask("hi").await.status().is_success());
}

#[tokio::test]
async fn nothing_is_held_for_what_is_refused_or_costs_nothing() {
    let world = World::with(&Options::new("http://127.0.0.1:9", None)).await;
    assert_eq!(world.ask("hi").await.status(), 401);
    assert!(world.budgets.admitted().is_empty());
    let count = format!("{}/v1/messages/count_tokens", world.agent.base_url);
    let asked = world.client.post(count).header("x-api-key", &world.agent.token).body("{}");
    asked.send().await.unwrap();
    assert!(world.budgets.admitted().is_empty());
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_or_reckoned_at_the_highest() {
    let model = offline_model().await;
    let ask = async |world: &World| {
        let body = body("[[usage:in=10,out=0]]", false).replace("claude-opus-5-5", "mystery-1");
        world.request(body).send().await.unwrap()
    };
    let mut options = Options::new(model.url(), Some(REAL_KEY.into()));
    let world = World::with(&options).await;
    assert!(ask(&world).await.status().is_success());
    world.settled().await;
    let booked = world.budgets.only();
    assert!(!booked.is_priced && booked.cost >= MicroUsd(10 * 15), "{booked:?}");

    options.unknown_model = UnknownModel::Deny;
    let world = World::with(&options).await;
    let refused = ask(&world).await;
    assert_eq!(refused.status(), 402);
    assert!(refused.text().await.unwrap().contains("mystery-1"));
    assert_eq!((model.requests().len(), world.budgets.admitted().len()), (1, 0));
}

/// A request that may ask this advisor three times, and is told to say what the prompt has.
fn advised(advisor: &str, prompt: &str, stream: bool) -> String {
    let tool = json!({
        "type": "advisor_20260301", "name": "advisor", "model": advisor, "max_uses": 3, "max_tokens": 2_048
    });
    let messages = json!([{"role": "user", "content": prompt}]);
    json!({"model": "claude-opus-5-5", "stream": stream, "max_tokens": 100, "tools": [tool], "messages": messages})
        .to_string()
}

#[tokio::test]
async fn what_only_the_passes_of_an_answer_tell_is_held_and_booked() {
    let model = offline_model().await;
    for stream in [false, true] {
        let world = World::new(&model.url()).await;
        let prompt = "[[usage:in=1000,out=100]][[iteration:compaction in=5000,out=10]]\
             [[iteration:message in=1000,out=100]][[iteration:advisor_message claude-opus-4-6 in=800,out=7,cr=9,cw1h=11]]";
        let body = advised("claude-opus-4-6", prompt, stream);
        let bytes = body.len() as i64;
        world.request(body).send().await.unwrap().text().await.unwrap();
        world.settled().await;
        let held = world.budgets.admitted().remove(0);
        // A million tokens of input at most, and three times all that was said at the rates of Opus 4.6.
        let own = 1_000_000 * 8 + 100 * 20;
        let advice = (bytes + 2_000 + 100) * 10 + 2_048 * 25;
        assert_eq!(held.amount, MicroUsd(((own + 3 * advice) * 110 + 99) / 100));
        let booked = world.budgets.only();
        let advice = 800 * 5 + 7 * 25 + 11 * 10;
        // Nine tokens of the cache at half a micro-dollar are rounded up.
        assert_eq!(booked.cost, MicroUsd(6_000 * 4 + 110 * 20 + advice + 5), "stream: {stream}");
        let tokens = booked.tokens;
        assert_eq!((tokens.input, tokens.output, tokens.cache_read), (6_800, 117, 9));
        assert_eq!((tokens.cache_write_5m, tokens.cache_write_1h), (0, 11));
        assert!(booked.is_priced && booked.is_complete && !booked.is_estimated, "{booked:?}");
        assert_eq!(booked.model, "claude-opus-5-5");
    }
}

#[tokio::test]
async fn a_fallback_is_booked_on_the_model_that_took_over() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let prompt = "[[usage:in=412,out=264]][[iteration:message claude-opus-5-5 in=535,out=30]]\
         [[iteration:fallback_message claude-opus-4-8 in=412,out=264]]";
    world.request(body(prompt, true)).send().await.unwrap().text().await.unwrap();
    world.settled().await;
    let booked = world.budgets.only();
    assert_eq!(booked.model, "claude-opus-4-8");
    assert_eq!(booked.cost, MicroUsd(412 * 5 + 264 * 25 + 535 * 4 + 30 * 20));
    assert_eq!((booked.tokens.input, booked.tokens.output), (947, 294));
}

#[tokio::test]
async fn an_advisor_without_a_price_is_refused_or_reckoned_at_the_highest() {
    let model = offline_model().await;
    let ask = async |world: &World| {
        let prompt = "[[usage:in=10,out=0]][[iteration:advisor_message mystery-1 in=10,out=0]]";
        world.request(advised("mystery-1", prompt, false)).send().await.unwrap()
    };
    let mut options = Options::new(model.url(), Some(REAL_KEY.into()));
    let world = World::with(&options).await;
    assert!(ask(&world).await.status().is_success());
    world.settled().await;
    let booked = world.budgets.only();
    assert_eq!((booked.is_priced, booked.cost), (false, MicroUsd(10 * 4 + 10 * 15)));

    options.unknown_model = UnknownModel::Deny;
    let world = World::with(&options).await;
    let refused = ask(&world).await;
    assert_eq!(refused.status(), 402);
    assert!(refused.text().await.unwrap().contains("mystery-1"));
    assert_eq!((model.requests().len(), world.budgets.admitted().len()), (1, 0));
}

#[tokio::test]
async fn whoever_allows_uses_without_end_has_no_more_held_than_anybody_needs() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let endless = |kind: &str| {
        sized(10, "hi").replacen(
            '{',
            &format!(r#"{{"tools":[{{"type":"{kind}","name":"x","model":"claude-opus-5-5","max_tokens":10,"max_uses":18446744073709551615}}],"#),
            1,
        )
    };
    for kind in ["web_search_20250305", "advisor_20260301"] {
        assert!(world.request(endless(kind)).send().await.unwrap().status().is_success());
    }
    let held = world.budgets.admitted();
    let [searches, advice] = held.as_slice() else { panic!("{held:?}") };
    // A million tokens of input, ten of output, and a hundred searches.
    assert_eq!(searches.amount, MicroUsd((1_000_000 * 8 + 10 * 20) * 110 / 100 + 100 * 10_000));
    assert!((8_800_000..20_000_000).contains(&advice.amount.0), "{advice:?}");
}

#[tokio::test]
async fn a_request_that_nobody_answers_yet_is_noted_with_an_estimate() {
    let upstream = Canned::new().await;
    let world = World::new(&upstream.url()).await;
    for is_stream in [true, false] {
        let before = world.budgets.seen().len();
        let asking = tokio::task::spawn(world.request(body("hi", is_stream)).send());
        let (socket, _) = tokio::time::timeout(PATIENCE, upstream.accept()).await.unwrap();
        until("it is noted", || world.budgets.seen().len() > before).await;
        let (seen, asked) = (world.budgets.seen().pop().unwrap(), world.budgets.admitted().pop().unwrap());
        assert_eq!((seen.id, seen.model.as_str(), seen.turn_id), (asked.id, "claude-opus-5-5", None));
        assert!(seen.is_estimated && !seen.is_complete && seen.tokens.input > 0, "{seen:?}");
        assert!(seen.cost > MicroUsd::ZERO && seen.cost < asked.amount, "{seen:?}");
        drop(socket);
        assert_eq!(asking.await.unwrap().unwrap().status(), 502);
        world.settled().await;
    }
    assert_eq!((world.budgets.booked().len(), world.budgets.open()), (2, 0));
}

#[tokio::test]
async fn a_request_that_is_answered_at_once_is_not_noted() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    world.ask_streaming("[[text:x]]").await.text().await.unwrap();
    world.ask("[[text:x]]").await.text().await.unwrap();
    // Nothing of it is left to wait for either.
    world.drained().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((world.budgets.booked().len(), world.budgets.seen().len()), (2, 0));
}

#[tokio::test]
async fn what_a_stream_has_used_is_noted_while_it_lasts() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let mut response = world.ask_streaming("[[usage:in=7]][[first:3600000]]").await;
    assert!(response.chunk().await.unwrap().is_some());
    let its_prompt = |seen: &RequestUsage| seen.tokens.input == 7;
    until("it is noted", || world.budgets.seen().last().is_some_and(its_prompt)).await;
    let seen = world.budgets.seen().pop().unwrap();
    assert_eq!((seen.tokens.input, seen.is_complete, seen.is_estimated), (7, false, true));
    assert_eq!(seen.id, world.budgets.admitted()[0].id);
    assert!(seen.cost > MicroUsd::ZERO);
    // The estimate that is made when nothing comes does not follow.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.budgets.seen().last().is_some_and(its_prompt));
    drop(response);
    world.drained().await;
    assert_eq!(world.budgets.only().id, seen.id);
}
