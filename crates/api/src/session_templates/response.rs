//! A session template as clients see it.

use crate::sessions::sdk_options::SdkOptions;
use domain::{Caller, SessionTemplate, template::TemplateSettings};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// A session template.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionTemplateResponse {
    id: Uuid,
    /// Its owner.
    user_id: Uuid,
    name: String,
    description: Option<String>,
    category: Option<String>,
    tags: Vec<String>,
    is_public: bool,
    /// Who may use it beside its owner, by name; null for those who may not change it.
    shared_with: Option<Vec<Uuid>>,
    working_directory: Option<String>,
    allowed_tools: Option<Vec<String>>,
    system_prompt: Option<String>,
    sdk_options: Option<SdkOptions>,
    permission_mode: Option<String>,
    hooks_enabled: Option<Vec<String>>,
    custom_policies: Option<Vec<String>>,
    metadata: Option<Value>,
    /// Sessions that were made from it.
    usage_count: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl SessionTemplateResponse {
    /// The template as this caller, who may see it, does.
    pub fn seen_by(caller: &Caller, template: SessionTemplate) -> Self {
        let SessionTemplate { content, sharing, .. } = template;
        let TemplateSettings {
            working_directory,
            allowed_tools,
            system_prompt,
            sdk_options,
            permission_mode,
            hooks_enabled,
            custom_policies,
            metadata,
        } = content.settings;
        let may_change = caller.scope().covers(template.user_id);
        Self {
            id: template.id.0,
            user_id: template.user_id.0,
            name: content.name,
            description: content.description,
            category: content.category,
            tags: content.tags,
            is_public: sharing.is_public,
            shared_with: may_change.then(|| sharing.shared_with.into_iter().map(|user| user.0).collect()),
            working_directory,
            allowed_tools,
            system_prompt,
            sdk_options: sdk_options.map(Into::into),
            permission_mode,
            hooks_enabled,
            custom_policies,
            metadata,
            usage_count: template.usage_count,
            created_at: template.created_at,
            updated_at: template.updated_at,
        }
    }
}
