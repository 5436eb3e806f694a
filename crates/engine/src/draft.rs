//! A session as it was asked for, and the checks that make it one.

pub(crate) mod start;

use crate::{
    Error, FieldError, Result,
    settings::EngineSettings,
    workdir::{self, WorkingDirectory},
};
use domain::{
    Counters, Generation, MicroUsd, SdkOptions, Session, SessionId, SessionMode, SessionSpec, SessionStatus,
    TemplateId, UserId,
    spec::{EFFORTS, PERMISSION_MODES, may_set_env},
    whereabouts::Whereabouts,
};
use jiff::Timestamp;
use serde_json::Value;

/// What a caller wants of a new session; what is `None` gets its default.
#[derive(Debug, Clone, Default)]
pub struct SessionDraft {
    /// The id that it gets, where somebody has told it already.
    pub id: Option<SessionId>,
    /// The template that fills what is left out here.
    pub template_id: Option<TemplateId>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub mode: Option<SessionMode>,
    pub working_directory: Option<String>,
    pub allowed_tools: Option<Vec<String>>,
    pub system_prompt: Option<String>,
    pub sdk_options: Option<SdkOptions>,
    pub metadata: Option<Value>,
    pub parent_session_id: Option<SessionId>,
    pub fork_at_message: Option<u64>,
    pub include_partial_messages: Option<bool>,
    pub max_retries: Option<u32>,
    pub retry_delay_ms: Option<u64>,
    pub timeout_seconds: Option<u32>,
    pub hooks_enabled: Option<Vec<String>>,
    pub permission_mode: Option<String>,
    pub custom_policies: Option<Vec<String>>,
    /// The most that the session may cost in all of its life.
    pub budget: Option<MicroUsd>,
    /// Text as a string, or content blocks as an array.
    pub initial_message: Option<Value>,
}

impl SessionDraft {
    /// The session, and the message it starts on. Makes its working directory. `further_faults` are what only a look
    /// into the store could find: names in the draft that lead nowhere.
    pub(crate) fn into_session(
        mut self,
        settings: &EngineSettings,
        user_id: UserId,
        now: Timestamp,
        further_faults: Vec<FieldError>,
    ) -> Result<(Session, Option<Value>)> {
        let id = self.id.unwrap_or_default();
        self.check(settings, user_id, further_faults)?;
        let directory =
            workdir::prepare(&settings.directories, user_id, id, self.working_directory.as_deref())?;
        Ok(self.in_directory(settings, user_id, id, now, directory))
    }

