//! The way out to URLs that people gave: to public addresses, over TLS, and to where it was meant and nowhere else.

use super::{AddressGuard, AddressRefused, is_global};
use reqwest::{Url, redirect::Policy};
use std::{error::Error, net::IpAddr, sync::Arc};
use url::Host;

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// A URL that may not be called.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UrlRefused(pub &'static str);

/// The way out; clones share its connections.
#[derive(Debug, Clone)]
pub struct Outbound {
    http: reqwest::Client,
    allows_private: bool,
}

impl Outbound {
    /// A way to public addresses over TLS, or, if the operator allows it, to any address, and without TLS too.
    pub fn new(allows_private: bool) -> reqwest::Result<Self> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("steward/", env!("CARGO_PKG_VERSION")))
            // A proxy of the environment would resolve names by itself, and a redirect would lead elsewhere.
            .no_proxy()
            .redirect(Policy::none())
            .https_only(!allows_private);
        let builder = if allows_private { builder } else { builder.dns_resolver(Arc::new(AddressGuard)) };
        Ok(Self { http: builder.build()?, allows_private })
    }

    /// The client. It resolves names by the rules, but does not look at addresses that are written as such:
    /// [`Outbound::target`] does.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Whether this URL may be called, and the URL as it is kept.
    pub fn check_url(&self, text: &str) -> Result<String, UrlRefused> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlRefused("must be at most 2048 bytes"));
        }
        let url = Url::parse(text).map_err(|_| UrlRefused("must be a URL"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allows_private => {}
            _ => return Err(UrlRefused("must begin with https://")),
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(UrlRefused("must have neither user, password nor fragment"));
        }
        if !self.may_call(&url) {
            return Err(UrlRefused("must have a public address"));
        }
        Ok(url.into())
    }

    /// The URL to call, unless its address is written in it and is not a public one.
    #[must_use]
    pub fn target(&self, url: &str) -> Option<Url> {
        Url::parse(url).ok().filter(|url| self.may_call(url))
    }

    fn may_call(&self, url: &Url) -> bool {
        match url.host() {
            None => false,
            Some(Host::Ipv4(address)) => self.allows_private || is_global(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.allows_private || is_global(IpAddr::V6(address)),
            // What a name leads to is seen when it is resolved.
            Some(Host::Domain(_)) => true,
        }
    }
}

/// Whether this failed because of an address that is not public.
#[must_use]
pub fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<AddressRefused>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_refused_for_a_reason() {
        let public = Outbound::new(false).unwrap();
        let any = Outbound::new(true).unwrap();
        for url in [
            "http://example.org/",
            "ftp://example.org/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://017700000001/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://169.254.169.254/latest",
            "https://user:pass@example.org/",
            "https://example.org/#part",
            "https://",
            "example.org",
        ] {
            assert!(public.check_url(url).is_err(), "{url}");
        }
        assert!(public.check_url("https://example.org/hook?x=1").is_ok());
        assert!(public.target("https://127.0.0.1/").is_none());
        assert_eq!(any.check_url("http://127.0.0.1:9/x").unwrap(), "http://127.0.0.1:9/x");
        assert!(any.check_url("file:///etc/passwd").is_err());
    }
}
