//! What is kept or carried by others and read by us alone: AES-256-GCM with a key of its own for each purpose, derived
//! from the server's by HKDF-SHA256.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, Salt},
};

/// Which construction something was sealed by, so that another one can come after it.
const VERSION: u8 = 1;
const SALT: &[u8] = b"steward";
const KEY_BYTES: usize = 32;

/// Seals and opens what is of one purpose.
pub(crate) struct Seal(RandomizedNonceKey);

/// A key for one purpose, from the server's.
pub(crate) fn derived(server_key: &[u8], purpose: &[u8]) -> Result<[u8; KEY_BYTES], Unspecified> {
    let mut key = [0; KEY_BYTES];
    Salt::new(HKDF_SHA256, SALT).extract(server_key).expand(&[purpose], HKDF_SHA256)?.fill(&mut key)?;
    Ok(key)
}

impl Seal {
    pub(crate) fn new(server_key: &[u8], purpose: &[u8]) -> Result<Self, Unspecified> {
        Ok(Self(RandomizedNonceKey::new(&AES_256_GCM, &derived(server_key, purpose)?)?))
    }

    /// Version, nonce, ciphertext and tag. It opens only where it is told the same that it is bound to.
    pub(crate) fn seal(&self, bound_to: &[u8], mut text: Vec<u8>) -> Result<Vec<u8>, Unspecified> {
        let nonce = self.0.seal_in_place_append_tag(Aad::from(bound_to), &mut text)?;
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// What was sealed; `None` if it was changed, is bound to something else, or is of another key.
    pub(crate) fn open(&self, bound_to: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).filter(|_| *version == VERSION)?;
        let (nonce, mut text) = (Nonce::try_assume_unique_for_key(nonce).ok()?, text.to_vec());
        let opened = self.0.open_in_place(nonce, Aad::from(bound_to), &mut text).ok()?.len();
        text.truncate(opened);
        Some(text)
    }
}
