//! Budgets: money is held before it is spent, settled once, and never lost.

use super::{AnyStore, Fixture, audit::log, ledger::usage};
use domain::{
    AlertTopic, AuditFilter, Budget, BudgetPeriod, BudgetStatus, Expected, Generation, MicroUsd, Origin,
    PageRequest, RequestUsage, RequestUsageId, Scope, ServerId, SessionId, SessionStatus, Spender, TurnId,
    UserId, WhenExhausted,
    audit::Fact,
    budget::{Account, Exhausted, Held, NewHold, Settlement},
    turn::{Begin, NewTurn},
};
use futures::future::join_all;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(600);

/// A hold of a request that asks these accounts, and the request as it turns out to cost all of it.
fn request<S: AnyStore>(
    f: &Fixture<S>,
    session: SessionId,
    turn: Option<TurnId>,
    accounts: &[Account],
    amount: i64,
) -> (NewHold, RequestUsage) {
    let usage = RequestUsage { cost: MicroUsd(amount), ..usage(f, session, turn) };
    let hold = NewHold {
        id: usage.id,
        session_id: session,
        user_id: f.user.id,
        turn_id: turn,
        accounts: accounts.to_vec(),
        amount: MicroUsd(amount),
        server_id: f.home,
        model: usage.model.clone(),
        price_version: usage.price_version.clone(),
        started_at: usage.started_at,
    };
    (hold, usage)
}

pub(super) fn month(spender: Spender, limit: Option<i64>, when_exhausted: WhenExhausted) -> Account {
    let default = limit.map(|limit| Budget { limit: MicroUsd(limit), when_exhausted });
    Account { spender, period: BudgetPeriod("2026-11".into()), default }
}

pub(super) fn of_user(user: UserId, limit: i64) -> Account {
    month(Spender::User(user), Some(limit), WhenExhausted::Block)
}

async fn status<S: AnyStore>(f: &Fixture<S>, account: &Account) -> BudgetStatus {
    f.store.statuses(std::slice::from_ref(account)).await.unwrap().pop().unwrap()
}

/// What is spent and held of an account.
async fn figures<S: AnyStore>(f: &Fixture<S>, account: &Account) -> (i64, i64) {
    let status = status(f, account).await;
    (status.spent.0, status.held.0)
}

pub async fn money_is_held_until_it_is_settled_or_released<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn_id = f.begin(session).await.turn_id;
    let turn = Some(turn_id);
    let own = Account { spender: Spender::Session(session), period: BudgetPeriod::default(), default: None };
    let accounts =
        [of_user(f.user.id, 100), month(Spender::Team("blue".into()), None, WhenExhausted::Block), own];
    let (hold, whole) = request(&f, session, turn, &accounts, 40);
    for _ in 0..2 {
        assert_eq!(f.store.hold(&hold).await.unwrap(), Held::Admitted, "asking again changes nothing");
    }
    for account in &accounts {
        assert_eq!(figures(&f, account).await, (0, 40));
    }
    assert_eq!(f.store.holds().await.unwrap(), (1, MicroUsd(40)));
    let (other, _) = request(&f, session, turn, &accounts[..1], 10);
    assert_eq!(f.store.hold(&other).await.unwrap(), Held::Admitted);
    assert_eq!(f.store.holds().await.unwrap(), (2, MicroUsd(50)));

    // It cost less than was held.
    let usage = RequestUsage { cost: MicroUsd(30), ..whole };
    for _ in 0..2 {
        assert_eq!(f.store.settle(&usage).await.unwrap(), Settlement::default());
    }
    assert_eq!(figures(&f, &accounts[0]).await, (30, 10));
    assert_eq!(figures(&f, &accounts[1]).await, (30, 0));
    assert_eq!(figures(&f, &accounts[2]).await, (30, 0));
    assert_eq!(f.reload(session).await.counters.cost, MicroUsd(30));
    assert_eq!(f.turn(session, turn_id).await.cost, MicroUsd(30));
    for _ in 0..2 {
        f.store.release(other.id).await.unwrap();
    }
    assert_eq!(figures(&f, &accounts[0]).await, (30, 0));
    assert_eq!(f.store.holds().await.unwrap(), (0, MicroUsd::ZERO));
    f.store.release(usage.id).await.unwrap();
    assert_eq!(figures(&f, &accounts[0]).await, (30, 0), "what is settled is not released");

    let shown = status(&f, &accounts[0]).await;
    assert_eq!(
        (shown.budget, shown.is_own, shown.remaining()),
        (accounts[0].default, false, Some(MicroUsd(70)))
    );
    assert_eq!(shown.spender, accounts[0].spender);
    let december = Account { period: BudgetPeriod("2026-12".into()), ..accounts[0].clone() };
    assert_eq!(figures(&f, &december).await, (0, 0), "another month is another account");

    let (unpaid, _) = request(&f, session, turn, &[], 10);
    assert_eq!(f.store.hold(&unpaid).await.unwrap(), Held::Admitted, "nobody pays, so nobody refuses");
    assert_eq!(f.store.holds().await.unwrap(), (1, MicroUsd(10)));
    f.store.release(unpaid.id).await.unwrap();
}

