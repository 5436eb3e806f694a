//! How guessing of passwords is slowed down, without locking out whose password it is.
//!
//! Attempts are counted before the password is looked at, in three tallies: of one account from one address, of one
//! account from everywhere, and of one address at everything. Beyond some that are free, each makes the next one wait
//! twice as long. An address from which the account was logged into lately is not held up by what others try on it.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// Attempts are forgotten when nothing was tried for so long.
pub const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// How long an address is known as one of its account's.
pub const KNOWN_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Separates these digests from others of the same things.
const PURPOSE: &[u8] = b"steward login v1";

/// Somebody tries to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginAttempt {
    /// Tallies of this attempt, by what they count.
    pub keys: Vec<([u8; 32], Tallied)>,
    pub at: Timestamp,
}

/// What a tally counts the attempts of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tallied {
    /// One account, from one address.
    Pair,
    /// One account, from anywhere.
    Account,
    /// One address, at any account.
    Address,
}

/// Attempts that did not succeed, or of which that is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub failures: u32,
    pub last_at: Timestamp,
    /// Of a pair: when that address last logged into that account.
    pub succeeded_at: Option<Timestamp>,
}

impl LoginAttempt {
    /// An attempt at the account of this e-mail address, whether there is one or not, from an address.
    #[must_use]
    pub fn new(email: &str, address: Option<IpAddr>, at: Timestamp) -> Self {
        let address = address.map(network).unwrap_or_default();
        let keys = vec![
            (digest(["pair", email, &address]), Tallied::Pair),
            (digest(["account", email, ""]), Tallied::Account),
            (digest(["address", "", &address]), Tallied::Address),
        ];
        Self { keys, at }
    }

    /// An attempt that names no account, from an address.
    #[must_use]
    pub fn from_address(address: Option<IpAddr>, at: Timestamp) -> Self {
        let address = address.map(network).unwrap_or_default();
        Self { keys: vec![(digest(["address", "", &address]), Tallied::Address)], at }
    }

    /// How long this attempt has to wait, given the tallies of its keys; zero lets it go on.
    #[must_use]
    pub fn wait(&self, tallies: &[Option<Tally>]) -> SignedDuration {
        let mut pairs = self.keys.iter().zip(tallies).filter(|((_, tallied), _)| *tallied == Tallied::Pair);
        let is_known = pairs.any(|(_, tally)| tally.is_some_and(|pair| pair.is_known(self.at)));
        let waits = self.keys.iter().zip(tallies).map(|((_, tallied), tally)| match tally {
            Some(_) if is_known && *tallied == Tallied::Account => SignedDuration::ZERO,
            Some(tally) => tally.wait(*tallied, self.at),
            None => SignedDuration::ZERO,
        });
        waits.max().unwrap_or_default()
    }
}

