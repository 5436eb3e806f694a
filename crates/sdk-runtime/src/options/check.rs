//! Refusing options that contradict themselves or that no process can be given, before anything starts.

use std::path::Path;

use super::{
    AgentOptions, PermissionPrompts, SessionStart, Settings, Skills, SystemPrompt, Thinking, skills,
};
use crate::error::Error;

/// Flags this crate's side of the protocol depends on.
const RESERVED_FLAGS: [&str; 7] = [
    "output-format",
    "input-format",
    "verbose",
    "await-initialize",
    "await-claim",
    "initialize-fields",
    "managed-settings-in-initialize",
];
/// Flags that say which session; one of them contradicts another.
const SESSION_FLAGS: [&str; 6] =
    ["session-id", "resume", "continue", "fork-session", "resume-session-at", "resume-drops-turn"];

/// The first fault found, named by its field.
pub(super) fn check(options: &AgentOptions) -> Result<(), Error> {
    let faults = [
        nul(options),
        session(options),
        models(options),
        limits(options),
        prompt(options),
        permissions(options),
        settings(options),
        names(options),
        environment(options),
        extra_args(options),
        crate::hook::unreachable(&options.hooks),
    ];
    match faults.into_iter().flatten().next() {
        Some(fault) => Err(Error::InvalidOption { field: fault.0, why: fault.1 }),
        None => Ok(()),
    }
}