pub async fn an_account_admits_until_it_is_full_and_says_why_it_does_not<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let team = Spender::Team("blue".into());
    let accounts = [of_user(f.user.id, 100), month(team.clone(), Some(1000), WhenExhausted::Pause)];
    let (first, usage) = request(&f, session, None, &accounts, 99);
    let (second, second_usage) = request(&f, session, None, &accounts, 60);
    let (third, _) = request(&f, session, None, &accounts, 1);
    assert_eq!(f.store.hold(&first).await.unwrap(), Held::Admitted);
    assert_eq!(f.store.hold(&second).await.unwrap(), Held::Admitted, "one may go over it");
    let user = Spender::User(f.user.id);
    assert_eq!(f.store.hold(&third).await.unwrap(), Held::Wait(user.clone()));
    assert_eq!(figures(&f, &accounts[1]).await, (0, 159), "in every account or in none");
    f.store.release(first.id).await.unwrap();
    assert_eq!(f.store.hold(&third).await.unwrap(), Held::Admitted);
    f.store.release(third.id).await.unwrap();
    f.store.settle(&second_usage).await.unwrap();
    assert_eq!(f.store.hold(&first).await.unwrap(), Held::Admitted);
    f.store.settle(&usage).await.unwrap();
    let exhausted = Exhausted { spender: user, budget: accounts[0].default.unwrap(), spent: MicroUsd(159) };
    assert_eq!(f.store.hold(&third).await.unwrap(), Held::Exhausted(exhausted.clone()));
    assert!(status(&f, &accounts[0]).await.is_exhausted());
    // Two accounts refuse: the one that money will not come back to is named.
    let narrow = [month(team, Some(160), WhenExhausted::Pause), accounts[0].clone()];
    let (waiting, _) = request(&f, session, None, &narrow[..1], 5);
    assert_eq!(f.store.hold(&waiting).await.unwrap(), Held::Admitted);
    let (both, _) = request(&f, session, None, &narrow, 5);
    assert_eq!(f.store.hold(&both).await.unwrap(), Held::Exhausted(exhausted));

    // Where nothing is refused, nothing is.
    for account in [
        month(Spender::Team("green".into()), Some(0), WhenExhausted::Warn),
        month(Spender::Team("red".into()), None, WhenExhausted::Block),
    ] {
        let (hold, _) = request(&f, session, None, &[account], 1_000_000);
        assert_eq!(f.store.hold(&hold).await.unwrap(), Held::Admitted);
    }
    let nothing = month(Spender::Team("grey".into()), Some(0), WhenExhausted::Block);
    let (hold, _) = request(&f, session, None, &[nothing], 1);
    assert!(matches!(f.store.hold(&hold).await.unwrap(), Held::Exhausted(_)), "there was nothing to spend");
    let (free, _) = request(&f, session, None, &[], 7);
    assert_eq!(f.store.hold(&free).await.unwrap(), Held::Admitted, "nobody's budget is asked");
}

