//! Each channel tells each alert, tries again, and gives up in the end.

use crate::world::{Counted, Does, Scripted, World, running, until};
use domain::{AlertChannel::Webhook, Clock as _};
use jiff::SignedDuration;
use monitoring::alerts::limits::{AGE_MAX, AT_ONCE_MAX, ATTEMPT_MAX, CLAIM, RETRY_DELAYS};
use std::sync::Arc;

const DAYS: SignedDuration = SignedDuration::from_hours(100 * 24);

#[tokio::test]
async fn an_alert_is_told_once_and_one_that_failed_again_when_its_delay_is_over() {
    let world = World::new();
    let channel = Scripted::new([Does::Tells, Does::Fails, Does::Fails]);
    let alerter = world.alerter(vec![Arc::new(channel.clone())]);
    let (_tasks, cancelled) = running(&alerter);
    let first = world.health_alert("database").await;
    alerter.nudge();
    channel.asked_times(1).await;
    until(async || world.due(Webhook, DAYS).await.is_empty().then_some(())).await;

    let second = world.health_alert("disk").await;
    alerter.nudge();
    for (attempts, delay) in (1..=2).zip(RETRY_DELAYS) {
        channel.asked_times(1 + attempts as usize).await;
        // Its failure is on record and it is due after its delay, and not before.
        until(async || (world.due(Webhook, delay).await == [(second.id, attempts)]).then_some(())).await;
        world.clock.advance(delay + SignedDuration::from_secs(1));
        alerter.nudge();
    }
    channel.asked_times(4).await;
    until(async || world.due(Webhook, DAYS).await.is_empty().then_some(())).await;
    assert_eq!(channel.asked(), [first.id, second.id, second.id, second.id]);
    cancelled.cancel();
}

#[tokio::test]
async fn what_is_never_taken_is_given_up_after_the_last_delay() {
    let world = World::new();
    let attempts = RETRY_DELAYS.len() + 1;
    let channel = Scripted::new(vec![Does::Fails; attempts + 5]);
    let alerter = world.alerter(vec![Arc::new(channel.clone())]);
    let (_tasks, cancelled) = running(&alerter);
    world.health_alert("database").await;
    for attempt in 1..=attempts {
        alerter.nudge();
        channel.asked_times(attempt).await;
        let next = RETRY_DELAYS.get(attempt - 1).copied();
        match next {
            Some(delay) => {
                until(async || (!world.due(Webhook, delay).await.is_empty()).then_some(())).await;
                world.clock.advance(delay + SignedDuration::from_secs(1));
            }
            None => until(async || world.due(Webhook, DAYS).await.is_empty().then_some(())).await,
        }
    }
    assert_eq!(channel.asked().len(), attempts);
    cancelled.cancel();
}

#[tokio::test]
async fn what_was_being_told_when_a_server_died_is_told_by_the_next_under_the_same_id() {
    let world = World::new();
    let dying = Scripted::new([Does::Hangs]);
    let (tasks, _) = running(&world.alerter(vec![Arc::new(dying.clone())]));
    let alert = world.health_alert("database").await;
    dying.asked_times(1).await;
    drop(tasks);

    let next = Scripted::default();
    let alerter = world.alerter(vec![Arc::new(next.clone())]);
    let (_tasks, cancelled) = running(&alerter);
    // While it is claimed nobody else tells it.
    assert_eq!(world.due(Webhook, CLAIM - SignedDuration::from_secs(1)).await, []);
    world.clock.advance(CLAIM);
    alerter.nudge();
    next.asked_times(1).await;
    assert_eq!(next.asked(), [alert.id]);
    cancelled.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_hangs_is_left_to_itself_after_a_while() {
    let world = World::new();
    let channel = Scripted::new([Does::Hangs]);
    let (_tasks, cancelled) = running(&world.alerter(vec![Arc::new(channel.clone())]));
    let alert = world.health_alert("database").await;
    channel.asked_times(1).await;
    // Time stands still and jumps to where somebody waits for it.
    tokio::time::sleep(ATTEMPT_MAX).await;
    until(async || (world.due(Webhook, RETRY_DELAYS[0]).await == [(alert.id, 1)]).then_some(())).await;
    cancelled.cancel();
}

#[tokio::test]
async fn one_channel_waits_for_no_other() {
    let world = World::new();
    let hanging = Scripted::new(vec![Does::Hangs; 100]);
    let mute = Counted::new(Mute);
    let alerter = world.alerter(vec![Arc::new(hanging.clone()), Arc::new(mute.clone())]);
    let (_tasks, cancelled) = running(&alerter);
    for number in 0..=AT_ONCE_MAX {
        world.health_alert(&format!("check {number}")).await;
    }
    alerter.nudge();
    mute.asked_times(AT_ONCE_MAX as usize + 1).await;
    until(async || world.due(domain::AlertChannel::Email, DAYS).await.is_empty().then_some(())).await;
    hanging.asked_times(AT_ONCE_MAX as usize).await;
    assert_eq!(hanging.asked().len(), AT_ONCE_MAX as usize, "so many at once and no more");
    cancelled.cancel();
}

#[tokio::test]
async fn what_is_old_is_not_told_any_more() {
    let world = World::new();
    world.health_alert("database").await;
    world.clock.advance(AGE_MAX + SignedDuration::from_secs(1));
    let news = world.health_alert("disk").await;
    let channel = Scripted::default();
    let (_tasks, cancelled) = running(&world.alerter(vec![Arc::new(channel.clone())]));
    channel.asked_times(1).await;
    until(async || world.due(Webhook, DAYS).await.is_empty().then_some(())).await;
    assert_eq!(channel.asked(), [news.id]);
    assert!(news.raised_at <= world.clock.now());
    cancelled.cancel();
}

/// A channel of mail that tells everything at once.
#[derive(Clone)]
struct Mute;

#[async_trait::async_trait]
impl monitoring::alerts::Teller for Mute {
    fn channel(&self) -> domain::AlertChannel {
        domain::AlertChannel::Email
    }

    async fn tell(&self, _: &domain::Alert) -> Result<(), monitoring::alerts::NotTold> {
        Ok(())
    }
}
