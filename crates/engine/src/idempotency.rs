//! Requests with an idempotency key: carried out once, answered again as they were the first time.
//!
//! What is kept of an answer is sealed with a key derived from the server's, because answers hold secrets that are kept
//! nowhere else in clear; and what is kept of a request is a keyed hash, because requests hold passwords.

use crate::{
    Error, Result,
    seal::{self, Seal},
};
use aws_lc_rs::hmac;
use domain::{
    Clock,
    idempotency::{Claim, KeyLimits, KeyedRequest},
    ports::IdempotencyKeys,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a key is known.
pub const KEY_LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// Largest answer that is kept, in bytes of its body.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Keys that one caller may have at a time.
const KEYS_MAX: u64 = 10_000;
/// Bytes that the answers to one caller may take.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long a claim holds that is not renewed: its server is gone.
const CLAIM: SignedDuration = SignedDuration::from_secs(60);
/// How often a claim is renewed while its request is carried out.
const RENEW_INTERVAL: Duration = Duration::from_secs(15);
/// How often keys are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(600);

const SEALING: &[u8] = b"idempotent answers v1";
const FINGERPRINTS: &[u8] = b"idempotent requests v1";

/// Knows requests again.
#[derive(Clone)]
pub struct Idempotency(Arc<Inner>);

struct Inner {
    store: Arc<dyn IdempotencyKeys>,
    clock: Arc<dyn Clock>,
    answers: Seal,
    fingerprints: hmac::Key,
}

/// What a keyed request meets.
#[derive(Debug)]
pub enum Met {
    /// Nothing: it is to be carried out.
    First(HeldKey),
    /// An earlier arrival is being carried out.
    Running,
    /// An earlier arrival was begun by a server that is gone.
    Unknown,
    Answered(KeptAnswer),
    OtherRequest,
    /// The caller has as many keys as they may.
    Full,
}

/// An answer, to be given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// `None` when it was a stream, was too large to keep, or was sealed with another key.
    #[serde(skip)]
    pub body: Option<Vec<u8>>,
    has_body: bool,
}

/// A key that this request holds, until its answer is kept or it comes to nothing.
#[derive(Clone)]
pub struct HeldKey {
    owner: Arc<Inner>,
    attempt: Uuid,
    sealed_for: [u8; 32],
}

impl fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Idempotency")
    }
}

impl fmt::Debug for HeldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldKey").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl KeptAnswer {
    /// This answer; one without a body is known again, and not given again.
    #[must_use]
    pub fn new(status: u16, headers: Vec<(String, String)>, body: Option<Vec<u8>>) -> Self {
        Self { status, headers, has_body: body.is_some(), body }
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl Idempotency {
    /// With keys derived from the server's by HKDF-SHA256.
    pub fn new(store: Arc<dyn IdempotencyKeys>, clock: Arc<dyn Clock>, server_key: &[u8]) -> Result<Self> {
        let failed = |_| Error::Internal("derive the keys of kept answers");
        let answers = Seal::new(server_key, SEALING).map_err(failed)?;
        let fingerprints = seal::derived(server_key, FINGERPRINTS).map_err(failed)?;
        let fingerprints = hmac::Key::new(hmac::HMAC_SHA256, &fingerprints);
        Ok(Self(Arc::new(Inner { store, clock, answers, fingerprints })))
    }

    /// Looks whether a request of this caller with this key was here before; `parts` are all that it asks for.
    pub async fn meet(&self, caller: &str, key: &str, parts: &[&[u8]]) -> Result<Met> {
        let inner = &self.0;
        let now = inner.clock.now();
        let sealed_for = inner.digest(&[caller.as_bytes(), key.as_bytes()]);
        let request = KeyedRequest {
            owner: caller.to_owned(),
            key: sealed_for,
            fingerprint: inner.digest(parts),
            attempt: Uuid::now_v7(),
            at: now,
            claimed_until: now + CLAIM,
        };
        let limits =
            KeyLimits { forgotten_before: now - KEY_LIFETIME, keys_max: KEYS_MAX, bytes_max: BYTES_MAX };
        Ok(match inner.store.claim_key(&request, &limits).await? {
            Claim::Mine => Met::First(HeldKey { owner: inner.clone(), attempt: request.attempt, sealed_for }),
            Claim::Running => Met::Running,
            Claim::Unknown => Met::Unknown,
            Claim::Answered(sealed) => Met::Answered(inner.open(&sealed_for, &sealed)),
            Claim::OtherRequest => Met::OtherRequest,
            Claim::Full => Met::Full,
        })
    }

    /// Forgets old keys until cancelled.
    pub async fn keep_house(&self, cancelled: CancellationToken) {
        let mut ticks = tokio::time::interval(FORGET_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while cancelled.run_until_cancelled(ticks.tick()).await.is_some() {
            let before = self.0.clock.now() - KEY_LIFETIME;
            if let Err(error) = self.0.store.forget_keys(before).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "old idempotency keys stay");
            }
        }
    }
}

impl HeldKey {
    /// Renews the claim while the request is carried out.
    pub async fn while_held<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval(RENEW_INTERVAL);
        ticks.tick().await;
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => {
                    let until = self.claimed_until();
                    self.note(self.owner.store.renew_claim(self.attempt, until).await, "was not renewed");
                }
            }
        }
    }

    /// Keeps the answer. If it cannot be kept, the request's outcome is unknown to whoever sends it again.
    pub async fn keep(self, answer: &KeptAnswer) {
        fail::fail_point!("answer.before_kept");
        match self.owner.seal(&self.sealed_for, answer) {
            Ok(sealed) => {
                self.note(self.owner.store.keep_answer(self.attempt, &sealed).await, "has no answer");
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an answer was not sealed");
            }
        }
    }

    /// Gives the key up: the request came to nothing, and may come again.
    pub async fn release(self) {
        self.note(self.owner.store.release_key(self.attempt).await, "was not given up");
    }

    fn claimed_until(&self) -> Timestamp {
        self.owner.clock.now() + CLAIM
    }

    fn note(&self, written: domain::ports::StoreResult<()>, what: &'static str) {
        if let Err(error) = written {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, attempt = %self.attempt, "an idempotency key {what}");
        }
    }
}

impl Inner {
    /// A keyed hash of parts, each with its length before it.
    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.fingerprints);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }

    /// Sealed: the length of the head, the head, the body.
    fn seal(&self, sealed_for: &[u8; 32], answer: &KeptAnswer) -> Result<Vec<u8>> {
        let failed = || Error::Internal("seal an answer");
        let head = serde_json::to_vec(answer).map_err(|_| failed())?;
        let mut text = u32::try_from(head.len()).map_err(|_| failed())?.to_be_bytes().to_vec();
        text.extend_from_slice(&head);
        text.extend_from_slice(answer.body.as_deref().unwrap_or_default());
        self.answers.seal(sealed_for, text).map_err(|_| failed())
    }

    /// The answer that was sealed; what cannot be opened is an answer that was not kept.
    fn open(&self, sealed_for: &[u8; 32], sealed: &[u8]) -> KeptAnswer {
        self.opened(sealed_for, sealed).unwrap_or_else(|| KeptAnswer::new(200, Vec::new(), None))
    }

    fn opened(&self, sealed_for: &[u8; 32], sealed: &[u8]) -> Option<KeptAnswer> {
        let text = self.answers.open(sealed_for, sealed)?;
        let (length, text) = text.split_first_chunk()?;
        let (head, body) = text.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let answer: KeptAnswer = serde_json::from_slice(head).ok()?;
        let body = answer.has_body.then(|| body.to_vec());
        Some(KeptAnswer { body, ..answer })
    }
}
