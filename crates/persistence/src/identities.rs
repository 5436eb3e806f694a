//! Identities of users at their providers.

use crate::{
    Store, audit,
    entity::{
        identity::{self, Column as I},
        user,
    },
    error::failure,
    logins,
};
use async_trait::async_trait;
use domain::{
    NewUser, Origin, RefreshToken, Source, User, UserId,
    audit::events,
    identity::IdentityKey,
    ports::{Identities, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, sea_query::LockType};

#[async_trait]
impl Identities for Store {
    async fn identified(&self, key: &IdentityKey) -> StoreResult<Option<User>> {
        let owner = identity::Entity::find()
            .select_only()
            .column(I::UserId)
            .filter(I::Issuer.eq(&key.issuer))
            .filter(I::Subject.eq(&key.subject))
            .into_query();
        let user = user::Entity::find().filter(user::Column::Id.in_subquery(owner));
        user.one(&self.read).await.map_err(failure)?.map(User::try_from).transpose()
    }

    async fn create_identified(&self, new: &NewUser, key: &IdentityKey, origin: &Origin) -> StoreResult<()> {
        let (id, at) = (new.user.id, new.user.created_at);
        let mut reads = self.batch();
        let locked = audit::lock_head(&mut reads);
        let (mut read, unit) = self.open(reads).await?;
        let mut writes = self.batch();
        writes.insert::<user::ActiveModel>(user::Model::from(new).into());
        writes.insert::<identity::ActiveModel>(identity::Model::new(key, id, at).into());
        let events =
            [events::user_registered(&new.user, origin), events::identity_linked(id, key, origin, at)];
        self.chain(&mut writes, audit::head(&mut read, locked)?, events)?;
        unit.commit(writes).await.map(drop)
    }

    async fn link_identity(
        &self,
        id: UserId,
        key: &IdentityKey,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut reads = self.batch();
        let row = reads.select(user::Entity::find_by_id(id.0).lock(LockType::NoKeyUpdate));
        let head = audit::lock_head(&mut reads);
        let others = identity::Entity::find()
            .filter(I::UserId.eq(id.0))
            .filter(I::Issuer.eq(&key.issuer))
            .filter(I::Subject.ne(&key.subject));
        let others = reads.select(others.limit(1));
        let (mut read, unit) = self.open(reads).await?;
        let user = read.first(row)?.map(User::try_from).transpose()?;
        if user.is_none_or(|user| user.is_erased()) || read.first(others)?.is_some() {
            return Ok(false);
        }
        let mut writes = self.batch();
        writes.insert::<identity::ActiveModel>(identity::Model::new(key, id, at).into());
        let head = audit::head(&mut read, head)?;
        self.chain(&mut writes, head, [events::identity_linked(id, key, origin, at)])?;
        unit.commit(writes).await?;
        Ok(true)
    }

    async fn begin_identified_login(&self, token: &RefreshToken, source: &Source) -> StoreResult<()> {
        logins::begin(self, token, events::identified_login_succeeded(token, source)).await
    }
}
