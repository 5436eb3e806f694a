//! By what a caller is known when requests are counted.

use domain::{Caller, Credential, UserId, login_throttle::network};
use sha2::{Digest, Sha256};
use std::{fmt, net::IpAddr, str::FromStr};

/// Counts that strangers share when there are too many of them.
const CROWDS: u16 = 1024;

/// Whose requests are counted together: an API key's, those of a user's logins, or an address's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallerKey {
    kind: Kind,
    id: [u8; 16],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    User,
    ApiKey,
    Address,
}

impl CallerKey {
    /// Of whoever has this credential.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        match caller.credential {
            Credential::Login(_) => Self::user(caller.user_id),
            Credential::ApiKey(key) => Self { kind: Kind::ApiKey, id: *key.0.as_bytes() },
        }
    }

    /// Of a user's logins.
    #[must_use]
    pub fn user(user: UserId) -> Self {
        Self { kind: Kind::User, id: *user.0.as_bytes() }
    }

    /// Of whoever is there.
    #[must_use]
    pub fn address(address: Option<IpAddr>) -> Self {
        let id = match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => {
                let mut id = [0; 16];
                id[..4].copy_from_slice(&address.octets());
                id
            }
            Some(address) => digest(network(address).as_bytes()),
            None => [0; 16],
        };
        Self { kind: Kind::Address, id }
    }

    /// An address as one of many.
    pub(super) fn in_a_crowd(self) -> Self {
        match self.kind {
            Kind::User | Kind::ApiKey => self,
            Kind::Address => {
                let digest = digest(&self.id);
                let crowd = u16::from_be_bytes([digest[0], digest[1]]) % CROWDS;
                let mut id = [0xff; 16];
                id[..2].copy_from_slice(&crowd.to_be_bytes());
                Self { id, ..self }
            }
        }
    }
}

fn digest(bytes: &[u8]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(bytes)[..16]);
    id
}

impl fmt::Display for CallerKey {
    /// As servers tell each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::User => 'u',
            Kind::ApiKey => 'k',
            Kind::Address => 'a',
        };
        write!(f, "{kind}{}", uuid::Uuid::from_bytes(self.id).simple())
    }
}

impl fmt::Debug for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCaller;

impl FromStr for CallerKey {
    type Err = NoCaller;

    fn from_str(text: &str) -> Result<Self, NoCaller> {
        let (kind, id) = text.split_at_checked(1).ok_or(NoCaller)?;
        let kind = match kind {
            "u" => Kind::User,
            "k" => Kind::ApiKey,
            "a" => Kind::Address,
            _ => return Err(NoCaller),
        };
        let id = uuid::Uuid::try_parse(id).map_err(|_| NoCaller)?;
        Ok(Self { kind, id: id.into_bytes() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_what_servers_tell() {
        for key in [CallerKey::user(UserId::new()), CallerKey::address("2001:db8::1".parse().ok())] {
            assert!(key.to_string().parse() == Ok(key), "{key}");
        }
        for other in ["", "u", "xx", "z00000000000000000000000000000000"] {
            assert!(other.parse::<CallerKey>().is_err(), "{other}");
        }
    }
}