/// A field and what is wrong with it.
pub(crate) type Fault = (&'static str, String);

fn fault(field: &'static str, why: impl Into<String>) -> Option<Fault> {
    Some((field, why.into()))
}

fn fault_if(is_wrong: bool, field: &'static str, why: &str) -> Option<Fault> {
    is_wrong.then(|| (field, why.to_owned()))
}

fn nul(options: &AgentOptions) -> Option<Fault> {
    let has_nul = |text: &str| text.contains('\0');
    let is_bad_path = |path: &Path| path.as_os_str().as_encoded_bytes().contains(&0);
    let texts = [
        ("model", options.model.as_deref()),
        ("permission_mode", options.permission_mode.as_ref().map(|mode| mode.as_str())),
        ("permission_prompt_tool", options.permission_prompt_tool.as_deref()),
        ("main_agent", options.main_agent.as_deref()),
        ("effort", options.effort.as_ref().map(|effort| effort.as_str())),
        ("thinking", options.thinking.as_ref().and_then(Thinking::display).map(|shown| shown.as_str())),
        ("debug", options.debug.as_ref().and_then(|debug| debug.filter.as_deref())),
        ("host_marker", options.host_marker.as_deref()),
    ];
    let lists = [
        ("fallback_models", &options.fallback_models),
        ("allowed_tools", &options.allowed_tools),
        ("disallowed_tools", &options.disallowed_tools),
        ("tools", options.tools.as_ref().unwrap_or(&Vec::new())),
        ("betas", &options.betas),
    ]
    .map(|(field, list)| (field, list.iter().any(|text| has_nul(text))));
    let paths = [
        ("cli", Some(options.cli.as_path())),
        ("cwd", Some(options.cwd.as_path())),
        ("project_config_root", options.project_config_root.as_deref()),
        ("append_system_prompt_file", options.append_system_prompt_file.as_deref()),
        ("debug", options.debug.as_ref().and_then(|debug| debug.file.as_deref())),
        (
            "settings",
            match &options.settings {
                Some(Settings::File(path)) => Some(path),
                Some(Settings::Inline(_)) | None => None,
            },
        ),
        (
            "system_prompt",
            match &options.system_prompt {
                Some(SystemPrompt::File(path)) => Some(path),
                _ => None,
            },
        ),
        (
            "session",
            match &options.session {
                SessionStart::ResumeFile { path, .. } => Some(path),
                _ => None,
            },
        ),
    ];
    let add_dirs = options.add_dirs.iter().map(|dir| ("add_dirs", Some(dir.as_path())));
    let texts = texts.into_iter().filter(|(_, text)| text.is_some_and(has_nul)).map(|(field, _)| field);
    let lists = lists.into_iter().filter(|(_, is_bad)| *is_bad).map(|(field, _)| field);
    let paths = paths.into_iter().chain(add_dirs);
    let paths = paths.filter(|(_, path)| path.is_some_and(is_bad_path)).map(|(field, _)| field);
    let field = texts.chain(lists).chain(paths).next()?;
    fault(field, "it holds a NUL, which no process can be given")
}

fn session(options: &AgentOptions) -> Option<Fault> {
    let at = match &options.session {
        SessionStart::Resume { at, .. } | SessionStart::ResumeFile { at, .. } => *at,
        SessionStart::Unspecified | SessionStart::New { .. } | SessionStart::Continue { .. } => None,
    };
    let drops = fault_if(
        options.resume_drops_turn.is_some() && at.is_none(),
        "resume_drops_turn",
        "it needs a session that is resumed at a message",
    );
    let fork = match &options.session {
        SessionStart::Resume { id, fork: Some(fork), .. } => {
            fault_if(id == fork, "session", "a fork needs an id of its own")
        }
        _ => None,
    };
    drops.or(fork)
}

fn models(options: &AgentOptions) -> Option<Fault> {
    let is_empty = |name: &Option<String>| name.as_deref().is_some_and(|name| name.trim().is_empty());
    let fallback = &options.fallback_models;
    let same = options.model.as_ref().is_some_and(|model| fallback.contains(model));
    fault_if(is_empty(&options.model), "model", "a model needs a name; None leaves the choice to the CLI")
        .or_else(|| fault_if(same, "fallback_models", "the main model cannot stand in for itself"))
        .or_else(|| {
            let is_bad = fallback.iter().any(|name| name.trim().is_empty() || name.contains(','));
            fault_if(is_bad, "fallback_models", "each entry is the name of one model")
        })
}

fn limits(options: &AgentOptions) -> Option<Fault> {
    let budget = options.max_budget_usd;
    fault_if(
        budget.is_some_and(|budget| !budget.is_finite() || budget <= 0.0),
        "max_budget_usd",
        "a budget is more than nothing",
    )
    .or_else(|| {
        fault_if(options.task_budget_tokens == Some(0), "task_budget_tokens", "a budget is more than nothing")
    })
    .or_else(|| fault_if(options.max_turns == Some(0), "max_turns", "a turn takes at least one round"))
}

fn prompt(options: &AgentOptions) -> Option<Fault> {
    let is_own = !matches!(options.system_prompt, None | Some(SystemPrompt::ClaudeCode { .. }));
    let has_append = matches!(options.system_prompt, Some(SystemPrompt::ClaudeCode { append: Some(_) }));
    fault_if(
        options.exclude_dynamic_sections && is_own,
        "exclude_dynamic_sections",
        "a prompt of one's own has no such sections",
    )
    .or_else(|| {
        let is_twice = has_append && options.append_system_prompt_file.is_some();
        fault_if(
            is_twice,
            "append_system_prompt_file",
            "the text to append is given already, in system_prompt",
        )
    })
}

fn permissions(options: &AgentOptions) -> Option<Fault> {
    let asks_nobody = options.permission_prompts == PermissionPrompts::Nobody;
    let has_tool = options.permission_prompt_tool.is_some();
    let has_gate = options.gate.is_some();
    fault_if(asks_nobody && has_gate, "permission_prompts", "nobody is asked, but there is a gate")
        .or_else(|| {
            let why = "nobody is asked, but there is a permission_prompt_tool";
            fault_if(asks_nobody && has_tool, "permission_prompts", why)
        })
        .or_else(|| {
            let why = "either the tool or the gate is asked, not both";
            fault_if(has_gate && has_tool, "permission_prompt_tool", why)
        })
}

fn settings(options: &AgentOptions) -> Option<Fault> {
    let is_no_object = |value: Option<&serde_json::Value>| value.is_some_and(|value| !value.is_object());
    let inline = match &options.settings {
        Some(Settings::Inline(settings)) => Some(settings),
        Some(Settings::File(_)) | None => None,
    };
    let is_file = matches!(options.settings, Some(Settings::File(_)));
    fault_if(is_no_object(inline), "settings", "settings are a JSON object")
        .or_else(|| {
            fault_if(
                is_no_object(options.managed_settings.as_ref()),
                "managed_settings",
                "settings are a JSON object",
            )
        })
        .or_else(|| fault_if(is_no_object(options.sandbox.as_ref()), "sandbox", "settings are a JSON object"))
        .or_else(|| {
            let why = "it cannot be merged into a settings file: give the settings inline";
            fault_if(is_file && options.sandbox.is_some(), "sandbox", why)
        })
}

fn names(options: &AgentOptions) -> Option<Fault> {
    if let Some(Skills::Only(names)) = &options.skills
        && let Some(why) = names.iter().find_map(|name| skills::fault(name))
    {
        return fault("skills", why);
    }
    if options.agents.keys().any(|name| name.trim().is_empty()) {
        return fault("agents", "a subagent needs a name");
    }
    // Anything else would break every request to the API.
    let is_header = |app: &str| app.chars().all(|c| matches!(c, ' '..='~' | '\u{a0}'..='\u{ff}'));
    if options.client_app.as_deref().is_some_and(|app| !is_header(app)) {
        return fault("client_app", "it goes into an HTTP header and holds a character that cannot");
    }
    if options.dialogs.as_ref().is_some_and(|dialogs| dialogs.kinds.is_empty()) {
        return fault("dialogs", "without kinds the agent shows none");
    }
    None
}

fn environment(options: &AgentOptions) -> Option<Fault> {
    let is_bad = |(name, value): (&String, &String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    let name = options.env.iter().find(|entry| is_bad(*entry))?.0;
    fault("env", format!("{name:?} cannot be a variable: NUL nowhere, and no = in a name"))
}

fn extra_args(options: &AgentOptions) -> Option<Fault> {
    let has_session = options.session != SessionStart::Unspecified;
    options.extra_args.iter().find_map(|(flag, value)| {
        let is_name = !flag.is_empty()
            && !flag.starts_with('-')
            && flag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let flag_name = flag.as_str();
        if !is_name {
            fault("extra_args", format!("{flag:?} is no name of a flag"))
        } else if value.as_deref().is_some_and(|value| value.contains('\0')) {
            fault("extra_args", format!("the value of {flag} holds a NUL"))
        } else if RESERVED_FLAGS.contains(&flag_name) {
            fault("extra_args", format!("{flag} belongs to the protocol"))
        } else if has_session && SESSION_FLAGS.contains(&flag_name) {
            fault("extra_args", format!("{flag} contradicts the session option"))
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{
        gate::Decision,
        hook::HookRegistration,
        options::{Effort, PermissionMode, SystemPrompt},
    };

    fn refused(options: AgentOptions) -> (&'static str, String) {
        match options.check().unwrap_err() {
            Error::InvalidOption { field, why } => (field, why),
            error => panic!("{error}"),
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_the_name_of_its_field() {
        let new = AgentOptions::default;
        let id = Uuid::new_v4();
        let fork = SessionStart::Resume { id, at: None, fork: Some(id) };
        let nobody = PermissionPrompts::Nobody;
        let gate = |options: AgentOptions| options.with_gate_fn(|_| async { Ok(Decision::allow()) });
        let table = [
            ("resume_drops_turn", new().with_resume_drops_turn(id)),
            ("session", new().with_session(fork)),
            ("model", new().with_model(" ".to_owned())),
            ("model", new().with_model("a\0b".to_owned())),
            ("fallback_models", new().with_model("a".to_owned()).with_fallback_models(vec!["a".to_owned()])),
            ("fallback_models", new().with_fallback_models(vec!["a,b".to_owned()])),
            ("max_budget_usd", new().with_max_budget_usd(f64::NAN)),
            ("max_budget_usd", new().with_max_budget_usd(0.0)),
            ("task_budget_tokens", new().with_task_budget_tokens(0)),
            ("max_turns", new().with_max_turns(0)),
            ("permission_mode", new().with_permission_mode(PermissionMode::from("a\0"))),
            ("effort", new().with_effort(Effort::from("\0"))),
            ("allowed_tools", new().with_allowed_tools(vec!["ok".to_owned(), "\0".to_owned()])),
            ("add_dirs", new().with_add_dirs(vec!["/a".into(), "/b\0".into()])),
            ("cwd", new().with_cwd("/\0")),
            (
                "exclude_dynamic_sections",
                new().with_exclude_dynamic_sections(true).with_system_prompt(SystemPrompt::Empty),
            ),
            (
                "append_system_prompt_file",
                new()
                    .with_system_prompt(SystemPrompt::ClaudeCode { append: Some("a".to_owned()) })
                    .with_append_system_prompt_file(std::path::PathBuf::from("/a")),
            ),
            ("permission_prompts", gate(new()).with_permission_prompts(nobody)),
            (
                "permission_prompts",
                new().with_permission_prompts(nobody).with_permission_prompt_tool("t".to_owned()),
            ),
            ("permission_prompt_tool", gate(new()).with_permission_prompt_tool("mcp__a__b".to_owned())),
            ("settings", new().with_settings(Settings::Inline(json!([])))),
            ("managed_settings", new().with_managed_settings(json!("x"))),
            ("sandbox", new().with_sandbox(json!(true))),
            ("sandbox", new().with_settings(Settings::File("/s".into())).with_sandbox(json!({}))),
            ("skills", new().with_skills(Skills::Only(vec!["a),Bash".to_owned()]))),
            ("skills", new().with_skills(Skills::Only(vec!["*".to_owned()]))),
            ("client_app", new().with_client_app("app\r\nX-Evil: 1".to_owned())),
            ("env", new().with_env([("A=B".to_owned(), String::new())])),
            ("env", new().with_env([("A".to_owned(), "\0".to_owned())])),
            ("extra_args", new().with_extra_args(vec![("a b".to_owned(), None)])),
            (
                "extra_args",
                new().with_extra_args(vec![("output-format".to_owned(), Some("text".to_owned()))]),
            ),
            (
                "extra_args",
                new()
                    .with_session(SessionStart::New { id })
                    .with_extra_args(vec![("continue".to_owned(), None)]),
            ),
        ];
        for (field, options) in table {
            let (found, why) = refused(options);
            assert_eq!(found, field, "{why}");
        }
    }

    #[test]
    fn a_hook_that_could_never_be_called_is_refused() {
        let hook = |event: &str| HookRegistration::raw(event, |_| async { Ok(crate::HookOutput::proceed()) });
        let (field, why) = refused(AgentOptions::default().with_hook(hook("SessionEnd")));
        assert!(field == "hooks" && why.contains("SessionEnd"), "{why}");
        let startup = hook("SessionStart").with_matcher("startup");
        assert_eq!(refused(AgentOptions::default().with_hook(startup)).0, "hooks");
        let compact = hook("SessionStart").with_matcher("compact");
        let other = hook("BrandNew").with_timeout(Duration::from_secs(1));
        AgentOptions::default().with_hook(compact).with_hook(other).check().unwrap();
    }

    #[test]
    fn what_agrees_with_itself_is_taken() {
        let (id, at) = (Uuid::new_v4(), Some(Uuid::new_v4()));
        let session = SessionStart::Resume { id, at, fork: Some(Uuid::new_v4()) };
        let options = AgentOptions::default()
            .with_session(session)
            .with_resume_drops_turn(Uuid::new_v4())
            .with_client_app("my-app/1.0 (é)".to_owned())
            .with_skills(Skills::Only(vec!["plugin:pdf".to_owned()]))
            .with_gate(Some(crate::gate_fn(|_| async { Ok(Decision::allow()) })));
        options.check().unwrap();
        assert!(Arc::strong_count(options.gate.as_ref().unwrap()) == 1);
    }
}
