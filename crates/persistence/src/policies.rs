//! Custom policies and all their versions.

use crate::{
    Store,
    entity::{
        policy::{self, Column as P},
        policy_version::{self, Column as V},
    },
    error::{POLICY_EXISTS, failure},
    page::{List, ListName, read_page, try_map},
    value::{Reader, micros, stored},
};
use async_trait::async_trait;
use domain::{
    CustomPolicy, Page, PageRequest,
    policy::{NewPolicyVersion, PolicyInForce, Revision},
    ports::{Policies, StoreError, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use std::collections::HashMap;
use uuid::Uuid;

const READER: Reader = Reader("policies");

#[async_trait]
impl Policies for Store {
    async fn create_policy(&self, new: &NewPolicyVersion) -> StoreResult<CustomPolicy> {
        let txn = self.begin_writing().await?;
        let created = match locked(&txn, &new.name).await? {
            Some(row) if row.deleted_at.is_none() => {
                return Err(StoreError::Conflict { what: POLICY_EXISTS });
            }
            Some(row) => add_version(&txn, row, new).await?,
            None => {
                let row = policy::Model {
                    id: Uuid::now_v7(),
                    name: new.name.clone(),
                    version: 0,
                    is_mandatory: new.content.is_mandatory,
                    created_at: micros(new.at),
                    deleted_at: None,
                };
                let insert = policy::Entity::insert::<policy::ActiveModel>(row.clone().into());
                insert.exec_without_returning(&txn).await.map_err(failure)?;
                add_version(&txn, row, new).await?
            }
        };
        txn.commit().await.map_err(failure)?;
        Ok(created)
    }

    async fn revise_policy(&self, next: &NewPolicyVersion, expected: u32) -> StoreResult<Revision> {
        let txn = self.begin_writing().await?;
        let row = locked(&txn, &next.name).await?.filter(|row| row.deleted_at.is_none());
        let Some(row) = row else { return Ok(Revision::NoPolicy) };
        let current = READER.figure("version", row.version)?;
        if current != expected {
            return Ok(Revision::Stale(current));
        }
        let revised = add_version(&txn, row, next).await?;
        txn.commit().await.map_err(failure)?;
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
        let page = read_page(&self.read, rows, &list, page).await?;
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
        let Some(row) = row else { return Ok(Page { items: vec![], total: 0, next_cursor: None }) };
        let list = List {
            name: ListName::PolicyVersions,
            key: V::Version,
            id: V::Id,
            order: Order::Desc,
            position: |row: &policy_version::Model| (row.version, row.id),
        };
        let rows = policy_version::Entity::find().filter(V::PolicyId.eq(row.id));
        try_map(read_page(&self.read, rows, &list, page).await?, |version| version.of(&row))
    }

    async fn policies_in_force(&self) -> StoreResult<Vec<PolicyInForce>> {
        let rows = policy::Entity::find().filter(P::DeletedAt.is_null()).order_by_asc(P::Name);
        let rows = rows.all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(PolicyInForce::try_from).collect()
    }

    async fn delete_policy(&self, name: &str, at: Timestamp) -> StoreResult<bool> {
        let delete = policy::Entity::update_many()
            .col_expr(P::DeletedAt, Expr::value(micros(at)))
            .filter(P::Name.eq(name))
            .filter(P::DeletedAt.is_null());
        Ok(delete.exec(&self.write).await.map_err(failure)?.rows_affected > 0)
    }
}

async fn locked(txn: &DatabaseTransaction, name: &str) -> StoreResult<Option<policy::Model>> {
    policy::Entity::find().filter(P::Name.eq(name)).lock_exclusive().one(txn).await.map_err(failure)
}

async fn add_version(
    txn: &DatabaseTransaction,
    row: policy::Model,
    new: &NewPolicyVersion,
) -> StoreResult<CustomPolicy> {
    let version = READER.figure::<u32>("version", row.version)?.saturating_add(1);
    let added = policy_version::Model::new(row.id, version, new);
    let insert = policy_version::Entity::insert::<policy_version::ActiveModel>(added.clone().into());
    insert.exec_without_returning(txn).await.map_err(failure)?;
    let changes = policy::ActiveModel {
        version: Set(stored(version)),
        is_mandatory: Set(new.content.is_mandatory),
        deleted_at: Set(None),
        ..Default::default()
    };
    let update = policy::Entity::update_many().set(changes).filter(P::Id.eq(row.id));
    update.exec(txn).await.map_err(failure)?;
    added.of(&row)
}
