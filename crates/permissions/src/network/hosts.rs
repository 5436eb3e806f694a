//! Hosts as they are named, as operators list them, and what kind of address they are.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};
use url::{Host, Url};

/// One entry of `ALLOWED_HOSTS` or `BLOCKED_HOSTS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// Exactly this name.
    Name(String),
    /// Every name below this one, and not itself.
    Below(String),
    /// These addresses.
    Net(ipnet::IpNet),
}

/// Why a text is no host pattern; what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host names, *.names, addresses or networks such as 10.0.0.0/8")]
pub struct NotAHost;

impl FromStr for HostPattern {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        if let Ok(net) = text.parse() {
            return Ok(Self::Net(net));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Net(address.into()));
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let is_plain = !name.is_empty() && !name.contains(['*', '/', ':', '@', '?', '#', ' ', '%']);
        match Host::parse(name).ok().filter(|_| is_plain) {
            Some(Host::Domain(name)) => Ok(if below { Self::Below(name) } else { Self::Name(name) }),
            Some(Host::Ipv4(address)) if !below => Ok(Self::Net(IpAddr::V4(address).into())),
            Some(_) | None => Err(NotAHost),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            Self::Net(net) => net.fmt(f),
        }
    }
}

impl HostPattern {
    /// Whether it names this host.
    pub(crate) fn matches(&self, host: &NamedHost) -> bool {
        match (self, host) {
            (Self::Name(name), NamedHost::Name(host)) => name == host,
            (Self::Below(name), NamedHost::Name(host)) => {
                host.strip_suffix(name.as_str()).is_some_and(|head| head.len() > 1 && head.ends_with('.'))
            }
            (Self::Net(net), NamedHost::Address(address)) => net.contains(address),
            _ => false,
        }
    }
}

/// A host that a call names, in the one form it has however it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamedHost {
    /// Lower case, IDNA, without a dot at its end.
    Name(String),
    Address(IpAddr),
}

impl fmt::Display for NamedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// What is known of an address without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This machine.
    Loopback,
    /// The network around this machine.
    Private,
    /// Where clouds tell credentials to whoever asks.
    LinkLocal,
    Multicast,
    Public,
}

impl NamedHost {
    /// The host of a URL. Of other schemes than `http` too, decimal, octal and hexadecimal addresses are read as such,
    /// because programs read them so.
    pub(crate) fn of_url(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        Self::parse(url.host_str()?)
    }

    /// A host by itself.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = percent_encoding::percent_decode_str(text.trim()).decode_utf8().ok()?.into_owned();
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&text);
        let bare = bare.split_once('%').map_or(bare, |(address, _zone)| address);
        if let Ok(address) = bare.parse::<Ipv6Addr>() {
            return Some(Self::Address(plain(address)));
        }
        match Host::parse(bare).ok()? {
            Host::Domain(name) => Some(Self::Name(name.trim_end_matches('.').to_owned()))
                .filter(|_| !name.trim_end_matches('.').is_empty()),
            Host::Ipv4(address) => Some(Self::Address(IpAddr::V4(address))),
            Host::Ipv6(address) => Some(Self::Address(plain(address))),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Name(name) if name == "localhost" || name.ends_with(".localhost") => Kind::Loopback,
            Self::Name(name) if name == "metadata.google.internal" || name == "metadata" => Kind::LinkLocal,
            // Where a name leads is only known when it is asked for.
            Self::Name(_) => Kind::Public,
            Self::Address(IpAddr::V4(address)) => kind_of(*address),
            Self::Address(IpAddr::V6(address)) => {
                if address.is_loopback() || address.is_unspecified() {
                    Kind::Loopback
                } else if address.is_unicast_link_local()
                    || *address == "fd00:ec2::254".parse::<Ipv6Addr>().unwrap_or(Ipv6Addr::LOCALHOST)
                {
                    Kind::LinkLocal
                } else if address.is_unique_local() || address.segments()[0] & 0xffc0 == 0xfec0 {
                    Kind::Private
                } else if address.is_multicast() {
                    Kind::Multicast
                } else {
                    Kind::Public
                }
            }
        }
    }
}

