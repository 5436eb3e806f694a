//! Signing secrets at rest: AES-256-GCM with a key derived from the server's, bound to their endpoint.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, Salt},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{HookEndpointId, hook::SealedSecret};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// Which construction a sealed secret was made by, so that another one can come after it.
const VERSION: u8 = 1;
const SALT: &[u8] = b"steward";
const PURPOSE: &[u8] = b"webhook secrets v1";
const KEY_BYTES: usize = 32;
/// Random bytes of a signing secret; Standard Webhooks asks for 24 to 64.
const SECRET_BYTES: usize = 32;

/// A secret cannot be sealed or opened: the server's key has changed, or the row was tampered with.
#[derive(Debug, thiserror::Error)]
#[error("open the secret of a hook: it was sealed by another SECRET_KEY")]
pub struct SecretsLost;

impl From<Unspecified> for SecretsLost {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// Seals and opens secrets.
pub struct SecretSealer(RandomizedNonceKey);

impl SecretSealer {
    /// With a key derived from the server's by HKDF-SHA256.
    pub fn new(server_key: &[u8]) -> Result<Self, SecretsLost> {
        let mut key = [0; KEY_BYTES];
        let derived = Salt::new(HKDF_SHA256, SALT).extract(server_key);
        derived.expand(&[PURPOSE], HKDF_SHA256)?.fill(&mut key)?;
        Ok(Self(RandomizedNonceKey::new(&AES_256_GCM, &key)?))
    }

    /// Version, nonce, ciphertext and tag. It opens for this endpoint only.
    pub fn seal(&self, endpoint: HookEndpointId, secret: &SecretString) -> Result<SealedSecret, SecretsLost> {
        let mut text = secret.expose_secret().as_bytes().to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(endpoint.0.as_bytes()), &mut text)?;
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        Ok(SealedSecret(sealed))
    }

    /// The secret that was sealed for this endpoint.
    pub fn open(&self, endpoint: HookEndpointId, sealed: &SealedSecret) -> Result<SecretString, SecretsLost> {
        let (version, rest) = sealed.0.split_first().ok_or(SecretsLost)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(SecretsLost)?;
        if *version != VERSION {
            return Err(SecretsLost);
        }
        let (nonce, mut text) = (Nonce::try_assume_unique_for_key(nonce)?, text.to_vec());
        let opened = self.0.open_in_place(nonce, Aad::from(endpoint.0.as_bytes()), &mut text)?;
        let opened = std::str::from_utf8(opened).map_err(|_| SecretsLost)?;
        Ok(SecretString::from(opened))
    }
}

impl fmt::Debug for SecretSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSealer")
    }
}

/// A new signing secret, as receivers take it: `whsec_` and base64.
#[must_use]
pub fn fresh_secret() -> SecretString {
    let bytes: [u8; SECRET_BYTES] = rand::rng().random();
    format!("whsec_{}", STANDARD.encode(bytes)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_with_its_key_for_its_endpoint_and_unchanged() {
        let sealer = SecretSealer::new(b"one key").unwrap();
        let (endpoint, secret) = (HookEndpointId::new(), fresh_secret());
        assert!(secret.expose_secret().starts_with("whsec_"));
        let sealed = sealer.seal(endpoint, &secret).unwrap();
        let clear = secret.expose_secret().as_bytes();
        assert!(!sealed.0.windows(clear.len()).any(|part| part == clear));
        assert_ne!(sealer.seal(endpoint, &secret).unwrap(), sealed, "a nonce of its own each time");
        assert_eq!(sealer.open(endpoint, &sealed).unwrap().expose_secret(), secret.expose_secret());

        assert!(sealer.open(HookEndpointId::new(), &sealed).is_err());
        assert!(SecretSealer::new(b"other key").unwrap().open(endpoint, &sealed).is_err());
        for place in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[place] ^= 1;
            assert!(sealer.open(endpoint, &changed).is_err(), "byte {place}");
        }
        assert!(sealer.open(endpoint, &SealedSecret(vec![])).is_err());
    }
}
