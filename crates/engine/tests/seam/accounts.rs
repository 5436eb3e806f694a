//! Who may come in, and for how long.

use domain::{
    Access, Actor, AuditFilter, Clock as _, Credential, Expected, NewUser, Origin, Role, Source, User,
    UserId,
    audit::Fact,
    ports::{Accounts as _, Audit as _},
};
use engine::{AccountManager, AuditLog, Error, Registrant, Registration, TokenPair, Tokens};
use jiff::{SignedDuration, Timestamp};
use std::{sync::Arc, time::Duration};
use testkit::{MemoryStore, TestClock};
use tokio_util::sync::CancellationToken;

const EMAIL: &str = "ada@example.org";
const PASSWORD: &str = "correct horse battery";

struct Door {
    accounts: AccountManager,
    store: MemoryStore,
    clock: TestClock,
}

async fn door(registration: Registration) -> Door {
    let (store, clock) = (MemoryStore::default(), TestClock::default());
    let tokens = Tokens::new(&[7; 32], SignedDuration::from_mins(15));
    let accounts = AccountManager::new(
        Arc::new(store.clone()),
        Arc::new(clock.clone()),
        tokens,
        SignedDuration::from_hours(24),
        registration,
        Arc::new(AuditLog::new(Arc::new(store.clone()), Arc::new(clock.clone()))),
    );
    Door { accounts, store, clock }
}

fn source() -> Source {
    Source { ip_address: Some("203.0.113.9".parse().unwrap()), request_id: Some("r-1".to_owned()) }
}

fn registrant(email: &str, password: &str) -> Registrant {
    Registrant {
        email: email.to_owned(),
        username: None,
        full_name: None,
        password: password.to_owned(),
        team: None,
        time_zone: None,
    }
}

async fn with_ada() -> (Door, TokenPair) {
    let door = door(Registration::Open).await;
    door.accounts.register(registrant(EMAIL, PASSWORD), source()).await.unwrap();
    let pair = door.accounts.login(EMAIL, PASSWORD.to_owned(), &source()).await.unwrap();
    (door, pair)
}

