//! Who waits, who is refused, and what is tried again.

use super::*;
use crate::costs::{CostSettings, CostStores};
use domain::{
    Budget, BudgetPeriod, BudgetStatus, Clock as _, NewUser, Origin, Role, ServerId, Spender, SystemClock,
    User, WhenExhausted,
    budget::{Account, Exhausted, Settlement},
    ports::{Accounts as _, Budgets, StoreError},
};
use std::{collections::VecDeque, sync::Arc};
use testkit::MemoryStore;

/// Answers as it is told to, and remembers what it was asked.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<StoreResult<Held>>>,
    holds: Mutex<Vec<NewHold>>,
    released: Mutex<Vec<RequestUsageId>>,
    settled: Mutex<Vec<RequestUsage>>,
    since: Mutex<Vec<Timestamp>>,
    failures: Mutex<u32>,
}

impl Scripted {
    fn answer(&self, answers: impl IntoIterator<Item = StoreResult<Held>>) {
        self.answers.lock().unwrap().extend(answers);
    }

    fn fail(&self) -> StoreResult<()> {
        let mut failures = self.failures.lock().unwrap();
        if *failures == 0 {
            return Ok(());
        }
        *failures -= 1;
        Err(StoreError::Unavailable("asked to fail".into()))
    }
}

#[async_trait::async_trait]
impl Budgets for Scripted {
    async fn hold(&self, hold: &NewHold) -> StoreResult<Held> {
        self.holds.lock().unwrap().push(hold.clone());
        self.answers.lock().unwrap().pop_front().unwrap_or(Ok(Held::Wait(Spender::User(hold.user_id))))
    }

    async fn note_seen(&self, _: &RequestUsage) -> StoreResult<()> {
        self.fail()
    }

    async fn settle(&self, usage: &RequestUsage) -> StoreResult<Settlement> {
        self.fail()?;
        self.settled.lock().unwrap().push(usage.clone());
        Ok(Settlement::default())
    }

    async fn release(&self, id: RequestUsageId) -> StoreResult<()> {
        self.fail()?;
        self.released.lock().unwrap().push(id);
        Ok(())
    }

    async fn settle_lost(&self, _: ServerId, since: Timestamp, _: Timestamp) -> StoreResult<u64> {
        self.since.lock().unwrap().push(since);
        Ok(0)
    }

    async fn statuses(&self, accounts: &[Account]) -> StoreResult<Vec<BudgetStatus>> {
        let status = |account: &Account| BudgetStatus {
            spender: account.spender.clone(),
            period: account.period.clone(),
            budget: account.default,
            is_own: false,
            spent: MicroUsd(10),
            held: MicroUsd::ZERO,
        };
        Ok(accounts.iter().map(status).collect())
    }

    async fn set_budget(
        &self,
        _: &Account,
        _: Option<Budget>,
        _: &domain::Expected,
        _: Timestamp,
        _: &Origin,
    ) -> StoreResult<Settlement> {
        Ok(Settlement::default())
    }

    async fn own_budgets(&self) -> StoreResult<Vec<(Spender, Budget)>> {
        Ok(Vec::new())
    }

    async fn spending_users(&self, _: &[BudgetPeriod]) -> StoreResult<Vec<(UserId, BudgetPeriod)>> {
        Ok(Vec::new())
    }

    async fn holds(&self) -> StoreResult<(u64, MicroUsd)> {
        Ok((0, MicroUsd::ZERO))
    }
}

struct World {
    budgets: Arc<Scripted>,
    tracker: CostTracker,
    user: UserId,
}

impl World {
    async fn new(change: impl FnOnce(&mut CostSettings, &mut User)) -> Self {
        let (budgets, store, user) = (Arc::<Scripted>::default(), MemoryStore::default(), UserId::new());
        let mut settings = CostSettings { is_enabled: true, server: ServerId::new(), user_budget: None };
        let mut person = User {
            id: user,
            email: "ada@example.com".into(),
            username: "ada".into(),
            full_name: None,
            role: Role::Member,
            is_active: true,
            team: Some("lovelaces".into()),
            time_zone: "Pacific/Auckland".into(),
            created_at: SystemClock.now(),
            last_login_at: None,
        };
        change(&mut settings, &mut person);
        let person = NewUser { user: person, password_hash: String::new() };
        store.create_user(&person, &Origin::system()).await.unwrap();
        let stores = CostStores {
            budgets: budgets.clone(),
            costs: Arc::new(store.clone()),
            accounts: Arc::new(store),
        };
        let tracker = CostTracker::new(stores, Arc::new(SystemClock), settings);
        Self { budgets, tracker, user }
    }