    /// Finds everything that is wrong, and spells directories out.
    pub(crate) fn check(
        &mut self,
        settings: &EngineSettings,
        user_id: UserId,
        further_faults: Vec<FieldError>,
    ) -> Result<()> {
        let mode = self.mode.unwrap_or(SessionMode::Interactive);
        let defaults = &settings.defaults;
        let permission_mode =
            self.permission_mode.clone().unwrap_or_else(|| defaults.permission_mode.clone());
        let mut faults = self.faults(mode, &permission_mode);
        faults.extend(further_faults);
        faults.extend(self.sdk_options.as_ref().and_then(|sdk| own_stand_in(sdk, &defaults.model)));
        let home = workdir::home(settings, user_id);
        let add_dirs = self.sdk_options.iter_mut().flat_map(|options| &mut options.add_dirs);
        for (index, dir) in add_dirs.enumerate() {
            let pointer = format!("/sdk_options/add_dirs/{index}");
            match workdir::check(&settings.directories, &home, dir, &pointer) {
                Ok(path) => *dir = path.display().to_string(),
                Err(Error::Invalid(more)) => faults.extend(more),
                Err(error) => return Err(error),
            }
        }
        if let Some(asked) = &self.working_directory
            && !faults.is_empty()
            && let Err(Error::Invalid(more)) =
                workdir::check(&settings.directories, &home, asked, "/working_directory")
        {
            faults.extend(more);
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }

    /// What is left out is as the parent has it, except where it works.
    pub(crate) fn inheriting(self, parent: &Session) -> Self {
        let spec = &parent.spec;
        let named = |name: &String| format!("{name} (fork)");
        // One of the two replaces what the other is added to.
        let appends = |options: &SdkOptions| options.append_system_prompt.is_some();
        let inherits_prompt = !self.sdk_options.as_ref().is_some_and(appends);
        let mut inherited = spec.sdk_options.clone();
        if self.system_prompt.is_some() {
            inherited.append_system_prompt = None;
        }
        Self {
            id: None,
            name: self.name.or_else(|| parent.name.as_ref().map(named)),
            description: self.description.or_else(|| parent.description.clone()),
            mode: None,
            allowed_tools: Some(self.allowed_tools.unwrap_or_else(|| spec.allowed_tools.clone())),
            system_prompt: self
                .system_prompt
                .or_else(|| spec.system_prompt.clone().filter(|_| inherits_prompt)),
            sdk_options: Some(self.sdk_options.unwrap_or(inherited)),
            metadata: self.metadata.or_else(|| Some(parent.metadata.clone())),
            parent_session_id: None,
            fork_at_message: None,
            include_partial_messages: self.include_partial_messages.or(Some(spec.include_partial_messages)),
            max_retries: self.max_retries.or(Some(spec.max_retries)),
            retry_delay_ms: self.retry_delay_ms.or(Some(spec.retry_delay_ms)),
            timeout_seconds: self.timeout_seconds.or(Some(spec.timeout_seconds)),
            hooks_enabled: Some(self.hooks_enabled.unwrap_or_else(|| spec.hooks_enabled.clone())),
            permission_mode: self.permission_mode.or_else(|| Some(spec.permission_mode.clone())),
            custom_policies: Some(self.custom_policies.unwrap_or_else(|| spec.custom_policies.clone())),
            // What a fork costs begins at zero, and so does what bounds it.
            budget: self.budget,
            ..self
        }
    }

    /// The session in this directory; what is left out gets its default.
    pub(crate) fn in_directory(
        self,
        settings: &EngineSettings,
        user_id: UserId,
        id: SessionId,
        now: Timestamp,
        directory: WorkingDirectory,
    ) -> (Session, Option<Value>) {
        let defaults = &settings.defaults;
        let mode = self.mode.unwrap_or(SessionMode::Interactive);
        let permission_mode = self.permission_mode.unwrap_or_else(|| defaults.permission_mode.clone());
        let retry_delay_ms = self
            .retry_delay_ms
            .unwrap_or_else(|| u64::try_from(defaults.retry_delay.as_millis()).unwrap_or(u64::MAX));
        let whereabouts = match directory.is_own {
            true => Whereabouts::at(settings.server.id),
            false => Whereabouts::default(),
        };
        let spec = SessionSpec {
            working_directory: directory.path.display().to_string(),
            owns_directory: directory.is_own,
            whereabouts,
            directory_source: None,
            allowed_tools: self.allowed_tools.unwrap_or_default(),
            system_prompt: self.system_prompt,
            sdk_options: self.sdk_options.unwrap_or_default(),
            include_partial_messages: self.include_partial_messages.unwrap_or_default(),
            max_retries: self.max_retries.unwrap_or(defaults.max_retries),
            retry_delay_ms,
            timeout_seconds: self.timeout_seconds.unwrap_or(defaults.timeout_seconds),
            hooks_enabled: self.hooks_enabled.unwrap_or_default(),
            permission_mode,
            custom_policies: self.custom_policies.unwrap_or_default(),
        };
        let session = Session {
            id,
            user_id,
            name: self.name,
            description: self.description,
            mode,
            status: SessionStatus::Created,
            spec,
            metadata: self.metadata.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            parent_session_id: None,
            fork_at_message: None,
            template_id: self.template_id,
            current_turn_id: None,
            operation: None,
            archive_id: None,
            server_id: Some(settings.server.id),
            generation: Generation::FIRST,
            agent: None,
            counters: Counters::default(),
            error_message: None,
            budget_paused_at: None,
            created_at: now,
            updated_at: now,
            started_at: None,
            completed_at: None,
        };
        (session, self.initial_message)
    }

    /// Everything that is wrong, at once. What this version does not enforce it refuses, because a rule that is
    /// accepted and not applied is worse than none.
    pub(crate) fn faults(&self, mode: SessionMode, permission_mode: &str) -> Vec<FieldError> {
        let mut faults = vec![];
        let mut fault =
            |pointer: &str, code, message: String| faults.push(FieldError::new(pointer, code, message));
        match mode {
            SessionMode::Forked if self.parent_session_id.is_none() => {
                fault("/parent_session_id", "required", "a fork needs a session to begin from".to_owned());
            }
            SessionMode::Background if self.initial_message.is_none() => {
                fault(
                    "/initial_message",
                    "required",
                    "a background session needs a message to work on".to_owned(),
                );
            }
            SessionMode::Background | SessionMode::Interactive | SessionMode::Forked => {}
        }
        if mode != SessionMode::Forked && self.parent_session_id.is_some() {
            fault("/parent_session_id", "unsupported", "is only for forked sessions".to_owned());
        }
        if mode != SessionMode::Forked && self.fork_at_message.is_some() {
            fault("/fork_at_message", "unsupported", "is only for forked sessions".to_owned());
        }
        if !PERMISSION_MODES.contains(&permission_mode) {
            fault("/permission_mode", "enum", format!("must be one of {}", PERMISSION_MODES.join(", ")));
        }
        let unset = SdkOptions::default();
        let sdk = self.sdk_options.as_ref().unwrap_or(&unset);
        if let Some(effort) = &sdk.effort
            && !EFFORTS.contains(&effort.as_str())
        {
            fault("/sdk_options/effort", "enum", format!("must be one of {}", EFFORTS.join(", ")));
        }
        if self.system_prompt.is_some() && sdk.append_system_prompt.is_some() {
            let message = "is added to the built-in prompt, which `system_prompt` replaces".to_owned();
            fault("/sdk_options/append_system_prompt", "conflict", message);
        }
        for name in sdk.env.keys().filter(|name| !may_set_env(name)) {
            fault(&format!("/sdk_options/env/{name}"), "forbidden", "may not be set for an agent".to_owned());
        }
        faults.extend(self.start_faults(sdk));
        faults
    }

    /// What no agent can be started with.
    fn start_faults(&self, sdk: &SdkOptions) -> Vec<FieldError> {
        let mut faults = start::environment("/sdk_options/env", &sdk.env);
        faults.extend(start::text("/system_prompt", self.system_prompt.as_deref()));
        let append = sdk.append_system_prompt.as_deref();
        faults.extend(start::text("/sdk_options/append_system_prompt", append));
        faults.extend(start::argument("/sdk_options/model", sdk.model.as_deref()));
        faults.extend(start::argument("/sdk_options/fallback_model", sdk.fallback_model.as_deref()));
        faults.extend(start::list("/allowed_tools", self.allowed_tools.as_deref().unwrap_or_default()));
        faults.extend(start::list("/sdk_options/disallowed_tools", &sdk.disallowed_tools));
        faults.extend(start::list("/sdk_options/tools", sdk.tools.as_deref().unwrap_or_default()));
        faults.extend(start::list("/sdk_options/betas", &sdk.betas));
        faults
    }
}

/// Says so when the model is among those that stand in for it: the CLI does not start with that.
fn own_stand_in(sdk: &SdkOptions, default_model: &str) -> Option<FieldError> {
    let model = sdk.model.as_deref().unwrap_or(default_model);
    let mut named = sdk.fallback_model.iter().flat_map(|list| list.split(','));
    let message = "the model cannot stand in for itself";
    named
        .any(|name| name.trim() == model)
        .then(|| FieldError::new("/sdk_options/fallback_model", "conflict", message))
}
