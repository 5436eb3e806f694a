//! Custom policies and all their versions.

use crate::{
    Store,
    change::Change,
    entity::{
        policy::{self, Column as P},
        policy_version::{self, Column as V},
    },
    error::{POLICY_EXISTS, failure},
    page::{Counting, List, ListName, read_page, try_map},
    unit::Batch,
    value::{Reader, micros, stored},
};
use async_trait::async_trait;
use domain::{
    CustomPolicy, Expected, Origin, Page, PageRequest,
    audit::events,
    policy::{NewPolicyVersion, PolicyInForce, Revision},
    ports::{Policies, StoreError, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait, LockType},
};
use std::collections::HashMap;
use uuid::Uuid;

const READER: Reader = Reader("policies");

#[async_trait]
impl Policies for Store {
    async fn create_policy(&self, new: &NewPolicyVersion, origin: &Origin) -> StoreResult<CustomPolicy> {
        let (known, mut change) = change_of(self, &new.name).await?;
        let row = match known {
            Some((row, _)) if row.deleted_at.is_none() => {
                return Err(StoreError::Conflict { what: POLICY_EXISTS });
            }
            Some((row, _)) => row,
            None => {
                let row = policy::Model {
                    id: Uuid::now_v7(),
                    name: new.name.clone(),
                    version: 0,
                    is_mandatory: new.content.is_mandatory,
                    created_at: micros(new.at),
                    deleted_at: None,
                };
                change.writes.insert::<policy::ActiveModel>(row.clone().into());
                row
            }
        };
        let created = add_version(&mut change.writes, &row, new)?;
        change.commit(self, [events::policy_created(&created, origin)]).await?;
        Ok(created)
    }

    async fn revise_policy(
        &self,
        next: &NewPolicyVersion,
        expected: u32,
        origin: &Origin,
    ) -> StoreResult<Revision> {
        let (known, mut change) = change_of(self, &next.name).await?;
        let known = known.filter(|(row, _)| row.deleted_at.is_none());
        let Some((row, _)) = known else { return Ok(Revision::NoPolicy) };
        let current = READER.figure("version", row.version)?;
        if current != expected {
            return Ok(Revision::Stale(current));
        }
        let revised = add_version(&mut change.writes, &row, next)?;
        change.commit(self, [events::policy_changed(&revised, origin)]).await?;
        Ok(Revision::Stored(Box::new(revised)))
    }

    async fn policy(&self, name: &str) -> StoreResult<Option<CustomPolicy>> {
        let found = policy::Entity::find()
            .find_also_related(policy_version::Entity)
            .filter(P::Name.eq(name))
            .filter(P::DeletedAt.is_null())
            .filter(Expr::col((policy::Entity, P::Version)).equals((policy_version::Entity, V::Version)));
        let Some((row, version)) = found.one(&self.read).await.map_err(failure)? else { return Ok(None) };
        version.ok_or(READER.inconsistent("version"))?.of(&row).map(Some)
    }

    async fn policy_version(&self, name: &str, version: u32) -> StoreResult<Option<CustomPolicy>> {
        let found = policy::Entity::find()
            .find_also_related(policy_version::Entity)
            .filter(P::Name.eq(name))
            .filter(V::Version.eq(stored(version)));
        let Some((row, Some(version))) = found.one(&self.read).await.map_err(failure)? else {
            return Ok(None);
        };
        version.of(&row).map(Some)
    }

