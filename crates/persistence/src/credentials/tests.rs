//! What is remembered lets nobody in whom a look-up would not.

use super::*;
use crate::{Database, DatabaseOptions, entity::user};
use domain::{
    Access, ApiKeyId, Clock, Expected, NewUser, Origin, RefreshToken, RefreshTokenId, Role, Source, UserId,
    UserPatch,
    account::{Rotation, UserErased},
    ports::Accounts,
};
use jiff::SignedDuration;
use sea_orm::{ActiveModelTrait, ActiveValue::Set};
use tempfile::TempDir;
use testkit::conformance::Fixture;

const LIFE: SignedDuration = SignedDuration::from_hours(24);
const TOKEN: [u8; 32] = [1; 32];
const KEY: [u8; 32] = [9; 32];

/// A user who is logged in and has an API key, and both have been looked up.
struct World {
    f: Fixture<Store>,
    family: FamilyId,
    key: ApiKeyId,
    folder: TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let options = DatabaseOptions::new(format!("sqlite://{}/steward.db", folder.path().display()));
    let f = Fixture::new(Database::open(&options, migration::up).await.unwrap().store()).await;
    let token = token(f.user.id, TOKEN, f.tick());
    f.store.begin_login(&token, &Source::default()).await.unwrap();
    let key = ApiKey {
        id: ApiKeyId::new(),
        user_id: f.user.id,
        name: "ci".into(),
        prefix: "stw_ci".into(),
        secret_sha256: KEY,
        access: Access::WRITE,
        expires_at: Some(f.tick() + LIFE),
        created_at: f.tick(),
        last_used_at: None,
    };
    f.store.create_api_key(&key, u32::MAX, &Origin::system()).await.unwrap();
    let w = World { f, family: token.family_id, key: key.id, folder };
    assert_eq!(w.let_in().await, (true, true));
    assert_eq!(w.remembered(), 2);
    w
}

fn token(user_id: UserId, secret_sha256: [u8; 32], at: Timestamp) -> RefreshToken {
    let (id, family_id) = (RefreshTokenId::new(), FamilyId::new());
    RefreshToken { id, family_id, user_id, secret_sha256, expires_at: at + LIFE, created_at: at }
}

impl World {
    /// Whether the login and the key let anybody in now.
    async fn let_in(&self) -> (bool, bool) {
        self.let_in_at(self.f.clock.now()).await
    }

    async fn let_in_at(&self, at: Timestamp) -> (bool, bool) {
        let login = self.f.store.login_user(self.family, at).await.unwrap();
        let key = self.f.store.use_api_key(KEY, at).await.unwrap();
        (login.is_some(), key.is_some())
    }

    fn credentials(&self) -> &Credentials {
        self.f.store.writer.credentials().unwrap()
    }

    fn remembered(&self) -> usize {
        self.credentials().remembered().holders.len()
    }

    /// Changes the role behind the store's back, and so that a look-up would show it.
    async fn demote_by_hand(&self) {
        let database = self.folder.path().join("steward.db");
        let url = format!("sqlite://{}", database.display());
        let by_hand = sea_orm::Database::connect(url).await.unwrap();
        let viewer = user::ActiveModel {
            id: Set(self.f.user.id.0),
            role: Set(Role::Viewer.as_str().to_owned()),
            ..Default::default()
        };
        viewer.update(&by_hand).await.unwrap();
        by_hand.close().await.unwrap();
    }

    async fn role(&self) -> Role {
        self.f.store.login_user(self.family, self.f.clock.now()).await.unwrap().unwrap().role
    }

    async fn patch(&self, patch: UserPatch) {
        let (expected, at) = (Expected::default(), self.f.tick());
        self.f.store.patch_user(self.f.user.id, &patch, &expected, at, &Origin::system()).await.unwrap();
    }
}

#[tokio::test]
async fn a_credential_is_looked_up_once_in_a_while() {
    let w = world().await;
    let before = w.role().await;
    w.demote_by_hand().await;
    assert_eq!(w.role().await, before, "it was looked up again at once");
    w.credentials().remembered().since = Instant::now().checked_sub(LASTS);
    assert_eq!(w.role().await, Role::Viewer);
}

