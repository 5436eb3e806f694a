//! What an agent may use and reach: from the operator's settings to the options it is started with.

use crate::reporting::Reporting;
use domain::ModelEndpoint;
use sdk_runtime::{Containment, Jail, Network, Outside, ProcessLimits};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Size of the private `/tmp` in a sandbox. It is memory of the machine.
const TMP_BYTES_MAX: u64 = 512 << 20;

/// The CLI does not start with less: it maps more than it uses.
const PROCESS_MEMORY_BYTES_MIN: u64 = 2 << 30;

/// What has no gateway asks for no port.
const NO_PORT: u16 = 0;

/// Bounds of agents and the sandbox they run in.
#[derive(Debug, Clone, Default)]
pub struct ContainmentSettings {
    /// `None`: an agent sees and reaches what any process of the server's user does.
    pub sandbox: Option<SandboxSettings>,
    /// Memory of an agent and everything it starts.
    pub memory_bytes_max: Option<u64>,
    /// Processes of an agent, its own included.
    pub processes_max: Option<u32>,
    /// CPU time of a turn.
    pub turn_cpu_time_max: Option<Duration>,
    /// How much lower than the server's the priority of an agent and all it starts is (`nice`).
    pub niceness: u8,
    /// What the directories that a session can write hold together.
    pub disk_bytes_max: Option<u64>,
}

/// The sandbox of every agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxSettings {
    /// The program, or its name on `PATH`.
    pub bwrap: PathBuf,
    pub network: SandboxNetwork,
    /// What agents can read beside the system's programs and settings and what is theirs.
    pub readable: Vec<PathBuf>,
    /// What they never see, also where it lies in something they can read.
    pub masked: Vec<PathBuf>,
}

/// What can be reached from a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxNetwork {
    /// Whatever the server can reach.
    Open,
    /// The model, through the gateway, and nothing else.
    Gateway,
    /// Nothing, so no model answers.
    Off,
}

/// The endpoint has no port that could be reached from a sandbox.
#[derive(Debug, thiserror::Error)]
#[error("contain the agent, the gateway's address {0} names no port of this machine")]
pub struct NoPort(String);

impl ContainmentSettings {
    /// How an agent with this endpoint and this folder for temporary files is contained. The folder is the same inside
    /// and outside, so that what is judged by path is judged alike.
    pub(crate) fn of(
        &self,
        endpoint: &ModelEndpoint,
        temporary: &Path,
        reporting: Option<Reporting>,
    ) -> Result<Containment, NoPort> {
        let jail = match &self.sandbox {
            None => None,
            Some(sandbox) => {
                let port = endpoint.base_url.rsplit(':').next().and_then(|port| port.parse().ok());
                let port = port.ok_or_else(|| NoPort(endpoint.base_url.clone()))?;
                let mut jail = sandbox.jail(port).with_writable(vec![temporary.to_owned()]);
                if let Network::Gateway { also_as_port, .. } = &mut jail.network {
                    // What it reports cannot go through a socket file.
                    *also_as_port = reporting.is_some();
                }
                Some(jail)
            }
        };
        Ok(Containment::default().with_limits(self.limits()).with_jail(jail))
    }

    /// How the process of an MCP server is contained that is started without an agent: as in an agent's sandbox, and
    /// without the way to the model. It can write to this folder.
    pub(crate) fn of_mcp_server(&self, folder: &Path) -> Containment {
        let jail = self.sandbox.as_ref().map(|sandbox| {
            let mut jail = sandbox.jail(NO_PORT).with_writable(vec![folder.to_owned()]);
            if let Network::Gateway { .. } = jail.network {
                jail.network = Network::Off;
            }
            jail
        });
        Containment::default().with_limits(self.limits()).with_jail(jail)
    }

    fn limits(&self) -> ProcessLimits {
        ProcessLimits::default()
            .with_memory_bytes_max(self.memory_bytes_max)
            // One process that grows faster than anybody looks is bounded by the kernel.
            .with_process_memory_bytes_max(self.memory_bytes_max.map(|max| max.max(PROCESS_MEMORY_BYTES_MIN)))
            .with_processes_max(self.processes_max)
            .with_cpu_time_max(self.turn_cpu_time_max)
            .with_niceness(self.niceness)
            .with_file_bytes_max(self.disk_bytes_max)
    }
}

