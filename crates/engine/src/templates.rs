//! Session templates as people manage them, and what a session takes from one.

use crate::{
    Error, FieldError, Result, SessionManager,
    draft::SessionDraft,
    owned::{OWNED_MAX, unless_full},
};
use domain::{
    Caller, Page, PageRequest, SessionMode, SessionTemplate, TemplateId, UserId,
    spec::PERMISSION_MODES,
    template::{Shared, TemplateContent, TemplateFilter, TemplateSettings, TemplateSharing, normal_tags},
};

impl SessionManager {
    /// Makes a template of the caller's.
    pub async fn create_template(
        &self,
        caller: &Caller,
        content: TemplateContent,
        is_public: bool,
    ) -> Result<SessionTemplate> {
        let now = self.inner.clock.now();
        let template = SessionTemplate {
            id: TemplateId::new(),
            user_id: caller.user_id,
            content: checked(content)?,
            sharing: TemplateSharing { is_public, shared_with: vec![] },
            usage_count: 0,
            created_at: now,
            updated_at: now,
        };
        let (templates, origin) = (&self.inner.stores.templates, caller.origin());
        let stored = templates.create_template(&template, OWNED_MAX, &origin).await?;
        unless_full(stored, "templates", OWNED_MAX)?;
        Ok(template)
    }

    /// A template that the caller may see: their own, a public one, or one that is shared with them.
    pub async fn template(&self, caller: &Caller, id: TemplateId) -> Result<SessionTemplate> {
        let found = self.inner.stores.templates.template(caller.scope(), id).await?;
        found.ok_or(Error::NotFound("template"))
    }

    /// The templates that the caller may see, newest first.
    pub async fn templates(
        &self,
        caller: &Caller,
        filter: TemplateFilter,
        page: &PageRequest,
    ) -> Result<Page<SessionTemplate>> {
        let filter = TemplateFilter { tags: normal_tags(filter.tags), ..filter };
        Ok(self.inner.stores.templates.templates(caller.scope(), &filter, page).await?)
    }

    /// Those of them that were used most, at most `limit`.
    pub async fn popular_templates(&self, caller: &Caller, limit: u32) -> Result<Vec<SessionTemplate>> {
        Ok(self.inner.stores.templates.popular_templates(caller.scope(), limit).await?)
    }

    /// Writes a template of the caller's anew. Sessions that were made from it stay as they are.
    pub async fn replace_template(
        &self,
        caller: &Caller,
        id: TemplateId,
        content: TemplateContent,
        is_public: bool,
    ) -> Result<SessionTemplate> {
        self.own_template(caller, id).await?;
        let (content, now) = (checked(content)?, self.inner.clock.now());
        let (templates, origin) = (&self.inner.stores.templates, caller.origin());
        let replaced =
            templates.replace_template(caller.scope(), id, &content, is_public, now, &origin).await?;
        replaced.ok_or(Error::NotFound("template"))
    }

    /// Shares a template of the caller's: with everybody or not, and with exactly these by name. `None` leaves that as
    /// it is.
    pub async fn share_template(
        &self,
        caller: &Caller,
        id: TemplateId,
        is_public: Option<bool>,
        shared_with: Option<Vec<UserId>>,
    ) -> Result<SessionTemplate> {
        let template = self.own_template(caller, id).await?;
        let mut users = shared_with.clone().unwrap_or(template.sharing.shared_with);
        users.sort_unstable();
        users.dedup();
        // Its owner sees it anyway.
        users.retain(|user| *user != template.user_id);
        let sharing = TemplateSharing {
            is_public: is_public.unwrap_or(template.sharing.is_public),
            shared_with: users,
        };
        let now = self.inner.clock.now();
        let (templates, origin) = (&self.inner.stores.templates, caller.origin());
        match templates.share_template(caller.scope(), id, &sharing, now, &origin).await? {
            Shared::Shared(shared) => Ok(*shared),
            Shared::NoTemplate => Err(Error::NotFound("template")),
            Shared::NoUsers(unknown) => {
                let asked = shared_with.unwrap_or_default();
                let unknown = asked.iter().enumerate().filter(|(_, user)| unknown.contains(user));
                let fault = |(index, _)| {
                    FieldError::new(format!("/shared_with/{index}"), "unknown", "is no user's id")
                };
                Err(Error::Invalid(unknown.map(fault).collect()))
            }
        }
    }

    /// Deletes a template of the caller's. Sessions that were made from it stay, and keep its id.
    pub async fn delete_template(&self, caller: &Caller, id: TemplateId) -> Result<()> {
        self.own_template(caller, id).await?;
        let (templates, now) = (&self.inner.stores.templates, self.inner.clock.now());
        if templates.delete_template(caller.scope(), id, now, &caller.origin()).await? {
            Ok(())
        } else {
            Err(Error::NotFound("template"))
        }
    }

