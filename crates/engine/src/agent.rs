//! From a session to the options its agent is started with.

use crate::{
    Error,
    containment::NoPort,
    governance::{Governance, Governed, only_listed},
    settings::EngineSettings,
    workdir,
};
use domain::{ModelEndpoint, Session, SessionId, UserId, session::AgentConversation};
use sdk_runtime::{
    AgentDefinition, AgentOptions, Effort, PermissionMode, SessionStart, SystemPrompt, sessions::SessionError,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use trees::remove_tree;
use uuid::Uuid;

/// How a turn's attempt takes the conversation up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeUp {
    /// Where it was left.
    Continue,
    /// As it was before this turn: an earlier attempt may have left something behind.
    Rewind,
}

/// The conversation an attempt runs in, and the options to start its agent with.
pub struct Launch {
    pub conversation: AgentConversation,
    pub options: AgentOptions,
    pub governed: Governed,
}

/// Why an agent is not even started.
#[derive(Debug, thiserror::Error)]
pub enum NotPrepared {
    /// Somebody put something else in the place of a directory, or the operator's rules changed.
    #[error("start the agent: {0}")]
    DirectoryRefused(String),
    /// The conversation cannot be continued.
    #[error("continue the conversation: its transcript is lost, and a new session is needed")]
    TranscriptLost,
    /// It cannot be said what was said in it.
    #[error(transparent)]
    TranscriptUnreadable(#[from] SessionError),
    /// A hook the session relies on is not to be had.
    #[error(transparent)]
    Hooks(#[from] hooks::HooksError),
    /// An MCP server that the session names is not to be had.
    #[error("start the agent: the MCP server `{name}` {why}")]
    McpServer { name: String, why: String },
    #[error(transparent)]
    NotContained(#[from] NoPort),
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Works out how to start the agent of a session, of whose conversation there is a transcript or none. Makes the
/// directories it needs.
pub fn prepare(
    settings: &EngineSettings,
    governance: &Governance,
    session: &Session,
    endpoint: &ModelEndpoint,
    take_up: TakeUp,
    has_transcript: bool,
) -> Result<Launch, NotPrepared> {
    // Checked when the session was made, but its agents have worked in there since.
    check_directories(settings, session)?;
    let directories = Directories::of(settings, session);
    directories.make()?;
    // A sandbox shows what is there and cannot be added to later.
    for dir in &session.spec.sdk_options.add_dirs {
        make(dir.as_ref())?;
    }
    let (conversation, start) = conversation(session, take_up, has_transcript)?;
    let spec = &session.spec;
    let sdk = &spec.sdk_options;
    let agents = sdk.agents.iter();
    let agents = agents.map(|(name, agent)| (name.clone(), AgentDefinition::from(agent.clone())));
    let mut options = AgentOptions::default()
        .with_cli(settings.agent.cli.clone().unwrap_or_default())
        .with_cwd(PathBuf::from(&spec.working_directory))
        .with_containment(settings.containment.of(
            endpoint,
            &directories.temporary,
            settings.agent.reporting,
        )?)
        .with_host_marker(Some(settings.agent.host_marker.clone()))
        .with_session(start)
        .with_env(environment(settings, session, endpoint, &directories))
        .with_model(Some(sdk.model.clone().unwrap_or_else(|| settings.defaults.model.clone())))
        .with_system_prompt(Some(match &spec.system_prompt {
            Some(text) => SystemPrompt::Text(text.clone()),
            None => SystemPrompt::ClaudeCode { append: sdk.append_system_prompt.clone() },
        }))
        .with_allowed_tools(spec.allowed_tools.clone())
        .with_disallowed_tools(sdk.disallowed_tools.clone())
        .with_tools(sdk.tools.clone())
        .with_permission_mode(permission_mode(settings, session))
        .with_max_turns(sdk.max_turns)
        .with_add_dirs(sdk.add_dirs.iter().map(PathBuf::from).collect::<Vec<_>>())
        .with_agents(agents.collect::<BTreeMap<_, _>>())
        .with_partial_messages(spec.include_partial_messages)
        .with_effort(sdk.effort.as_deref().map(Effort::from))
        .with_betas(sdk.betas.clone());
    // A list in one string, as the CLI itself takes it. Its model may have become one of them since.
    let named = sdk.fallback_model.iter().flat_map(|list| list.split(',')).map(str::trim);
    options.fallback_models =
        named.filter(|name| options.model.as_deref() != Some(*name)).map(str::to_owned).collect();
    let governed = governance.of(settings, session, &directories);
    Ok(Launch { conversation, options, governed })
}

/// The mode the agent works in. Where only what was named may run, no mode allows more.
fn permission_mode(settings: &EngineSettings, session: &Session) -> PermissionMode {
    if only_listed(settings, session) {
        return PermissionMode::DontAsk;
    }
    PermissionMode::from(session.spec.permission_mode.as_str())
}

fn check_directories(settings: &EngineSettings, session: &Session) -> Result<(), NotPrepared> {
    let home = workdir::home(settings, session.user_id);
    let spec = &session.spec;
    let further = spec.sdk_options.add_dirs.iter().enumerate();
    let named = further.map(|(index, dir)| (format!("sdk_options/add_dirs/{index}"), dir));
    let all = std::iter::once(("the working directory".to_owned(), &spec.working_directory)).chain(named);
    for (name, dir) in all {
        match workdir::check(&settings.directories, &home, dir, "") {
            Ok(_) => {}
            Err(Error::Invalid(faults)) => {
                let why: Vec<_> = faults.into_iter().map(|fault| fault.message).collect();
                let why = format!("{name} is not allowed any more: {}", why.join(", "));
                return Err(NotPrepared::DirectoryRefused(why));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The directories an agent needs besides its working directory.
pub struct Directories {
    pub config: PathBuf,
    pub temporary: PathBuf,
    own: Option<PathBuf>,
}

impl Directories {
    /// Of this session.
    pub fn of(settings: &EngineSettings, session: &Session) -> Self {
        let all = Self::all_of(settings, session.id, session.user_id);
        Self { own: all.own.filter(|_| session.spec.owns_directory), ..all }
    }

    /// All that a session may have, whatever it was like: each is named after it.
    pub fn all_of(settings: &EngineSettings, session: SessionId, user: UserId) -> Self {
        let id = session.to_string();
        Self {
            config: settings.directories.agents.join(&id),
            temporary: settings.directories.temporary.join(short(&id)),
            own: Some(workdir::own(&settings.directories, user, session)),
        }
    }

    /// Where the CLI keeps its transcripts.
    pub fn transcripts(&self) -> PathBuf {
        self.config.join("projects")
    }

    fn make(&self) -> Result<(), Error> {
        let all = [Some(&self.config), Some(&self.temporary), self.own.as_ref()];
        all.into_iter().flatten().try_for_each(|path| make(path))
    }

    /// Removes everything the session has on disk, except a working directory that was there before it.
    pub fn remove(&self) -> Result<(), Error> {
        let own = self.own.as_deref().map(workdir::all_own).transpose().map_err(not_removed)?;
        let all = [self.config.clone(), self.temporary.clone()].into_iter().chain(own.unwrap_or_default());
        // One that cannot be removed keeps no other.
        let removed: Vec<_> = all.map(|path| remove_tree(&path)).collect();
        removed.into_iter().collect::<std::io::Result<()>>().map_err(not_removed)
    }
}

fn not_removed(source: std::io::Error) -> Error {
    Error::Files { action: "remove the session's directories", source }
}

fn make(directory: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(directory)
        .map_err(|source| Error::Files { action: "create the agent's directories", source })
}

/// The random end of a UUIDv7, which is enough to tell sessions apart in a path that must be short.
fn short(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}

fn conversation(
    session: &Session,
    take_up: TakeUp,
    has_transcript: bool,
) -> Result<(AgentConversation, SessionStart), NotPrepared> {
    let known = session.agent.unwrap_or(AgentConversation { id: session.id.0, last_entry: None });
    let begin = |id| (AgentConversation { id, last_entry: None }, SessionStart::New { id });
    Ok(match (take_up, has_transcript, known.last_entry) {
        (TakeUp::Continue, true, _) => (known, SessionStart::Resume { id: known.id, at: None, fork: None }),
        (TakeUp::Rewind, true, Some(entry)) => {
            (known, SessionStart::Resume { id: known.id, at: Some(entry), fork: None })
        }
        // Nothing was ever said in it: a fresh conversation is the same one, under an id that is surely free.
        (TakeUp::Rewind, true, None) => begin(Uuid::new_v4()),
        (_, false, None) => begin(known.id),
        (_, false, Some(_)) => return Err(NotPrepared::TranscriptLost),
    })
}

fn environment(
    settings: &EngineSettings,
    session: &Session,
    endpoint: &ModelEndpoint,
    directories: &Directories,
) -> std::collections::BTreeMap<String, String> {
    let path = |path: &PathBuf| path.display().to_string();
    // Without it the CLI would not bypass permissions for root, who owns nothing but the sandbox there.
    let is_sandbox =
        settings.containment.sandbox.is_some().then(|| ("IS_SANDBOX".to_owned(), "1".to_owned()));
    let mut env = settings.agent.env.clone();
    env.extend(session.spec.sdk_options.env.clone());
    env.extend(
        [
            ("ANTHROPIC_BASE_URL", endpoint.base_url.clone()),
            ("ANTHROPIC_API_KEY", endpoint.token.clone()),
            ("CLAUDE_CONFIG_DIR", path(&directories.config)),
            ("HOME", path(&directories.config)),
            ("TMPDIR", path(&directories.temporary)),
            // Requests to the model are retried by the agent itself, which alone knows that a retry is safe.
            ("CLAUDE_CODE_MAX_RETRIES", session.spec.max_retries.to_string()),
            // A turn is over when its work is: subagents run inside it, where they are governed and accounted for.
            ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1".to_owned()),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
            ("DISABLE_AUTOUPDATER", "1".to_owned()),
            ("CLAUDE_CODE_ENTRYPOINT", "sdk-rust".to_owned()),
            ("CLAUDE_AGENT_SDK_CLIENT_APP", concat!("steward/", env!("CARGO_PKG_VERSION")).to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    env.extend(is_sandbox);
    if let Some(reporting) = settings.agent.reporting {
        reporting.into_env(endpoint, &mut env);
    }
    env
}
