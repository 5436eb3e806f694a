//! A store with alerts in it, and a channel that does as it is told.

use async_trait::async_trait;
use domain::{
    Alert, AlertChannel, AlertId, AlertTopic, BudgetPeriod, Clock as _, NewUser, Origin, Role, Severity,
    Spender, User, UserId,
    ports::{Accounts as _, Alerts as _},
};
use jiff::SignedDuration;
use monitoring::{
    MetricsCollector,
    alerts::{Alerter, NotTold, Teller},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use testkit::{MemoryStore, TestClock};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
pub struct World {
    pub store: Arc<MemoryStore>,
    pub clock: TestClock,
}

impl World {
    pub fn new() -> Self {
        Self { store: Arc::default(), clock: TestClock::default() }
    }

    pub fn alerter(&self, tellers: Vec<Arc<dyn Teller>>) -> Alerter {
        let metrics = Arc::new(MetricsCollector::off());
        Alerter::new(self.store.clone(), Arc::new(self.clock.clone()), tellers, metrics)
    }

    pub async fn user(&self, email: &str) -> UserId {
        let user = User {
            id: UserId::new(),
            email: email.to_owned(),
            username: email.to_owned(),
            full_name: None,
            role: Role::Member,
            is_active: true,
            team: None,
            time_zone: "UTC".to_owned(),
            created_at: self.clock.now(),
            last_login_at: None,
        };
        let new = NewUser { user: user.clone(), password_hash: "$".to_owned() };
        self.store.create_user(&new, &Origin::system()).await.unwrap();
        user.id
    }

    /// Raises an alert about a budget.
    pub async fn budget_alert(&self, spender: Spender, user_id: Option<UserId>) -> Alert {
        let topic =
            AlertTopic::Budget { spender, period: BudgetPeriod("2026-01".into()), threshold_percent: 80 };
        self.raise(topic, "$8.012345 of $10.00 are spent: 80 % of the budget", user_id).await
    }

    /// Raises an alert that concerns operators alone.
    pub async fn health_alert(&self, check: &str) -> Alert {
        let topic = AlertTopic::Health { check: check.to_owned(), since: self.clock.now() };
        self.raise(topic, &format!("{check} fails: it does not answer"), None).await
    }

    async fn raise(&self, topic: AlertTopic, message: &str, user_id: Option<UserId>) -> Alert {
        let alert = Alert {
            id: AlertId::new(),
            topic,
            severity: Severity::Warning,
            message: message.to_owned(),
            user_id,
            raised_at: self.clock.now(),
        };
        assert!(self.store.raise(&alert).await.unwrap());
        alert
    }

    /// What the store would give this channel at some time to come. It is taken by that, and due then and not before:
    /// look only at alerts that a channel was asked to tell.
    pub async fn due(&self, channel: AlertChannel, later: SignedDuration) -> Vec<(AlertId, u32)> {
        let due = self.store.take_due_alerts(channel, self.clock.now() + later, SignedDuration::ZERO, 100);
        due.await.unwrap().into_iter().map(|due| (due.alert.id, due.attempts)).collect()
    }
}

/// Runs until the end of the test.
pub fn running(alerter: &Alerter) -> (JoinSet<()>, CancellationToken) {
    let (mut tasks, cancelled) = (JoinSet::new(), CancellationToken::new());
    let (alerter, until) = (alerter.clone(), cancelled.clone());
    tasks.spawn(async move { alerter.run(until).await });
    (tasks, cancelled)
}

/// Waits until it is so.
pub async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to that");
}

/// What a scripted channel does with the next alert.
#[derive(Clone)]
pub enum Does {
    Tells,
    Fails,
    Hangs,
}

/// A channel that counts what it is asked to tell.
#[derive(Clone)]
pub struct Counted<T> {
    pub teller: T,
    asked: Arc<AtomicUsize>,
}

impl<T> Counted<T> {
    pub fn new(teller: T) -> Self {
        Self { teller, asked: Arc::default() }
    }

    /// Waits until it was asked so often. What it was asked for is claimed then, and nobody's to take meanwhile.
    pub async fn asked_times(&self, count: usize) {
        until(async || (self.asked.load(Ordering::SeqCst) >= count).then_some(())).await;
    }
}

#[async_trait]
impl<T: Teller> Teller for Counted<T> {
    fn channel(&self) -> AlertChannel {
        self.teller.channel()
    }

    async fn tell(&self, alert: &Alert) -> Result<(), NotTold> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.teller.tell(alert).await
    }
}

/// A channel of webhooks that does one thing after the other, and then tells everything.
#[derive(Clone, Default)]
pub struct Scripted {
    pub plan: Arc<Mutex<VecDeque<Does>>>,
    pub asked: Arc<Mutex<Vec<AlertId>>>,
}

impl Scripted {
    pub fn new(plan: impl IntoIterator<Item = Does>) -> Self {
        Self { plan: Arc::new(Mutex::new(plan.into_iter().collect())), asked: Arc::default() }
    }

    pub fn asked(&self) -> Vec<AlertId> {
        self.asked.lock().unwrap().clone()
    }

    pub async fn asked_times(&self, count: usize) {
        until(async || (self.asked().len() >= count).then_some(())).await;
    }
}

#[async_trait]
impl Teller for Scripted {
    fn channel(&self) -> AlertChannel {
        AlertChannel::Webhook
    }

    async fn tell(&self, alert: &Alert) -> Result<(), NotTold> {
        self.asked.lock().unwrap().push(alert.id);
        let does = self.plan.lock().unwrap().pop_front();
        match does.unwrap_or(Does::Tells) {
            Does::Tells => Ok(()),
            Does::Fails => Err(NotTold("was not taken".to_owned())),
            Does::Hangs => std::future::pending().await,
        }
    }
}
