//! Money adds up: whatever is held, seen, settled, released and lost, in whatever order and at once, what the store
//! says is what a few lines of arithmetic say.

use super::{AnyStore, Fixture, budgets::month, ledger::usage};
use domain::{
    Budget, MicroUsd, Origin, RequestUsage, ServerId, SessionId, Spender, TokenUsage, UserId, WhenExhausted,
    budget::{Account, BudgetPeriod, Held, NewHold},
    cost::{CostQuery, CostScope},
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::{runtime::Handle, task::block_in_place};

const LEASE: Duration = Duration::from_secs(600);
/// Requests that a case speaks of, and the most that one may cost.
const REQUESTS: usize = 6;
const COST_MAX: i64 = 50;
const CASES: u32 = 32;

/// One thing that is done.
#[derive(Debug, Clone, Copy)]
enum Step {
    Hold(usize),
    Seen(usize, i64),
    Settle(usize),
    Release(usize),
    /// The server that these requests run on is gone for a moment, and another one settles what it held.
    Lose,
    SetLimit(i64),
}

/// The requests of a case by number: what each may cost, and what it does cost.
type Costs = Vec<(i64, i64)>;

fn steps() -> impl Strategy<Value = (i64, Costs, Vec<Step>)> {
    let request = || 0..REQUESTS;
    let step = prop_oneof![
        4 => request().prop_map(Step::Hold),
        3 => (request(), 0..COST_MAX).prop_map(|(request, cost)| Step::Seen(request, cost)),
        3 => request().prop_map(Step::Settle),
        1 => request().prop_map(Step::Release),
        2 => Just(Step::Lose),
        1 => (0..200_i64).prop_map(Step::SetLimit),
    ];
    let cost = (1..=COST_MAX).prop_flat_map(|most| (Just(most), 0..=most));
    (0..200_i64, prop::collection::vec(cost, REQUESTS), prop::collection::vec(step, 1..40))
}

/// A session of its own with budgets of its own, and requests that do not exist yet.
struct Case<'f, S> {
    f: &'f Fixture<S>,
    session: SessionId,
    gone: ServerId,
    accounts: Vec<Account>,
    requests: Vec<(NewHold, RequestUsage)>,
}

impl<'f, S: AnyStore> Case<'f, S> {
    async fn new(f: &'f Fixture<S>, limit: i64, costs: &Costs) -> Self {
        let session = f.session().await.id;
        let (user, gone) = (UserId::new(), ServerId::new());
        f.store.renew(gone, LEASE).await.unwrap();
        let own =
            Account { spender: Spender::Session(session), period: BudgetPeriod::default(), default: None };
        let accounts = vec![month(Spender::User(user), Some(limit), WhenExhausted::Block), own];
        let requests = costs.iter().map(|(most, cost)| {
            let tokens = TokenUsage { input: cost.unsigned_abs(), ..TokenUsage::default() };
            let usage = RequestUsage { cost: MicroUsd(*cost), tokens, ..usage(f, session, None) };
            let hold = NewHold {
                id: usage.id,
                session_id: session,
                user_id: f.user.id,
                turn_id: None,
                accounts: accounts.clone(),
                amount: MicroUsd(*most),
                server_id: gone,
                model: usage.model.clone(),
                price_version: usage.price_version.clone(),
                started_at: usage.started_at,
            };
            (hold, usage)
        });
        let requests = requests.collect();
        Self { f, session, gone, accounts, requests }
    }

    /// Does it; answers whether a hold was admitted.
    async fn take(&self, step: Step) -> bool {
        let store = &self.f.store;
        match step {
            Step::Hold(n) => store.hold(&self.requests[n].0).await.unwrap() == Held::Admitted,
            Step::Seen(n, cost) => {
                let tokens = TokenUsage { input: cost.unsigned_abs(), ..TokenUsage::default() };
                let seen = RequestUsage { cost: MicroUsd(cost), tokens, ..self.requests[n].1.clone() };
                store.note_seen(&seen).await.unwrap();
                false
            }
            Step::Settle(n) => {
                store.settle(&self.requests[n].1).await.unwrap();
                false
            }
            Step::Release(n) => {
                store.release(self.requests[n].0.id).await.unwrap();
                false
            }
            Step::Lose => {
                store.resign(self.gone).await.unwrap();
                store.settle_lost(self.f.home, Timestamp::MIN, self.f.tick()).await.unwrap();
                store.renew(self.gone, LEASE).await.unwrap();
                false
            }
            Step::SetLimit(limit) => {
                let budget = Budget { limit: MicroUsd(limit), when_exhausted: WhenExhausted::Block };
                let origin = Origin::system();
                store
                    .set_budget(
                        &self.accounts[0],
                        Some(budget),
                        &domain::Expected::ANY,
                        self.f.tick(),
                        &origin,
                    )
                    .await
                    .unwrap();
                false
            }
        }
    }

    /// What the store says is spent and held.
    async fn figures(&self) -> Vec<(i64, i64)> {
        let statuses = self.f.store.statuses(&self.accounts).await.unwrap();
        statuses.iter().map(|status| (status.spent.0, status.held.0)).collect()
    }

