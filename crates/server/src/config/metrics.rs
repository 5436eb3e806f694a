//! What is measured, how long it is kept, and who may read it.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use jiff::SignedDuration;
use secrecy::SecretString;

use super::{
    SECONDS_PER_DAY,
    parse::{boolean, number},
    reader::Reader,
    seconds,
};

/// Shorter tokens are guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// Metrics and snapshots.
#[derive(Debug, Clone)]
pub struct MetricsConfig {
    pub is_enabled: bool,
    pub snapshot_interval: Duration,
    /// `None` keeps snapshots as long as their sessions.
    pub retention: Option<SignedDuration>,
    /// What a scraper has to bring.
    pub token: Option<SecretString>,
    /// A listener for the metrics alone; port 0 takes a free one.
    pub listener: Option<(IpAddr, u16)>,
}

impl MetricsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let is_enabled = reader.value("ENABLE_METRICS_COLLECTION", "true", boolean);
        let interval = reader.value("METRICS_SNAPSHOT_INTERVAL_SECONDS", "60", seconds(1..=SECONDS_PER_DAY));
        let days = reader.value("METRICS_RETENTION_DAYS", "30", number(0..=36_500_i64));
        let token = reader.secret("METRICS_TOKEN", token);
        let host = reader.value("METRICS_HOST", "127.0.0.1", |text| {
            text.parse().map_err(|_| "an IP address, such as 127.0.0.1, 0.0.0.0 or ::1".to_owned())
        });
        let port = reader.option("METRICS_PORT", number(0..=u16::MAX));
        let host = host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Some(Self {
            is_enabled: is_enabled?,
            snapshot_interval: interval?,
            retention: Some(days?).filter(|days| *days > 0).map(|days| SignedDuration::from_hours(24 * days)),
            token: token?,
            listener: port?.map(|port| (host, port)),
        })
    }
}

fn token(text: &str) -> Result<(), String> {
    let is_fit = text.len() >= TOKEN_CHARS_MIN && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_fit
        .then_some(())
        .ok_or_else(|| format!("at least {TOKEN_CHARS_MIN} printable ASCII characters without spaces"))
}
