//! Session templates: what a new session is to be like, under a name, for those whom its owner lets use it.

use crate::{SdkOptions, TemplateId, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A template as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionTemplate {
    pub id: TemplateId,
    /// Its owner, who alone changes it.
    pub user_id: UserId,
    pub content: TemplateContent,
    pub sharing: TemplateSharing,
    /// Sessions that were made from it, those that are gone too.
    pub usage_count: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What its owner writes; a change replaces all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateContent {
    pub name: String,
    pub description: Option<String>,
    pub category: Option<String>,
    /// In lower case, each once, in order.
    pub tags: Vec<String>,
    pub settings: TemplateSettings,
}

/// What a session made from it gets where the request says nothing. `None` leaves that to the server's defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TemplateSettings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_tools: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk_options: Option<SdkOptions>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks_enabled: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_policies: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// Who may see and use a template beside its owner and admins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateSharing {
    /// Everybody may.
    pub is_public: bool,
    /// These may, whether it is public or not; in order, each once.
    pub shared_with: Vec<UserId>,
}

/// Which templates a list shows, of those that the caller may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateFilter {
    pub category: Option<String>,
    pub is_public: Option<bool>,
    /// Case-insensitive part of the name or description.
    pub q: Option<String>,
    /// Templates that have each of these, written as [`TemplateContent::tags`] are.
    pub tags: Vec<String>,
}

/// What came of sharing a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Shared {
    Shared(Box<SessionTemplate>),
    /// These of whom it was to be shared with are nobody.
    NoUsers(Vec<UserId>),
    NoTemplate,
}

/// Tags as they are kept: trimmed, in lower case, sorted, each once.
#[must_use]
pub fn normal_tags(tags: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut tags: Vec<String> = tags.into_iter().map(|tag| tag.trim().to_lowercase()).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

impl SdkOptions {
    /// These options, and those of `others` where these say nothing.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        fn or<T: Default + PartialEq>(own: T, other: T) -> T {
            if own == T::default() { other } else { own }
        }
        Self {
            model: self.model.or(others.model),
            fallback_model: self.fallback_model.or(others.fallback_model),
            effort: self.effort.or(others.effort),
            max_turns: self.max_turns.or(others.max_turns),
            disallowed_tools: or(self.disallowed_tools, others.disallowed_tools),
            tools: self.tools.or(others.tools),
            append_system_prompt: self.append_system_prompt.or(others.append_system_prompt),
            mcp_servers: or(self.mcp_servers, others.mcp_servers),
            agents: or(self.agents, others.agents),
            add_dirs: or(self.add_dirs, others.add_dirs),
            env: or(self.env, others.env),
            betas: or(self.betas, others.betas),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_one_form() {
        let tags = [" Rust", "ci", "rust ", "CI"].map(str::to_owned);
        assert_eq!(normal_tags(tags), ["ci", "rust"]);
    }

    #[test]
    fn an_option_that_is_said_stands_whole() {
        let own = SdkOptions { max_turns: Some(3), add_dirs: vec!["a".into()], ..SdkOptions::default() };
        let others = SdkOptions {
            model: Some("m".into()),
            max_turns: Some(9),
            add_dirs: vec!["b".into()],
            betas: vec!["x".into()],
            ..SdkOptions::default()
        };
        let both = own.or(others);
        assert_eq!((both.model.as_deref(), both.max_turns), (Some("m"), Some(3)));
        assert_eq!((both.add_dirs, both.betas), (vec!["a".to_owned()], vec!["x".to_owned()]));
    }
}