#[tokio::test]
async fn a_login_is_known_again_until_its_access_token_expires() {
    let (door, pair) = with_ada().await;
    assert_eq!(pair.expires_in_seconds, 900);
    let caller = door.accounts.authenticate(&pair.access_token).await.unwrap();
    assert_eq!((caller.role, caller.access), (Role::Member, Access::WRITE));
    assert_eq!(door.accounts.me(&caller).await.unwrap().email, EMAIL);
    door.clock.advance(SignedDuration::from_secs(899));
    assert!(door.accounts.authenticate(&pair.access_token).await.is_ok());
    door.clock.advance(SignedDuration::from_secs(1));
    let expired = door.accounts.authenticate(&pair.access_token).await;
    assert!(matches!(expired, Err(Error::Unauthenticated)), "{expired:?}");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_person_are_the_same_answer() {
    let (door, _) = with_ada().await;
    assert!(door.accounts.login(" Ada@Example.ORG ", PASSWORD.to_owned(), &source()).await.is_ok());
    for (email, password) in [(EMAIL, "wrong horse battery"), ("eve@example.org", PASSWORD), (EMAIL, "")] {
        let refused = door.accounts.login(email, password.to_owned(), &source()).await;
        assert!(matches!(refused, Err(Error::Unauthenticated)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_disabled_account_is_told_so_only_with_its_password() {
    let (door, _) = with_ada().await;
    let (_, password_hash) = door.store.login(EMAIL).await.unwrap().unwrap();
    let user = User {
        id: UserId::new(),
        email: "off@example.org".to_owned(),
        username: "off".to_owned(),
        full_name: None,
        role: Role::Member,
        is_active: false,
        team: None,
        time_zone: "UTC".to_owned(),
        created_at: door.clock.now(),
        last_login_at: None,
    };
    door.store.create_user(&NewUser { user, password_hash }, &Origin::system()).await.unwrap();
    let refused = door.accounts.login("off@example.org", PASSWORD.to_owned(), &source()).await;
    assert!(matches!(refused, Err(Error::AccountDisabled)), "{refused:?}");
    let wrong = door.accounts.login("off@example.org", "wrong horse battery".to_owned(), &source()).await;
    assert!(matches!(wrong, Err(Error::Unauthenticated)), "{wrong:?}");
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_second_use_ends_the_login() {
    let (door, first) = with_ada().await;
    let second = door.accounts.refresh(&first.refresh_token, &source()).await.unwrap();
    assert_ne!(first.refresh_token, second.refresh_token);
    assert!(door.accounts.authenticate(&second.access_token).await.is_ok());
    let stolen = door.accounts.refresh(&first.refresh_token, &source()).await;
    assert!(matches!(stolen, Err(Error::Unauthenticated)), "{stolen:?}");
    for token in [&first.access_token, &second.access_token] {
        assert!(door.accounts.authenticate(token).await.is_err(), "the login goes on");
    }
    assert!(door.accounts.refresh(&second.refresh_token, &source()).await.is_err());
    assert!(door.accounts.login(EMAIL, PASSWORD.to_owned(), &source()).await.is_ok());
}

#[tokio::test]
async fn a_refresh_token_expires() {
    let (door, pair) = with_ada().await;
    door.clock.advance(SignedDuration::from_hours(24));
    let refused = door.accounts.refresh(&pair.refresh_token, &source()).await;
    assert!(matches!(refused, Err(Error::Unauthenticated)), "{refused:?}");
    assert!(door.accounts.refresh("stwr_never", &source()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn refresh_tokens_are_forgotten_a_week_after_they_expired() {
    let (door, pair) = with_ada().await;
    door.clock.advance(SignedDuration::from_secs(1));
    door.accounts.refresh(&pair.refresh_token, &source()).await.unwrap();
    door.clock.advance(SignedDuration::from_hours(8 * 24));
    let round = Duration::from_secs(1);
    let cancelled = tokio::time::timeout(round, door.accounts.keep_house(CancellationToken::new())).await;
    assert!(cancelled.is_err(), "it kept house for a round");
    let kept = door.store.forget_refresh_tokens(Timestamp::MAX, 10).await.unwrap();
    assert_eq!(kept, 1, "the one that was used is forgotten, and the one that expired later is not yet");
}

#[tokio::test]
async fn logging_out_ends_one_login_or_all() {
    let (door, one) = with_ada().await;
    let two = door.accounts.login(EMAIL, PASSWORD.to_owned(), &source()).await.unwrap();
    let three = door.accounts.login(EMAIL, PASSWORD.to_owned(), &source()).await.unwrap();
    let caller = door.accounts.authenticate(&one.access_token).await.unwrap();
    door.accounts.logout(&caller).await.unwrap();
    assert!(door.accounts.authenticate(&one.access_token).await.is_err());
    assert!(door.accounts.refresh(&one.refresh_token, &source()).await.is_err());
    let caller = door.accounts.authenticate(&two.access_token).await.unwrap();
    door.accounts.logout_all(&caller).await.unwrap();
    for pair in [two, three] {
        assert!(door.accounts.authenticate(&pair.access_token).await.is_err());
        assert!(door.accounts.refresh(&pair.refresh_token, &source()).await.is_err());
    }
}

#[tokio::test]
async fn an_api_key_reaches_as_far_as_it_was_made_for_until_it_expires_or_is_deleted() {
    let (door, pair) = with_ada().await;
    let owner = door.accounts.authenticate(&pair.access_token).await.unwrap();
    let at = door.clock.now() + SignedDuration::from_hours(1);
    let name = || "ci".to_owned();
    let (read, secret) = door.accounts.create_api_key(&owner, name(), Access::READ, Some(at)).await.unwrap();
    assert!(secret.starts_with(&read.prefix) && secret.starts_with("stw_") && secret.len() > 40);
    let caller = door.accounts.authenticate(&secret).await.unwrap();
    assert_eq!((caller.user_id, caller.access), (owner.user_id, Access::READ));
    assert_eq!(caller.credential, Credential::ApiKey(read.id));
    let logout = door.accounts.logout(&caller).await;
    assert!(matches!(logout, Err(Error::Forbidden(_))), "{logout:?}");

    let (write, second) = door.accounts.create_api_key(&owner, name(), Access::WRITE, None).await.unwrap();
    assert_eq!(door.accounts.authenticate(&second).await.unwrap().access, Access::WRITE);
    door.accounts.logout_all(&owner).await.unwrap();
    assert!(door.accounts.authenticate(&second).await.is_ok(), "keys are deleted by name");
    door.clock.set(at);
    assert!(door.accounts.authenticate(&secret).await.is_err(), "expired");

    let stranger = crate::world::caller();
    assert!(door.accounts.delete_api_key(&stranger, write.id).await.is_err());
    door.accounts.delete_api_key(&owner, write.id).await.unwrap();
    let gone = door.accounts.delete_api_key(&owner, write.id).await;
    assert!(matches!(gone, Err(Error::NotFound("API key"))), "{gone:?}");
    assert!(door.accounts.authenticate(&second).await.is_err());
    assert_eq!(door.accounts.api_keys(&owner, &crate::world::all()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_key_that_would_be_expired_at_once_is_refused() {
    let (door, pair) = with_ada().await;
    let owner = door.accounts.authenticate(&pair.access_token).await.unwrap();
    let now = Some(door.clock.now());
    let refused = door.accounts.create_api_key(&owner, "ci".to_owned(), Access::READ, now).await;
    assert!(matches!(&refused, Err(Error::Invalid(at)) if at[0].pointer == "/expires_at"), "{refused:?}");
}

#[tokio::test]
async fn the_first_admin_is_made_once() {
    let door = door(Registration::Closed).await;
    let password = door.accounts.ensure_admin("Root@Example.org", None).await.unwrap().unwrap();
    assert_eq!(door.accounts.ensure_admin("other@example.org", None).await.unwrap(), None);
    let pair = door.accounts.login("root@example.org", password, &source()).await.unwrap();
    assert_eq!(door.accounts.authenticate(&pair.access_token).await.unwrap().role, Role::Admin);
    assert!(door.store.login("other@example.org").await.unwrap().is_none());
}

#[tokio::test]
async fn a_given_password_of_the_admin_is_not_shown_again() {
    let door = door(Registration::Closed).await;
    let shown = door.accounts.ensure_admin(EMAIL, Some(PASSWORD.to_owned())).await.unwrap();
    assert_eq!(shown, None);
    assert!(door.accounts.login(EMAIL, PASSWORD.to_owned(), &source()).await.is_ok());
}

/// Two admins who remove each other at one instant: each was let in before the other one was gone.
#[tokio::test]
async fn the_last_admin_is_not_removed() {
    let door = door(Registration::Closed).await;
    door.accounts.ensure_admin(EMAIL, Some(PASSWORD.to_owned())).await.unwrap();
    let pair = door.accounts.login(EMAIL, PASSWORD.to_owned(), &source()).await.unwrap();
    let one = door.accounts.authenticate(&pair.access_token).await.unwrap();
    let other = door.accounts.add(&one, registrant("bob@example.org", PASSWORD), Role::Admin).await.unwrap();
    let pair = door.accounts.login("bob@example.org", PASSWORD.to_owned(), &source()).await.unwrap();
    let bob = door.accounts.authenticate(&pair.access_token).await.unwrap();
    door.accounts.erase(&one, other.id, &Expected::ANY).await.unwrap();
    let refused = door.accounts.erase(&bob, one.user_id, &Expected::ANY).await;
    assert!(matches!(refused, Err(Error::LastAdmin)), "{refused:?}");
    let left = door.store.user(one.user_id).await.unwrap().unwrap();
    assert!(left.is_active_admin());
    let nobody = door.accounts.erase(&one, UserId::new(), &Expected::ANY).await;
    assert!(matches!(nobody, Err(Error::NotFound(_))), "{nobody:?}");
}

#[tokio::test]
async fn strangers_register_only_where_they_may_and_with_a_long_password() {
    let closed = door(Registration::Closed).await;
    let refused = closed.accounts.register(registrant(EMAIL, PASSWORD), source()).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");

    let open = door(Registration::Open).await;
    let short = open.accounts.register(registrant(EMAIL, "elevenchars"), source()).await;
    assert!(matches!(&short, Err(Error::Invalid(at)) if at[0].pointer == "/password"), "{short:?}");
    let user = open.accounts.register(registrant(" Ada@Example.org", PASSWORD), source()).await.unwrap();
    assert_eq!((user.email.as_str(), user.role), (EMAIL, Role::Member));
    let again = open.accounts.register(registrant(EMAIL, PASSWORD), source()).await;
    assert!(matches!(again, Err(Error::Exists(_))), "{again:?}");
}

#[tokio::test]
async fn who_fails_to_come_in_is_in_the_audit_log() {
    let (door, _) = with_ada().await;
    let (ada, _) = door.store.login(EMAIL).await.unwrap().unwrap();
    for (email, password) in [(EMAIL, "wrong horse battery"), ("my secret password", "ada@example.org")] {
        assert!(door.accounts.login(email, password.to_owned(), &source()).await.is_err());
    }
    let entries = door.store.entries_after(2, 10, &AuditFilter::default()).await.unwrap();
    let told: Vec<_> =
        entries.iter().map(|entry| (&*entry.event.action, &entry.event.data["reason"])).collect();
    let reasons = ["wrong_password", "unknown_account"].map(Fact::from);
    assert_eq!(told, [("login.failed", &reasons[0]), ("login.failed", &reasons[1])]);
    assert_eq!(entries[0].event.subject.as_ref().unwrap().id, ada.id.to_string());
    assert_eq!(entries[1].event.subject, None);
    for entry in &entries {
        assert_eq!((entry.event.actor, &entry.event.source), (Actor::Anonymous, &source()));
        let line = entry.line().unwrap();
        assert!(!line.contains("horse") && !line.contains("secret"), "what was typed is in the log: {line}");
    }
}

#[tokio::test]
async fn a_flood_of_failed_logins_is_counted_and_a_success_is_never_left_out() {
    let (door, _) = with_ada().await;
    let before = door.store.head().await.unwrap().seq;
    for _ in 0..30 {
        assert!(door.accounts.login(EMAIL, "wrong horse battery".to_owned(), &source()).await.is_err());
    }
    // Five whose password was looked at, and twenty of those that were told to wait.
    assert_eq!(door.store.head().await.unwrap().seq, before + 25);
    let too_soon = door.accounts.login(EMAIL, PASSWORD.to_owned(), &source()).await;
    assert!(matches!(too_soon, Err(Error::TooManyLogins { retry_after_seconds: 1 })), "{too_soon:?}");
    door.clock.advance(SignedDuration::from_secs(1));
    door.accounts.login(EMAIL, PASSWORD.to_owned(), &source()).await.unwrap();
    door.clock.advance(SignedDuration::from_mins(1));
    assert!(door.accounts.login(EMAIL, "wrong horse battery".to_owned(), &source()).await.is_err());
    let entries = door.store.entries_after(before + 25, 10, &AuditFilter::default()).await.unwrap();
    let actions: Vec<&str> = entries.iter().map(|entry| &*entry.event.action).collect();
    assert_eq!(actions, ["login.succeeded", "login.failed", "login.failed"]);
    assert_eq!(entries[1].event.data["attempts"], Fact::Number(6));
}
