//! Users as admins see and change them.

use super::{AnyStore, Fixture, audit::log};
use domain::{
    FamilyId, Origin, PageRequest, RefreshToken, RefreshTokenId, Role, Source, User, UserId, UserPatch,
    account::{UserErased, UserPatched},
    audit::Fact,
    ports::StoreError,
};
use futures::future::join_all;
use jiff::SignedDuration;

pub async fn users_are_listed_newest_first<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    for name in ["bob", "eve", "dan"] {
        f.another_user(name).await;
    }
    let mut names = Vec::new();
    let mut page = PageRequest::first(3);
    loop {
        let found = f.store.users(&page).await.unwrap();
        assert_eq!(found.total, Some(domain::Total::exactly(4)));
        names.extend(found.items.into_iter().map(|user| user.username));
        let Some(cursor) = found.next_cursor else { break };
        page.cursor = Some(cursor);
    }
    assert_eq!(names, ["dan", "eve", "bob", "ada"]);
    let elsewhere = PageRequest { cursor: Some("AAAA".to_owned()), ..PageRequest::first(3) };
    assert!(matches!(f.store.users(&elsewhere).await, Err(StoreError::BadCursor)));
}

pub async fn a_user_changes_as_the_patch_says_and_the_audit_log_tells_it<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let patch = UserPatch {
        role: Some(Role::Admin),
        full_name: Some(None),
        team: Some(Some("finance".to_owned())),
        time_zone: Some("Europe/Berlin".to_owned()),
        is_active: None,
    };
    let expected = User {
        role: Role::Admin,
        full_name: None,
        team: Some("finance".to_owned()),
        time_zone: "Europe/Berlin".to_owned(),
        ..f.user.clone()
    };
    assert_eq!(change(&f, f.user.id, &patch).await, UserPatched::Patched(Box::new(expected.clone())));
    assert_eq!(f.store.user(f.user.id).await.unwrap().unwrap(), expected);
    let entry = log(&f.store).await.pop().unwrap().event;
    assert_eq!((entry.action.as_ref(), entry.subject.unwrap().id), ("user.changed", f.user.id.to_string()));
    let fields = ["role", "full_name", "team", "time_zone"].map(str::to_owned).to_vec();
    assert_eq!(entry.data["fields"], Fact::List(fields));
    assert_eq!((&entry.data["role"], &entry.data["team"]), (&"admin".into(), &"finance".into()));

    let nothing = change(&f, f.user.id, &UserPatch::default()).await;
    assert_eq!(nothing, UserPatched::Patched(Box::new(expected)));
    assert_eq!(change(&f, UserId::new(), &patch).await, UserPatched::NoUser);
}

pub async fn a_user_who_is_disabled_is_out_at_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (mine, others) = (begin_login(&f, f.user.id, 1).await, f.another_user("eve").await);
    let theirs = begin_login(&f, others.id, 2).await;
    let disable = UserPatch { is_active: Some(false), ..UserPatch::default() };
    assert!(matches!(change(&f, f.user.id, &disable).await, UserPatched::Patched(user) if !user.is_active));
    let now = f.tick();
    assert_eq!(f.store.login_user(mine, now).await.unwrap(), None);
    assert!(f.store.login_user(theirs, now).await.unwrap().is_some(), "another login suffered");

    // Those logins stay ended when the account is enabled again.
    let enable = UserPatch { is_active: Some(true), ..UserPatch::default() };
    assert!(matches!(change(&f, f.user.id, &enable).await, UserPatched::Patched(user) if user.is_active));
    assert_eq!(f.store.login_user(mine, f.tick()).await.unwrap(), None);
}

pub async fn an_erased_user_stays_nobody<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    assert_eq!(f.erase(f.user.id).await, UserErased::Erased);
    let before = f.store.user(f.user.id).await.unwrap().unwrap();
    let enable = UserPatch { is_active: Some(true), ..UserPatch::default() };
    assert_eq!(change(&f, f.user.id, &enable).await, UserPatched::Erased);
    assert_eq!(f.store.user(f.user.id).await.unwrap().unwrap(), before);
}

pub async fn the_last_active_admin_stays_one<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let admins = join_all(["grace", "hedy", "joan"].map(|name| f.admin(name))).await;
    // One that is disabled does not count.
    let disable = UserPatch { is_active: Some(false), ..UserPatch::default() };
    assert!(matches!(change(&f, admins[0], &disable).await, UserPatched::Patched(_)));

    // Each demotes the other at one instant.
    let demote = UserPatch { role: Some(Role::Member), ..UserPatch::default() };
    let both = [(admins[1], &demote), (admins[2], &disable)];
    let came = join_all(both.map(|(id, patch)| change(&f, id, patch))).await;
    let refused = came.iter().filter(|one| **one == UserPatched::LastAdmin).count();
    assert_eq!(refused, 1, "{came:?}");
    let left = admins_of(&f).await;
    assert_eq!(left.len(), 1);

    // Nothing else of that one is refused.
    let last = left[0];
    let rename = UserPatch { full_name: Some(None), role: Some(Role::Admin), ..UserPatch::default() };
    assert!(matches!(change(&f, last, &rename).await, UserPatched::Patched(_)));
}

pub async fn the_last_active_admin_is_not_removed<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let alone = f.admin("grace").await;
    assert_eq!(f.erase(alone).await, UserErased::LastAdmin);
    assert_eq!(admins_of(&f).await, [alone]);

    // All are removed at one instant, and then some of them are demoted instead.
    let demote = UserPatch { role: Some(Role::Member), ..UserPatch::default() };
    for demoted in [0, 4] {
        for n in 0..7 {
            f.admin(&format!("admin-{demoted}-{n}")).await;
        }
        let admins = admins_of(&f).await;
        assert_eq!(admins.len(), 8);
        let is_refused = admins.iter().enumerate().map(async |(n, id)| match n < demoted {
            true => change(&f, *id, &demote).await == UserPatched::LastAdmin,
            false => f.erase(*id).await == UserErased::LastAdmin,
        });
        let refused = join_all(is_refused).await.into_iter().filter(|refused| *refused).count();
        assert_eq!((refused, admins_of(&f).await.len()), (1, 1));
    }
    let told = log(&f.store).await.into_iter().filter(|entry| entry.event.action == "user.erased").count();
    let users = f.store.users(&PageRequest::first(100)).await.unwrap().items;
    assert_eq!(told, users.iter().filter(|user| user.is_erased()).count(), "a refusal is not told");
}

/// Those who are active.
async fn admins_of<S: AnyStore>(f: &Fixture<S>) -> Vec<UserId> {
    let users = f.store.users(&PageRequest::first(100)).await.unwrap().items;
    users.iter().filter(|user| user.is_active_admin()).map(|user| user.id).collect()
}

async fn change<S: AnyStore>(f: &Fixture<S>, id: UserId, patch: &UserPatch) -> UserPatched {
    f.store.patch_user(id, patch, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap()
}

async fn begin_login<S: AnyStore>(f: &Fixture<S>, user: UserId, secret: u8) -> FamilyId {
    let at = f.tick();
    let token = RefreshToken {
        id: RefreshTokenId::new(),
        family_id: FamilyId::new(),
        user_id: user,
        secret_sha256: [secret; 32],
        expires_at: at + SignedDuration::from_hours(24),
        created_at: at,
    };
    f.store.begin_login(&token, &Source::default()).await.unwrap();
    token.family_id
}