    /// What the ledger says it all cost, and its session and the sum of tokens say the same.
    async fn booked(&self) -> i64 {
        let scope = CostScope::Session(self.session);
        let query = CostQuery { scope, from: Timestamp::MIN, until: Timestamp::MAX };
        let sum = self.f.store.cost(&query).await.unwrap();
        let counters = self.f.reload(self.session).await.counters;
        assert_eq!((counters.cost, counters.tokens), (sum.cost, sum.tokens));
        assert_eq!(sum.tokens.input, sum.cost.0.unsigned_abs(), "each costs as much as it has tokens");
        sum.cost.0
    }

    /// Settles what is open, so that the next case begins with nothing held.
    async fn close(&self) {
        for (hold, usage) in &self.requests {
            self.f.store.settle(usage).await.unwrap();
            self.f.store.release(hold.id).await.unwrap();
        }
    }
}

/// The same in a few lines of arithmetic.
#[derive(Debug, Default)]
struct Model {
    limit: i64,
    held: BTreeMap<usize, Option<i64>>,
    lost: BTreeMap<usize, Option<i64>>,
    /// What is booked, by request, and how much of it on the accounts.
    booked: BTreeMap<usize, i64>,
    spent: i64,
}

impl Model {
    fn held(&self, costs: &Costs) -> i64 {
        self.held.keys().map(|n| costs[*n].0).sum()
    }

    /// Does it; answers whether a hold was admitted.
    fn take(&mut self, step: Step, costs: &Costs) -> bool {
        match step {
            Step::Hold(n) if self.held.contains_key(&n) => return true,
            Step::Hold(n) => {
                let admits = self.spent + self.held(costs) < self.limit;
                if admits {
                    self.held.insert(n, None);
                }
                return admits;
            }
            Step::Seen(n, cost) => {
                if let Some(seen) = self.held.get_mut(&n) {
                    *seen = Some(cost);
                }
            }
            Step::Settle(n) => match (self.held.remove(&n), self.lost.remove(&n)) {
                (_, Some(before)) => {
                    self.spent += costs[n].1 - before.unwrap_or(0);
                    self.booked.insert(n, costs[n].1);
                }
                (held, None) if !self.booked.contains_key(&n) => {
                    self.spent += held.map_or(0, |_| costs[n].1);
                    self.booked.insert(n, costs[n].1);
                }
                _ => {}
            },
            Step::Release(n) => drop(self.held.remove(&n)),
            Step::Lose => {
                for (n, seen) in std::mem::take(&mut self.held) {
                    self.spent += seen.unwrap_or(0);
                    if let Some(seen) = seen {
                        self.booked.insert(n, seen);
                    }
                    self.lost.insert(n, seen);
                }
            }
            Step::SetLimit(limit) => self.limit = limit,
        }
        false
    }
}

pub async fn money_adds_up_in_whatever_order_things_happen<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    f.store.renew(f.home, LEASE).await.unwrap();
    run(async |limit, costs, steps| {
        let case = Case::new(&f, limit, &costs).await;
        let mut model = Model { limit, ..Model::default() };
        for step in steps {
            // An id is held once: what is settled or lost is not asked for again.
            let is_over = |n| model.booked.contains_key(&n) || model.lost.contains_key(&n);
            if matches!(step, Step::Hold(n) if is_over(n)) {
                continue;
            }
            assert_eq!(case.take(step).await, model.take(step, &costs), "{step:?}");
            let expected = (model.spent, model.held(&costs));
            assert_eq!(case.figures().await, [expected; 2], "after {step:?}");
            assert_eq!(case.booked().await, model.booked.values().sum::<i64>(), "after {step:?}");
            assert!(model.spent >= 0);
        }
        case.close().await;
    });
}

pub async fn money_adds_up_whatever_happens_at_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    f.store.renew(f.home, LEASE).await.unwrap();
    run(async |limit, costs, steps| {
        let case = Case::new(&f, limit, &costs).await;
        // First who is admitted, then the rest of it all at once.
        let holds = (0..REQUESTS).map(Step::Hold);
        let admitted: Vec<bool> =
            stream::iter(holds).map(|hold| case.take(hold)).buffered(REQUESTS).collect().await;
        let of_admitted =
            |costs: &dyn Fn(usize) -> i64| -> i64 { (0..REQUESTS).filter(|n| admitted[*n]).map(costs).sum() };
        let most = of_admitted(&|n| costs[n].0);
        assert_eq!(case.figures().await, [(0, most); 2]);
        let greatest = costs.iter().map(|(most, _)| *most).max().unwrap_or(0);
        assert!(most < limit + greatest || most == 0, "{most} of {limit} and {greatest}");
        let rest = steps.into_iter().filter(|step| !matches!(step, Step::Hold(_) | Step::Release(_)));
        stream::iter(rest).map(|step| case.take(step)).buffer_unordered(8).collect::<Vec<_>>().await;
        // Whatever happened meanwhile: in the end each is settled as the whole that it was.
        case.close().await;
        let spent = of_admitted(&|n| costs[n].1);
        assert_eq!(case.figures().await, [(spent, 0); 2]);
        assert_eq!(case.booked().await, costs.iter().map(|(_, cost)| *cost).sum::<i64>());
    });
}

/// Tries many cases and shrinks the first that fails.
fn run(check: impl AsyncFn(i64, Costs, Vec<Step>)) {
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let ran = runner.run(&steps(), |(limit, costs, steps)| {
        block_in_place(|| Handle::current().block_on(check(limit, costs, steps)));
        Ok(())
    });
    ran.unwrap();
}
