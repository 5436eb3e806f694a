//! Keys that make requests count once, attempts to log in that are counted, and reports of who asks how often.

use super::{AnyStore, Fixture};
use domain::{
    Budget, MicroUsd, Origin, Scope, ServerId, Session, UserPatch, WhenExhausted,
    entity_tag::{EntityTag, Expected},
    hook::{HookEndpointPatch, SealedSecret, SecretRotation},
    idempotency::{Claim, KeyLimits, KeyedRequest},
    login_throttle::{FORGOTTEN_AFTER, LoginAttempt},
    mcp::McpServerPatch,
    ports::{RateReport, StoreError},
    session::SessionPatch,
};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use std::net::IpAddr;
use uuid::Uuid;

fn request(owner: &str, key: u8, body: u8, at: Timestamp) -> KeyedRequest {
    KeyedRequest {
        owner: owner.to_owned(),
        key: [key; 32],
        fingerprint: [body; 32],
        attempt: Uuid::now_v7(),
        at,
        claimed_until: at + SignedDuration::from_mins(1),
    }
}

fn limits(at: Timestamp) -> KeyLimits {
    KeyLimits { forgotten_before: at - SignedDuration::from_hours(24), keys_max: 3, bytes_max: 100 }
}

pub async fn a_key_is_claimed_once_and_answered_again<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let at = f.tick();
    let claim = async |request: &KeyedRequest| f.store.claim_key(request, &limits(request.at)).await.unwrap();
    let first = request("ada", 1, 1, at);
    assert_eq!(claim(&first).await, Claim::Mine);
    assert_eq!(claim(&request("ada", 1, 1, at)).await, Claim::Running);
    assert_eq!(claim(&request("ada", 1, 2, at)).await, Claim::OtherRequest);
    assert_eq!(claim(&request("bob", 1, 2, at)).await, Claim::Mine, "the key of another is another key");

    let late = at + SignedDuration::from_secs(61);
    f.store.renew_claim(first.attempt, late + SignedDuration::from_mins(1)).await.unwrap();
    assert_eq!(claim(&request("ada", 1, 1, late)).await, Claim::Running);
    let gone = late + SignedDuration::from_mins(2);
    assert_eq!(claim(&request("ada", 1, 1, gone)).await, Claim::Unknown);

    f.store.keep_answer(first.attempt, b"created").await.unwrap();
    f.store.keep_answer(first.attempt, b"another").await.unwrap();
    f.store.release_key(first.attempt).await.unwrap();
    assert_eq!(claim(&request("ada", 1, 1, gone)).await, Claim::Answered(b"created".to_vec()));
    assert_eq!(claim(&request("ada", 1, 2, gone)).await, Claim::OtherRequest);

    let next_day = at + SignedDuration::from_hours(24) + SignedDuration::from_secs(1);
    assert_eq!(claim(&request("ada", 1, 2, next_day)).await, Claim::Mine, "its time was up");
    assert_eq!(f.store.forget_keys(next_day).await.unwrap(), 1, "bob's");
    assert_eq!(f.store.forget_keys(next_day).await.unwrap(), 0);
}

pub async fn a_key_that_is_given_up_may_come_again<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let first = request("ada", 1, 1, f.tick());
    assert_eq!(f.store.claim_key(&first, &limits(first.at)).await.unwrap(), Claim::Mine);
    f.store.release_key(first.attempt).await.unwrap();
    let again = request("ada", 1, 9, f.tick());
    assert_eq!(f.store.claim_key(&again, &limits(again.at)).await.unwrap(), Claim::Mine);
    // Whoever lost the key changes nothing any more.
    f.store.keep_answer(first.attempt, b"late").await.unwrap();
    f.store.release_key(first.attempt).await.unwrap();
    let third = request("ada", 1, 9, f.tick());
    assert_eq!(f.store.claim_key(&third, &limits(third.at)).await.unwrap(), Claim::Running);
}

pub async fn of_many_claims_at_once_one_gets_the_key<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let at = f.tick();
    let requests: Vec<_> = (0..16).map(|_| request("ada", 1, 1, at)).collect();
    let limits = limits(at);
    let claims = join_all(requests.iter().map(|request| f.store.claim_key(request, &limits))).await;
    let claims: Vec<Claim> = claims.into_iter().map(Result::unwrap).collect();
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::Mine).count(), 1, "{claims:?}");
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::Running).count(), 15, "{claims:?}");
}

pub async fn an_owner_has_so_many_keys_and_so_many_bytes<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let at = f.tick();
    let claim = async |key: u8| f.store.claim_key(&request("ada", key, 1, at), &limits(at)).await.unwrap();
    for key in 1..=3 {
        assert_eq!(claim(key).await, Claim::Mine);
    }
    assert_eq!(claim(4).await, Claim::Full);
    assert_eq!(claim(1).await, Claim::Running, "what is there is known");
    let other = request("bob", 1, 1, at);
    assert_eq!(f.store.claim_key(&other, &limits(at)).await.unwrap(), Claim::Mine);
    f.store.keep_answer(other.attempt, &[7; 100]).await.unwrap();
    let second = request("bob", 2, 1, at);
    assert_eq!(f.store.claim_key(&second, &limits(at)).await.unwrap(), Claim::Full);
}

