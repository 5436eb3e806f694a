//! Secrets at rest: AES-256-GCM under a key that is not in the database, bound to the row and the field they are of.
//!
//! A sealed secret is a version, the id of its key, a random nonce, the ciphertext and its tag. Version, key id, row and
//! field are authenticated with it, so that nobody who can write to the database can move a secret to where it would be
//! sent to somebody else.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use domain::{McpServerId, hook::SealedSecret};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// Which construction a sealed secret was made by, so that another one can come after it.
const VERSION: u8 = 1;
const SALT: &[u8] = b"steward";
const KEY_PURPOSE: &[u8] = b"secrets at rest v1: key";
const ID_PURPOSE: &[u8] = b"secrets at rest v1: key id";
const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + ID_BYTES;

/// There is no key to seal with.
#[derive(Debug, thiserror::Error)]
#[error("make a key for secrets at rest")]
pub struct KeyringError;

impl From<Unspecified> for KeyringError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// A secret cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsLost {
    /// The key is not among those that are known; it may be given back.
    #[error(
        "open a secret that was sealed with the key {0}, which is neither ENCRYPTION_KEY nor in ENCRYPTION_KEYS_OLD"
    )]
    UnknownKey(String),
    /// It was changed, or moved to where it does not belong.
    #[error("open a secret that was changed in the database")]
    Tampered,
}

/// The key that seals, and those that did before it.
pub struct Keyring {
    current: Key,
    old: Vec<Key>,
}

struct Key {
    id: [u8; ID_BYTES],
    aead: RandomizedNonceKey,
}

/// The length of what is derived.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Keyring {
    /// Seals with a key derived from `current`, and opens what was sealed with one derived from `old` as well.
    pub fn new<'k>(current: &[u8], old: impl IntoIterator<Item = &'k [u8]>) -> Result<Self, KeyringError> {
        let old = old.into_iter().map(Key::derive).collect::<Result<_, _>>()?;
        Ok(Self { current: Key::derive(current)?, old })
    }

    /// The id of the key that seals, which is no secret.
    #[must_use]
    pub fn current_key_id(&self) -> String {
        shown(self.current.id)
    }

    /// Seals a secret. It opens for this field of this server only.
    pub fn seal(
        &self,
        server: McpServerId,
        field: &str,
        secret: &SecretString,
    ) -> Result<SealedSecret, KeyringError> {
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&self.current.id);
        let bound = bound_to(&sealed, server, field);
        let mut text = secret.expose_secret().as_bytes().to_vec();
        let nonce = self.current.aead.seal_in_place_append_tag(Aad::from(bound), &mut text)?;
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        Ok(SealedSecret(sealed))
    }

    /// The secret that was sealed for this field of this server.
    pub fn open(
        &self,
        server: McpServerId,
        field: &str,
        sealed: &SealedSecret,
    ) -> Result<SecretString, SecretsLost> {
        let (head, rest) = sealed.0.split_at_checked(HEAD_BYTES).ok_or(SecretsLost::Tampered)?;
        let id = key_id(sealed).ok_or(SecretsLost::Tampered)?;
        let key = self.known(id).ok_or_else(|| SecretsLost::UnknownKey(shown(id)))?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(SecretsLost::Tampered)?;
        let tampered = |_: Unspecified| SecretsLost::Tampered;
        let (nonce, mut text) = (Nonce::try_assume_unique_for_key(nonce).map_err(tampered)?, text.to_vec());
        let bound = bound_to(head, server, field);
        let opened = key.aead.open_in_place(nonce, Aad::from(bound), &mut text).map_err(tampered)?;
        let opened = std::str::from_utf8(opened).map_err(|_| SecretsLost::Tampered)?;
        Ok(SecretString::from(opened))
    }

    /// Whether a secret was sealed with another key than the one that seals now.
    #[must_use]
    pub fn is_outdated(&self, sealed: &SealedSecret) -> bool {
        key_id(sealed) != Some(self.current.id)
    }

    fn known(&self, id: [u8; ID_BYTES]) -> Option<&Key> {
        std::iter::once(&self.current).chain(&self.old).find(|key| key.id == id)
    }
}

