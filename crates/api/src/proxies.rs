//! Who is behind a proxy. Only proxies that the operator named are believed, and only from the last one backwards: what
//! stands before that, anybody may have written.

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Longest chain of proxies that is looked at.
const HOPS_MAX: usize = 32;

/// Proxies that the operator trusts, and the header that they write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    pub trusted: Vec<IpNet>,
    pub header: ForwardingHeader,
}

/// How proxies say for whom they ask. One of them, because a proxy passes on the other as a client wrote it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardingHeader {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What is known of the client behind a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub address: Option<IpAddr>,
    /// Whether it came over TLS, by the word of a trusted proxy. This server itself speaks none.
    pub is_secure: bool,
}

impl Proxies {
    /// The client of a request that came over a connection from `peer`.
    pub fn client(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Client {
        let peer = peer.map(|peer| peer.ip().to_canonical());
        let Some(address) = peer.filter(|peer| self.trusts(*peer)) else {
            return Client { address: peer, is_secure: false };
        };
        let mut client = Client { address: Some(address), is_secure: false };
        let hops = match self.header {
            ForwardingHeader::XForwarded => x_forwarded(headers),
            ForwardingHeader::Forwarded => forwarded(headers),
        };
        for hop in hops.iter().rev().take(HOPS_MAX) {
            client.is_secure = hop.is_secure;
            // What cannot be read is as far as the word of trusted proxies goes.
            let Some(address) = hop.address else { break };
            client.address = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

/// One step of the way to the server, as the proxy after it saw it.
#[derive(Debug, Clone, Copy)]
struct Hop {
    address: Option<IpAddr>,
    is_secure: bool,
}

/// Of both lists the last items belong together; a proxy may also write one word of the protocol for all.
fn x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let addresses = items(headers, "x-forwarded-for");
    let protocols = items(headers, "x-forwarded-proto");
    let missing = addresses.len().saturating_sub(protocols.len());
    let hop = |(index, item): (usize, &String)| {
        let protocol =
            index.checked_sub(missing).and_then(|index| protocols.get(index)).or(protocols.first());
        let is_secure = protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("https"));
        Hop { address: address(item), is_secure }
    };
    addresses.iter().enumerate().map(hop).collect()
}

fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let hop = |item: &String| {
        let mut hop = Hop { address: None, is_secure: false };
        for pair in item.split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => hop.address = address(value),
                "proto" => hop.is_secure = value.eq_ignore_ascii_case("https"),
                _ => {}
            }
        }
        hop
    };
    items(headers, "forwarded").iter().map(hop).collect()
}

/// The items of a list over all lines of a header. None of them has a comma in quotes. What is no text spoils its own item
/// only: a client writes the beginning of the line whose end is the proxy's.
fn items(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    lines.flat_map(|line| line.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>()).collect()
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(in_brackets).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn client(header: ForwardingHeader, peer: &str, lines: &[(&'static str, &str)]) -> (String, bool) {
        let trusted = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        let client = Proxies { trusted, header }.client(Some(peer), &headers);
        (client.address.unwrap().to_string(), client.is_secure)
    }

    #[test]
    fn only_the_word_of_trusted_proxies_counts() {
        let x = |peer, of: &str| client(ForwardingHeader::XForwarded, peer, &[("x-forwarded-for", of)]).0;
        assert_eq!(x("192.0.2.9", "198.51.100.1"), "192.0.2.9", "a stranger's word");
        assert_eq!(x("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(x("::ffff:10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(
            x("10.0.0.1", "203.0.113.7, 198.51.100.1, 10.0.0.2"),
            "198.51.100.1",
            "what was before it is made up"
        );
        assert_eq!(x("10.0.0.1", "garbage, 10.0.0.3"), "10.0.0.3");
        assert_eq!(
            x("10.0.0.1", "\u{ff}, 198.51.100.1"),
            "198.51.100.1",
            "the end of the line is the proxy's"
        );
        assert_eq!(x("10.0.0.1", ""), "10.0.0.1");
        assert_eq!(x("fd00::1", "[2001:db8::5]:443"), "2001:db8::5");
        let other = client(ForwardingHeader::Forwarded, "10.0.0.1", &[("x-forwarded-for", "198.51.100.1")]);
        assert_eq!(other.0, "10.0.0.1", "the proxy does not write this header");
    }

    #[test]
    fn the_protocol_is_that_of_the_client() {
        let x = |lines: &[_]| client(ForwardingHeader::XForwarded, "10.0.0.1", lines);
        assert!(x(&[("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https")]).1);
        assert!(!x(&[("x-forwarded-for", "198.51.100.1, 10.0.0.2"), ("x-forwarded-proto", "http, https")]).1);
        let forwarded = "for=203.0.113.7;proto=http, for=\"[2001:db8::5]:9\";by=10.0.0.1;proto=https";
        let told = client(ForwardingHeader::Forwarded, "10.0.0.1", &[("forwarded", forwarded)]);
        assert_eq!(told, ("2001:db8::5".to_owned(), true));
    }
}