pub async fn of_many_holds_at_once_no_more_pass_than_there_is_money<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    // Nobody has spent anything in this period yet: there is no row to stand in line at.
    let accounts = [of_user(f.user.id, 100), of_user(UserId::new(), 55)];
    let requests: Vec<_> = (0..32).map(|_| request(&f, session, None, &accounts, 10)).collect();
    let held = join_all(requests.iter().map(|(hold, _)| f.store.hold(hold))).await;
    let admitted: Vec<_> = held
        .iter()
        .zip(&requests)
        .filter(|(held, _)| matches!(held.as_ref().unwrap(), Held::Admitted))
        .map(|(_, (_, usage))| usage)
        .collect();
    assert_eq!(admitted.len(), 6, "{held:?}");
    assert_eq!(figures(&f, &accounts[1]).await, (0, 60));
    for settled in
        join_all(admitted.iter().flat_map(|usage| [f.store.settle(usage), f.store.settle(usage)])).await
    {
        settled.unwrap();
    }
    assert_eq!(figures(&f, &accounts[0]).await, (60, 0));
    assert_eq!(figures(&f, &accounts[1]).await, (60, 0));
    assert_eq!(f.reload(session).await.counters.cost, MicroUsd(60));
}

pub async fn what_a_gone_server_held_is_settled_from_what_was_seen<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let (gone, here) = (ServerId::new(), ServerId::new());
    for server in [gone, here, f.home] {
        f.store.renew(server, LEASE).await.unwrap();
    }
    let accounts = [of_user(f.user.id, 1_000)];
    let at = async |server, amount| {
        let (hold, usage) = request(&f, session, Some(turn), &accounts, amount);
        let hold = NewHold { server_id: server, ..hold };
        assert_eq!(f.store.hold(&hold).await.unwrap(), Held::Admitted);
        usage
    };
    let (seen, unseen) = (at(gone, 100).await, at(gone, 200).await);
    let partly = RequestUsage { cost: MicroUsd(30), is_complete: true, is_estimated: false, ..seen.clone() };
    f.store.note_seen(&RequestUsage { cost: MicroUsd(10), ..partly.clone() }).await.unwrap();
    f.store.note_seen(&partly).await.unwrap();
    f.store.note_seen(&RequestUsage { id: RequestUsageId::new(), ..partly.clone() }).await.unwrap();
    let earlier = at(here, 7).await;
    let since = f.tick();
    let (present, elsewhere) = (at(here, 1).await, at(f.home, 2).await);
    assert_eq!(f.store.settle_lost(here, earlier.started_at, f.tick()).await.unwrap(), 0, "all of them live");

    f.store.resign(gone).await.unwrap();
    assert_eq!(f.store.settle_lost(here, since, f.tick()).await.unwrap(), 3);
    assert_eq!(f.store.settle_lost(here, since, f.tick()).await.unwrap(), 0);
    assert_eq!(figures(&f, &accounts[0]).await, (30, 3));
    let booked = f.store.requests(session, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!(booked, [RequestUsage { is_complete: false, is_estimated: true, ..partly.clone() }]);
    assert_eq!(f.reload(session).await.counters.cost, MicroUsd(30));
    assert_eq!(f.turn(session, turn).await.cost, MicroUsd(30));
    // What comes later from a hold that is lost is not seen, and does not hold again.
    f.store.note_seen(&RequestUsage { cost: MicroUsd(77), ..partly }).await.unwrap();
    f.store.release(unseen.id).await.unwrap();

    // Who was taken for gone knows the whole after all: corrected once, and what was freed is booked.
    for _ in 0..2 {
        f.store.settle(&seen).await.unwrap();
        f.store.settle(&unseen).await.unwrap();
    }
    assert_eq!(figures(&f, &accounts[0]).await, (300, 3));
    let counters = f.reload(session).await.counters;
    assert_eq!((counters.cost, counters.tokens), (MicroUsd(300), seen.tokens + unseen.tokens));
    assert_eq!(f.turn(session, turn).await.cost, MicroUsd(300));
    let mut booked = f.store.requests(session, &PageRequest::first(10)).await.unwrap().items;
    booked.reverse();
    assert_eq!(booked, [seen, unseen]);
    for usage in [present, elsewhere, earlier] {
        f.store.settle(&usage).await.unwrap();
    }
    assert_eq!(figures(&f, &accounts[0]).await, (310, 0));
}

