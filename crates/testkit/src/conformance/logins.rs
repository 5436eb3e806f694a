//! Refresh tokens: rotation, reuse, revocation.

use super::{AnyStore, Fixture, fixture};
use domain::{FamilyId, Origin, RefreshToken, RefreshTokenId, Source, UserId, account::Rotation};
use futures::future::join;
use jiff::{SignedDuration, Timestamp};

const LIFE: SignedDuration = SignedDuration::from_hours(24);

pub async fn a_refresh_token_works_once_and_passes_on_its_family<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let first = token(f.user.id, 1, f.tick());
    f.store.begin_login(&first, &Source::default()).await.unwrap();
    let user = f.store.user(f.user.id).await.unwrap().unwrap();
    assert_eq!(user.last_login_at, Some(first.created_at));

    // The successor names another family and user; what counts is whose token it replaces.
    let stranger = f.another_user("eve").await;
    let at = f.tick();
    let rotated = f.store.rotate([1; 32], &token(stranger.id, 2, at), at, &Source::default()).await.unwrap();
    assert_eq!(rotated, Rotation::Rotated { user: user.clone(), family_id: first.family_id });
    assert_eq!(f.store.login_user(first.family_id, at).await.unwrap(), Some(user.clone()));
    let again = f.store.rotate([2; 32], &token(f.user.id, 3, at), at, &Source::default()).await.unwrap();
    assert_eq!(again, Rotation::Rotated { user, family_id: first.family_id });
    assert_eq!(
        f.store.rotate([77; 32], &token(f.user.id, 4, at), at, &Source::default()).await.unwrap(),
        Rotation::Refused
    );
}

pub async fn using_a_refresh_token_twice_revokes_its_family<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let at = f.tick();
    let (stolen, other) = (token(f.user.id, 1, at), token(f.user.id, 10, at));
    f.store.begin_login(&stolen, &Source::default()).await.unwrap();
    f.store.begin_login(&other, &Source::default()).await.unwrap();
    let rotated = f.store.rotate([1; 32], &token(f.user.id, 2, at), at, &Source::default()).await.unwrap();
    assert!(matches!(rotated, Rotation::Rotated { .. }));

    assert_eq!(
        f.store.rotate([1; 32], &token(f.user.id, 3, at), at, &Source::default()).await.unwrap(),
        Rotation::Reused { user_id: f.user.id }
    );
    assert_eq!(f.store.login_user(stolen.family_id, at).await.unwrap(), None);
    assert_eq!(
        f.store.rotate([2; 32], &token(f.user.id, 4, at), at, &Source::default()).await.unwrap(),
        Rotation::Refused
    );
    assert_eq!(
        f.store.rotate([3; 32], &token(f.user.id, 5, at), at, &Source::default()).await.unwrap(),
        Rotation::Refused
    );
    assert!(f.store.login_user(other.family_id, at).await.unwrap().is_some(), "another login suffered");
}

pub async fn one_of_two_rotations_at_once_wins_and_the_other_gives_the_family_away<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let at = f.tick();
    let first = token(f.user.id, 1, at);
    f.store.begin_login(&first, &Source::default()).await.unwrap();
    let (one, two) = (token(f.user.id, 2, at), token(f.user.id, 3, at));
    let (a, b) = join(
        f.store.rotate([1; 32], &one, at, &Source::default()),
        f.store.rotate([1; 32], &two, at, &Source::default()),
    )
    .await;
    let outcomes = [a.unwrap(), b.unwrap()];
    assert!(outcomes.contains(&Rotation::Reused { user_id: f.user.id }), "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Rotation::Rotated { .. })), "{outcomes:?}");
    assert_eq!(f.store.login_user(first.family_id, at).await.unwrap(), None);
}

