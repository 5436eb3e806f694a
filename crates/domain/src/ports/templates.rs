//! Session templates.

use super::StoreResult;
use crate::{
    Origin, Page, PageRequest, Scope, TemplateId,
    template::{SessionTemplate, Shared, TemplateContent, TemplateFilter, TemplateSharing},
};
use async_trait::async_trait;
use jiff::Timestamp;

/// Templates. Whoever reads sees their own, the public ones and those that are shared with them ([`Scope::All`] sees
/// every one); whoever writes must have it inside their scope. One that was deleted is not there.
///
/// [`super::Sessions::create`] counts the use.
#[async_trait]
pub trait Templates: Send + Sync {
    /// Stores a new template, which is public or not, and shared with nobody by name yet; false if its owner has
    /// `owned_max` already, however many are stored at once.
    async fn create_template(
        &self,
        template: &SessionTemplate,
        owned_max: u32,
        origin: &Origin,
    ) -> StoreResult<bool>;

    /// The template, if the reader may see it.
    async fn template(&self, reader: Scope, id: TemplateId) -> StoreResult<Option<SessionTemplate>>;

    /// Templates that the reader may see and that pass the filter, newest first.
    async fn templates(
        &self,
        reader: Scope,
        filter: &TemplateFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<SessionTemplate>>;

    /// Those of the templates that the reader may see which were used most, at most `limit`; among equals the newest
    /// first.
    async fn popular_templates(&self, reader: Scope, limit: u32) -> StoreResult<Vec<SessionTemplate>>;

    /// Writes a template anew; `None` if there is none inside the scope.
    async fn replace_template(
        &self,
        owner: Scope,
        id: TemplateId,
        content: &TemplateContent,
        is_public: bool,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<SessionTemplate>>;

    /// Shares a template with exactly these.
    async fn share_template(
        &self,
        owner: Scope,
        id: TemplateId,
        sharing: &TemplateSharing,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Shared>;

    /// Deletes a template; false if there is none inside the scope. Sessions that were made from it keep its id.
    async fn delete_template(
        &self,
        owner: Scope,
        id: TemplateId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool>;
}