pub async fn a_request_without_a_hold_is_booked_on_no_account<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let accounts = [of_user(f.user.id, 100)];
    let (_, usage) = request(&f, session, None, &accounts, 40);
    assert_eq!(f.store.settle(&usage).await.unwrap(), Settlement::default());
    f.store.note_seen(&usage).await.unwrap();
    assert_eq!(figures(&f, &accounts[0]).await, (0, 0));
    assert_eq!(f.reload(session).await.counters.cost, MicroUsd(40));
}

pub async fn a_threshold_is_told_once_a_period<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let user = of_user(f.user.id, 100);
    let accounts = [user.clone(), month(Spender::Team("blue".into()), Some(1_000), WhenExhausted::Warn)];
    let spend = async |accounts: &[Account], amount| {
        let (hold, usage) = request(&f, session, None, accounts, amount);
        assert_eq!(f.store.hold(&hold).await.unwrap(), Held::Admitted);
        f.store.settle(&usage).await.unwrap().alerts
    };
    assert_eq!(spend(&accounts, 49).await, []);
    let [alert] = &spend(&accounts, 1).await[..] else { panic!("50 % are reached") };
    let topic = |threshold_percent| AlertTopic::Budget {
        spender: user.spender.clone(),
        period: user.period.clone(),
        threshold_percent,
    };
    assert_eq!((&alert.topic, alert.user_id), (&topic(50), Some(f.user.id)));
    assert!(
        alert.message.contains("$0.00005 of the budget of $0.0001 for 2026-11 (50 %)"),
        "{}",
        alert.message
    );
    assert_eq!(spend(&accounts, 5).await, []);
    let both = spend(&accounts, 45).await;
    assert_eq!(both.iter().map(|alert| alert.topic.clone()).collect::<Vec<_>>(), [topic(80), topic(100)]);
    let listed = f.store.alerts(Scope::Owner(f.user.id), &PageRequest::first(10)).await.unwrap().items;
    assert_eq!(listed.len(), 3);
    assert!(listed.contains(alert) && both.iter().all(|alert| listed.contains(alert)));

    // Raised and lowered again: what was told in this month was told.
    let origin = Origin::system();
    let set = async |account: &Account, limit: i64| {
        let budget = Budget { limit: MicroUsd(limit), when_exhausted: WhenExhausted::Block };
        f.store
            .set_budget(account, Some(budget), &domain::Expected::ANY, f.tick(), &origin)
            .await
            .unwrap()
            .alerts
    };
    assert_eq!(set(&user, 1_000).await, []);
    assert_eq!(spend(&accounts, 1).await, []);
    assert_eq!(set(&user, 10).await, []);
    // A budget that is lowered to what is spent already is told at once.
    let lowered = set(&accounts[1], 125).await;
    assert_eq!(lowered.iter().map(|alert| alert.severity.as_str()).collect::<Vec<_>>(), ["info", "warning"]);
    assert_eq!(lowered[0].user_id, None, "a team's is for admins");
    // Another month tells anew.
    let december = Account { period: BudgetPeriod("2026-12".into()), ..user.clone() };
    assert_eq!(spend(&[december], 10).await.len(), 3);
    // A session's is told to whom it belongs.
    let own = Account { spender: Spender::Session(session), period: BudgetPeriod::default(), default: None };
    assert_eq!(set(&own, 20).await, []);
    let told = spend(std::slice::from_ref(&own), 10).await;
    assert_eq!((told.len(), told[0].user_id), (1, Some(f.user.id)));
    let told = set(&own, 12).await;
    assert_eq!((told.len(), told[0].user_id), (1, Some(f.user.id)));
}

