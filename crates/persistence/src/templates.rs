//! Session templates and whom they are shared with.

use crate::{
    Store,
    change::Change,
    entity::{
        session_template::{self, Column as C, tag_text},
        template_share::{self, Column as S},
        user,
    },
    error::failure,
    page::{Counting, List, ListName, read_page},
    sessions::containing,
    unit::Batch,
    value::micros,
};
use async_trait::async_trait;
use domain::{
    Origin, Page, PageRequest, Scope, SessionTemplate, TemplateId, UserId,
    audit::events,
    ports::{StoreResult, Templates},
    template::{Shared, TemplateContent, TemplateFilter, TemplateSharing},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    prelude::Uuid,
    sea_query::{Expr, ExprTrait, LockType},
};
use std::collections::BTreeMap;

#[async_trait]
impl Templates for Store {
    async fn create_template(
        &self,
        template: &SessionTemplate,
        owned_max: u32,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let owned = present().filter(C::UserId.eq(template.user_id.0));
        let created = events::template_created(template, origin);
        let row = session_template::row(template)?;
        self.add_owned(owned, owned_max, created, |writes| writes.insert(row)).await
    }

    async fn template(&self, reader: Scope, id: TemplateId) -> StoreResult<Option<SessionTemplate>> {
        let row = visible(reader).filter(C::Id.eq(id.0)).one(&self.read).await.map_err(failure)?;
        Ok(self.with_shares(row.into_iter().collect()).await?.pop())
    }