    fn ask(&self) -> Ask {
        Ask {
            id: RequestUsageId::new(),
            session_id: SessionId::new(),
            user_id: self.user,
            turn_id: None,
            most: MicroUsd(7),
            model: "m".into(),
            price_version: "1".into(),
            at: "2026-10-31T12:00:00Z".parse().unwrap(),
        }
    }

    async fn admit(&self) -> Result<(), Refused> {
        self.tracker.admit(self.ask(), std::future::pending()).await
    }
}

fn usage(user_id: UserId) -> RequestUsage {
    RequestUsage {
        id: RequestUsageId::new(),
        session_id: SessionId::new(),
        user_id,
        turn_id: None,
        model: "m".into(),
        tokens: domain::TokenUsage::default(),
        thinking_tokens: 0,
        tools: vec![],
        cost: MicroUsd(1),
        price_version: "1".into(),
        is_priced: true,
        is_complete: true,
        is_estimated: false,
        http_status: 200,
        stop_reason: None,
        started_at: SystemClock.now(),
        duration_ms: 1,
    }
}

#[tokio::test]
async fn a_request_is_asked_of_its_user_team_and_session_in_their_months() {
    let world = World::new(|_, _| {}).await;
    world.budgets.answer([Ok(Held::Admitted)]);
    world.admit().await.unwrap();
    let hold = world.budgets.holds.lock().unwrap().remove(0);
    let accounts: Vec<_> =
        hold.accounts.iter().map(|account| (account.spender.kind(), account.period.0.as_str())).collect();
    // In Auckland the month has begun.
    assert_eq!(accounts, [("user", "2026-11"), ("team", "2026-10"), ("session", "")]);
    assert_eq!((hold.amount, hold.user_id), (MicroUsd(7), world.user));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_let_in_when_somebody_settles_or_a_budget_is_set() {
    for settles in [true, false] {
        let world = World::new(|_, _| {}).await;
        let before = Instant::now();
        let (admitted, ()) = tokio::join!(world.admit(), async {
            while world.budgets.holds.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            world.budgets.answer([Ok(Held::Admitted)]);
            if settles {
                world.tracker.settle(&usage(world.user)).await;
            } else {
                world.tracker.budget_changed();
            }
        });
        admitted.unwrap();
        assert_eq!(before.elapsed(), Duration::ZERO, "it was told, and did not look by itself");
    }
}

#[tokio::test(start_paused = true)]
async fn what_other_servers_settle_is_found_by_looking() {
    let world = World::new(|_, _| {}).await;
    let waits = |n| (0..n).map(|_| Ok(Held::Wait(Spender::Team("t".into()))));
    world.budgets.answer(waits(3).chain([Ok(Held::Admitted)]));
    let before = Instant::now();
    world.admit().await.unwrap();
    assert_eq!(before.elapsed(), HOLD_POLL * 3);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_is_said_or_for_somebody_who_is_gone() {
    let world = World::new(|_, _| {}).await;
    let before = Instant::now();
    assert!(matches!(world.admit().await, Err(Refused::Crowded)));
    assert_eq!(before.elapsed(), HOLD_WAIT_MAX);
    let gone = sleep(Duration::from_millis(10));
    assert!(matches!(world.tracker.admit(world.ask(), gone).await, Err(Refused::Gone)));
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_named_with_its_next_month() {
    let world = World::new(|_, _| {}).await;
    let budget = Budget { limit: MicroUsd(5), when_exhausted: WhenExhausted::Pause };
    let exhausted = |spender| Exhausted { spender, budget, spent: MicroUsd(6) };
    let spenders =
        [Spender::User(world.user), Spender::Team("lovelaces".into()), Spender::Session(SessionId::new())];
    let mut renewals = vec![];
    for spender in spenders {
        world.budgets.answer([Ok(Held::Exhausted(exhausted(spender)))]);
        let Err(Refused::UsedUp(used_up)) = world.admit().await else { panic!("it was let through") };
        assert_eq!(used_up.exhausted.budget, budget);
        renewals.push(used_up.renews_at.map(|at| at.to_string()));
    }
    let [user, team] = ["2026-11-30T11:00:00Z", "2026-11-01T00:00:00Z"].map(|at| Some(at.to_owned()));
    assert_eq!(renewals, [user, team, None]);
}

#[tokio::test]
async fn a_store_that_fails_lets_nobody_through_and_what_it_may_have_held_is_freed() {
    let world = World::new(|_, _| {}).await;
    world.budgets.answer([Err(StoreError::Unavailable("no answer".into()))]);
    assert!(matches!(world.admit().await, Err(Refused::Unknown(AccountsError::Store(_)))));
    assert_eq!(world.budgets.released.lock().unwrap().len(), 1);
    for time_zone in ["Mars/Olympus", ""] {
        let world = World::new(|_, user| user.time_zone = time_zone.into()).await;
        assert!(matches!(world.admit().await, Err(Refused::Unknown(AccountsError::TimeZone(_)))));
    }
    let ask = Ask { user_id: UserId::new(), ..world.ask() };
    let stranger = world.tracker.admit(ask, std::future::pending()).await;
    assert!(matches!(stranger, Err(Refused::Unknown(AccountsError::NoUser))));
}

#[tokio::test]
async fn a_hold_that_could_not_be_freed_is_freed_later() {
    let world = World::new(|_, _| {}).await;
    *world.budgets.failures.lock().unwrap() = 1;
    let id = RequestUsageId::new();
    world.tracker.release(id).await;
    assert!(world.budgets.released.lock().unwrap().is_empty());
    world.tracker.tidy().await.unwrap();
    assert_eq!(*world.budgets.released.lock().unwrap(), [id]);
}

#[tokio::test(start_paused = true)]
async fn settling_is_tried_again() {
    let world = World::new(|_, _| {}).await;
    *world.budgets.failures.lock().unwrap() = SETTLE_ATTEMPTS - 1;
    world.tracker.settle(&usage(world.user)).await;
    assert_eq!(world.budgets.settled.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_booked_is_booked_later() {
    let world = World::new(|_, _| {}).await;
    let [first, second] = [usage(world.user), usage(world.user)];
    for usage in [&first, &second] {
        *world.budgets.failures.lock().unwrap() = SETTLE_ATTEMPTS;
        world.tracker.settle(usage).await;
    }
    assert!(world.budgets.settled.lock().unwrap().is_empty());
    // The one that fails again is tried after the other.
    *world.budgets.failures.lock().unwrap() = 1;
    world.tracker.tidy().await.unwrap();
    assert!(world.budgets.settled.lock().unwrap().is_empty());
    world.tracker.tidy().await.unwrap();
    world.tracker.tidy().await.unwrap();
    let settled: Vec<_> = world.budgets.settled.lock().unwrap().iter().map(|usage| usage.id).collect();
    assert_eq!(settled, [second.id, first.id]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_no_request_of_this_life_look_lost() {
    let world = World::new(|_, _| {}).await;
    world.tracker.settle_earlier_life().await.unwrap();
    world.tracker.tidy().await.unwrap();
    let since = world.budgets.since.lock().unwrap().clone();
    assert!(since[0] > Timestamp::UNIX_EPOCH);
    assert_eq!(since[1], Timestamp::UNIX_EPOCH);
}

#[tokio::test]
async fn switched_off_nothing_is_asked_or_held_and_all_is_booked() {
    let world = World::new(|settings, _| settings.is_enabled = false).await;
    world.admit().await.unwrap();
    assert!(world.budgets.holds.lock().unwrap().is_empty());
    assert_eq!(world.tracker.used_up(world.user, None).await.unwrap(), None);
    world.tracker.settle(&usage(world.user)).await;
    assert_eq!(world.budgets.settled.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_prompt_finds_out_before_it_begins() {
    for (limit, when_exhausted, refused) in [
        (10, WhenExhausted::Block, true),
        (10, WhenExhausted::Pause, true),
        (10, WhenExhausted::Warn, false),
        (11, WhenExhausted::Block, false),
    ] {
        let budget = Some(Budget { limit: MicroUsd(limit), when_exhausted });
        let world = World::new(|settings, _| settings.user_budget = budget).await;
        let used_up = world.tracker.used_up(world.user, Some(SessionId::new())).await.unwrap();
        assert_eq!(used_up.is_some(), refused, "{budget:?}");
    }
}
