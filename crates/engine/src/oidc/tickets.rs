//! What goes with a browser or a user interface and comes back: sealed, so that nobody reads or makes one.

use crate::{Error, Result, seal::Seal};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::identity::LoginProofs;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;

const SEALING: &[u8] = b"oidc tickets v1";
/// What a ticket is for; one of another kind does not open.
const LOGIN: &[u8] = b"login";
const HANDOVER: &[u8] = b"handover";

/// Seals and opens.
pub(super) struct Tickets(Seal);

/// A login that was begun.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    state: String,
    nonce: String,
    code_verifier: String,
    /// Of a user interface that waits for it.
    pub(super) challenge: Option<String>,
    expires_at: Timestamp,
}

/// What a user interface trades for tokens.
#[derive(Serialize, Deserialize)]
pub(super) struct Handover {
    pub(super) refresh_token: String,
    pub(super) challenge: String,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Pending {
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }

    pub(super) fn is_state(&self, state: &str) -> bool {
        is_same(&self.state, state)
    }

    pub(super) fn proofs(&self) -> LoginProofs {
        LoginProofs {
            state: self.state.clone(),
            nonce: self.nonce.clone(),
            code_verifier: self.code_verifier.clone(),
        }
    }
}

impl Tickets {
    /// With a key derived from the server's.
    pub(super) fn new(server_key: &[u8]) -> Result<Self> {
        let failed = |_| Error::Internal("derive the key of logins by way of a provider");
        Ok(Self(Seal::new(server_key, SEALING).map_err(failed)?))
    }

    pub(super) fn seal_login(
        &self,
        proofs: LoginProofs,
        challenge: Option<String>,
        expires_at: Timestamp,
    ) -> Result<String> {
        let LoginProofs { state, nonce, code_verifier } = proofs;
        self.seal(LOGIN, &Pending { state, nonce, code_verifier, challenge, expires_at })
    }

    pub(super) fn open_login(&self, ticket: &str) -> Option<Pending> {
        self.open(LOGIN, ticket)
    }

    pub(super) fn seal_handover(&self, handover: &Handover) -> Result<String> {
        self.seal(HANDOVER, handover)
    }

    pub(super) fn open_handover(&self, code: &str) -> Option<Handover> {
        self.open(HANDOVER, code)
    }

    /// The JSON of what is inside, sealed.
    fn seal(&self, purpose: &[u8], inside: &impl Serialize) -> Result<String> {
        let failed = || Error::Internal("seal a ticket");
        let text = serde_json::to_vec(inside).map_err(|_| failed())?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(self.0.seal(purpose, text).map_err(|_| failed())?))
    }

    fn open<T: DeserializeOwned>(&self, purpose: &[u8], sealed: &str) -> Option<T> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?;
        serde_json::from_slice(&self.0.open(purpose, &sealed)?).ok()
    }
}

/// Whether two texts are the same, after a time that tells nothing of where they differ.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proofs() -> LoginProofs {
        LoginProofs { state: "s".to_owned(), nonce: "n".to_owned(), code_verifier: "v".to_owned() }
    }

    #[test]
    fn a_ticket_opens_for_what_it_was_sealed_for_and_under_its_key() {
        let tickets = Tickets::new(&[7; 32]).unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let ticket = tickets.seal_login(proofs(), None, at).unwrap();
        let pending = tickets.open_login(&ticket).unwrap();
        assert_eq!(pending.proofs(), proofs());
        assert!(pending.is_state("s") && !pending.is_state("t") && !pending.is_state(""));
        assert!(tickets.open_handover(&ticket).is_none(), "for another purpose");
        assert!(Tickets::new(&[8; 32]).unwrap().open_login(&ticket).is_none(), "under another key");
        assert!(Tickets::new(&[7; 32]).unwrap().open_login(&ticket).is_some(), "by another server");
        for (index, _) in ticket.char_indices() {
            let mut changed = ticket.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert!(tickets.open_login(&String::from_utf8(changed).unwrap()).is_none(), "letter {index}");
        }
        assert!(tickets.open_login("").is_none() && tickets.open_login(&ticket[..8]).is_none());
        assert!(!ticket.contains('='), "fit for a cookie and an address");
    }
}
