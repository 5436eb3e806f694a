//! Session templates.

use super::{
    MemoryStore, State,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    Origin, Page, PageRequest, Scope, SessionTemplate, TemplateId, UserId,
    audit::events,
    ports::{StoreResult, Templates},
    template::{Shared, TemplateContent, TemplateFilter, TemplateSharing},
};
use jiff::Timestamp;

/// A template, and whether it was deleted.
#[derive(Debug)]
pub(super) struct StoredTemplate {
    template: SessionTemplate,
    is_deleted: bool,
}

#[async_trait]
impl Templates for MemoryStore {
    async fn create_template(
        &self,
        template: &SessionTemplate,
        owned_max: u32,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let is_theirs = |one: &&StoredTemplate| !one.is_deleted && one.template.user_id == template.user_id;
        if state.templates.iter().filter(is_theirs).count() >= owned_max as usize {
            return Ok(false);
        }
        state.templates.push(StoredTemplate { template: template.clone(), is_deleted: false });
        state.audit(events::template_created(template, origin))?;
        Ok(true)
    }

    async fn template(&self, reader: Scope, id: TemplateId) -> StoreResult<Option<SessionTemplate>> {
        Ok(self.state().visible(reader).find(|template| template.id == id).cloned())
    }

    async fn templates(
        &self,
        reader: Scope,
        filter: &TemplateFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<SessionTemplate>> {
        let found = {
            let state = self.state();
            state.visible(reader).filter(|template| passes(filter, template)).cloned().collect()
        };
        let key = |template: &SessionTemplate| instant_key(template.created_at, template.id.0);
        read_page("templates", found, key, Direction::Descending, page)
    }

    async fn popular_templates(&self, reader: Scope, limit: u32) -> StoreResult<Vec<SessionTemplate>> {
        let mut found: Vec<SessionTemplate> = self.state().visible(reader).cloned().collect();
        found.sort_by_key(|template| std::cmp::Reverse((template.usage_count, template.id)));
        found.truncate(limit as usize);
        Ok(found)
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
        let mut state = self.state();
        let Some(template) = state.owned(owner, id) else { return Ok(None) };
        template.content = content.clone();
        template.sharing.is_public = is_public;
        template.updated_at = at;
        let replaced = template.clone();
        state.audit(events::template_changed(&replaced, origin, at))?;
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
        let mut state = self.state();
        let is_known = |id: &UserId| state.users.iter().any(|known| known.user.id == *id);
        let unknown: Vec<UserId> =
            sharing.shared_with.iter().copied().filter(|user| !is_known(user)).collect();
        let Some(template) = state.owned(owner, id) else { return Ok(Shared::NoTemplate) };
        if !unknown.is_empty() {
            return Ok(Shared::NoUsers(unknown));
        }
        template.sharing = sharing.clone();
        template.updated_at = at;
        let shared = template.clone();
        state.audit(events::template_shared(&shared, origin, at))?;
        Ok(Shared::Shared(Box::new(shared)))
    }

    async fn delete_template(
        &self,
        owner: Scope,
        id: TemplateId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let Some(template) = state.owned(owner, id).cloned() else { return Ok(false) };
        for stored in state.templates.iter_mut().filter(|stored| stored.template.id == id) {
            stored.is_deleted = true;
        }
        state.audit(events::template_deleted(&template, origin, at))?;
        Ok(true)
    }
}

impl State {
    pub(super) fn count_use(&mut self, id: TemplateId) {
        for stored in self.templates.iter_mut().filter(|stored| stored.template.id == id) {
            stored.template.usage_count += 1;
        }
    }

    pub(super) fn forget_templates_of(&mut self, user: UserId) {
        self.templates.retain(|stored| stored.template.user_id != user);
        for stored in &mut self.templates {
            stored.template.sharing.shared_with.retain(|one| *one != user);
        }
    }

    fn visible(&self, reader: Scope) -> impl Iterator<Item = &SessionTemplate> {
        let there = self.templates.iter().filter(|stored| !stored.is_deleted);
        there.map(|stored| &stored.template).filter(move |template| match reader {
            Scope::All => true,
            Scope::Owner(user) => {
                let sharing = &template.sharing;
                template.user_id == user || sharing.is_public || sharing.shared_with.contains(&user)
            }
        })
    }

    fn owned(&mut self, owner: Scope, id: TemplateId) -> Option<&mut SessionTemplate> {
        let mut there = self.templates.iter_mut().filter(|stored| !stored.is_deleted);
        let found = there.find(|stored| stored.template.id == id && owner.covers(stored.template.user_id));
        found.map(|stored| &mut stored.template)
    }
}

fn passes(filter: &TemplateFilter, template: &SessionTemplate) -> bool {
    let content = &template.content;
    let contains = |text: &str, q: &str| text.to_lowercase().contains(&q.to_lowercase());
    let says = |q: &str| {
        contains(&content.name, q) || content.description.as_deref().is_some_and(|text| contains(text, q))
    };
    filter.category.as_ref().is_none_or(|category| content.category.as_ref() == Some(category))
        && filter.is_public.is_none_or(|is_public| template.sharing.is_public == is_public)
        && filter.q.as_deref().is_none_or(says)
        && filter.tags.iter().all(|tag| content.tags.contains(tag))
}