impl SandboxSettings {
    /// The jail of an agent whose gateway listens on this port.
    #[must_use]
    pub fn jail(&self, gateway_port: u16) -> Jail {
        Jail::default()
            .with_bwrap(self.bwrap.clone())
            .with_outside(Outside::Hidden)
            .with_network(match self.network {
                SandboxNetwork::Open => Network::Open,
                SandboxNetwork::Gateway => Network::Gateway { host_port: gateway_port, also_as_port: false },
                SandboxNetwork::Off => Network::Off,
            })
            .with_readable(self.readable.clone())
            .with_masked(self.masked.clone())
            .with_tmp_bytes_max(Some(TMP_BYTES_MAX))
    }
}

impl SandboxNetwork {
    /// The word for it in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Gateway => "gateway",
            Self::Off => "off",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(base_url: &str) -> ModelEndpoint {
        ModelEndpoint { base_url: base_url.to_owned(), token: "token".to_owned() }
    }

    #[test]
    fn a_sandbox_hides_what_is_outside_and_leads_to_the_gateways_port() {
        let sandbox = SandboxSettings {
            bwrap: "bwrap".into(),
            network: SandboxNetwork::Gateway,
            readable: vec!["/opt/tools".into()],
            masked: vec!["/var/lib/steward".into()],
        };
        let settings = ContainmentSettings { sandbox: Some(sandbox), ..ContainmentSettings::default() };
        let reporting = Reporting { traces: true, logs: true, content: false };
        let jail = settings
            .of(&endpoint("http://127.0.0.1:4711"), Path::new("/t"), Some(reporting))
            .unwrap()
            .jail
            .unwrap();
        assert_eq!(jail.outside, Outside::Hidden);
        assert_eq!(jail.network, Network::Gateway { host_port: 4711, also_as_port: true });
        assert_eq!(jail.writable, [Path::new("/t")]);
        assert!(
            settings.of(&endpoint("http://gateway"), Path::new("/t"), None).is_err(),
            "it is not started less contained"
        );
    }

    #[test]
    fn an_mcp_server_is_contained_as_its_agent_would_be() {
        let sandbox = SandboxSettings {
            bwrap: "bwrap".into(),
            network: SandboxNetwork::Gateway,
            readable: vec!["/opt/tools".into()],
            masked: vec!["/var/lib/steward".into()],
        };
        let settings = ContainmentSettings {
            sandbox: Some(sandbox),
            processes_max: Some(2),
            ..ContainmentSettings::default()
        };
        let containment = settings.of_mcp_server(Path::new("/t"));
        let jail = containment.jail.unwrap();
        assert_eq!((jail.outside, jail.network), (Outside::Hidden, Network::Off));
        assert_eq!(jail.writable, [Path::new("/t")]);
        assert_eq!(jail.masked, [Path::new("/var/lib/steward")]);
        assert_eq!(containment.limits.processes_max, Some(2));
        assert!(ContainmentSettings::default().of_mcp_server(Path::new("/t")).jail.is_none());
    }

    #[test]
    fn limits_hold_without_a_sandbox() {
        let settings = ContainmentSettings {
            memory_bytes_max: Some(1),
            processes_max: Some(2),
            turn_cpu_time_max: Some(Duration::from_secs(3)),
            niceness: 5,
            disk_bytes_max: Some(4),
            ..ContainmentSettings::default()
        };
        let containment = settings.of(&endpoint("http://gateway"), Path::new("/t"), None).unwrap();
        assert!(containment.jail.is_none());
        let limits = containment.limits;
        assert_eq!(
            (limits.memory_bytes_max, limits.process_memory_bytes_max),
            (Some(1), Some(PROCESS_MEMORY_BYTES_MIN))
        );
        assert_eq!((limits.processes_max, limits.file_bytes_max), (Some(2), Some(4)));
        assert_eq!((limits.cpu_time_max, limits.niceness), (Some(Duration::from_secs(3)), 5));
    }
}
