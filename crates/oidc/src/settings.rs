//! What an operator says about their provider.

use openidconnect::IssuerUrl;
use secrecy::SecretString;
use std::time::Duration;
use url::{Host, Url};

/// One provider, and this server as a client of it.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    pub issuer: Issuer,
    pub client_id: String,
    /// `None` for a public client, whom PKCE alone tells from others.
    pub client_secret: Option<SecretString>,
    /// Where the provider sends browsers back to: `…/api/v1/auth/oidc/callback`, as they reach it.
    pub redirect_url: Url,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that roles are made from: its name, or a JSON pointer to it such as `/realm_access/roles`.
    pub groups_claim: String,
    /// Whether roles are made from it, so that it is looked for.
    pub wants_groups: bool,
    /// How far the provider's clock may be off.
    pub clock_skew: Duration,
}

/// An issuer identifier, letter by letter as the provider spells it: a slash at its end makes another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(pub(crate) IssuerUrl);

impl Issuer {
    /// The issuer of that identifier; `None` if it cannot be one, or is not safe to call.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let issuer = IssuerUrl::new(text.to_owned()).ok()?;
        let url = issuer.url();
        let is_bare = url.username().is_empty() && url.password().is_none();
        let is_plain = url.query().is_none() && url.fragment().is_none();
        (is_bare && is_plain && is_safe(url)).then_some(Self(issuer))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Whether what is said to this URL is read by nobody else: it is TLS, or does not leave this machine.
#[must_use]
pub fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_kept_as_it_is_written() {
        for issuer in ["https://id.example.org", "https://id.example.org/", "https://id.example.org/realms/a"]
        {
            assert_eq!(Issuer::parse(issuer).unwrap().as_str(), issuer);
        }
        for none in [
            "id.example.org",
            "http://id.example.org",
            "https://ada@id.example.org",
            "https://id.example.org/?tenant=a",
            "https://id.example.org/#a",
        ] {
            assert_eq!(Issuer::parse(none), None, "{none}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let is = |text: &str| is_safe(&Url::parse(text).unwrap());
        for safe in ["https://id.example.org", "http://127.0.0.1:9/x", "http://[::1]/", "http://localhost/"] {
            assert!(is(safe), "{safe}");
        }
        for unsafe_one in [
            "http://id.example.org",
            "http://10.0.0.1",
            "http://localhost.example.org",
            "ftp://127.0.0.1",
            "javascript:alert(1)",
        ] {
            assert!(!is(unsafe_one), "{unsafe_one}");
        }
    }
}