pub async fn a_login_ends_by_expiry_by_logout_and_with_its_user<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let at = f.tick();
    let logins: Vec<_> = (1..=3).map(|n| token(f.user.id, n, at)).collect();
    for login in &logins {
        f.store.begin_login(login, &Source::default()).await.unwrap();
    }
    let next = token(f.user.id, 50, at);
    let just_before = at + LIFE - SignedDuration::from_micros(1);
    assert!(f.store.login_user(logins[0].family_id, just_before).await.unwrap().is_some());
    assert_eq!(f.store.login_user(logins[0].family_id, at + LIFE).await.unwrap(), None);
    assert_eq!(
        f.store.rotate([1; 32], &next, at + LIFE, &Source::default()).await.unwrap(),
        Rotation::Refused
    );

    f.store.revoke_login(logins[0].family_id, at, &Origin::system()).await.unwrap();
    assert_eq!(f.store.login_user(logins[0].family_id, at).await.unwrap(), None);
    assert_eq!(f.store.rotate([1; 32], &next, at, &Source::default()).await.unwrap(), Rotation::Refused);
    assert!(f.store.login_user(logins[1].family_id, at).await.unwrap().is_some());

    f.store.revoke_logins(f.user.id, at, &Origin::system()).await.unwrap();
    for login in &logins {
        assert_eq!(f.store.login_user(login.family_id, at).await.unwrap(), None);
    }

    let mut disabled = fixture::user("mallory", at);
    disabled.user.is_active = false;
    f.store.create_user(&disabled, &Origin::system()).await.unwrap();
    let login = token(disabled.user.id, 60, at);
    f.store.begin_login(&login, &Source::default()).await.unwrap();
    assert_eq!(f.store.login_user(login.family_id, at).await.unwrap(), None);
    assert_eq!(f.store.rotate([60; 32], &next, at, &Source::default()).await.unwrap(), Rotation::Refused);
}

pub async fn refresh_tokens_are_forgotten_some_time_after_they_expired<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let at = f.tick();
    let login = token(f.user.id, 1, at);
    f.store.begin_login(&login, &Source::default()).await.unwrap();
    // A login that goes on: of its tokens the newest is alive.
    let mut used = 1;
    let mut rotate = async |at: Timestamp| {
        let rotated =
            f.store.rotate([used; 32], &token(f.user.id, used + 1, at), at, &Source::default()).await;
        used += 1;
        rotated.unwrap()
    };
    for hour in [1, 2, 3] {
        assert!(matches!(rotate(at + SignedDuration::from_hours(hour)).await, Rotation::Rotated { .. }));
    }
    let show =
        async |n| f.store.rotate([n; 32], &token(f.user.id, 99, at), at, &Source::default()).await.unwrap();
    let forget = async |before, limit| f.store.forget_refresh_tokens(before, limit).await.unwrap();
    assert_eq!(forget(at + LIFE, 10).await, 0, "what expires then is kept");
    let past = |hours| at + LIFE + SignedDuration::from_hours(hours) + SignedDuration::from_micros(1);
    assert_eq!(forget(past(2), 1).await, 1, "so many at a time");
    assert_eq!(show(1).await, Rotation::Refused, "the longest expired first");
    assert_eq!(forget(past(1), 10).await, 1);
    assert_eq!(show(2).await, Rotation::Refused);
    assert!(f.store.login_user(login.family_id, past(2)).await.unwrap().is_some(), "another token is alive");
    assert_eq!(
        show(3).await,
        Rotation::Reused { user_id: f.user.id },
        "whoever shows what was used gives the login away"
    );
    assert_eq!(f.store.login_user(login.family_id, past(2)).await.unwrap(), None);
    assert_eq!(forget(past(9), 10).await, 2, "and what is revoked goes too");
}

pub(super) fn token(user: UserId, n: u8, at: Timestamp) -> RefreshToken {
    RefreshToken {
        id: RefreshTokenId::new(),
        family_id: FamilyId::new(),
        user_id: user,
        secret_sha256: [n; 32],
        expires_at: at + LIFE,
        created_at: at,
    }
}