    async fn policies(&self, page: &PageRequest) -> StoreResult<Page<CustomPolicy>> {
        let list = List {
            name: ListName::Policies,
            key: P::CreatedAt,
            id: P::Id,
            order: Order::Desc,
            position: |row: &policy::Model| (row.created_at, row.id),
        };
        let rows = policy::Entity::find().filter(P::DeletedAt.is_null());
        let page = read_page(&self.read, rows, &list, Counting::Bounded, page).await?;
        // Versions are never changed, so these belong to the rows whatever happened since those were read.
        let newest = page.items.iter().map(|row| (row.id, row.version));
        let newest = Expr::tuple([V::PolicyId.into_expr(), V::Version.into_expr()]).in_tuples(newest);
        let versions =
            policy_version::Entity::find().filter(newest).all(&self.read).await.map_err(failure)?;
        let mut versions: HashMap<Uuid, policy_version::Model> =
            versions.into_iter().map(|version| (version.policy_id, version)).collect();
        try_map(page, |row| versions.remove(&row.id).ok_or(READER.inconsistent("version"))?.of(&row))
    }

    async fn policy_versions(&self, name: &str, page: &PageRequest) -> StoreResult<Page<CustomPolicy>> {
        let row = policy::Entity::find().filter(P::Name.eq(name)).one(&self.read).await.map_err(failure)?;
        let Some(row) = row else { return Ok(Page::empty()) };
        let list = List {
            name: ListName::PolicyVersions,
            key: V::Version,
            id: V::Id,
            order: Order::Desc,
            position: |row: &policy_version::Model| (row.version, row.id),
        };
        let rows = policy_version::Entity::find().filter(V::PolicyId.eq(row.id));
        try_map(read_page(&self.read, rows, &list, Counting::Bounded, page).await?, |version| {
            version.of(&row)
        })
    }

    async fn policies_in_force(&self) -> StoreResult<Vec<PolicyInForce>> {
        let rows = policy::Entity::find().filter(P::DeletedAt.is_null()).order_by_asc(P::Name);
        let rows = rows.all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(PolicyInForce::try_from).collect()
    }

    async fn delete_policy(
        &self,
        name: &str,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let (known, mut change) = change_of(self, name).await?;
        let known = known.filter(|(row, _)| row.deleted_at.is_none());
        let Some((row, newest)) = known else { return Ok(false) };
        let deleted = newest.ok_or(READER.inconsistent("version"))?.of(&row)?;
        expected.admit(&deleted)?;
        let delete = policy::Entity::update_many()
            .col_expr(P::DeletedAt, Expr::value(micros(at)))
            .filter(P::Id.eq(row.id));
        change.writes.run(delete);
        change.commit(self, [events::policy_deleted(&deleted, origin, at)]).await?;
        Ok(true)
    }
}

/// A policy as it is, with its newest version.
type Known = (policy::Model, Option<policy_version::Model>);

/// Begins a change of the policy of this name, whether or not it is there.
async fn change_of(store: &Store, name: &str) -> StoreResult<(Option<Known>, Change)> {
    let mut reads = store.batch();
    let row = reads.select(policy::Entity::find().filter(P::Name.eq(name)).lock(LockType::NoKeyUpdate));
    let id = policy::Entity::find().filter(P::Name.eq(name)).select_only().column(P::Id);
    let newest = policy_version::Entity::find()
        .filter(V::PolicyId.in_subquery(id.into_query()))
        .order_by_desc(V::Version)
        .limit(1);
    let newest = reads.select(newest);
    let (mut read, change) = store.change(reads).await?;
    let (row, newest) = (read.first(row)?, read.first(newest)?);
    Ok((row.map(|row| (row, newest)), change))
}

fn add_version(writes: &mut Batch, row: &policy::Model, new: &NewPolicyVersion) -> StoreResult<CustomPolicy> {
    let version = READER.figure::<u32>("version", row.version)?.saturating_add(1);
    let added = policy_version::Model::new(row.id, version, new);
    writes.insert::<policy_version::ActiveModel>(added.clone().into());
    let changes = policy::ActiveModel {
        version: Set(stored(version)),
        is_mandatory: Set(new.content.is_mandatory),
        deleted_at: Set(None),
        ..Default::default()
    };
    writes.run(policy::Entity::update_many().set(changes).filter(P::Id.eq(row.id)));
    added.of(row)
}
