//! Removing sessions and making users nobody.

use crate::{
    Store, audit,
    entity::{
        alert, api_key, approval, budget, hook_delivery, hook_endpoint, hook_run, identity, journal,
        leftover, mcp_server, message, permission_decision, refresh_token, session, spend, task, tool_call,
        turn, user,
    },
    recording::{lock, locked},
    templates, users,
};
use domain::{
    Expected, Origin, SessionId, SessionStatus, Spender, User, UserId,
    account::UserErased,
    audit::events,
    ports::{Purged, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DeleteMany, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::LockType,
};

/// Removes the session's rows, those first that others do not refer to. The ledger lets go of its session and turns by
/// itself, and so do sessions that were forked from this one.
pub(crate) async fn session(
    store: &Store,
    id: SessionId,
    at: Timestamp,
    origin: &Origin,
) -> StoreResult<Purged> {
    let its = Spender::Session(id);
    let account = Condition::all()
        .add(spend::Column::SpenderKind.eq(its.kind()))
        .add(spend::Column::SpenderKey.eq(its.key()));
    let mut reads = store.batch();
    // In the order in which everybody takes them: a request that is booked late has the turn and waits for the session.
    let turns = turn::Entity::find().select_only().column(turn::Column::Id);
    let turns = turns.filter(turn::Column::SessionId.eq(id.0)).order_by_asc(turn::Column::Id);
    reads.select(turns.lock(LockType::NoKeyUpdate));
    let row = lock(&mut reads, id);
    let stored = reads.select(session::Entity::find_by_id(id.0));
    reads.select(spend::Entity::find().filter(account.clone()).lock(LockType::NoKeyUpdate));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let Some(locked) = locked(&mut read, row)? else { return Ok(Purged::NoSession) };
    if !SessionStatus::REMOVABLE.contains(&locked.status) || locked.current_turn_id.is_some() {
        return Ok(Purged::Refused(locked.status));
    }
    let mut writes = store.batch();
    writes.run(hook_delivery::Entity::delete_many().filter(hook_delivery::Column::SessionId.eq(id.0)));
    writes.run(hook_run::Entity::delete_many().filter(hook_run::Column::SessionId.eq(id.0)));
    writes.run(approval::Entity::delete_many().filter(approval::Column::SessionId.eq(id.0)));
    let decisions = permission_decision::Column::SessionId.eq(id.0);
    writes.run(permission_decision::Entity::delete_many().filter(decisions));
    writes.run(journal::Entity::delete_many().filter(journal::Column::SessionId.eq(id.0)));
    writes.run(tool_call::Entity::delete_many().filter(tool_call::Column::SessionId.eq(id.0)));
    writes.run(message::Entity::delete_many().filter(message::Column::SessionId.eq(id.0)));
    writes.run(turn::Entity::delete_many().filter(turn::Column::SessionId.eq(id.0)));
    // Its own account. What it cost its user and team stays on theirs, and so does what is held of them for it.
    writes.run(budget_of(&its));
    writes.run(spend::Entity::delete_many().filter(account));
    // What it has on another server's disk is found by its row no more.
    if let Some(session) = read.first(stored)?
        && let Some(server_id) = session.server_id
    {
        let left = leftover::Model { session_id: session.id, user_id: session.user_id, server_id };
        writes.insert::<leftover::ActiveModel>(left.into());
    }
    // Whatever else belongs to a session goes with its row.
    writes.run(session::Entity::delete_many().filter(session::Column::Id.eq(id.0)));
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [events::session_purged(id, origin, at)])?;
    unit.commit(writes).await?;
    Ok(Purged::Purged)
}

fn budget_of(spender: &Spender) -> DeleteMany<budget::Entity> {
    use budget::Column as B;
    let its = Condition::all().add(B::SpenderKind.eq(spender.kind())).add(B::SpenderKey.eq(spender.key()));
    budget::Entity::delete_many().filter(its)
}

/// Takes from a user's row all that says who they are, and from the store all that lets them in.
pub(crate) async fn user(
    store: &Store,
    id: UserId,
    expected: &Expected,
    at: Timestamp,
    origin: &Origin,
) -> StoreResult<UserErased> {
    let mut reads = store.batch();
    let rows = reads.select(users::with_admins(id).lock(LockType::NoKeyUpdate));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let users = read.all(rows)?.into_iter().map(User::try_from).collect::<StoreResult<Vec<_>>>()?;
    let Some(before) = users.iter().find(|user| user.id == id) else { return Ok(UserErased::NoUser) };
    if before.is_erased() {
        return Ok(UserErased::Erased);
    }
    expected.admit(before)?;
    if users::is_last_admin(before, &users) {
        return Ok(UserErased::LastAdmin);
    }
    let nobody = User::nobody(id);
    let changes = user::ActiveModel {
        email: Set(format!("{nobody}@invalid")),
        username: Set(nobody),
        full_name: Set(None),
        // No hash of anything.
        password_hash: Set(String::new()),
        is_active: Set(false),
        last_login_at: Set(None),
        team: Set(None),
        // Where they lived.
        time_zone: Set("UTC".to_owned()),
        ..Default::default()
    };
    let mut writes = store.batch();
    writes.run(user::Entity::update_many().set(changes).filter(user::Column::Id.eq(id.0)));
    writes.run(refresh_token::Entity::delete_many().filter(refresh_token::Column::UserId.eq(id.0)));
    writes.run(identity::Entity::delete_many().filter(identity::Column::UserId.eq(id.0)));
    writes.run(api_key::Entity::delete_many().filter(api_key::Column::UserId.eq(id.0)));
    writes.run(hook_endpoint::Entity::delete_many().filter(hook_endpoint::Column::UserId.eq(id.0)));
    writes.run(mcp_server::Entity::delete_many().filter(mcp_server::Column::UserId.eq(id.0)));
    // Their executions go with them.
    writes.run(task::Entity::delete_many().filter(task::Column::UserId.eq(id.0)));
    templates::forget_user(&mut writes, id);
    writes.run(budget_of(&Spender::User(id)));
    writes.run(alert::Entity::delete_many().filter(alert::Column::UserId.eq(id.0)));
    writes.wake_account(id);
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [events::user_erased(id, origin, at)])?;
    unit.commit(writes).await?;
    Ok(UserErased::Erased)
}
