//! Endpoints on real sockets: what they get, how often, and where nobody is called.

use crate::{
    receiver::{Receiver, Reply},
    world::{World, answers, call},
};
use domain::{
    Clock, HookDelivery, HookDeliveryId, HookDeliveryStatus, HookEndpoint, HookEndpointKind, PageRequest,
    Scope,
    hook::SecretRotation,
    ports::{HookDeliveries as _, HookEndpoints as _},
};
use hooks::{
    Hooks, Switches,
    limits::{ANSWER_BYTES_MAX, RETRY_DELAYS},
};
use jiff::SignedDuration;
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The endpoint's only delivery, once it is as it should be.
async fn delivery(
    world: &World,
    endpoint: &HookEndpoint,
    is: impl Fn(&HookDelivery) -> bool,
) -> HookDelivery {
    for _ in 0..6000 {
        let all = world.store.deliveries(endpoint.id, &PageRequest::first(9)).await.unwrap().items;
        if let [one] = &all[..]
            && is(one)
        {
            return one.clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to that");
}

/// Tells an endpoint of one Stop.
async fn tell(world: &World, hooks: &Hooks) {
    call(&world.registrations(hooks).await, "Stop", "").await.unwrap();
    hooks.flush().await;
}

async fn told(world: &World, receiver: &Receiver) -> (HookEndpoint, String) {
    world
        .endpoint(&receiver.url, |endpoint| {
            endpoint.kind = HookEndpointKind::Notification;
            endpoint.event_types = vec!["Stop".to_owned()];
            endpoint.is_global = true;
        })
        .await
}

/// Sends until the end of the test.
fn sending(hooks: &Hooks) -> (tokio::task::JoinSet<()>, CancellationToken) {
    let (mut tasks, cancelled) = (tokio::task::JoinSet::new(), CancellationToken::new());
    let (hooks, until) = (hooks.clone(), cancelled.clone());
    tasks.spawn(async move { hooks.send(until).await });
    (tasks, cancelled)
}

#[tokio::test]
async fn a_message_is_signed_and_tried_again_under_its_id_until_it_is_taken() {
    let world = World::new(&[]).await;
    let receiver = Receiver::start(Reply::Status(503)).await;
    let (endpoint, secret) = told(&world, &receiver).await;
    let hooks = world.hooks(Switches::default(), vec![]);
    let (_tasks, cancelled) = sending(&hooks);
    tell(&world, &hooks).await;
    let failed = delivery(&world, &endpoint, |one| one.attempts == 1).await;
    assert_eq!((failed.status, failed.response_status), (HookDeliveryStatus::Pending, Some(503)));
    assert_eq!(failed.error.as_deref(), Some("the endpoint answered with status 503"));
    let wait = failed.next_attempt_at.unwrap().duration_since(world.clock.now());
    assert!((RETRY_DELAYS[0]..RETRY_DELAYS[0] * 2).contains(&wait), "{wait}");

    receiver.reply_with(Reply::Status(204));
    world.clock.advance(SignedDuration::from_secs(10));
    hooks.sender().news.notify_one();
    let taken = delivery(&world, &endpoint, |one| one.status == HookDeliveryStatus::Delivered).await;
    assert_eq!((taken.attempts, taken.error, taken.next_attempt_at), (2, None, None));
    let received = receiver.until(2).await;
    for one in &received {
        assert!(one.is_signed_with(&secret), "{one:?}");
        assert!(!one.is_signed_with("whsec_AAAA"));
        assert_eq!((one.id(), &one.body), (taken.id.to_string().as_str(), &taken.payload));
        assert_eq!(one.json()["type"], "Stop");
    }
    cancelled.cancel();
}

#[tokio::test]
async fn a_message_that_is_never_taken_fails_after_the_last_delay_and_at_once_when_it_is_not_wanted() {
    let world = World::new(&[]).await;
    let receiver = Receiver::start(Reply::Status(500)).await;
    let (endpoint, _) = told(&world, &receiver).await;
    let hooks = world.hooks(Switches::default(), vec![]);
    let (_tasks, cancelled) = sending(&hooks);
    tell(&world, &hooks).await;
    for attempts in 1..=RETRY_DELAYS.len() as u32 {
        let pending = delivery(&world, &endpoint, |one| one.attempts == attempts).await;
        assert_eq!(pending.status, HookDeliveryStatus::Pending, "{attempts}");
        world.clock.advance(SignedDuration::from_hours(30));
        hooks.sender().news.notify_one();
    }
    let failed = delivery(&world, &endpoint, |one| one.status == HookDeliveryStatus::Failed).await;
    assert_eq!((failed.attempts, receiver.received().len()), (10, 10));

    receiver.reply_with(Reply::Status(410));
    world.store.redeliver(endpoint.id, failed.id, world.clock.now()).await.unwrap().unwrap();
    hooks.sender().news.notify_one();
    let gone = delivery(&world, &endpoint, |one| one.attempts == 1).await;
    assert_eq!(gone.status, HookDeliveryStatus::Failed);
    cancelled.cancel();
}

#[tokio::test]
async fn after_a_rotation_both_secrets_sign_and_then_only_the_new_one() {
    let world = World::new(&[]).await;
    let receiver = Receiver::start(Reply::Status(204)).await;
    let (endpoint, old) = told(&world, &receiver).await;
    let new = hooks::webhook::fresh_secret();
    let now = world.clock.now();
    let until = now + SignedDuration::from_hours(1);
    let secret = world.sealer.seal(endpoint.id, &new).unwrap();
    let (rotation, any) = (SecretRotation { secret, old_until: until }, domain::Expected::ANY);
    let nobody = domain::Origin::system();
    world.store.rotate_secret(Scope::All, endpoint.id, &rotation, &any, now, &nobody).await.unwrap();
    let endpoint = world.store.endpoint(Scope::All, endpoint.id).await.unwrap().unwrap();
    let client = world.client(true);
    let new = secrecy::ExposeSecret::expose_secret(&new).to_owned();
    client.call(&endpoint, HookDeliveryId::new(), now, "{}").await.unwrap();
    client.call(&endpoint, HookDeliveryId::new(), until, "{}").await.unwrap();
    let received = receiver.received();
    assert!(received[0].is_signed_with(&old) && received[0].is_signed_with(&new));
    assert!(!received[1].is_signed_with(&old) && received[1].is_signed_with(&new));
}

#[tokio::test]
async fn a_dead_endpoint_delays_neither_the_event_nor_the_others() {
    let world = World::new(&[]).await;
    let dead = Receiver::start(Reply::Never).await;
    let alive = Receiver::start(Reply::Status(204)).await;
    told(&world, &dead).await;
    let (endpoint, _) = world
        .endpoint(&alive.url, |endpoint| {
            endpoint.name = "alive".to_owned();
            endpoint.kind = HookEndpointKind::Notification;
            endpoint.event_types = vec!["PostToolUse".to_owned()];
            endpoint.is_global = true;
        })
        .await;
    let hooks = world.hooks(Switches::default(), vec![answers("x", 0, json!({}))]);
    let (_tasks, cancelled) = sending(&hooks);
    let registrations = world.registrations(&hooks).await;
    for _ in 0..40 {
        call(&registrations, "Stop", "").await.unwrap();
    }
    dead.until(1).await;
    call(&registrations, "PostToolUse", "Bash").await.unwrap();
    delivery(&world, &endpoint, |one| one.status == HookDeliveryStatus::Delivered).await;
    assert!(dead.received().len() <= 4, "a dead endpoint holds no more than its share");
    cancelled.cancel();
}

#[tokio::test]
async fn nobody_is_called_on_a_private_address_led_elsewhere_or_read_without_end() {
    let world = World::new(&[]).await;
    let receiver = Receiver::start(Reply::Status(204)).await;
    let port = receiver.url.rsplit_once(':').unwrap().1.to_owned();
    let guarded = world.client(false);
    let now = world.clock.now();
    for url in [
        format!("https://localhost:{port}"),
        format!("https://127.0.0.1:{port}"),
        format!("https://2130706433:{port}"),
        format!("https://[::ffff:127.0.0.1]:{port}"),
    ] {
        let (endpoint, _) = world.endpoint(&url, |endpoint| endpoint.name = url.clone()).await;
        let refused = guarded.call(&endpoint, HookDeliveryId::new(), now, "{}").await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("not public"), "{url}: {refused}");
    }
    assert_eq!(receiver.received().len(), 0);

    let client = world.client(true);
    let leading = Receiver::start(Reply::Redirect(receiver.url.clone())).await;
    let (endpoint, _) = world.endpoint(&leading.url, |endpoint| endpoint.name = "leading".to_owned()).await;
    let refused = client.call(&endpoint, HookDeliveryId::new(), now, "{}").await.unwrap_err();
    assert_eq!(refused.to_string(), "answered with status 307");
    assert_eq!(receiver.received().len(), 0, "the redirect was followed");

    let endless = Receiver::start(Reply::Body("x".repeat(ANSWER_BYTES_MAX + 1))).await;
    let (endpoint, _) = world.endpoint(&endless.url, |endpoint| endpoint.name = "endless".to_owned()).await;
    let refused = client.call(&endpoint, HookDeliveryId::new(), now, "{}").await.unwrap_err();
    assert!(refused.to_string().contains("more than"), "{refused}");
}
