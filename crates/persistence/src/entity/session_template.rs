//! A row of `session_templates`.

use crate::{
    entity::session::search_text,
    value::{Reader, micros, stored, to_json},
};
use domain::{
    SessionTemplate, TemplateId, UserId,
    ports::StoreResult,
    template::{TemplateContent, TemplateSharing},
};
use sea_orm::{ActiveValue::Set, entity::prelude::*};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "session_templates")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    pub description: Option<String>,
    pub category: Option<String>,
    pub tags: Json,
    pub search_text: String,
    pub tags_text: String,
    pub is_public: bool,
    pub settings: Json,
    pub usage_count: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub deleted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What a search for tags looks through: each between two line breaks, which no tag has.
fn tags_text(tags: &[String]) -> String {
    tags.iter().fold("\n".to_owned(), |text, tag| text + tag + "\n")
}

/// One tag as it stands in the text that is searched.
pub(crate) fn tag_text(tag: &str) -> String {
    format!("\n{tag}\n")
}

/// The columns of what an owner writes.
pub(crate) fn content(content: &TemplateContent) -> StoreResult<ActiveModel> {
    Ok(ActiveModel {
        name: Set(content.name.clone()),
        description: Set(content.description.clone()),
        category: Set(content.category.clone()),
        tags: Set(to_json(&content.tags)?),
        search_text: Set(search_text(Some(&content.name), content.description.as_deref())),
        tags_text: Set(tags_text(&content.tags)),
        settings: Set(to_json(&content.settings)?),
        ..Default::default()
    })
}

/// A whole row.
pub(crate) fn row(template: &SessionTemplate) -> StoreResult<ActiveModel> {
    Ok(ActiveModel {
        id: Set(template.id.0),
        user_id: Set(template.user_id.0),
        is_public: Set(template.sharing.is_public),
        usage_count: Set(stored(template.usage_count)),
        created_at: Set(micros(template.created_at)),
        updated_at: Set(micros(template.updated_at)),
        deleted_at: Set(None),
        ..content(&template.content)?
    })
}

impl Model {
    /// The template, with whom it is shared.
    pub(crate) fn shared_with(self, shared_with: Vec<UserId>) -> StoreResult<SessionTemplate> {
        let reader = Reader("session_templates");
        Ok(SessionTemplate {
            id: TemplateId(self.id),
            user_id: UserId(self.user_id),
            content: TemplateContent {
                name: self.name,
                description: self.description,
                category: self.category,
                tags: reader.json("tags", self.tags)?,
                settings: reader.json("settings", self.settings)?,
            },
            sharing: TemplateSharing { is_public: self.is_public, shared_with },
            usage_count: reader.figure("usage_count", self.usage_count)?,
            created_at: reader.instant("created_at", self.created_at)?,
            updated_at: reader.instant("updated_at", self.updated_at)?,
        })
    }
}
