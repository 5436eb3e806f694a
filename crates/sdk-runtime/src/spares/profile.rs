//! The line between what a spare is started with and what a claim sets. It is drawn on what goes over to
//! the CLI, arguments and bodies, so that no option can be forgotten: what is not known to be claimable is
//! part of the profile.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    containment::Containment,
    invocation::{Confirmations, initialize_body, invocation, to_confirm},
    launcher::Invocation,
    limits::Limits,
    mcp::McpServerConfig,
    options::{AgentOptions, EnvMode, SessionStart},
    seams::Seams,
};

/// Variables the CLI takes at a claim.
const CLAIMABLE_ENV: [&str; 3] =
    ["CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_SESSION_ACCESS_TOKEN", "CLAUDE_CODE_HOST_SESSION_ID"];
/// Fields of `initialize` and what a claim calls them.
const CLAIMABLE_BODY: [(&str, &str); 3] =
    [("agents", "agents"), ("appendSystemPrompt", "append_system_prompt"), ("title", "title")];
/// Flags that choose a conversation.
const SESSION_FLAGS: [&str; 6] = [
    "--session-id",
    "--resume",
    "--resume-session-at",
    "--resume-drops-turn",
    "--continue",
    "--fork-session",
];

/// What a spare is started with. Two options with equal profiles can be served by the same spare.
#[derive(Clone, PartialEq)]
pub(super) struct Profile {
    program: std::path::PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<String, String>,
    env_mode: EnvMode,
    host_marker: Option<String>,
    limits: Limits,
    containment: Containment,
    body: Value,
    to_confirm: Confirmations,
}

/// What a claim asks of a spare.
pub(super) struct Request {
    /// Body of `claim_session`.
    pub(super) body: Value,
    /// Body of the `initialize` an agent would have had that was started for this.
    pub(super) initialize: Value,
    /// Who answers from then on.
    pub(super) seams: Seams,
}

/// Options, taken apart.
pub(super) enum Split {
    /// A spare can become that.
    Claimable { profile: Box<Profile>, request: Box<Request> },
    /// It cannot, because of this.
    Cold(&'static str),
}

/// Takes options apart. `parking` is where spares wait.
pub(super) fn split(options: &AgentOptions, parking: &Path) -> Split {
    if options.session != SessionStart::Unspecified {
        return Split::Cold("the session is given");
    }
    if options.containment.jail.is_some() {
        return Split::Cold("a jail depends on the working directory");
    }
    if options.mcp.values().any(McpServerConfig::is_in_process) {
        return Split::Cold("an MCP server inside this process is greeted at the start");
    }
    if options.session_store.is_some() {
        return Split::Cold("the session is mirrored from its start");
    }
    if options.trace_context.is_some() {
        return Split::Cold("the trace context is in the environment");
    }
    // Without a rest pattern, so that a new field has to be put on one side of the line.
    let Invocation {
        program,
        args,
        mut env,
        env_mode,
        cwd,
        agent_marker: _,
        host_marker,
        limits,
        add_dirs: _,
        containment,
        on_stderr,
    } = invocation(options);
    if on_stderr.is_some() {
        return Split::Cold("who hears stderr is settled at the start");
    }
    let Some(cwd) = claimable(&cwd).map(str::to_owned) else {
        return Split::Cold("the working directory is relative, or no text");
    };
    if !options.add_dirs.iter().all(|dir| claimable(dir).is_some()) {
        return Split::Cold("a further directory is relative, or no text");
    }
    if Path::new(&cwd) == parking {
        return Split::Cold("the working directory is where spares wait");
    }
    let mut claim = Map::new();
    let Some(args) = take_args(args, &mut claim) else {
        return Split::Cold("the session is given");
    };
    let claimed_env: Map<String, Value> =
        CLAIMABLE_ENV.into_iter().filter_map(|key| Some((key.to_owned(), env.remove(key)?.into()))).collect();
    if !claimed_env.is_empty() {
        claim.insert("env".into(), claimed_env.into());
    }
    let initialize = initialize_body(options);
    let mut body = initialize.clone();
    body["hooks"] = Value::Null;
    if let Value::Object(body) = &mut body {
        for (here, there) in CLAIMABLE_BODY {
            if let Some(value) = body.remove(here) {
                claim.insert(there.into(), value);
            }
        }
    }
    claim.insert("cwd".into(), cwd.into());
    claim.insert("include_initialize".into(), true.into());
    let to_confirm = to_confirm(options);
    let profile =
        Profile { program, args, env, env_mode, host_marker, limits, containment, body, to_confirm };
    let request = Request { body: claim.into(), initialize, seams: Seams::of(options) };
    Split::Claimable { profile: Box::new(profile), request: Box::new(request) }
}

/// A path as a claim carries it: as text, and not to be looked up from where the spare waits.
fn claimable(path: &Path) -> Option<&str> {
    path.to_str().filter(|_| path.is_absolute())
}

/// Takes what a claim sets out of the arguments; `None` when they choose a conversation.
fn take_args(args: Vec<OsString>, claim: &mut Map<String, Value>) -> Option<Vec<OsString>> {
    let mut left = Vec::with_capacity(args.len());
    let mut add_dirs = Vec::new();
    for arg in args {
        let text = arg.to_str();
        let (flag, value) = text.map_or(("", None), |text| match text.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (text, None),
        });
        match (flag, value) {
            (flag, _) if SESSION_FLAGS.contains(&flag) => return None,
            ("--permission-mode", Some(mode)) => {
                claim.insert("permission_mode".into(), mode.into());
            }
            ("--add-dir", Some(dir)) => add_dirs.push(json!(dir)),
            _ => left.push(arg),
        }
    }
    if !add_dirs.is_empty() {
        claim.insert("additional_directories".into(), add_dirs.into());
    }
    Some(left)
}

