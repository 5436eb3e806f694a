//! Identities at providers: whose they are, and that they are nobody else's.

use super::{AnyStore, Fixture, audit::log, fixture::user, logins::token};
use domain::{
    Actor, Clock as _, Expected, Origin, Source, UserId, audit::Fact, identity::IdentityKey,
    ports::StoreError,
};

fn key(issuer: &str, subject: &str) -> IdentityKey {
    IdentityKey { issuer: issuer.to_owned(), subject: subject.to_owned() }
}

pub async fn an_identity_is_its_issuer_and_its_subject<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (here, elsewhere) = ("https://id.example.org", "https://other.example.org");
    let bob = user("bob", f.tick());
    f.store.create_identified(&bob, &key(here, "1"), &Origin::system()).await.unwrap();
    assert!(f.store.link_identity(f.user.id, &key(here, "2"), f.tick(), &Origin::system()).await.unwrap());
    assert!(
        f.store.link_identity(f.user.id, &key(elsewhere, "1"), f.tick(), &Origin::system()).await.unwrap()
    );
    let whose = async |issuer, subject| {
        f.store.identified(&key(issuer, subject)).await.unwrap().map(|user| user.username)
    };
    assert_eq!(whose(here, "1").await.as_deref(), Some("bob"));
    assert_eq!(whose(here, "2").await.as_deref(), Some("ada"));
    assert_eq!(whose(elsewhere, "1").await.as_deref(), Some("ada"), "the same subject of another issuer");
    assert_eq!(whose(elsewhere, "2").await, None);
    assert_eq!(whose(here, "").await, None);
    assert_eq!(whose("https://id.example.org/", "1").await, None, "an issuer is compared letter by letter");
}

pub async fn a_user_is_one_subject_of_an_issuer<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (here, elsewhere) = ("https://id.example.org", "https://other.example.org");
    let link = async |issuer, subject| {
        f.store.link_identity(f.user.id, &key(issuer, subject), f.tick(), &Origin::system()).await
    };
    assert!(link(here, "1").await.unwrap());
    let before = log(&f.store).await.len();
    assert!(!link(here, "2").await.unwrap(), "their address has changed hands");
    assert_eq!(f.store.identified(&key(here, "2")).await.unwrap(), None);
    assert_eq!(log(&f.store).await.len(), before);
    let same = link(here, "1").await;
    assert!(matches!(same, Err(StoreError::Conflict { .. })), "{same:?}");
    assert!(link(elsewhere, "2").await.unwrap());
    let bob = user("bob", f.tick());
    f.store.create_identified(&bob, &key(here, "3"), &Origin::system()).await.unwrap();
    let second = f.store.link_identity(bob.user.id, &key(here, "4"), f.tick(), &Origin::system()).await;
    assert!(!second.unwrap(), "one that the account was made for counts as well");
}

pub async fn an_identity_is_somebodys_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let known = key("https://id.example.org", "1");
    let (bob, eve) = (user("bob", f.tick()), user("eve", f.tick()));
    f.store.create_identified(&bob, &known, &Origin::system()).await.unwrap();
    let before = log(&f.store).await.len();
    let taken = f.store.create_identified(&eve, &known, &Origin::system()).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
    let taken = f.store.link_identity(f.user.id, &known, f.tick(), &Origin::system()).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
    let same = f.store.create_identified(&bob, &key("https://id.example.org", "2"), &Origin::system()).await;
    assert!(matches!(same, Err(StoreError::Conflict { .. })), "{same:?}");
    assert_eq!(f.store.user(eve.user.id).await.unwrap(), None, "half of it is nothing");
    assert_eq!(f.store.identified(&key("https://id.example.org", "2")).await.unwrap(), None);
    let nobody = f.store.link_identity(UserId::new(), &key("i", "3"), f.tick(), &Origin::system()).await;
    assert!(!nobody.unwrap());
    assert_eq!(log(&f.store).await.len(), before, "and none of it was told");
}

pub async fn an_erased_user_leaves_their_identities<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let known = key("https://id.example.org", "1");
    f.store.link_identity(f.user.id, &known, f.tick(), &Origin::system()).await.unwrap();
    f.store.erase_user(f.user.id, &Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(f.store.identified(&known).await.unwrap(), None);
    let again = f.store.link_identity(f.user.id, &known, f.tick(), &Origin::system()).await.unwrap();
    assert!(!again, "an account that is nobody's is given to nobody");
    let bob = user("bob", f.tick());
    f.store.create_identified(&bob, &known, &Origin::system()).await.unwrap();
    assert_eq!(f.store.identified(&known).await.unwrap().map(|user| user.id), Some(bob.user.id));
}

pub async fn how_somebody_came_in_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let bob = user("bob", f.tick());
    let known = key("https://id.example.org", "bob@example.org");
    f.store.create_identified(&bob, &known, &Origin::system()).await.unwrap();
    let login = token(bob.user.id, 1, f.tick());
    f.store.begin_identified_login(&login, &Source::default()).await.unwrap();
    let come = f.store.login_user(login.family_id, f.clock.now()).await.unwrap().unwrap();
    assert_eq!((come.id, come.last_login_at), (bob.user.id, Some(login.created_at)));
    let told: Vec<_> = log(&f.store).await.into_iter().skip(1).map(|entry| entry.event).collect();
    let actions: Vec<&str> = told.iter().map(|event| event.action.as_ref()).collect();
    assert_eq!(actions, ["user.registered", "identity.linked", "login.succeeded"]);
    assert_eq!(told[1].data["issuer"], Fact::Text(known.issuer));
    assert!(!format!("{told:?}").contains(&known.subject), "what may be an address is not told");
    assert_eq!(told[2].actor, Actor::User { user_id: bob.user.id });
    assert_eq!(told[2].data["method"], Fact::Text("oidc".to_owned()));
}
