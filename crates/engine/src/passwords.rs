//! Passwords: argon2id, computed off the async threads and a few at a time, because each takes 19 MiB and a core.

use crate::{Error, Result};
use argon2::{
    Algorithm, Argon2, Block, Params,
    password_hash::{
        self, CustomizedPasswordHasher, PasswordVerifier,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many passwords are hashed at the same time; more would only take each other's core.
const CONCURRENT_HASHES_MAX: usize = 2;

/// Room that is asked for whenever a password is hashed, of which only what is written to is taken. From 32 MiB on glibc
/// always maps a piece by itself and unmaps it in the end. After the first smaller one that it has unmapped, it takes the
/// like from the heap of the thread that asks, and each thread would keep 19 MiB for its next password.
const RESERVED_BLOCKS: usize = (33 << 20) / Block::SIZE;

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
            let salt = password_hash::try_generate_salt().ok()?;
            let hash = Hasher.hash_password_with_params(password.as_bytes(), &salt, Params::default());
            hash.map(|hash| hash.to_string()).ok()
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
                    .is_ok_and(|hash| Hasher.verify_password(password.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(matches && known)
    }

    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| Error::ShuttingDown)?;
        // The slot goes with the work, which goes on when nobody waits for it any more.
        let work = move || {
            let _slot = slot;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Internal("hash the password"))
    }
}

/// Argon2 in memory that the system has back at once.
struct Hasher;

impl CustomizedPasswordHasher<PasswordHash> for Hasher {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> password_hash::Result<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(argon2::Version::try_from).transpose()?.unwrap_or_default();
        let mut blocks = Vec::new();
        // A machine without memory refuses a login; it does not end the server.
        blocks
            .try_reserve_exact(params.block_count().max(RESERVED_BLOCKS))
            .map_err(|_| password_hash::Error::OutOfMemory)?;
        blocks.resize(params.block_count(), Block::default());
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let (salt, described) = (Salt::new(salt)?, ParamsString::try_from(&params)?);
        let argon2 = Argon2::new(algorithm, version, params);
        let mut output = vec![0; length];
        argon2.hash_password_into_with_memory(password, &salt, &mut output, blocks)?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: described,
            salt: Some(salt),
            hash: Some(Output::new(&output)?),
        })
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
    async fn a_hash_is_that_of_the_library() {
        use argon2::password_hash::PasswordHasher;

        let theirs = Argon2::default().hash_password(b"correct horse").unwrap().to_string();
        let passwords = Passwords::default();
        assert!(passwords.verify("correct horse".to_owned(), Some(theirs)).await.unwrap());
        let ours = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(
            PasswordVerifier::<str>::verify_password(&Argon2::default(), b"correct horse", &ours).is_ok()
        );
    }

    #[tokio::test]
    async fn a_hash_that_nobody_waits_for_keeps_its_slot_until_it_is_done() {
        let passwords = Passwords::default();
        let (done, working) = std::sync::mpsc::channel::<()>();
        let working = Arc::new(std::sync::Mutex::new(working));
        for _ in 0..CONCURRENT_HASHES_MAX {
            let working = working.clone();
            let mut work = Box::pin(passwords.compute(move || working.lock().unwrap().recv().is_err()));
            assert!(futures::poll!(&mut work).is_pending());
        }
        assert_eq!(passwords.slots.available_permits(), 0);
        drop(done);
        assert!(passwords.compute(|| true).await.unwrap());
    }

    /// Each test is a process of its own, so what it takes is what was hashed here.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_memory_of_a_hash_goes_back_to_the_system() {
        fn resident_kib() -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        }

        let passwords = Passwords::default();
        let before = resident_kib();
        for _ in 0..4 {
            passwords.hash("correct horse".to_owned()).await.unwrap();
        }
        let after = resident_kib();
        assert!(after < before + 4 * 1024, "{before} KiB became {after}, and a hash takes 19 MiB");
    }

    #[tokio::test]
    async fn the_decoy_costs_as_much_as_a_real_one() {
        let real = Passwords::default().hash("anything".to_owned()).await.unwrap();
        let parameters = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parameters(DECOY), parameters(&real));
        assert!(PasswordHash::new(DECOY).is_ok());
    }
}
