//! What the operator decided about sessions and agents.

use crate::{containment::ContainmentSettings, reporting::Reporting};
use domain::{Compression, ServerId};
use hooks::{
    SessionHook, Switches,
    webhook::{Client, Outbound, SecretSealer},
};
use jiff::SignedDuration;
use mcp::Keyring;
use permissions::{Policy, PolicySettings};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// Settings of the engine, already checked.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    pub server: ServerSettings,
    pub agent: AgentSettings,
    pub directories: DirectorySettings,
    pub defaults: SessionDefaults,
    pub limits: LimitSettings,
    pub governance: GovernanceSettings,
    pub containment: ContainmentSettings,
    pub hooks: HookSettings,
    pub mcp: McpSettings,
    pub archives: ArchiveSettings,
    pub snapshots: SnapshotSettings,
}

/// How sessions are archived.
#[derive(Debug, Clone, Default)]
pub struct ArchiveSettings {
    /// Unless a request says otherwise.
    pub compression: Compression,
    /// What the names of objects in S3 begin with.
    pub s3_prefix: String,
    /// Patterns as in a `.gitignore`: what of a working directory is left out.
    pub excludes: Vec<String>,
    /// Larger files are left out; `None` leaves none out.
    pub file_bytes_max: Option<u64>,
    /// Whether what a session has on disk is removed once its archive is stored and was read back.
    pub auto_cleanup: bool,
    /// How long archives are kept; `None` keeps them for ever.
    pub retention: Option<SignedDuration>,
    /// Sessions in which nothing happened for this long are archived; `None` archives none.
    pub auto_archive_after: Option<SignedDuration>,
    /// How much all archives on the local disk may take; `None` is as much as there is room for.
    pub local_bytes_max: Option<u64>,
}

/// How often sessions' figures are kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotSettings {
    pub interval: Duration,
    /// `None` keeps them as long as their sessions.
    pub retention: Option<SignedDuration>,
}

impl Default for SnapshotSettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60), retention: Some(SignedDuration::from_hours(30 * 24)) }
    }
}

/// Which server this is, among those that share a store.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The same in all lives of a server on one data folder.
    pub id: ServerId,
    /// How long others wait for a server that is not heard of, before they take its sessions over.
    pub lease: Duration,
    /// Where the lease is renewed. With threads of its own it is kept however long everything else waits for a processor.
    pub lease_runtime: Handle,
}

/// How agents are started.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// The CLI, or a sentence that says why there is none and what to do.
    pub cli: Result<PathBuf, String>,
    /// Environment every agent gets, such as PATH; nothing else of the server's environment reaches it.
    pub env: BTreeMap<String, String>,
    /// Marks this server's agents, so that its next life finds what this one left behind.
    pub host_marker: String,
    /// What they report about themselves; `None`: nothing.
    pub reporting: Option<Reporting>,
}

/// Where sessions keep their files.
#[derive(Debug, Clone)]
pub struct DirectorySettings {
    /// Each user's own folder is in here, by id, and in it their sessions' working directories.
    pub workspaces: PathBuf,
    /// Further directories under which any user may place a session.
    pub shared_roots: Vec<PathBuf>,
    /// Each session's CLI configuration and transcript, by session id.
    pub agents: PathBuf,
    /// Each session's temporary files; a short path, because Unix sockets are made in it.
    pub temporary: PathBuf,
}

/// What a create request leaves out.
#[derive(Debug, Clone)]
pub struct SessionDefaults {
    pub model: String,
    pub permission_mode: String,
    pub max_retries: u32,
    pub retry_delay: Duration,
    pub timeout_seconds: u32,
}

/// How much of everything there may be.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    pub interactive_agents_max: usize,
    pub background_agents_max: usize,
    /// An agent without a prompt for this long is closed; the next prompt starts it again.
    pub idle_timeout: Duration,
    /// Prompts that may wait in one session behind its turn.
    pub queue_max: u32,
    /// Sessions of one kind that may wait for a slot.
    pub slot_queue_max: u32,
}

/// What agents may do.
#[derive(Debug, Clone, Default)]
pub struct GovernanceSettings {
    pub approvals: ApprovalSettings,
    pub policies: PolicySettings,
    /// Policies of whoever embeds the engine, asked after the built-in ones.
    pub further_policies: Vec<Arc<dyn Policy>>,
    pub policy_choice: PolicyChoice,
    pub self_test: SelfTestSetting,
}

/// Whether sessions may choose custom policies. Mandatory ones judge in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PolicyChoice {
    #[default]
    Open,
    Closed,
}

/// Whether the CLI is tried before it is trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SelfTestSetting {
    /// Once for each CLI, before the first agent is handed a prompt.
    #[default]
    Run,
    /// For agents that are no CLI, such as those of tests.
    Skip,
}

/// Which hooks there are, and how endpoints are called.
#[derive(Debug, Clone)]
pub struct HookSettings {
    pub switches: Switches,
    /// Hooks of whoever embeds the engine. Sessions name in `hooks_enabled` those that are not for all of them.
    pub own: Vec<SessionHook>,
    /// Calls endpoints, and signs for them.
    pub client: Client,
}

impl HookSettings {
    /// All built-in hooks; the secrets of endpoints are sealed with the server's key. Endpoints must be public, unless
    /// private addresses are allowed.
    pub fn new(
        server_key: &[u8],
        allows_private_addresses: bool,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let sealer = Arc::new(SecretSealer::new(server_key)?);
        let client = Client::new(sealer, allows_private_addresses)?;
        Ok(Self { switches: Switches::default(), own: vec![], client })
    }
}

/// How the MCP servers that people register are kept and reached.
#[derive(Debug, Clone)]
pub struct McpSettings {
    /// What their secrets are sealed with.
    pub keyring: Arc<Keyring>,
    /// The way to those that are not processes.
    pub outbound: Outbound,
}

impl McpSettings {
    /// With these keys; servers must have public addresses, unless private ones are allowed.
    pub fn new(
        keyring: Keyring,
        allows_private_addresses: bool,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self { keyring: Arc::new(keyring), outbound: Outbound::new(allows_private_addresses)? })
    }
}

/// How people are asked.
#[derive(Debug, Clone, Copy)]
pub struct ApprovalSettings {
    /// How long a person has to answer, unless a policy says otherwise.
    pub timeout: Duration,
    pub background: BackgroundApprovals,
}

/// What becomes of a question in a session that works in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackgroundApprovals {
    /// A person is waited for as in any other session.
    Wait,
    /// It is denied at once.
    Deny,
    /// The same, and no tool runs that the session's `allowed_tools` do not name, whatever its permission mode.
    AllowList,
}

impl Default for ApprovalSettings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(300), background: BackgroundApprovals::Deny }
    }
}
