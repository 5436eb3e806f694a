//! Users as admins manage them: the list, and changing one.

use crate::{
    Store, audit,
    entity::{
        refresh_token,
        user::{self, Column as C},
    },
    logins,
    page::{Counting, List, ListName, read_page, try_map},
    value::micros,
};
use domain::{
    Expected, Origin, Page, PageRequest, Role, User, UserId, UserPatch, account::UserPatched, audit::events,
    ports::StoreResult,
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait, LockType},
};

/// All users, newest first.
pub(crate) async fn list(store: &Store, page: &PageRequest) -> StoreResult<Page<User>> {
    let list = List {
        name: ListName::Users,
        key: C::CreatedAt,
        id: C::Id,
        order: Order::Desc,
        position: |row: &user::Model| (row.created_at, row.id),
    };
    let rows = read_page(&store.read, user::Entity::find(), &list, Counting::Bounded, page).await?;
    try_map(rows, User::try_from)
}

/// Changes a user, and ends their logins if they are not active any more.
pub(crate) async fn patch(
    store: &Store,
    id: UserId,
    patch: &UserPatch,
    expected: &Expected,
    at: Timestamp,
    origin: &Origin,
) -> StoreResult<UserPatched> {
    let mut reads = store.batch();
    let rows = match patch.demotes() {
        true => with_admins(id),
        false => user::Entity::find_by_id(id.0),
    };
    let rows = reads.select(rows.lock(LockType::NoKeyUpdate));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let users = read.all(rows)?.into_iter().map(User::try_from).collect::<StoreResult<Vec<_>>>()?;
    let Some(before) = users.iter().find(|user| user.id == id) else { return Ok(UserPatched::NoUser) };
    if before.is_erased() {
        return Ok(UserPatched::Erased);
    }
    expected.admit(before)?;
    let after = patch.apply(before.clone());
    if !after.is_active_admin() && is_last_admin(before, &users) {
        return Ok(UserPatched::LastAdmin);
    }
    let mut writes = store.batch();
    writes.run(user::Entity::update_many().set(changes(&after)).filter(C::Id.eq(id.0)));
    if !after.is_active {
        let alive = refresh_token::Column::RevokedAt.is_null();
        let revoke = refresh_token::Entity::update_many()
            .col_expr(refresh_token::Column::RevokedAt, Expr::value(micros(at)))
            .filter(logins::of_user(id))
            .filter(alive);
        writes.run(revoke);
    }
    writes.wake_account(id);
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [events::user_changed(id, patch, origin, at)])?;
    unit.commit(writes).await?;
    Ok(UserPatched::Patched(Box::new(after)))
}

/// The user together with every admin who is active, to be locked in one order.
///
/// Whoever could stop being an admin is looked at like this: two admins who demote or remove each other at one instant
/// would both find the other one still there.
pub(crate) fn with_admins(id: UserId) -> Select<user::Entity> {
    let rows = C::Id.eq(id.0).or(C::Role.eq(Role::Admin.as_str()).and(C::IsActive.eq(true)));
    user::Entity::find().filter(rows).order_by_asc(C::Id)
}

/// Whether nobody else among these is an admin who is active, and this one is.
pub(crate) fn is_last_admin(this: &User, users: &[User]) -> bool {
    this.is_active_admin() && !users.iter().any(|user| user.id != this.id && user.is_active_admin())
}

fn changes(user: &User) -> user::ActiveModel {
    user::ActiveModel {
        role: Set(user.role.as_str().to_owned()),
        is_active: Set(user.is_active),
        full_name: Set(user.full_name.clone()),
        team: Set(user.team.clone()),
        time_zone: Set(user.time_zone.clone()),
        ..Default::default()
    }
}