impl Key {
    fn derive(secret: &[u8]) -> Result<Self, KeyringError> {
        let extracted = Salt::new(HKDF_SHA256, SALT).extract(secret);
        let (mut key, mut id) = ([0; KEY_BYTES], [0; ID_BYTES]);
        extracted.expand(&[KEY_PURPOSE], Length(KEY_BYTES))?.fill(&mut key)?;
        extracted.expand(&[ID_PURPOSE], Length(ID_BYTES))?.fill(&mut id)?;
        Ok(Self { id, aead: RandomizedNonceKey::new(&AES_256_GCM, &key)? })
    }
}

fn key_id(sealed: &SealedSecret) -> Option<[u8; ID_BYTES]> {
    let (version, rest) = sealed.0.split_first()?;
    if *version != VERSION {
        return None;
    }
    rest.first_chunk().copied()
}

/// Where each part ends is clear: all but the last have one length.
fn bound_to(head: &[u8], server: McpServerId, field: &str) -> Vec<u8> {
    [head, server.0.as_bytes(), field.as_bytes()].concat()
}

fn shown(id: [u8; ID_BYTES]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("current", &shown(self.current.id))
            .field("old", &self.old.iter().map(|key| shown(key.id)).collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(current: &str, old: &[&str]) -> Keyring {
        Keyring::new(current.as_bytes(), old.iter().map(|key| key.as_bytes())).unwrap()
    }

    #[test]
    fn a_secret_opens_with_its_key_in_its_place_and_unchanged() {
        let (keys, server, secret) =
            (keyring("one", &[]), McpServerId::new(), SecretString::from("hush-hush"));
        let sealed = keys.seal(server, "env/TOKEN", &secret).unwrap();
        assert!(!sealed.0.windows(9).any(|part| part == b"hush-hush"));
        assert_ne!(keys.seal(server, "env/TOKEN", &secret).unwrap(), sealed, "a nonce of its own each time");
        assert_eq!(keys.open(server, "env/TOKEN", &sealed).unwrap().expose_secret(), "hush-hush");

        let lost = |result: Result<SecretString, SecretsLost>| result.unwrap_err();
        assert_eq!(lost(keys.open(server, "env/OTHER", &sealed)), SecretsLost::Tampered);
        assert_eq!(lost(keys.open(McpServerId::new(), "env/TOKEN", &sealed)), SecretsLost::Tampered);
        for place in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[place] ^= 1;
            keys.open(server, "env/TOKEN", &changed).unwrap_err();
        }
        for length in 0..sealed.0.len() {
            let cut = SealedSecret(sealed.0[..length].to_vec());
            keys.open(server, "env/TOKEN", &cut).unwrap_err();
        }
    }

    #[test]
    fn a_key_is_changed_and_the_one_before_it_still_opens() {
        let (before, server, secret) = (keyring("one", &[]), McpServerId::new(), SecretString::from("hush"));
        let sealed = before.seal(server, "f", &secret).unwrap();
        assert!(!before.is_outdated(&sealed));

        let after = keyring("two", &["one"]);
        assert!(after.is_outdated(&sealed));
        let opened = after.open(server, "f", &sealed).unwrap();
        let resealed = after.seal(server, "f", &opened).unwrap();
        assert!(!after.is_outdated(&resealed));

        let forgetful = keyring("two", &[]);
        assert_eq!(forgetful.open(server, "f", &resealed).unwrap().expose_secret(), "hush");
        let lost = forgetful.open(server, "f", &sealed).unwrap_err();
        assert_eq!(lost, SecretsLost::UnknownKey(before.current_key_id()), "it says which key to give back");
        assert!(lost.to_string().contains("ENCRYPTION_KEYS_OLD"), "{lost}");
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let shown = format!("{:?}", keyring("a key nobody may see", &["an old one"]));
        assert!(!shown.contains("nobody") && !shown.contains("old one"), "{shown}");
    }
}