#[tokio::test]
async fn what_ends_a_credential_ends_it_at_once() {
    let w = world().await;
    w.f.store.revoke_login(w.family, w.f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(w.let_in().await, (false, true));

    let w = world().await;
    w.f.store.revoke_logins(w.f.user.id, w.f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(w.let_in().await, (false, true));

    let w = world().await;
    assert!(w.f.store.delete_api_key(w.f.user.id, w.key, w.f.tick(), &Origin::system()).await.unwrap());
    assert_eq!(w.let_in().await, (true, false));

    let w = world().await;
    w.f.another_user("admin").await;
    w.patch(UserPatch { is_active: Some(false), ..UserPatch::default() }).await;
    assert_eq!(w.let_in().await, (false, false));

    let w = world().await;
    assert_eq!(w.f.erase(w.f.user.id).await, UserErased::Erased);
    assert_eq!(w.let_in().await, (false, false));

    // The first use is one of many, the second a thief's.
    let w = world().await;
    for (next, expected) in [([2; 32], true), ([3; 32], false)] {
        let next = token(w.f.user.id, next, w.f.tick());
        let rotation = w.f.store.rotate(TOKEN, &next, w.f.tick(), &Source::default()).await.unwrap();
        assert_eq!(matches!(rotation, Rotation::Rotated { .. }), expected, "{rotation:?}");
        assert_eq!(w.let_in().await, (expected, true));
    }
}

#[tokio::test]
async fn another_role_counts_at_once() {
    let w = world().await;
    w.patch(UserPatch { role: Some(Role::Viewer), ..UserPatch::default() }).await;
    assert_eq!(w.role().await, Role::Viewer);
}

#[tokio::test]
async fn what_is_remembered_expires() {
    let w = world().await;
    let end = w.f.clock.now() + LIFE;
    assert_eq!(w.let_in_at(end - SignedDuration::from_secs(10)).await, (true, true));
    assert_eq!(w.remembered(), 2);
    assert_eq!(w.let_in_at(end + SignedDuration::from_secs(10)).await, (false, false));
}

#[tokio::test]
async fn what_was_looked_up_before_a_change_is_not_remembered_after_it() {
    let w = world().await;
    let store = &w.f.store;
    w.credentials().remembered().forget(Closed::No);
    let shown = Shown::Login(w.family);
    let found = Holder { user: w.f.user.clone(), api_key: None, until: i64::MAX };
    let slow = async {
        store.revoke_login(w.family, w.f.tick(), &Origin::system()).await?;
        Ok(Some(found))
    };
    assert!(store.holder(shown, w.f.clock.now(), slow).await.unwrap().is_some());
    assert_eq!(w.let_in().await, (false, true));
}

#[tokio::test]
async fn nothing_is_remembered_while_a_change_is_committed_or_may_be() {
    let w = world().await;
    let changing = w.credentials().changing();
    assert_eq!(w.let_in().await, (true, true));
    assert_eq!(w.remembered(), 0);

    drop(changing);
    assert_eq!(w.let_in().await, (true, true));
    assert_eq!(w.remembered(), 0, "nobody has seen how the change went");

    w.credentials().remembered().closed = Closed::Until(Instant::now());
    w.let_in().await;
    assert_eq!(w.let_in().await, (true, true));
    assert_eq!(w.remembered(), 2);
}

#[tokio::test]
async fn a_change_that_fails_is_not_taken_for_none() {
    let w = world().await;
    let mut writes = w.f.store.batch();
    let again = NewUser { user: w.f.user.clone(), password_hash: "x".into() };
    writes.insert::<user::ActiveModel>(user::Model::from(&again).into());
    writes.wake_account(w.f.user.id);
    w.f.store.write_whole(writes).await.unwrap_err();
    assert!(matches!(w.credentials().remembered().closed, Closed::Until(_)));
}