impl Profile {
    /// What to start for it.
    pub(super) fn invocation(&self, parking: &Path) -> Invocation {
        let mut args = self.args.clone();
        args.push("--await-claim".into());
        Invocation {
            program: self.program.clone(),
            args,
            env: self.env.clone(),
            env_mode: self.env_mode,
            cwd: parking.to_owned(),
            agent_marker: Uuid::new_v4(),
            host_marker: self.host_marker.clone(),
            limits: self.limits.clone(),
            add_dirs: Vec::new(),
            containment: self.containment.clone(),
            on_stderr: None,
        }
    }

    /// The body of its `initialize`: without hooks, which come with the claim.
    pub(super) fn initialize_body(&self) -> Value {
        self.body.clone()
    }

    /// What its answer must confirm.
    pub(super) fn to_confirm(&self) -> Confirmations {
        self.to_confirm.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{AgentDefinition, PermissionMode};

    fn profile_of(options: &AgentOptions) -> Option<(Profile, Value)> {
        match split(options, Path::new("/parking")) {
            Split::Claimable { profile, request } => Some((*profile, request.body)),
            Split::Cold(_) => None,
        }
    }

    #[test]
    fn what_a_claim_sets_is_not_part_of_the_profile_and_everything_else_is() {
        let base = AgentOptions::default().with_cwd("/a").with_model(Some("m".to_owned()));
        let (profile, _) = profile_of(&base).unwrap();
        let env = |key: &str| BTreeMap::from([(key.to_owned(), "v".to_owned())]);
        let same = [
            base.clone().with_cwd("/b"),
            base.clone().with_permission_mode(PermissionMode::Plan),
            base.clone().with_add_dirs(vec!["/x".into()]),
            base.clone().with_env(env("CLAUDE_CODE_OAUTH_TOKEN")),
            base.clone().with_agents(BTreeMap::from([("a".to_owned(), AgentDefinition::new("d", "p"))])),
        ];
        for options in &same {
            assert!(profile_of(options).unwrap().0 == profile, "{options:?}");
        }
        let other = [
            base.clone().with_model(Some("n".to_owned())),
            base.clone().with_env(env("ANTHROPIC_API_KEY")),
            base.clone().with_allowed_tools(vec!["Bash".to_owned()]),
            base.clone().with_host_marker(Some("h".to_owned())),
            base.clone().with_extra_args(vec![("debug".to_owned(), None)]),
            base.clone().with_extra_initialize(BTreeMap::from([("skills".to_owned(), json!([]))])),
            base.clone().with_inherit_env(EnvMode::Merge),
        ];
        for options in &other {
            assert!(profile_of(options).unwrap().0 != profile, "{options:?}");
        }
    }

    #[test]
    fn a_conversation_that_is_chosen_is_never_a_spares() {
        let base = AgentOptions::default().with_cwd("/a");
        let id = Uuid::new_v4();
        assert!(profile_of(&base).is_some());
        assert!(profile_of(&base.clone().with_session(SessionStart::New { id })).is_none());
        for flag in ["resume", "continue", "session-id"] {
            let options = base.clone().with_extra_args(vec![(flag.to_owned(), Some("x".to_owned()))]);
            assert!(profile_of(&options).is_none(), "{flag}");
        }
    }

    #[test]
    fn a_path_that_a_claim_would_change_is_never_a_spares() {
        let base = AgentOptions::default().with_cwd("/a");
        let no_text = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"/srv/\xff");
        for options in [
            base.clone().with_cwd("project"),
            base.clone().with_cwd(""),
            base.clone().with_cwd(no_text),
            base.clone().with_add_dirs(vec!["../other".into()]),
            base.clone().with_add_dirs(vec![no_text.into()]),
        ] {
            assert!(profile_of(&options).is_none(), "{options:?}");
        }
    }

    #[test]
    fn a_claim_carries_what_the_options_say() {
        let options = AgentOptions::default()
            .with_cwd("/b")
            .with_permission_mode(PermissionMode::Plan)
            .with_add_dirs(vec!["/x".into(), "/y".into()])
            .with_env(BTreeMap::from([("CLAUDE_CODE_OAUTH_TOKEN".to_owned(), "t".to_owned())]));
        let (_, claim) = profile_of(&options).unwrap();
        assert_eq!(claim["cwd"], "/b");
        assert_eq!(claim["permission_mode"], "plan");
        assert_eq!(claim["additional_directories"], json!(["/x", "/y"]));
        assert_eq!(claim["env"]["CLAUDE_CODE_OAUTH_TOKEN"], "t");
    }
}
