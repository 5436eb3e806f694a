//! Access tokens (signed, short-lived) and the random secrets behind refresh tokens and API keys.

use crate::{Error, Result};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{FamilyId, UserId};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What an API key begins with, so that people and secret scanners recognise it.
pub const API_KEY_PREFIX: &str = "stw_";
/// What a refresh token begins with.
const REFRESH_PREFIX: &str = "stwr_";
const ISSUER: &str = "steward";
const SECRET_BYTES: usize = 32;
/// With more than these, all are forgotten.
const VERIFIED_MAX: usize = 4096;

/// Signs and checks access tokens.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    access_ttl: SignedDuration,
    /// Tokens whose signature was checked, by their fingerprints. One that was ours stays ours; whether it has expired is
    /// looked at each time.
    verified: Mutex<HashMap<[u8; 32], Verified>>,
}

/// What a token of ours says.
#[derive(Debug, Clone, Copy)]
struct Verified {
    family: FamilyId,
    /// In seconds since 1970.
    expires: i64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("access_ttl", &self.access_ttl).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    fam: FamilyId,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// Tokens signed with this key (HS256).
    #[must_use]
    pub fn new(key: &[u8], access_ttl: SignedDuration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        // Expiry is checked below, against the clock this server was given.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
            access_ttl,
            verified: Mutex::default(),
        }
    }

    /// How long an access token is good for, in seconds.
    #[must_use]
    pub fn access_ttl_seconds(&self) -> i64 {
        self.access_ttl.as_secs()
    }

    /// An access token for one login.
    pub fn sign(&self, user: UserId, family: FamilyId, now: Timestamp) -> Result<String> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: user,
            fam: family,
            iat: now.as_second(),
            exp: now.as_second() + self.access_ttl.as_secs(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|_| Error::Internal("sign an access token"))
    }

    /// The login an access token belongs to, if it is ours and not expired.
    #[must_use]
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<FamilyId> {
        let key = fingerprint(token);
        let known = self.verified().get(&key).copied();
        let token = match known {
            Some(known) => known,
            None => self.check(key, token)?,
        };
        (token.expires > now.as_second()).then_some(token.family)
    }

    fn check(&self, key: [u8; 32], token: &str) -> Option<Verified> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        let token = Verified { family: claims.fam, expires: claims.exp };
        let mut verified = self.verified();
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(key, token);
        Some(token)
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<[u8; 32], Verified>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 256 random bits, in letters that need no escaping anywhere.
#[must_use]
pub fn random_secret() -> String {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A fresh refresh token.
#[must_use]
pub fn new_refresh_token() -> String {
    format!("{REFRESH_PREFIX}{}", random_secret())
}

/// A fresh API key.
#[must_use]
pub fn new_api_key() -> String {
    format!("{API_KEY_PREFIX}{}", random_secret())
}

/// What is stored of a secret.
#[must_use]
pub fn fingerprint(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_is_good_until_it_expires_and_only_under_its_key() {
        let tokens = Tokens::new(&[7; 32], SignedDuration::from_secs(60));
        let family = FamilyId::new();
        let token = tokens.sign(UserId::new(), family, at(1_000)).unwrap();
        assert_eq!(tokens.verify(&token, at(1_059)), Some(family));
        assert_eq!(tokens.verify(&token, at(1_060)), None);
        let other = Tokens::new(&[8; 32], SignedDuration::from_secs(60));
        assert_eq!(other.verify(&token, at(1_000)), None);
    }

    #[test]
    fn a_token_that_is_known_expires_like_any_other_and_no_other_passes_for_it() {
        let tokens = Tokens::new(&[7; 32], SignedDuration::from_secs(60));
        let family = FamilyId::new();
        let token = tokens.sign(UserId::new(), family, at(1_000)).unwrap();
        for _ in 0..2 {
            assert_eq!(tokens.verify(&token, at(1_000)), Some(family));
            assert_eq!(tokens.verify(&token, at(1_060)), None);
            let (signed, _) = token.rsplit_once('.').unwrap();
            for other in [format!("{signed}."), format!("{signed}.AAAA"), format!("{token}A")] {
                assert_eq!(tokens.verify(&other, at(1_000)), None, "{other}");
            }
        }
        assert_eq!(tokens.verified().len(), 1, "what is not ours is not kept");
    }

    #[test]
    fn known_tokens_have_a_bound() {
        let tokens = Tokens::new(&[7; 32], SignedDuration::from_secs(60));
        for _ in 0..=VERIFIED_MAX {
            let token = tokens.sign(UserId::new(), FamilyId::new(), at(1_000)).unwrap();
            assert!(tokens.verify(&token, at(1_000)).is_some());
        }
        assert_eq!(tokens.verified().len(), 1);
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        let tokens = Tokens::new(&[7; 32], SignedDuration::from_secs(60));
        let token = tokens.sign(UserId::new(), FamilyId::new(), at(1_000)).unwrap();
        let claims = token.split('.').nth(1).unwrap();
        let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        assert_eq!(tokens.verify(&format!("{header}.{claims}."), at(1_000)), None);
    }
}