fn digest(parts: [&str; 3]) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix(PURPOSE);
    for part in parts {
        hasher.update([0]);
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

impl Tallied {
    /// Attempts that make nobody wait.
    fn free(self) -> u32 {
        match self {
            Self::Pair => 5,
            Self::Account => 20,
            Self::Address => 50,
        }
    }

    /// The longest wait. That of an account is short: others cause it.
    fn wait_max(self) -> SignedDuration {
        match self {
            Self::Pair | Self::Address => SignedDuration::from_mins(15),
            Self::Account => SignedDuration::from_secs(30),
        }
    }
}

impl Tally {
    /// With one attempt more.
    #[must_use]
    pub fn counting(tally: Option<Self>, at: Timestamp) -> Self {
        let before = tally.filter(|tally| !tally.is_over(at)).map_or(0, |tally| tally.failures);
        let succeeded_at = tally.and_then(|tally| tally.succeeded_at);
        Self { failures: before.saturating_add(1), last_at: at, succeeded_at }
    }

    /// As an attempt that succeeded leaves it: it forgives what was tried on the account, and itself at the address.
    #[must_use]
    pub fn succeeded(self, tallied: Tallied, at: Timestamp) -> Self {
        match tallied {
            Tallied::Pair => Self { failures: 0, succeeded_at: Some(at), ..self },
            Tallied::Account => Self { failures: 0, ..self },
            Tallied::Address => Self { failures: self.failures.saturating_sub(1), ..self },
        }
    }

    /// Whether nothing of it is needed any more.
    #[must_use]
    pub fn is_forgotten(&self, at: Timestamp) -> bool {
        self.is_over(at) && !self.is_known(at)
    }

    fn wait(&self, tallied: Tallied, at: Timestamp) -> SignedDuration {
        if self.is_over(at) || self.failures < tallied.free() {
            return SignedDuration::ZERO;
        }
        let doublings = (self.failures - tallied.free()).min(20);
        let delay = SignedDuration::from_secs(1_i64 << doublings).min(tallied.wait_max());
        let passed = at.duration_since(self.last_at);
        (delay - passed.max(SignedDuration::ZERO)).max(SignedDuration::ZERO)
    }

    fn is_over(&self, at: Timestamp) -> bool {
        at.duration_since(self.last_at) >= FORGOTTEN_AFTER
    }

    fn is_known(&self, at: Timestamp) -> bool {
        self.succeeded_at.is_some_and(|succeeded| at.duration_since(succeeded) < KNOWN_FOR)
    }
}

/// What counts as one address: of IPv6 the network that one customer gets, for whoever has one address of it has all.
#[must_use]
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn tally(failures: u32) -> Option<Tally> {
        Some(Tally { failures, last_at: at(0), succeeded_at: None })
    }

    fn attempt(second: i64) -> LoginAttempt {
        LoginAttempt::new("ada@example.org", Some(IpAddr::from([192, 0, 2, 1])), at(second))
    }

    #[test]
    fn each_attempt_beyond_the_free_ones_waits_twice_as_long() {
        let waits = |failures| attempt(0).wait(&[tally(failures), None, None]).as_secs();
        assert_eq!([4, 5, 6, 7, 10].map(waits), [0, 1, 2, 4, 32]);
        assert_eq!(waits(60), 900, "and no longer than that");
        assert_eq!(attempt(20).wait(&[tally(10), None, None]).as_secs(), 12, "what has passed counts");
        assert_eq!(attempt(3600).wait(&[tally(60), None, None]).as_secs(), 0, "and is forgotten");
    }

    #[test]
    fn what_others_try_holds_nobody_up_for_long_and_known_addresses_not_at_all() {
        let all = [None, tally(1000), None];
        assert_eq!(attempt(0).wait(&all).as_secs(), 30);
        let known = Some(Tally { failures: 1, last_at: at(0), succeeded_at: Some(at(-86_400)) });
        assert_eq!(attempt(0).wait(&[known, tally(1000), None]).as_secs(), 0);
        let long_ago = Some(Tally { failures: 1, last_at: at(0), succeeded_at: Some(at(-31 * 86_400)) });
        assert_eq!(attempt(0).wait(&[long_ago, tally(1000), None]).as_secs(), 30);
        // Its own attempts count, be it known or not.
        let guessing = Some(Tally { failures: 30, last_at: at(0), succeeded_at: Some(at(-60)) });
        assert_eq!(attempt(0).wait(&[guessing, None, None]).as_secs(), 900);
        assert_eq!(attempt(0).wait(&[None, None, tally(80)]).as_secs(), 900);
    }

    #[test]
    fn an_attempt_without_an_account_counts_for_its_address_with_all_others() {
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let alone = LoginAttempt::from_address(address, at(0));
        assert_eq!(alone.keys, attempt(0).keys[2..]);
        assert_eq!(alone.wait(&[tally(49)]).as_secs(), 0);
        assert_eq!(alone.wait(&[tally(80)]).as_secs(), 900);
    }

    #[test]
    fn a_clock_that_was_set_back_lengthens_no_wait() {
        assert_eq!(attempt(-1_000_000).wait(&[tally(60), None, None]).as_secs(), 900);
    }

    #[test]
    fn the_neighbours_of_an_ipv6_network_are_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
