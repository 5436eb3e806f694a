//! Passwords: argon2id, computed off the async threads and a few at a time, because each takes 19 MiB and a core.

use crate::{Error, Result};
use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many passwords are hashed at the same time; more would only take each other's core.
const CONCURRENT_HASHES_MAX: usize = 2;

/// Hashes and checks passwords.
#[derive(Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
    /// The hash of nothing anyone knows: checked when the account does not exist, so that both cases take as long.
    decoy: Arc<str>,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

impl Passwords {
    /// Makes a hasher; takes as long as hashing one password.
    pub async fn new() -> Result<Self> {
        let this = Self { slots: Arc::new(Semaphore::new(CONCURRENT_HASHES_MAX)), decoy: "".into() };
        let decoy = this.hash(crate::tokens::random_secret()).await?;
        Ok(Self { decoy: decoy.into(), ..this })
    }

    /// The PHC string of a password, with a fresh salt.
    pub async fn hash(&self, password: String) -> Result<String> {
        self.compute(move || {
            Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).ok()
        })
        .await?
        .ok_or(Error::Internal("hash the password"))
    }

    /// Whether the password belongs to the hash; without a hash the answer is no, after the same time.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.to_string());
        let matches = self
            .compute(move || {
                PasswordHash::new(&hash)
                    .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(matches && known)
    }

    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let _slot = self.slots.acquire().await.map_err(|_| Error::ShuttingDown)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Internal("hash the password"))
    }
}
