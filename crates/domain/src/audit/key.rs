//! The key that signs entries, so that write access to the database is not enough to write another history.

use super::entry::Hash;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;

/// Separates this key from everything else that is made of the server's secret.
const PURPOSE: &[u8] = b"steward audit log v1";

/// SHA-256 works on blocks of this length.
const BLOCK_BYTES: usize = 64;

/// A key for entries, made of the server's secret key.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditKey(Hash);

impl AuditKey {
    /// The key that belongs to this secret.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self(hmac(&Sha256::digest(secret).into(), PURPOSE))
    }

    /// The signature of an entry's hash.
    #[must_use]
    pub fn sign(&self, hash: &Hash) -> Hash {
        hmac(&self.0, hash)
    }
}

impl fmt::Debug for AuditKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey")
    }
}

fn hmac(key: &Hash, message: &[u8]) -> Hash {
    // HMAC pads its key to a block with zeros; done here, there is no length that could be wrong.
    let mut block = [0; BLOCK_BYTES];
    block[..key.len()].copy_from_slice(key);
    Hmac::<Sha256>::new(&block.into()).chain_update(message).finalize().into_bytes().into()
}
