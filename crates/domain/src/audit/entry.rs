//! An entry of the chain, and its one text.
//!
//! The text is the entry as JSON in the canonical form of RFC 8785, without what is not there. What is hashed is the
//! text without `hash` and `mac`; since it holds the hash of the entry before, nothing before it can change unseen.
//! That form is what others can compute from the exported line with their own JSON library.

use super::{Actor, AuditEvent, AuditKey, Fact, Source, Subject};
use crate::SessionId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, collections::BTreeMap, fmt, net::IpAddr};

/// A SHA-256.
pub type Hash = [u8; 32];

/// What the first entry names as the hash before it.
pub const GENESIS: Hash = [0; 32];

/// An event with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// 1 for the first, without gaps.
    pub seq: u64,
    pub event: AuditEvent,
    pub prev_hash: Hash,
    pub hash: Hash,
    /// The hash signed with the server's key.
    pub mac: Option<Hash>,
}

/// The end of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// 0 while there are no entries.
    pub seq: u64,
    pub hash: Hash,
}

/// Why a line is not the text of an entry.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableLine {
    /// Not the JSON of an entry.
    #[error("read the entry")]
    Syntax(#[source] serde_json::Error),
    /// The same value has a text that differs from this one; somebody else wrote it.
    #[error("read the entry: it is not in its canonical form")]
    NotCanonical,
}

impl AuditEntry {
    /// The entry that follows `head`.
    pub fn following(
        head: AuditHead,
        event: AuditEvent,
        key: Option<&AuditKey>,
    ) -> Result<Self, serde_json::Error> {
        let unhashed = Self { seq: head.seq + 1, event, prev_hash: head.hash, hash: GENESIS, mac: None };
        let hash = unhashed.computed_hash()?;
        Ok(Self { hash, mac: key.map(|key| key.sign(&hash)), ..unhashed })
    }

    /// The hash this entry must have.
    pub fn computed_hash(&self) -> Result<Hash, serde_json::Error> {
        Ok(Sha256::digest(self.text(false)?).into())
    }

    /// The entry's one text: a line of the export.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        self.text(true)
    }

    /// The entry of a line, which must be that entry's text to the byte.
    pub fn parse(line: &str) -> Result<Self, UnreadableLine> {
        let parsed: Line<'_> = serde_json::from_str(line).map_err(UnreadableLine::Syntax)?;
        let entry = Self::from(parsed);
        let text = entry.line().map_err(UnreadableLine::Syntax)?;
        if text == line { Ok(entry) } else { Err(UnreadableLine::NotCanonical) }
    }

    /// The head of a chain that ends with this entry.
    #[must_use]
    pub fn head(&self) -> AuditHead {
        AuditHead { seq: self.seq, hash: self.hash }
    }

    fn text(&self, with_hash: bool) -> Result<String, serde_json::Error> {
        let event = &self.event;
        let line = Line {
            seq: self.seq,
            at: At(event.at),
            actor: event.actor,
            action: Cow::Borrowed(event.action.as_ref()),
            subject: event.subject.as_ref().map(Cow::Borrowed),
            session_id: event.session_id,
            ip_address: event.source.ip_address,
            request_id: event.source.request_id.as_deref().map(Cow::Borrowed),
            data: Cow::Borrowed(&event.data),
            prev_hash: self.prev_hash,
            hash: with_hash.then_some(self.hash),
            mac: self.mac.filter(|_| with_hash),
        };
        serde_json_canonicalizer::to_string(&line)
    }
}

impl AuditHead {
    /// The head of a chain without entries.
    pub const EMPTY: Self = Self { seq: 0, hash: GENESIS };

    /// The hash as people write it down.
    #[must_use]
    pub fn hash_hex(&self) -> String {
        hex::encode(self.hash)
    }
}

/// Number and hash, for people and logs.
impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex::encode(self.hash))
    }
}

/// The fields of a line. What is not there is left out, so that fields to come leave the text of older entries alone.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    seq: u64,
    at: At,
    actor: Actor,
    action: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, Subject>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_empty")]
    data: Cow<'a, BTreeMap<Cow<'static, str>, Fact>>,
    #[serde(with = "hex::serde")]
    prev_hash: Hash,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hash_or_none")]
    hash: Option<Hash>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hash_or_none")]
    mac: Option<Hash>,
}

#[expect(clippy::ptr_arg, reason = "serde hands over the field as it is")]
fn is_empty(data: &Cow<'_, BTreeMap<Cow<'static, str>, Fact>>) -> bool {
    data.is_empty()
}

impl From<Line<'_>> for AuditEntry {
    fn from(line: Line<'_>) -> Self {
        let event = AuditEvent {
            at: line.at.0,
            actor: line.actor,
            source: Source { ip_address: line.ip_address, request_id: line.request_id.map(Cow::into_owned) },
            action: Cow::Owned(line.action.into_owned()),
            subject: line.subject.map(Cow::into_owned),
            session_id: line.session_id,
            data: line.data.into_owned(),
        };
        // Without a hash it is no line of a chain; it is not its own text either and thus refused.
        let hash = line.hash.unwrap_or(GENESIS);
        Self { seq: line.seq, event, prev_hash: line.prev_hash, hash, mac: line.mac }
    }
}

/// An instant with all six digits behind the point, so that it has one text.
struct At(Timestamp);

impl Serialize for At {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.6}", self.0))
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(deserializer).map(Self)
    }
}

mod hash_or_none {
    use super::Hash;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hash: &Option<Hash>, serializer: S) -> Result<S::Ok, S::Error> {
        match hash {
            Some(hash) => hex::serde::serialize(hash, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Hash>, D::Error> {
        hex::serde::deserialize(deserializer).map(Some)
    }
}
