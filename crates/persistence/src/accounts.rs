//! Users and API keys; logins, and users as admins manage them, are in their own files.

use crate::{
    Store, audit,
    credentials::{Holder, Shown},
    entity::{
        api_key::{self, Column as K},
        user::{self, email_key},
    },
    error::failure,
    login_throttle, logins,
    page::{Counting, List, ListName, read_page, try_map},
    purge, users,
    value::micros,
};
use async_trait::async_trait;
use domain::{
    ApiKey, ApiKeyId, Expected, FamilyId, NewUser, Origin, Page, PageRequest, RefreshToken, Source, User,
    UserId, UserPatch,
    account::{Rotation, UserErased, UserPatched},
    audit::events,
    login_throttle::LoginAttempt,
    ports::{Accounts, StoreResult},
};
use jiff::{SignedDuration, Timestamp};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};

/// A key's last use is noted no more often than this, so that reading with a key does not mean writing.
const USE_NOTED_EVERY: SignedDuration = SignedDuration::from_mins(1);

#[async_trait]
impl Accounts for Store {
    async fn create_user(&self, user: &NewUser, origin: &Origin) -> StoreResult<()> {
        let insert = user::Entity::insert::<user::ActiveModel>(user::Model::from(user).into());
        self.write_audited(|writes| writes.run(insert), events::user_registered(&user.user, origin)).await
    }

    async fn any_user(&self) -> StoreResult<bool> {
        let any = user::Entity::find().select_only().column(user::Column::IsActive).into_tuple::<bool>();
        Ok(any.one(&self.read).await.map_err(failure)?.is_some())
    }

    async fn login(&self, email: &str) -> StoreResult<Option<(User, String)>> {
        let row = user::Entity::find().filter(user::Column::Email.eq(email_key(email)));
        let Some(row) = row.one(&self.read).await.map_err(failure)? else { return Ok(None) };
        let password_hash = row.password_hash.clone();
        Ok(Some((row.try_into()?, password_hash)))
    }

    async fn user(&self, id: UserId) -> StoreResult<Option<User>> {
        let row = user::Entity::find_by_id(id.0).one(&self.read).await.map_err(failure)?;
        row.map(User::try_from).transpose()
    }

    async fn users(&self, page: &PageRequest) -> StoreResult<Page<User>> {
        users::list(self, page).await
    }

    async fn patch_user(
        &self,
        id: UserId,
        patch: &UserPatch,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<UserPatched> {
        users::patch(self, id, patch, expected, at, origin).await
    }

    async fn admit_login(&self, attempt: &LoginAttempt) -> StoreResult<SignedDuration> {
        login_throttle::admit(self, attempt).await
    }

    async fn login_succeeded(&self, attempt: &LoginAttempt) -> StoreResult<()> {
        login_throttle::succeeded(self, attempt).await
    }

    async fn forget_login_attempts(&self, now: Timestamp) -> StoreResult<u64> {
        login_throttle::forget(self, now).await
    }

    async fn begin_login(&self, token: &RefreshToken, source: &Source) -> StoreResult<()> {
        logins::begin(self, token, events::login_succeeded(token, source)).await
    }

    async fn rotate(
        &self,
        old_sha256: [u8; 32],
        next: &RefreshToken,
        at: Timestamp,
        source: &Source,
    ) -> StoreResult<Rotation> {
        logins::rotate(self, old_sha256, next, at, source).await
    }

    async fn login_user(&self, family: FamilyId, at: Timestamp) -> StoreResult<Option<User>> {
        logins::user(self, family, at).await
    }

    async fn forget_refresh_tokens(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        logins::forget(self, before, limit).await
    }

    async fn revoke_login(&self, family: FamilyId, at: Timestamp, origin: &Origin) -> StoreResult<()> {
        logins::revoke(self, logins::of_family(family.0), at, events::logout(family, origin, at)).await
    }

    async fn revoke_logins(&self, user: UserId, at: Timestamp, origin: &Origin) -> StoreResult<()> {
        logins::revoke(self, logins::of_user(user), at, events::logout_all(user, origin, at)).await
    }

    async fn erase_user(
        &self,
        user: UserId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<UserErased> {
        purge::user(self, user, expected, at, origin).await
    }

    async fn create_api_key(&self, key: &ApiKey, owned_max: u32, origin: &Origin) -> StoreResult<bool> {
        let owned = api_key::Entity::find().filter(K::UserId.eq(key.user_id.0));
        let row = api_key::ActiveModel::from(api_key::Model::from(key));
        let created = events::api_key_created(key, origin);
        self.add_owned(owned, owned_max, created, |writes| writes.insert(row)).await
    }

    async fn api_keys(&self, user: UserId, page: &PageRequest) -> StoreResult<Page<ApiKey>> {
        let list = List {
            name: ListName::ApiKeys,
            key: K::CreatedAt,
            id: K::Id,
            order: Order::Desc,
            position: |row: &api_key::Model| (row.created_at, row.id),
        };
        let rows = api_key::Entity::find().filter(K::UserId.eq(user.0));
        try_map(read_page(&self.read, rows, &list, Counting::Bounded, page).await?, ApiKey::try_from)
    }

    async fn delete_api_key(
        &self,
        user: UserId,
        id: ApiKeyId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut reads = self.batch();
        let key = api_key::Entity::find_by_id(id.0).filter(K::UserId.eq(user.0)).lock(LockType::NoKeyUpdate);
        let (key, head) = (reads.select(key), audit::lock_head(&mut reads));
        let (mut read, unit) = self.open(reads).await?;
        if read.first(key)?.is_none() {
            return Ok(false);
        }
        let mut writes = self.batch();
        writes.run(api_key::Entity::delete_many().filter(K::Id.eq(id.0)));
        writes.wake_account(user);
        let head = audit::head(&mut read, head)?;
        self.chain(&mut writes, head, [events::api_key_deleted(id, origin, at)])?;
        unit.commit(writes).await?;
        Ok(true)
    }

    async fn use_api_key(
        &self,
        secret_sha256: [u8; 32],
        at: Timestamp,
    ) -> StoreResult<Option<(ApiKey, User)>> {
        let look_up = async {
            let found = api_key::Entity::find()
                .find_also_related(user::Entity)
                .filter(K::SecretSha256.eq(secret_sha256.to_vec()))
                .filter(Condition::any().add(K::ExpiresAt.is_null()).add(K::ExpiresAt.gt(micros(at))))
                .filter(user::Column::IsActive.eq(true));
            let Some((key, Some(user))) = found.one(&self.read).await.map_err(failure)? else {
                return Ok(None);
            };
            let expires_at = key.expires_at.unwrap_or(i64::MAX);
            let mut key = ApiKey::try_from(key)?;
            let noted = key.last_used_at.is_some_and(|last| at.duration_since(last) < USE_NOTED_EVERY);
            if !noted {
                let update = api_key::Entity::update_many()
                    .col_expr(K::LastUsedAt, Expr::value(micros(at)))
                    .filter(K::Id.eq(key.id.0));
                self.write_one(update).await?;
                key.last_used_at = Some(at);
            }
            // By then its next use has to be noted.
            let due = key.last_used_at.unwrap_or(at).saturating_add(USE_NOTED_EVERY).map_or(i64::MAX, micros);
            Ok(Some(Holder { user: user.try_into()?, api_key: Some(key), until: expires_at.min(due) }))
        };
        let holder = self.holder(Shown::ApiKey(secret_sha256), at, look_up).await?;
        Ok(holder.and_then(|holder| Some((holder.api_key?, holder.user))))
    }
}