    async fn templates(
        &self,
        reader: Scope,
        filter: &TemplateFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<SessionTemplate>> {
        let list = List {
            name: ListName::SessionTemplates,
            key: C::CreatedAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &session_template::Model| (row.created_at, row.id),
        };
        let rows = filtered(visible(reader), filter);
        let Page { items, total, next_cursor } =
            read_page(&self.read, rows, &list, Counting::Bounded, page).await?;
        Ok(Page { items: self.with_shares(items).await?, total, next_cursor })
    }

    async fn popular_templates(&self, reader: Scope, limit: u32) -> StoreResult<Vec<SessionTemplate>> {
        let rows = visible(reader).order_by_desc(C::UsageCount).order_by_desc(C::Id).limit(u64::from(limit));
        self.with_shares(rows.all(&self.read).await.map_err(failure)?).await
    }

    async fn replace_template(
        &self,
        owner: Scope,
        id: TemplateId,
        content: &TemplateContent,
        is_public: bool,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<SessionTemplate>> {
        let Some((mut replaced, mut change)) = change_of(self, owner, id).await? else { return Ok(None) };
        replaced.content = content.clone();
        replaced.sharing.is_public = is_public;
        replaced.updated_at = at;
        let changes = session_template::ActiveModel {
            is_public: Set(is_public),
            updated_at: Set(micros(at)),
            ..session_template::content(content)?
        };
        update(&mut change.writes, id, changes);
        change.commit(self, [events::template_changed(&replaced, origin, at)]).await?;
        Ok(Some(replaced))
    }

    async fn share_template(
        &self,
        owner: Scope,
        id: TemplateId,
        sharing: &TemplateSharing,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Shared> {
        let wanted: Vec<Uuid> = sharing.shared_with.iter().map(|user| user.0).collect();
        let known = user::Entity::find()
            .filter(user::Column::Id.is_in(wanted.clone()))
            .select_only()
            .column(user::Column::Id);
        let known: Vec<Uuid> = known.into_tuple().all(&self.read).await.map_err(failure)?;
        // Users are never removed, so these stay known.
        let unknown: Vec<UserId> =
            sharing.shared_with.iter().copied().filter(|user| !known.contains(&user.0)).collect();
        let Some((template, mut change)) = change_of(self, owner, id).await? else {
            return Ok(Shared::NoTemplate);
        };
        if !unknown.is_empty() {
            return Ok(Shared::NoUsers(unknown));
        }
        let shared = SessionTemplate { sharing: sharing.clone(), updated_at: at, ..template };
        let changes = session_template::ActiveModel {
            is_public: Set(sharing.is_public),
            updated_at: Set(micros(at)),
            ..Default::default()
        };
        update(&mut change.writes, id, changes);
        change.writes.run(template_share::Entity::delete_many().filter(S::TemplateId.eq(id.0)));
        let rows = wanted.into_iter().map(|user_id| template_share::Model { template_id: id.0, user_id });
        change.writes.insert_all::<template_share::ActiveModel>(rows.map(Into::into).collect());
        change.commit(self, [events::template_shared(&shared, origin, at)]).await?;
        Ok(Shared::Shared(Box::new(shared)))
    }

    async fn delete_template(
        &self,
        owner: Scope,
        id: TemplateId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let Some((template, mut change)) = change_of(self, owner, id).await? else { return Ok(false) };
        let deleted =
            session_template::ActiveModel { deleted_at: Set(Some(micros(at))), ..Default::default() };
        update(&mut change.writes, id, deleted);
        change.commit(self, [events::template_deleted(&template, origin, at)]).await?;
        Ok(true)
    }
}

impl Store {
    /// The templates of these rows, in their order.
    async fn with_shares(&self, rows: Vec<session_template::Model>) -> StoreResult<Vec<SessionTemplate>> {
        if rows.is_empty() {
            return Ok(vec![]);
        }
        let of_these = S::TemplateId.is_in(rows.iter().map(|row| row.id));
        let shares = template_share::Entity::find().filter(of_these).order_by_asc(S::UserId);
        let mut shared_with: BTreeMap<Uuid, Vec<UserId>> = BTreeMap::new();
        for share in shares.all(&self.read).await.map_err(failure)? {
            shared_with.entry(share.template_id).or_default().push(UserId(share.user_id));
        }
        rows.into_iter()
            .map(|row| {
                let shared_with = shared_with.remove(&row.id).unwrap_or_default();
                row.shared_with(shared_with)
            })
            .collect()
    }
}

/// Counts one more use of a template.
pub(crate) fn count_use(writes: &mut Batch, id: TemplateId) {
    let counted = session_template::Entity::update_many()
        .col_expr(C::UsageCount, Expr::col(C::UsageCount).add(1))
        .filter(C::Id.eq(id.0));
    writes.run(counted);
}

/// Removes what a user who becomes nobody wrote, and what others shared with them.
pub(crate) fn forget_user(writes: &mut Batch, user: UserId) {
    writes.run(template_share::Entity::delete_many().filter(S::UserId.eq(user.0)));
    writes.run(session_template::Entity::delete_many().filter(C::UserId.eq(user.0)));
}

/// Begins a change of a template, if it is there.
async fn change_of(
    store: &Store,
    owner: Scope,
    id: TemplateId,
) -> StoreResult<Option<(SessionTemplate, Change)>> {
    let mut reads = store.batch();
    let rows = session_template::Entity::find_by_id(id.0).filter(C::DeletedAt.is_null());
    let rows = match owner {
        Scope::All => rows,
        Scope::Owner(user) => rows.filter(C::UserId.eq(user.0)),
    };
    let row = reads.select(rows.lock(LockType::NoKeyUpdate));
    let shares = template_share::Entity::find().filter(S::TemplateId.eq(id.0)).order_by_asc(S::UserId);
    let shares = reads.select(shares);
    let (mut read, change) = store.change(reads).await?;
    let Some(row) = read.first(row)? else { return Ok(None) };
    let shared_with = read.all(shares)?.into_iter().map(|share| UserId(share.user_id)).collect();
    Ok(Some((row.shared_with(shared_with)?, change)))
}

fn update(writes: &mut Batch, id: TemplateId, changes: session_template::ActiveModel) {
    writes.run(session_template::Entity::update_many().set(changes).filter(C::Id.eq(id.0)));
}

/// Those that were not deleted.
fn present() -> Select<session_template::Entity> {
    session_template::Entity::find().filter(C::DeletedAt.is_null())
}

/// What the reader may see of what is there.
fn visible(reader: Scope) -> Select<session_template::Entity> {
    let rows = present();
    match reader {
        Scope::All => rows,
        Scope::Owner(user) => {
            let shared = template_share::Entity::find().filter(S::UserId.eq(user.0));
            let shared = shared.select_only().column(S::TemplateId).into_query();
            let mine = Condition::any().add(C::UserId.eq(user.0)).add(C::IsPublic.eq(true));
            rows.filter(mine.add(C::Id.in_subquery(shared)))
        }
    }
}

fn filtered(
    rows: Select<session_template::Entity>,
    filter: &TemplateFilter,
) -> Select<session_template::Entity> {
    let rows = rows
        .apply_if(filter.category.as_deref(), |rows, category| rows.filter(C::Category.eq(category)))
        .apply_if(filter.is_public, |rows, is_public| rows.filter(C::IsPublic.eq(is_public)))
        .apply_if(filter.q.as_deref(), |rows, q| rows.filter(C::SearchText.like(containing(q))));
    filter.tags.iter().fold(rows, |rows, tag| rows.filter(C::TagsText.like(containing(&tag_text(tag)))))
}