pub async fn a_spenders_own_budget_goes_before_the_default<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let user = of_user(f.user.id, 100);
    let own = Budget { limit: MicroUsd(5), when_exhausted: WhenExhausted::Pause };
    let origin = Origin::system();
    f.store.set_budget(&user, Some(own), &domain::Expected::ANY, f.tick(), &origin).await.unwrap();
    let shown = status(&f, &user).await;
    assert_eq!((shown.budget, shown.is_own), (Some(own), true));
    let (hold, usage) = request(&f, session, None, std::slice::from_ref(&user), 6);
    assert_eq!(f.store.hold(&hold).await.unwrap(), Held::Admitted);
    f.store.settle(&usage).await.unwrap();
    let (next, _) = request(&f, session, None, std::slice::from_ref(&user), 6);
    let exhausted = Exhausted { spender: user.spender.clone(), budget: own, spent: MicroUsd(6) };
    assert_eq!(f.store.hold(&next).await.unwrap(), Held::Exhausted(exhausted));

    let team = month(Spender::Team("blue".into()), None, WhenExhausted::Warn);
    let larger = Budget { limit: MicroUsd(7), ..own };
    f.store.set_budget(&team, Some(own), &domain::Expected::ANY, f.tick(), &origin).await.unwrap();
    f.store.set_budget(&user, Some(larger), &domain::Expected::ANY, f.tick(), &origin).await.unwrap();
    let expected = vec![(user.spender.clone(), larger), (team.spender.clone(), own)];
    assert_eq!(f.store.own_budgets().await.unwrap(), expected);
    assert_eq!(f.store.hold(&next).await.unwrap(), Held::Admitted, "it counts from the next request on");
    f.store.set_budget(&user, None, &domain::Expected::ANY, f.tick(), &origin).await.unwrap();
    assert_eq!(f.store.own_budgets().await.unwrap(), expected[1..]);
    let shown = status(&f, &user).await;
    assert_eq!((shown.budget, shown.is_own, shown.spent), (user.default, false, MicroUsd(6)));
}

pub async fn users_who_spent_are_found_by_their_month<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let november = of_user(f.user.id, 10);
    let december = Account { period: BudgetPeriod("2026-12".into()), ..november.clone() };
    let team = month(Spender::Team("blue".into()), None, WhenExhausted::Warn);
    for accounts in [[november.clone(), team.clone()], [december.clone(), team]] {
        let (hold, usage) = request(&f, session, None, &accounts, 1);
        f.store.hold(&hold).await.unwrap();
        f.store.settle(&usage).await.unwrap();
    }
    let months = [november.period, december.period];
    let found = async |months: &[BudgetPeriod]| f.store.spending_users(months).await.unwrap();
    assert_eq!(found(&months[..1]).await, [(f.user.id, months[0].clone())]);
    assert_eq!(found(&months).await, [(f.user.id, months[0].clone()), (f.user.id, months[1].clone())]);
    assert_eq!(found(&[BudgetPeriod("2026-10".into())]).await, []);
}

pub async fn who_sets_a_budget_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let before = log(&f.store).await.len();
    let origin = Origin { actor: domain::Actor::User { user_id: f.user.id }, source: Default::default() };
    let budget = Budget { limit: MicroUsd(12_500_000), when_exhausted: WhenExhausted::Pause };
    let own = Account { spender: Spender::Session(session), period: BudgetPeriod::default(), default: None };
    f.store.set_budget(&own, Some(budget), &domain::Expected::ANY, f.tick(), &origin).await.unwrap();
    f.store
        .set_budget(&of_user(f.user.id, 1), None, &domain::Expected::ANY, f.tick(), &origin)
        .await
        .unwrap();
    let entries = log(&f.store).await.split_off(before);
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.event.action.as_ref(), entry.event.subject.clone().unwrap().id))
        .collect();
    assert_eq!(told, [("budget.set", session.to_string()), ("budget.removed", f.user.id.to_string())]);
    assert_eq!(entries[0].event.data["limit_usd"], Fact::from("$12.500000"));
    assert_eq!(entries[0].event.data["when_exhausted"], Fact::from("pause"));
    assert!(entries.iter().all(|entry| entry.event.actor == origin.actor));
    let filter =
        AuditFilter { session_id: Some(session), action: Some("budget.".into()), ..Default::default() };
    assert_eq!(f.store.entries_after(0, 10, &filter).await.unwrap(), entries[..1]);
}

