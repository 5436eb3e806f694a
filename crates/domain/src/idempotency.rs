//! Requests that are carried out once, however often they arrive (draft-ietf-httpapi-idempotency-key-header).

use jiff::Timestamp;
use std::fmt;
use uuid::Uuid;

/// One arrival of a request that its client will know again by a key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// Whose key it is; the same key of others is another one.
    pub owner: String,
    /// What is kept of the key.
    pub key: [u8; 32],
    /// What the request asks for. Under one key it must be the same each time.
    pub fingerprint: [u8; 32],
    /// This arrival of it.
    pub attempt: Uuid,
    pub at: Timestamp,
    /// Until when the claim on the key holds, unless it is renewed.
    pub claimed_until: Timestamp,
}

impl fmt::Debug for KeyedRequest {
    /// Without its fingerprint, which bodies with secrets have a part in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRequest")
            .field("owner", &self.owner)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// How long keys are kept, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLimits {
    /// Keys from before this are forgotten.
    pub forgotten_before: Timestamp,
    /// Keys that one owner may have.
    pub keys_max: u64,
    /// Bytes that the answers of one owner may take.
    pub bytes_max: u64,
}

/// What came of claiming a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is new: the request is to be carried out.
    Mine,
    /// An earlier arrival is being carried out.
    Running,
    /// An earlier arrival was being carried out by somebody who is gone; nobody knows what came of it.
    Unknown,
    /// It was carried out, and this is what was answered.
    Answered(Vec<u8>),
    /// The key stands for another request.
    OtherRequest,
    /// Its owner has as many keys, or bytes of answers, as they may.
    Full,
}

impl fmt::Debug for Claim {
    /// Without the answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mine => "Mine",
            Self::Running => "Running",
            Self::Unknown => "Unknown",
            Self::Answered(_) => "Answered",
            Self::OtherRequest => "OtherRequest",
            Self::Full => "Full",
        })
    }
}
