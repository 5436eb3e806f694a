//! Alerts: each is told once by every channel.

use super::{AnyStore, Fixture};
use domain::{
    Alert, AlertChannel, AlertId, AlertTopic, BudgetPeriod, PageRequest, Scope, Severity, Spender, UserId,
};
use futures::future::join_all;
use jiff::SignedDuration;

const CLAIM: SignedDuration = SignedDuration::from_mins(1);

fn alert<S: AnyStore>(f: &Fixture<S>, check: &str, user: Option<UserId>) -> Alert {
    let at = f.tick();
    Alert {
        id: AlertId::new(),
        topic: AlertTopic::Health { check: check.into(), since: at },
        severity: Severity::Critical,
        message: format!("{check} fails"),
        user_id: user,
        raised_at: at,
    }
}

pub async fn an_alert_is_on_record_once_for_its_topic<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let first = alert(&f, "disk/of: the/house", None);
    let budget = AlertTopic::Budget {
        spender: Spender::Team("blue/of: the/house".into()),
        period: BudgetPeriod("2026-11".into()),
        threshold_percent: 80,
    };
    let second = Alert { topic: budget.clone(), severity: Severity::Info, ..alert(&f, "x", Some(f.user.id)) };
    let always = AlertTopic::Budget {
        spender: Spender::User(f.user.id),
        period: BudgetPeriod::default(),
        threshold_percent: 100,
    };
    let third = Alert { topic: always, severity: Severity::Warning, ..alert(&f, "y", None) };
    for alert in [&first, &second, &third] {
        assert!(f.store.raise(alert).await.unwrap());
        assert!(!f.store.raise(&Alert { id: AlertId::new(), ..alert.clone() }).await.unwrap());
    }
    let page = PageRequest::first(2);
    let newest = f.store.alerts(Scope::All, &page).await.unwrap();
    assert_eq!(newest.items, [third, second.clone()]);
    let rest = PageRequest { cursor: newest.next_cursor, ..page.clone() };
    assert_eq!(f.store.alerts(Scope::All, &rest).await.unwrap().items, [first]);
    assert_eq!(f.store.alerts(Scope::Owner(f.user.id), &page).await.unwrap().items, [second]);
    assert_eq!(f.store.alerts(Scope::Owner(UserId::new()), &page).await.unwrap().items, []);
}

pub async fn of_many_who_raise_one_alert_one_does<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let first = alert(&f, "disk", None);
    let same: Vec<_> = (0..16).map(|_| Alert { id: AlertId::new(), ..first.clone() }).collect();
    let raised = join_all(same.iter().map(|alert| f.store.raise(alert))).await;
    assert_eq!(raised.into_iter().filter(|raised| *raised.as_ref().unwrap()).count(), 1);
}

pub async fn an_alert_is_told_once_by_each_channel<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (one, two) = (alert(&f, "one", None), alert(&f, "two", None));
    for alert in [&one, &two] {
        f.store.raise(alert).await.unwrap();
    }
    let take = async |channel, now, limit| {
        let taken = f.store.take_due_alerts(channel, now, CLAIM, limit).await.unwrap();
        taken.into_iter().map(|due| (due.alert, due.attempts)).collect::<Vec<_>>()
    };
    assert_eq!(take(AlertChannel::Webhook, one.raised_at - CLAIM, 10).await, [], "the clock went back");
    let now = f.tick();
    assert_eq!(take(AlertChannel::Webhook, now, 1).await, [(one.clone(), 0)]);
    assert_eq!(take(AlertChannel::Webhook, now, 10).await, [(two.clone(), 0)]);
    assert_eq!(take(AlertChannel::Webhook, now, 10).await, [], "somebody has them");
    assert_eq!(take(AlertChannel::Email, now, 10).await, [(one.clone(), 0), (two.clone(), 0)]);

    let webhook = AlertChannel::Webhook;
    f.store.alert_told(one.id, webhook, now).await.unwrap();
    let next = now + SignedDuration::from_secs(5);
    f.store.alert_failed(two.id, webhook, "refused", Some(next)).await.unwrap();
    assert_eq!(take(webhook, now, 10).await, []);
    assert_eq!(take(webhook, next, 10).await, [(two.clone(), 1)]);
    let over = next + CLAIM;
    assert_eq!(take(webhook, over, 10).await, [(two.clone(), 1)], "who took it has not said what came of it");
    f.store.alert_failed(two.id, webhook, "refused", None).await.unwrap();
    assert_eq!(take(webhook, over + CLAIM, 10).await, [], "given up");
    let mail = take(AlertChannel::Email, over, 10).await;
    assert_eq!(mail.len(), 2, "the other channel knows nothing of that");
    f.store.alert_told(AlertId::new(), webhook, now).await.unwrap();
}

pub async fn alerts_due_at_once_are_each_taken_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let mut all = Vec::new();
    for n in 0..20 {
        let alert = alert(&f, &n.to_string(), None);
        f.store.raise(&alert).await.unwrap();
        all.push(alert.id);
    }
    let now = f.tick();
    let take = || f.store.take_due_alerts(AlertChannel::Email, now, CLAIM, 3);
    let taken = join_all((0..8).map(|_| take())).await;
    let mut taken: Vec<_> = taken.into_iter().flat_map(Result::unwrap).map(|due| due.alert.id).collect();
    // Whoever meets another one takes fewer, and comes again.
    loop {
        let more = take().await.unwrap();
        if more.is_empty() {
            break;
        }
        taken.extend(more.into_iter().map(|due| due.alert.id));
    }
    taken.sort();
    assert_eq!(taken, all);
}