pub async fn money_of_a_purged_session_stays_on_its_users_account<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let own = Account {
        spender: Spender::Session(session),
        period: BudgetPeriod::default(),
        default: Some(Budget { limit: MicroUsd(10), when_exhausted: WhenExhausted::Warn }),
    };
    let accounts = [of_user(f.user.id, 1_000), own.clone()];
    let (hold, usage) = request(&f, session, Some(turn), &accounts, 10);
    let (late_hold, late) = request(&f, session, Some(turn), &accounts, 20);
    for hold in [&hold, &late_hold] {
        assert_eq!(f.store.hold(hold).await.unwrap(), Held::Admitted);
    }
    assert_eq!(f.store.settle(&usage).await.unwrap().alerts.len(), 3);
    f.store.set_budget(&own, own.default, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    f.store.end(turn, Generation::FIRST, &f.well()).await.unwrap();
    f.store.terminate(session, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    f.store.purge(session, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(f.store.own_budgets().await.unwrap(), []);
    assert_eq!(f.store.alerts(Scope::All, &PageRequest::first(10)).await.unwrap().items, []);
    assert_eq!(figures(&f, &accounts[0]).await, (10, 20));
    // It was under way when its session went.
    assert_eq!(f.store.settle(&late).await.unwrap(), Settlement::default());
    assert_eq!(figures(&f, &accounts[0]).await, (30, 0));
    assert_eq!(status(&f, &own).await.spent, MicroUsd::ZERO);
    assert_eq!(f.store.holds().await.unwrap(), (0, MicroUsd::ZERO));
}

pub async fn money_of_an_erased_user_stays_and_what_names_them_goes<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let account = of_user(f.user.id, 10);
    let (hold, usage) = request(&f, session, None, std::slice::from_ref(&account), 10);
    f.store.hold(&hold).await.unwrap();
    assert_eq!(f.store.settle(&usage).await.unwrap().alerts.len(), 3);
    f.store
        .set_budget(&account, account.default, &domain::Expected::ANY, f.tick(), &Origin::system())
        .await
        .unwrap();
    f.store.erase_user(f.user.id, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(f.store.own_budgets().await.unwrap(), []);
    assert_eq!(f.store.alerts(Scope::All, &PageRequest::first(10)).await.unwrap().items, []);
    assert_eq!(figures(&f, &account).await, (10, 0));
    let left = f.store.user(f.user.id).await.unwrap().unwrap();
    assert_eq!((left.team, left.time_zone.as_str()), (None, "UTC"));
}

pub async fn a_turn_begins_only_while_those_who_pay_have_money<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let own = Account { spender: Spender::Session(session), period: BudgetPeriod::default(), default: None };
    let warned = month(Spender::Team("blue".into()), Some(0), WhenExhausted::Warn);
    let payers = vec![of_user(f.user.id, 100), warned, own.clone()];
    let begin = async || {
        let turn = NewTurn { payers: payers.clone(), ..f.prompt(session) };
        f.store.begin(&turn, SessionStatus::Processing, f.home).await.unwrap()
    };
    let used_up = |account: &Account, budget, spent| {
        Begin::UsedUp(Exhausted { spender: account.spender.clone(), budget, spent: MicroUsd(spent) })
    };
    // There is nothing yet to be found of the session's money but what it may spend.
    let nothing = Budget { limit: MicroUsd(0), when_exhausted: WhenExhausted::Pause };
    let (origin, any) = (Origin::system(), Expected::ANY);
    f.store.set_budget(&own, Some(nothing), &any, f.tick(), &origin).await.unwrap();
    assert_eq!(begin().await, used_up(&own, nothing, 0));
    assert_eq!(f.reload(session).await.current_turn_id, None);
    assert_eq!(f.journal(session).await.len(), 0);
    f.store.set_budget(&own, None, &any, f.tick(), &origin).await.unwrap();

    let Begin::Begun(begun) = begin().await else { panic!("there is money") };
    let (hold, usage) = request(&f, session, Some(begun.turn_id), &payers, 100);
    f.store.hold(&hold).await.unwrap();
    f.store.settle(&usage).await.unwrap();
    assert_eq!(
        begin().await,
        Begin::Refused(SessionStatus::Processing),
        "what the state forbids is said first"
    );
    f.store.end(begun.turn_id, Generation::FIRST, &f.well()).await.unwrap();
    assert_eq!(begin().await, used_up(&payers[0], payers[0].default.unwrap(), 100));
}
