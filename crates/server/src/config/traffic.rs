//! Who may ask how often, who stands before the server, and how connections are kept.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use api::{ForwardingHeader, Proxies};
use ipnet::IpNet;

use super::{
    parse::{boolean, list, number},
    reader::Reader,
    seconds,
};

/// What the operator decided about requests, whatever they ask for.
#[derive(Debug, Clone)]
pub struct TrafficConfig {
    /// `None`: nobody counts.
    pub rate_limit: Option<RateLimit>,
    /// Whose word counts about who is behind them.
    pub proxies: Proxies,
    /// For how long browsers are to come over TLS only; `None`: they are not told.
    pub hsts_max_age: Option<Duration>,
    /// How long a connection stays open for another request.
    pub keep_alive: Duration,
    /// How long the head of a request may take to arrive.
    pub head_timeout: Duration,
    /// A client that takes nothing for this long is dropped.
    pub stream_send_timeout: Duration,
}

/// Requests of one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub per_minute: NonZeroU32,
    pub per_hour: NonZeroU32,
}

impl TrafficConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let head = reader.value("HTTP_HEAD_TIMEOUT_SECONDS", "10", seconds(1..=300));
        let keep_alive = reader.value("HTTP_KEEP_ALIVE_SECONDS", "75", seconds(1..=3600));
        let trusted = reader.option("TRUSTED_PROXIES", |text| list(text).into_iter().map(network).collect());
        let header = reader.value("TRUSTED_PROXY_HEADER", "x-forwarded-for", forwarding_header);
        let hsts = reader.value("HSTS_MAX_AGE_SECONDS", "0", seconds(0..=63_072_000));
        let send = reader.value("STREAM_SEND_TIMEOUT_SECONDS", "30", seconds(1..=3600));
        let is_limited = reader.value("RATE_LIMIT_ENABLED", "true", boolean);
        let per_minute = reader.value("RATE_LIMIT_PER_MINUTE", "600", requests);
        let per_hour = reader.value("RATE_LIMIT_PER_HOUR", "20000", requests);
        let limit = RateLimit { per_minute: per_minute?, per_hour: per_hour? };
        Some(Self {
            rate_limit: is_limited?.then_some(limit),
            proxies: Proxies { trusted: trusted?.unwrap_or_default(), header: header? },
            hsts_max_age: Some(hsts?).filter(|age| !age.is_zero()),
            keep_alive: keep_alive?,
            head_timeout: head?,
            stream_send_timeout: send?,
        })
    }
}

fn requests(text: &str) -> Result<NonZeroU32, String> {
    let requests = number(1..=10_000_000_u32)(text)?;
    NonZeroU32::new(requests).ok_or_else(|| "from 1 to 10000000".to_owned())
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse().ok().or_else(address);
    network.ok_or_else(|| "addresses and networks such as 10.0.0.0/8, between commas".to_owned())
}

fn forwarding_header(text: &str) -> Result<ForwardingHeader, String> {
    match text.to_ascii_lowercase().as_str() {
        "x-forwarded-for" => Ok(ForwardingHeader::XForwarded),
        "forwarded" => Ok(ForwardingHeader::Forwarded),
        _ => Err("x-forwarded-for or forwarded".to_owned()),
    }
}