pub async fn attempts_to_log_in_are_counted_and_forgiven<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let address = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
    let attempt = |last, at| LoginAttempt::new("ada@example.org", address(last), at);
    let at = f.tick();
    let admit = async |attempt: LoginAttempt| f.store.admit_login(&attempt).await.unwrap().as_secs();
    for _ in 0..5 {
        assert_eq!(admit(attempt(1, at)).await, 0);
    }
    assert_eq!(admit(attempt(1, at)).await, 1);
    assert_eq!(admit(attempt(1, at)).await, 1, "what is refused is not counted");
    let later = at + SignedDuration::from_secs(1);
    assert_eq!(admit(attempt(1, later)).await, 0);
    assert_eq!(admit(attempt(1, later)).await, 2);
    // Of another address, and then of its account, which holds it up no more.
    assert_eq!(admit(attempt(2, later)).await, 0);
    f.store.login_succeeded(&attempt(2, later)).await.unwrap();
    for last in 10..35 {
        admit(attempt(last, later)).await;
    }
    assert!(admit(attempt(99, later)).await > 0, "guessing from everywhere is slow");
    assert_eq!(admit(attempt(2, later)).await, 0, "and does not lock out whose account it is");

    let forgotten = later + SignedDuration::from_hours(2);
    assert_eq!(admit(attempt(1, forgotten)).await, 0);
    assert!(f.store.forget_login_attempts(forgotten).await.unwrap() > 10);
    for _ in 0..4 {
        assert_eq!(admit(attempt(1, forgotten)).await, 0);
    }
    assert_eq!(admit(attempt(1, forgotten)).await, 1);
}

pub async fn of_many_attempts_at_once_no_more_pass_than_are_free<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let at = f.tick();
    let admitted = async |email: &str| {
        let attempt = LoginAttempt::new(email, Some(IpAddr::from([192, 0, 2, 1])), at);
        let waits = join_all((0..16).map(|_| f.store.admit_login(&attempt))).await;
        waits.into_iter().filter(|wait| wait.as_ref().unwrap().is_zero()).count()
    };
    // Where nobody has failed yet no row is there.
    for account in 0..9 {
        assert_eq!(admitted(&format!("{account}@example.org")).await, 5, "{account}");
    }
    let one = LoginAttempt::new("ada@example.org", Some(IpAddr::from([192, 0, 2, 1])), at);
    f.store.admit_login(&one).await.unwrap();
    assert_eq!(admitted("ada@example.org").await, 4);
    // That was all that is free for the address, at whatever account.
    assert_eq!(admitted("eve@example.org").await, 0);
    let forgotten = f.store.forget_login_attempts(at + FORGOTTEN_AFTER).await.unwrap();
    assert_eq!(
        forgotten, 21,
        "ten accounts, from one address each, and the address; what waits leaves nothing"
    );
}

pub async fn servers_hear_what_others_report<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (one, other) = (ServerId::new(), ServerId::new());
    let report = |server, at: Timestamp, requests| RateReport {
        id: Uuid::now_v7(),
        server,
        at,
        requests: vec![("u1".to_owned(), requests), ("a2".to_owned(), 1)],
    };
    let at = f.tick();
    let since = at - SignedDuration::from_secs(60);
    let first = report(one, at, 3);
    assert_eq!(f.store.exchange_reports(one, Some(&first), since).await.unwrap(), []);
    assert_eq!(f.store.exchange_reports(other, None, since).await.unwrap(), [first]);
    let later = at + SignedDuration::from_secs(61);
    let second = report(one, later, 4);
    f.store.exchange_reports(one, Some(&second), later - SignedDuration::from_secs(60)).await.unwrap();
    assert_eq!(f.store.exchange_reports(other, None, since).await.unwrap(), [second], "the first is old");
    // Whoever looks removes it, though its server is gone and nothing is there to report.
    let gone = later + SignedDuration::from_micros(1);
    assert_eq!(f.store.exchange_reports(other, None, gone).await.unwrap(), []);
    assert_eq!(f.store.exchange_reports(other, None, since).await.unwrap(), []);
}

