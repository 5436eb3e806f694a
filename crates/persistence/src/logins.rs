//! Logins: families of refresh tokens, each of which is used once.

use crate::{
    Store, audit,
    credentials::{Holder, Shown},
    entity::{
        refresh_token::{self, Column as C},
        user,
    },
    error::failure,
    unit::Batch,
    value::micros,
};
use domain::{
    AuditEvent, FamilyId, RefreshToken, Source, User, UserId, account::Rotation, audit::events,
    ports::StoreResult,
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    prelude::Uuid,
    sea_query::{Expr, LockType},
};

/// Begins a login; `event` says so in the audit log.
pub(crate) async fn begin(store: &Store, token: &RefreshToken, event: AuditEvent) -> StoreResult<()> {
    let update = user::Entity::update_many()
        .col_expr(user::Column::LastLoginAt, Expr::value(micros(token.created_at)))
        .filter(user::Column::Id.eq(token.user_id.0));
    let write = |writes: &mut Batch| {
        writes.insert::<refresh_token::ActiveModel>(refresh_token::Model::from(token).into());
        writes.run(update);
    };
    store.write_audited(write, event).await
}

pub(crate) async fn rotate(
    store: &Store,
    old_sha256: [u8; 32],
    next: &RefreshToken,
    at: Timestamp,
    source: &Source,
) -> StoreResult<Rotation> {
    let mut reads = store.batch();
    let old = refresh_token::Entity::find().filter(C::SecretSha256.eq(old_sha256.to_vec()));
    let its = user::Column::Id.in_subquery(old.clone().select_only().column(C::UserId).into_query());
    let family = old.clone().select_only().column(C::FamilyId).into_query();
    let old = reads.select(old.lock(LockType::NoKeyUpdate));
    let user = reads.select(user::Entity::find().filter(its).filter(user::Column::IsActive.eq(true)));
    let alive = reads.select(alive(C::FamilyId.in_subquery(family)));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let Some(old) = read.first(old)? else { return Ok(Rotation::Refused) };
    let mut writes = store.batch();
    // Asked first: whoever shows a used token, expired or not, has a copy that somebody else used.
    if old.used_at.is_some() {
        // Whoever shows it once more, to a login that has ended, changes nothing and must not fill the log.
        if read.first(alive)?.is_some() {
            writes.run(revoking(of_family(old.family_id), at));
            writes.wake_account(UserId(old.user_id));
            let (user, family) = (UserId(old.user_id), FamilyId(old.family_id));
            let head = audit::head(&mut read, head)?;
            store.chain(&mut writes, head, [events::refresh_reused(user, family, source, at)])?;
            unit.commit(writes).await?;
        }
        return Ok(Rotation::Reused { user_id: UserId(old.user_id) });
    }
    if old.revoked_at.is_some() || old.expires_at <= micros(at) {
        return Ok(Rotation::Refused);
    }
    let Some(user) = read.first(user)? else { return Ok(Rotation::Refused) };
    let user = User::try_from(user)?;
    let use_up = refresh_token::Entity::update_many()
        .col_expr(C::UsedAt, Expr::value(micros(at)))
        .filter(C::Id.eq(old.id));
    writes.run(use_up);
    let next = refresh_token::Model { family_id: old.family_id, user_id: old.user_id, ..next.into() };
    writes.insert::<refresh_token::ActiveModel>(next.into());
    unit.commit(writes).await?;
    Ok(Rotation::Rotated { user, family_id: FamilyId(old.family_id) })
}

/// A login lives as long as its unused token does.
pub(crate) async fn user(store: &Store, family: FamilyId, at: Timestamp) -> StoreResult<Option<User>> {
    let look_up = async {
        // One query, because it stands before every request.
        let found = refresh_token::Entity::find()
            .find_also_related(user::Entity)
            .filter(C::FamilyId.eq(family.0))
            .filter(C::UsedAt.is_null())
            .filter(C::RevokedAt.is_null())
            .filter(C::ExpiresAt.gt(micros(at)))
            .filter(user::Column::IsActive.eq(true));
        let Some((token, Some(user))) = found.one(&store.read).await.map_err(failure)? else {
            return Ok(None);
        };
        Ok(Some(Holder { user: user.try_into()?, api_key: None, until: token.expires_at }))
    };
    Ok(store.holder(Shown::Login(family), at, look_up).await?.map(|holder| holder.user))
}

/// Removes tokens that expired before then, the longest expired first, at most `limit`.
pub(crate) async fn forget(store: &Store, before: Timestamp, limit: u32) -> StoreResult<u64> {
    let old = refresh_token::Entity::find()
        .select_only()
        .column(C::Id)
        .filter(C::ExpiresAt.lt(micros(before)))
        .order_by_asc(C::ExpiresAt)
        .limit(u64::from(limit));
    store.write_one(refresh_token::Entity::delete_many().filter(C::Id.in_subquery(old.into_query()))).await
}

pub(crate) fn of_family(family: Uuid) -> Expr {
    C::FamilyId.eq(family)
}

pub(crate) fn of_user(user: UserId) -> Expr {
    C::UserId.eq(user.0)
}

/// Ends these logins; `event` says so in the audit log, if there were any to end.
pub(crate) async fn revoke(store: &Store, which: Expr, at: Timestamp, event: AuditEvent) -> StoreResult<()> {
    let mut reads = store.batch();
    let alive = reads.select(alive(which.clone()));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let Some(alive) = read.first(alive)? else { return Ok(()) };
    let mut writes = store.batch();
    writes.run(revoking(which, at));
    writes.wake_account(UserId(alive.user_id));
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [event])?;
    unit.commit(writes).await.map(drop)
}

/// A token of these logins that was not revoked.
fn alive(which: Expr) -> Select<refresh_token::Entity> {
    refresh_token::Entity::find().filter(which).filter(C::RevokedAt.is_null()).limit(1)
}

fn revoking(which: Expr, at: Timestamp) -> sea_orm::UpdateMany<refresh_token::Entity> {
    refresh_token::Entity::update_many()
        .col_expr(C::RevokedAt, Expr::value(micros(at)))
        .filter(which)
        .filter(C::RevokedAt.is_null())
}
