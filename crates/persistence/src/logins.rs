//! Logins: families of refresh tokens, each of which is used once.

use crate::{
    Store,
    entity::{
        refresh_token::{self, Column as C},
        user,
    },
    error::failure,
    value::micros,
};
use domain::{
    AuditEvent, FamilyId, RefreshToken, Source, User, UserId, account::Rotation, audit::events,
    ports::StoreResult,
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, QueryTrait, prelude::Uuid,
    sea_query::Expr,
};

pub(crate) async fn begin(store: &Store, token: &RefreshToken, source: &Source) -> StoreResult<()> {
    let txn = store.begin_writing().await?;
    insert(&txn, token.into()).await?;
    let update = user::Entity::update_many()
        .col_expr(user::Column::LastLoginAt, Expr::value(micros(token.created_at)))
        .filter(user::Column::Id.eq(token.user_id.0));
    update.exec(&txn).await.map_err(failure)?;
    store.append_audit(&txn, [events::login_succeeded(token, source)]).await?;
    txn.commit().await.map_err(failure)
}

pub(crate) async fn rotate(
    store: &Store,
    old_sha256: [u8; 32],
    next: &RefreshToken,
    at: Timestamp,
    source: &Source,
) -> StoreResult<Rotation> {
    let txn = store.begin_writing().await?;
    let old = refresh_token::Entity::find().filter(C::SecretSha256.eq(old_sha256.to_vec())).lock_exclusive();
    let Some(old) = old.one(&txn).await.map_err(failure)? else { return Ok(Rotation::Refused) };
    // Asked first: whoever shows a used token, however old, has a copy that somebody else used.
    if old.used_at.is_some() {
        let revoked = revoking(of_family(old.family_id), at).exec(&txn).await.map_err(failure)?;
        // Whoever shows it once more, to a login that has ended, changes nothing and must not fill the log.
        if revoked.rows_affected > 0 {
            let (user, family) = (UserId(old.user_id), FamilyId(old.family_id));
            store.append_audit(&txn, [events::refresh_reused(user, family, source, at)]).await?;
        }
        txn.commit().await.map_err(failure)?;
        return Ok(Rotation::Reused);
    }
    if old.revoked_at.is_some() || old.expires_at <= micros(at) {
        return Ok(Rotation::Refused);
    }
    let user = user::Entity::find_by_id(old.user_id).filter(user::Column::IsActive.eq(true));
    let Some(user) = user.one(&txn).await.map_err(failure)? else { return Ok(Rotation::Refused) };
    let use_up = refresh_token::Entity::update_many()
        .col_expr(C::UsedAt, Expr::value(micros(at)))
        .filter(C::Id.eq(old.id));
    use_up.exec(&txn).await.map_err(failure)?;
    let next = refresh_token::Model { family_id: old.family_id, user_id: old.user_id, ..next.into() };
    insert(&txn, next).await?;
    let user = User::try_from(user)?;
    txn.commit().await.map_err(failure)?;
    Ok(Rotation::Rotated { user, family_id: FamilyId(old.family_id) })
}

/// A login lives as long as its unused token does.
pub(crate) async fn user(store: &Store, family: FamilyId, at: Timestamp) -> StoreResult<Option<User>> {
    // One query, because it stands before every request.
    let owner = refresh_token::Entity::find()
        .select_only()
        .column(C::UserId)
        .filter(C::FamilyId.eq(family.0))
        .filter(C::UsedAt.is_null())
        .filter(C::RevokedAt.is_null())
        .filter(C::ExpiresAt.gt(micros(at)))
        .into_query();
    let user = user::Entity::find()
        .filter(user::Column::Id.in_subquery(owner))
        .filter(user::Column::IsActive.eq(true));
    user.one(&store.read).await.map_err(failure)?.map(User::try_from).transpose()
}

pub(crate) fn of_family(family: Uuid) -> Expr {
    C::FamilyId.eq(family)
}

pub(crate) fn of_user(user: UserId) -> Expr {
    C::UserId.eq(user.0)
}

/// Ends these logins; `event` says so in the audit log, if there were any to end.
pub(crate) async fn revoke(store: &Store, which: Expr, at: Timestamp, event: AuditEvent) -> StoreResult<()> {
    let txn = store.begin_writing().await?;
    if revoking(which, at).exec(&txn).await.map_err(failure)?.rows_affected > 0 {
        store.append_audit(&txn, [event]).await?;
    }
    txn.commit().await.map_err(failure)
}

fn revoking(which: Expr, at: Timestamp) -> sea_orm::UpdateMany<refresh_token::Entity> {
    refresh_token::Entity::update_many()
        .col_expr(C::RevokedAt, Expr::value(micros(at)))
        .filter(which)
        .filter(C::RevokedAt.is_null())
}

async fn insert(txn: &DatabaseTransaction, row: refresh_token::Model) -> StoreResult<()> {
    let insert = refresh_token::Entity::insert::<refresh_token::ActiveModel>(row.into());
    insert.exec_without_returning(txn).await.map_err(failure).map(drop)
}