pub async fn a_change_that_expects_another_state_is_refused<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (by, id) = (Origin::system(), f.session().await.id);
    let of = |session: &Session| Expected::one_of(vec![EntityTag::of(session)]);
    let seen = f.reload(id).await;
    let rename = |name: &str| SessionPatch { name: Some(Some(name.to_owned())), ..SessionPatch::default() };
    let patch = async |name: &str, expected: &Expected| {
        f.store.patch(Scope::All, id, &rename(name), expected, f.tick(), &by).await
    };
    patch("second", &of(&seen)).await.unwrap().unwrap();
    assert!(matches!(patch("third", &of(&seen)).await, Err(StoreError::Changed)));
    assert!(matches!(f.store.terminate(id, &of(&seen), f.tick(), &by).await, Err(StoreError::Changed)));
    let now = f.reload(id).await;
    assert_eq!(now.name.as_deref(), Some("second"));
    f.store.terminate(id, &of(&now), f.tick(), &by).await.unwrap();

    let team = |team: &str| UserPatch { team: Some(Some(team.to_owned())), ..UserPatch::default() };
    let was = Expected::one_of(vec![EntityTag::of(&f.user)]);
    f.store.patch_user(f.user.id, &team("a"), &was, f.tick(), &by).await.unwrap();
    let stale = f.store.patch_user(f.user.id, &team("b"), &was, f.tick(), &by).await;
    assert!(matches!(stale, Err(StoreError::Changed)));
    assert!(matches!(f.store.erase_user(f.user.id, &was, f.tick(), &by).await, Err(StoreError::Changed)));
    assert_eq!(f.store.user(f.user.id).await.unwrap().unwrap().team.as_deref(), Some("a"));

    let hook = super::hooks::endpoint(f.user.id, "guard", f.tick());
    f.store.create_endpoint(&hook, u32::MAX, &by).await.unwrap();
    let stored = f.store.endpoint(Scope::All, hook.id).await.unwrap().unwrap();
    let was = Expected::one_of(vec![EntityTag::of(&stored)]);
    let off = HookEndpointPatch { is_enabled: Some(false), ..HookEndpointPatch::default() };
    f.store.patch_endpoint(Scope::All, hook.id, &off, &was, f.tick(), &by).await.unwrap().unwrap();
    let stale = f.store.patch_endpoint(Scope::All, hook.id, &off, &was, f.tick(), &by).await;
    assert!(matches!(stale, Err(StoreError::Changed)));
    let rotation = SecretRotation { secret: SealedSecret(vec![9; 40]), old_until: f.tick() };
    let stale = f.store.rotate_secret(Scope::All, hook.id, &rotation, &was, f.tick(), &by).await;
    assert!(matches!(stale, Err(StoreError::Changed)));
    let stale = f.store.delete_endpoint(Scope::All, hook.id, &was, f.tick(), &by).await;
    assert!(matches!(stale, Err(StoreError::Changed)));
    let kept = f.store.endpoint(Scope::All, hook.id).await.unwrap().unwrap();
    assert_eq!((kept.secret, kept.old_secret), (hook.secret, None));

    let server = super::mcp_servers::mcp_server(f.user.id, "files", f.tick());
    f.store.create_mcp_server(&server, u32::MAX, &by).await.unwrap();
    let stored = f.store.mcp_server(Scope::All, server.id).await.unwrap().unwrap();
    let was = Expected::one_of(vec![EntityTag::of(&stored)]);
    let with = |token: u8| McpServerPatch {
        env: Some([("TOKEN".to_owned(), SealedSecret(vec![token; 40]))].into()),
        ..McpServerPatch::default()
    };
    let (first, second) = (with(1), with(2));
    let changed = f.store.patch_mcp_server(Scope::All, server.id, &first, &was, f.tick(), &by).await;
    let changed = changed.unwrap().unwrap();
    let stale = f.store.patch_mcp_server(Scope::All, server.id, &second, &was, f.tick(), &by).await;
    assert!(matches!(stale, Err(StoreError::Changed)));
    let stale = f.store.delete_mcp_server(Scope::All, server.id, &was, f.tick(), &by).await;
    assert!(matches!(stale, Err(StoreError::Changed)));
    assert_eq!(f.store.mcp_server(Scope::All, server.id).await.unwrap(), Some(changed), "only the first");

    let account = super::budgets::of_user(f.user.id, 5);
    let budget = Some(Budget { limit: MicroUsd(7), when_exhausted: WhenExhausted::Block });
    let none = Expected::one_of(vec![EntityTag::of(&None::<Budget>)]);
    f.store.set_budget(&account, budget, &none, f.tick(), &by).await.unwrap();
    let stale = f.store.set_budget(&account, None, &none, f.tick(), &by).await;
    assert!(matches!(stale, Err(StoreError::Changed)));
    let seven = Expected::one_of(vec![EntityTag::of(&budget)]);
    f.store.set_budget(&account, None, &seven, f.tick(), &by).await.unwrap();
}

pub async fn of_many_changes_that_expect_one_state_one_is_made<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let seen = f.reload(f.session().await.id).await;
    let expected = Expected::one_of(vec![EntityTag::of(&seen)]);
    let (by, at) = (Origin::system(), f.tick());
    let patches: Vec<_> = (0..8)
        .map(|n| SessionPatch { name: Some(Some(format!("name {n}"))), ..SessionPatch::default() })
        .collect();
    let changes = patches.iter().map(|patch| f.store.patch(Scope::All, seen.id, patch, &expected, at, &by));
    let changed = join_all(changes).await;
    assert_eq!(changed.iter().filter(|change| change.is_ok()).count(), 1, "{changed:?}");
    assert!(changed.iter().all(|change| matches!(change, Ok(_) | Err(StoreError::Changed))));
}
