//! Settings of the health checks: how often, and how little is too little.

use std::time::Duration;

use monitoring::{DiskBounds, WatchSettings};

use super::{BYTES_PER_MB, SECONDS_PER_DAY, parse::number, reader::Reader, seconds};

const MAX_MB: u64 = 1 << 30;

/// How the server's health is looked at.
#[derive(Debug, Clone, Copy)]
pub struct HealthConfig {
    pub watch: WatchSettings,
    /// How long a handshake with the CLI is believed; `None`: none is made.
    pub handshake_age: Option<Duration>,
    pub disk: DiskBounds,
    /// A session that waits longer for an agent degrades the server.
    pub queue_age_max: Duration,
}

impl HealthConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let interval = reader.value("HEALTH_INTERVAL_SECONDS", "15", seconds(1..=3600));
        let alert_after = reader.value("HEALTH_ALERT_ROUNDS", "3", number(1..=1000_u32));
        let handshake = reader.value("HEALTH_HANDSHAKE_SECONDS", "300", seconds(0..=SECONDS_PER_DAY));
        let free_mb = reader.value("HEALTH_FREE_DISK_MB", "512", number(0..=MAX_MB));
        let free_inodes = reader.value("HEALTH_FREE_INODES", "10000", number(0..=u64::MAX));
        let queue_age = reader.value("HEALTH_QUEUE_SECONDS", "300", seconds(1..=SECONDS_PER_DAY));
        Some(Self {
            watch: WatchSettings { interval: interval?, alert_after: alert_after? },
            handshake_age: handshake.map(|age| (!age.is_zero()).then_some(age))?,
            disk: DiskBounds {
                free_bytes_min: free_mb?.saturating_mul(BYTES_PER_MB as u64),
                free_inodes_min: free_inodes?,
            },
            queue_age_max: queue_age?,
        })
    }
}
