//! Settings of what agents may use, see and reach.

use std::{path::PathBuf, time::Duration};

use engine::SandboxNetwork;

use super::{
    parse::{absolute_paths, list, number},
    reader::Reader,
};

const BYTES_PER_MB: u64 = 1024 * 1024;

/// What agents may use, see and reach.
#[derive(Debug, Clone)]
pub struct ContainmentConfig {
    /// `None`: a sandbox where one can be had.
    pub sandbox: Option<Sandbox>,
    pub network: SandboxNetwork,
    /// Absolute places that agents in a sandbox can read beside the system's.
    pub readable: Vec<PathBuf>,
    /// Memory of an agent and all it starts; `None` for no bound, as with the others.
    pub memory_bytes_max: Option<u64>,
    pub processes_max: Option<u32>,
    /// CPU time of a turn.
    pub turn_cpu_time_max: Option<Duration>,
    pub niceness: u8,
    /// What the directories that a session can write hold together.
    pub disk_bytes_max: Option<u64>,
}

/// A sandbox that must be had, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    Off,
    Bubblewrap,
}

impl ContainmentConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let sandbox = reader.option("SANDBOX", |text| match text {
            "off" => Ok(Sandbox::Off),
            "bwrap" => Ok(Sandbox::Bubblewrap),
            _ => Err("bwrap or off".to_owned()),
        });
        let network = reader.value("SANDBOX_NETWORK", "gateway", |text| {
            let all = [SandboxNetwork::Open, SandboxNetwork::Gateway, SandboxNetwork::Off];
            let named = all.into_iter().find(|network| network.as_str() == text);
            named.ok_or_else(|| "open, gateway or off".to_owned())
        });
        let readable = reader.option("SANDBOX_READABLE", |text| absolute_paths(&list(text)));
        let memory_mb = reader.value("SANDBOX_MEMORY_MB", "4096", number(0..=1_048_576_u64));
        let processes = reader.value("SANDBOX_PROCESSES_MAX", "512", number(0..=100_000_u32));
        let cpu_seconds = reader.value("SANDBOX_CPU_SECONDS", "3600", number(0..=10_000_000_u64));
        let niceness = reader.value("SANDBOX_NICENESS", "5", number(0..=19_u8));
        let disk_mb = reader.value("MAX_WORKING_DIR_SIZE_MB", "1024", number(0..=16_777_216_u64));
        let bytes = |mb: u64| bound(mb).map(|mb| mb * BYTES_PER_MB);
        Some(Self {
            sandbox: sandbox?,
            network: network?,
            readable: readable?.unwrap_or_default(),
            memory_bytes_max: bytes(memory_mb?),
            processes_max: bound(processes?),
            turn_cpu_time_max: bound(cpu_seconds?).map(Duration::from_secs),
            niceness: niceness?,
            disk_bytes_max: bytes(disk_mb?),
        })
    }
}

/// Nothing may be used of what is bounded by 0, so that is free to mean no bound.
fn bound<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}