    /// The draft with what its template says where the request says nothing. A template grants nothing: what comes from
    /// it is checked as if the caller had asked for it.
    pub(crate) async fn filled_by_template(
        &self,
        caller: &Caller,
        draft: SessionDraft,
    ) -> Result<SessionDraft> {
        let Some(id) = draft.template_id else { return Ok(draft) };
        let fault =
            |code, message: &str| Error::Invalid(vec![FieldError::new("/template_id", code, message)]);
        if draft.mode == Some(SessionMode::Forked) {
            return Err(fault("unsupported", "is not for forks, which begin as their parent is"));
        }
        let found = self.inner.stores.templates.template(caller.scope(), id).await?;
        let template = found.ok_or_else(|| fault("unknown", "is no template that you may use"))?;
        Ok(draft.filled_by(template.content.settings))
    }

    /// A template that the caller may change.
    async fn own_template(&self, caller: &Caller, id: TemplateId) -> Result<SessionTemplate> {
        let template = self.template(caller, id).await?;
        if caller.scope().covers(template.user_id) {
            Ok(template)
        } else {
            Err(Error::Forbidden("only its owner may change a template"))
        }
    }
}

impl SessionDraft {
    fn filled_by(self, template: TemplateSettings) -> Self {
        // One of the two replaces what the other is added to.
        let asked_append =
            self.sdk_options.as_ref().is_some_and(|asked| asked.append_system_prompt.is_some());
        let mut options = template.sdk_options;
        if self.system_prompt.is_some()
            && let Some(options) = &mut options
        {
            options.append_system_prompt = None;
        }
        let inherited_prompt = template.system_prompt.filter(|_| !asked_append);
        let sdk_options = match (self.sdk_options, options) {
            (Some(asked), Some(options)) => Some(asked.or(options)),
            (asked, options) => asked.or(options),
        };
        Self {
            working_directory: self.working_directory.or(template.working_directory),
            allowed_tools: self.allowed_tools.or(template.allowed_tools),
            system_prompt: self.system_prompt.or(inherited_prompt),
            sdk_options,
            permission_mode: self.permission_mode.or(template.permission_mode),
            hooks_enabled: self.hooks_enabled.or(template.hooks_enabled),
            custom_policies: self.custom_policies.or(template.custom_policies),
            metadata: self.metadata.or(template.metadata),
            ..self
        }
    }
}

/// The content, if it makes sense. Directories, hooks and policies are looked for when a session is made, by whoever
/// makes it: they may be other ones then, or nobody's.
fn checked(content: TemplateContent) -> Result<TemplateContent> {
    let settings = content.settings.clone();
    let permission_mode = settings.permission_mode.clone().unwrap_or_else(|| PERMISSION_MODES[0].to_owned());
    let draft = SessionDraft::default().filled_by(settings);
    let faults = draft.faults(SessionMode::Interactive, &permission_mode);
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    Ok(TemplateContent { tags: normal_tags(content.tags), ..content })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::SdkOptions;
    use serde_json::json;

    fn appending(text: &str) -> SdkOptions {
        SdkOptions { append_system_prompt: Some(text.into()), ..SdkOptions::default() }
    }

    #[test]
    fn what_a_request_says_stands_and_what_it_leaves_out_is_filled() {
        let template = TemplateSettings {
            allowed_tools: Some(vec!["Read".into()]),
            system_prompt: Some("be brief".into()),
            permission_mode: Some("plan".into()),
            metadata: Some(json!({"a": 1})),
            ..TemplateSettings::default()
        };
        let asked = SessionDraft { allowed_tools: Some(vec![]), ..SessionDraft::default() };
        let filled = asked.filled_by(template);
        assert_eq!(filled.allowed_tools, Some(vec![]), "an empty list is said");
        assert_eq!(filled.system_prompt.as_deref(), Some("be brief"));
        assert_eq!(filled.permission_mode.as_deref(), Some("plan"));
        assert_eq!((filled.metadata, filled.working_directory), (Some(json!({"a": 1})), None));
    }

    #[test]
    fn a_prompt_that_is_asked_for_takes_the_place_of_either_kind() {
        let template =
            TemplateSettings { sdk_options: Some(appending("theirs")), ..TemplateSettings::default() };
        let asked = SessionDraft { system_prompt: Some("mine".into()), ..SessionDraft::default() };
        let filled = asked.filled_by(template);
        assert_eq!(filled.sdk_options.unwrap().append_system_prompt, None);

        let template =
            TemplateSettings { system_prompt: Some("theirs".into()), ..TemplateSettings::default() };
        let asked = SessionDraft { sdk_options: Some(appending("mine")), ..SessionDraft::default() };
        assert_eq!(asked.filled_by(template).system_prompt, None);
    }
}
