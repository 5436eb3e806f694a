//! Users and API keys.

use super::{AnyStore, Fixture, fixture};
use domain::{Access, ApiKey, ApiKeyId, Origin, PageRequest, UserId, ports::StoreError};
use jiff::{SignedDuration, Timestamp};

pub async fn a_user_is_unique_by_email_and_by_name<S: AnyStore>(store: S) {
    assert!(!store.any_user().await.unwrap());
    let f = Fixture::new(store).await;
    assert!(f.store.any_user().await.unwrap());
    assert_eq!(f.store.user(f.user.id).await.unwrap().as_ref(), Some(&f.user));
    assert_eq!(f.store.user(UserId::new()).await.unwrap(), None);

    let mut same_email = fixture::user("grace", f.tick());
    same_email.user.email = f.user.email.to_uppercase();
    let mut same_name = fixture::user("grace", f.tick());
    same_name.user.username = f.user.username.clone();
    for (new, about) in [(same_email, "e-mail"), (same_name, "name")] {
        match f.store.create_user(&new, &Origin::system()).await {
            Err(StoreError::Conflict { what }) => assert!(what.contains(about), "{what}"),
            other => panic!("stored a second user with the same {about}: {other:?}"),
        }
        assert_eq!(f.store.user(new.user.id).await.unwrap(), None);
    }
}

pub async fn logging_in_ignores_the_case_of_the_address<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (user, hash) = f.store.login("ADA@Example.org").await.unwrap().unwrap();
    assert_eq!((user, hash.as_str()), (f.user.clone(), "$argon2id$ada"));
    assert!(f.store.login("nobody@example.org").await.unwrap().is_none());
    assert!(f.store.login("ada%").await.unwrap().is_none());
}

pub async fn an_api_key_works_until_it_expires_or_is_deleted<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let now = f.tick();
    let expiry = now + SignedDuration::from_hours(1);
    let brief = key(f.user.id, 1, Some(expiry), now);
    let lasting = key(f.user.id, 2, None, now);
    f.store.create_api_key(&brief, u32::MAX, &Origin::system()).await.unwrap();
    f.store.create_api_key(&lasting, u32::MAX, &Origin::system()).await.unwrap();

    let (found, user) = f.store.use_api_key(brief.secret_sha256, now).await.unwrap().unwrap();
    assert_eq!(found, ApiKey { last_used_at: Some(now), ..brief.clone() });
    assert_eq!(user, f.user);
    let just_before = expiry - SignedDuration::from_micros(1);
    assert!(f.store.use_api_key(brief.secret_sha256, just_before).await.unwrap().is_some());
    assert!(f.store.use_api_key(brief.secret_sha256, expiry).await.unwrap().is_none());
    assert!(f.store.use_api_key([9; 32], now).await.unwrap().is_none());

    let stranger = f.another_user("eve").await;
    assert!(!f.store.delete_api_key(stranger.id, lasting.id, now, &Origin::system()).await.unwrap());
    assert!(f.store.use_api_key(lasting.secret_sha256, expiry).await.unwrap().is_some());
    assert!(f.store.delete_api_key(f.user.id, lasting.id, now, &Origin::system()).await.unwrap());
    assert!(!f.store.delete_api_key(f.user.id, lasting.id, now, &Origin::system()).await.unwrap());
    assert!(f.store.use_api_key(lasting.secret_sha256, expiry).await.unwrap().is_none());

    let mut disabled = fixture::user("mallory", now);
    disabled.user.is_active = false;
    f.store.create_user(&disabled, &Origin::system()).await.unwrap();
    f.store.create_api_key(&key(disabled.user.id, 3, None, now), u32::MAX, &Origin::system()).await.unwrap();
    assert!(f.store.use_api_key([3; 32], now).await.unwrap().is_none());
}

pub async fn the_use_of_an_api_key_is_noted_once_a_minute<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let first = f.tick();
    f.store.create_api_key(&key(f.user.id, 1, None, first), u32::MAX, &Origin::system()).await.unwrap();
    for (later, noted) in [(0, 0), (59, 0), (60, 60), (61, 60), (119, 60), (120, 120)] {
        let at = first + SignedDuration::from_secs(later);
        let (key, _) = f.store.use_api_key([1; 32], at).await.unwrap().unwrap();
        let expected = first + SignedDuration::from_secs(noted);
        assert_eq!(key.last_used_at, Some(expected), "{later} s after the first use");
        let page = f.store.api_keys(f.user.id, &PageRequest::first(1)).await.unwrap();
        assert_eq!(page.items[0].last_used_at, Some(expected), "{later} s after the first use");
    }
}

pub async fn api_keys_are_listed_newest_first_and_by_owner<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let stranger = f.another_user("eve").await;
    f.store
        .create_api_key(&key(stranger.id, 100, None, f.tick()), u32::MAX, &Origin::system())
        .await
        .unwrap();
    for n in 1..=5 {
        f.store
            .create_api_key(&key(f.user.id, n, None, f.tick()), u32::MAX, &Origin::system())
            .await
            .unwrap();
    }
    let mut names = Vec::new();
    let mut page = PageRequest::first(2);
    loop {
        let found = f.store.api_keys(f.user.id, &page).await.unwrap();
        assert_eq!(found.total, Some(domain::Total::exactly(5)));
        names.extend(found.items.into_iter().map(|key| key.name));
        let Some(cursor) = found.next_cursor else { break };
        page.cursor = Some(cursor);
    }
    assert_eq!(names, ["key 5", "key 4", "key 3", "key 2", "key 1"]);
}

pub(super) fn key(user: UserId, n: u8, expires_at: Option<Timestamp>, at: Timestamp) -> ApiKey {
    ApiKey {
        id: ApiKeyId::new(),
        user_id: user,
        name: format!("key {n}"),
        prefix: format!("stw_{n}"),
        secret_sha256: [n; 32],
        access: Access::WRITE,
        expires_at,
        created_at: at,
        last_used_at: None,
    }
}
