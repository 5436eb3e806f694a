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
}

/// The hash of a password nobody has kept, with the parameters of all others: checked when an account does not exist,
/// so that both cases take as long.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$GPw4tzsWDGXkVLmUBqWxdQ$fac74oMz01/ZD7KXtfrHWIo1OLk5CDuTIKRDuqTf5nY";

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(CONCURRENT_HASHES_MAX)) }
    }
}

impl Passwords {
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
        let hash = hash.unwrap_or_else(|| DECOY.to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_nothing_else_is() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(passwords.verify("correct horse".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("wrong horse".to_owned(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("correct horse".to_owned(), None).await.unwrap());
    }

    #[tokio::test]
    async fn the_decoy_costs_as_much_as_a_real_one() {
        let real = Passwords::default().hash("anything".to_owned()).await.unwrap();
        let parameters = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parameters(DECOY), parameters(&real));
        assert!(PasswordHash::new(DECOY).is_ok());
    }
}