fn kind_of(address: Ipv4Addr) -> Kind {
    let [a, b, ..] = address.octets();
    if address.is_loopback() || a == 0 {
        Kind::Loopback
    } else if address.is_link_local() || address == Ipv4Addr::new(100, 100, 100, 200) {
        Kind::LinkLocal
    } else if address.is_private() || (a == 100 && b & 0xc0 == 64) {
        Kind::Private
    } else if address.is_multicast() || address.is_broadcast() {
        Kind::Multicast
    } else {
        Kind::Public
    }
}

/// The IPv4 address inside an IPv6 one: mapped, compatible, by NAT64 or by 6to4.
fn plain(address: Ipv6Addr) -> IpAddr {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => v4(g, h),
        [0, 0, 0, 0, 0, 0] if g != 0 => v4(g, h),
        [0x2002, ..] => v4(b, c),
        _ => IpAddr::V6(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_it_is_however_it_is_written() {
        for (text, kind) in [
            ("localhost", Kind::Loopback),
            ("LOCALHOST.", Kind::Loopback),
            ("a.localhost", Kind::Loopback),
            ("127.0.0.1", Kind::Loopback),
            ("127.1", Kind::Loopback),
            ("2130706433", Kind::Loopback),
            ("0x7f000001", Kind::Loopback),
            ("0177.0.0.1", Kind::Loopback),
            ("0.0.0.0", Kind::Loopback),
            ("[::1]", Kind::Loopback),
            ("[::]", Kind::Loopback),
            ("[::ffff:127.0.0.1]", Kind::Loopback),
            ("169.254.169.254", Kind::LinkLocal),
            ("2852039166", Kind::LinkLocal),
            ("0xa9.0xfe.0xa9.0xfe", Kind::LinkLocal),
            ("[::ffff:169.254.169.254]", Kind::LinkLocal),
            ("[64:ff9b::a9fe:a9fe]", Kind::LinkLocal),
            ("[2002:a9fe:a9fe::]", Kind::LinkLocal),
            ("[fe80::1]", Kind::LinkLocal),
            ("[fe80::1%25eth0]", Kind::LinkLocal),
            ("[fd00:ec2::254]", Kind::LinkLocal),
            ("metadata.google.internal", Kind::LinkLocal),
            ("100.100.100.200", Kind::LinkLocal),
            ("10.1.2.3", Kind::Private),
            ("172.16.0.1", Kind::Private),
            ("192.168.0.1", Kind::Private),
            ("100.64.0.1", Kind::Private),
            ("[fd12::1]", Kind::Private),
            ("224.0.0.1", Kind::Multicast),
            ("example.com", Kind::Public),
            ("93.184.216.34", Kind::Public),
            ("172.32.0.1", Kind::Public),
            ("１２７.0.0.1", Kind::Loopback),
        ] {
            assert_eq!(NamedHost::parse(text).map(|host| host.kind()), Some(kind), "{text}");
        }
    }

    #[test]
    fn a_pattern_names_what_it_says() {
        for (pattern, host, matches) in [
            ("example.com", "EXAMPLE.com.", true),
            ("example.com", "www.example.com", false),
            ("*.example.com", "www.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "badexample.com", false),
            ("bücher.example", "xn--bcher-kva.example", true),
            ("10.0.0.0/8", "10.9.8.7", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("127.0.0.1", "0x7f.1", true),
            ("2001:db8::/32", "[2001:db8::5]", true),
        ] {
            let parsed: HostPattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(&NamedHost::parse(host).unwrap()), matches, "{pattern} {host}");
        }
        for text in [
            "",
            "*",
            "*.",
            "https://example.com",
            "a b",
            "example.com:80",
            "me@host",
            "10.0.0.0/40",
            "*.1.2.3.4",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text:?}");
        }
    }
}
