//! Refusing options that contradict themselves or that no process can be given, before anything starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    AgentOptions, PermissionPrompts, SessionStart, SettingSources, Settings, Skills, SystemPrompt, Thinking,
    skills,
};
use crate::{containment::Containment, error::Error, mcp};

/// Flags this crate's side of the protocol depends on.
const RESERVED_FLAGS: [&str; 11] = [
    "output-format",
    "input-format",
    "verbose",
    "await-initialize",
    "await-claim",
    "initialize-fields",
    "managed-settings-in-initialize",
    "session-mirror",
    "permission-prompts",
    "permission-prompt-tool",
    "no-session-persistence",
];
/// Fields of `initialize` that have to be what this crate says there.
const RESERVED_FIELDS: [&str; 5] =
    ["subtype", "hooks", "sdkMcpServers", "sdkMcpServerConfigs", "sdkMcpServerManifests"];
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
        containment(options),
        servers(options),
        store(options),
        extra_args(options),
        extra_initialize(options),
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

fn containment(options: &AgentOptions) -> Option<Fault> {
    let Containment { jail, user, .. } = &options.containment;
    let is_both = jail.is_some() && user.is_some();
    fault_if(is_both, "containment.user", "a jail's namespaces are made by the host's own user")
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
    let sources = match &options.setting_sources {
        SettingSources::Only(sources) => sources.as_slice(),
        SettingSources::None | SettingSources::CliDefault => &[],
    };
    let sources = sources.iter().map(|source| ("setting_sources", Some(source.as_str())));
    let add_dirs = options.add_dirs.iter().map(|dir| ("add_dirs", Some(dir.as_path())));
    let texts = texts
        .into_iter()
        .chain(sources)
        .filter(|(_, text)| text.is_some_and(has_nul))
        .map(|(field, _)| field);
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

/// MCP servers of all kinds.
fn servers(options: &AgentOptions) -> Option<Fault> {
    let untyped = match &options.mcp_servers {
        Some(serde_json::Value::Object(servers)) => Some(servers),
        Some(_) => return fault("mcp_servers", "servers are a JSON object of configurations by name"),
        None => None,
    };
    let names: BTreeSet<&str> = untyped
        .into_iter()
        .flat_map(|servers| servers.keys())
        .chain(options.mcp.keys())
        .map(String::as_str)
        .collect();
    if names.contains("") {
        return fault("mcp", "a server needs a name");
    }
    // Rules for the tools of one would hold for those of the other.
    let mut in_tools = BTreeMap::new();
    names.into_iter().find_map(|name| {
        let other = in_tools.insert(mcp::name_in_tools(name), name)?;
        fault("mcp", format!("the tools of {other:?} and {name:?} have the same names for the agent"))
    })
}

/// What goes together with a session store.
fn store(options: &AgentOptions) -> Option<Fault> {
    options.session_store.as_ref()?;
    fault_if(options.is_ephemeral, "session_store", "a session without a transcript has nothing to store")
        .or_else(|| {
            let why = "the copies stay on this machine, and a session store resumes on any";
            fault_if(options.file_checkpointing, "file_checkpointing", why)
        })
}

fn extra_initialize(options: &AgentOptions) -> Option<Fault> {
    let name = options.extra_initialize.keys().find(|name| RESERVED_FIELDS.contains(&name.as_str()))?;
    fault("extra_initialize", format!("{name} belongs to the protocol"))
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
    if options.plugins.iter().any(|plugin| plugin.path.to_str().is_none()) {
        return fault("plugins", "the path of a plugin is sent as text, which this one is not");
    }
    if options.output_schema.as_ref().is_some_and(|schema| !schema.is_object()) {
        return fault("output_schema", "a schema is a JSON object");
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
mod tests;
