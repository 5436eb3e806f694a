//! Walking a chain: each entry must follow the one before, be what its hash says, and carry the server's signature.

use super::{
    AuditKey,
    entry::{AuditEntry, AuditHead, GENESIS, Hash},
};
use jiff::Timestamp;
use std::fmt;

/// Where a chain is damaged, and how. Nothing from there on can be trusted.
#[derive(Debug, thiserror::Error)]
#[error("trust the log from entry {seq} on")]
pub struct Damage {
    /// The first number at which the chain is not what it must be.
    pub seq: u64,
    #[source]
    pub fault: Fault,
}

/// What is wrong with an entry.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("an entry is missing or out of place: the next one has number {found}")]
    Gap { found: u64 },
    #[error("it does not name the hash of the entry before it")]
    WrongPrevHash,
    #[error("it is not what its hash says: it was changed")]
    WrongHash,
    #[error("it is not signed")]
    NotSigned,
    #[error("it was not signed with a key that was given")]
    WrongMac,
    #[error("it cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("it is another one than the store noted as its last")]
    OtherHead,
    #[error("the log ends before it reaches the expected hash {}", hex::encode(.0))]
    EndsTooEarly(Hash),
}

/// What is odd about an entry and no damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Its time is before that of the entry before it: a clock was set back.
    TimeWentBack { seq: u64, before: Timestamp, at: Timestamp },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::TimeWentBack { seq, before, at } = self;
        write!(f, "entry {seq} is of {at}, the one before it of {before}: a clock was set back")
    }
}

/// A chain that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    pub entries: u64,
    pub head: AuditHead,
}

/// Walks one chain, entry by entry, and remembers no more than the last one.
#[derive(Debug)]
pub struct Verifier {
    head: AuditHead,
    /// The hash before the first entry is taken on trust: the chain is read from its middle.
    trusts_first: bool,
    entries: u64,
    last_at: Option<Timestamp>,
    keys: Vec<AuditKey>,
    noted: Option<AuditHead>,
    expected: Option<Hash>,
}

impl Verifier {
    /// For a chain that is read from its entry `from` on. If that is not 1, the hash that its first entry names is
    /// taken on trust.
    #[must_use]
    pub fn from(from: u64) -> Self {
        let head = AuditHead { seq: from.saturating_sub(1), hash: GENESIS };
        Self {
            head,
            trusts_first: head.seq > 0,
            entries: 0,
            last_at: None,
            keys: Vec::new(),
            noted: None,
            expected: None,
        }
    }

    /// Every entry must be signed with one of these; with none, signatures are not looked at.
    #[must_use]
    pub fn signed_with(self, keys: Vec<AuditKey>) -> Self {
        Self { keys, ..self }
    }

    /// The chain must come to this head.
    #[must_use]
    pub fn reaching(self, noted: AuditHead) -> Self {
        Self { noted: Some(noted).filter(|noted| noted.seq > self.head.seq), ..self }
    }

    /// The chain must have an entry of this hash, which was its head once.
    #[must_use]
    pub fn expecting(self, expected: Option<Hash>) -> Self {
        Self { expected: expected.filter(|hash| *hash != GENESIS), ..self }
    }

    /// The number the next entry must have.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.head.seq + 1
    }

    /// Takes the next line of an export.
    pub fn take_line(&mut self, line: &str) -> Result<Option<Notice>, Damage> {
        match AuditEntry::parse(line) {
            Ok(entry) => self.take(&entry),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    /// What it means that the next entry cannot be read.
    pub fn unreadable(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Damage {
        Damage { seq: self.next_seq(), fault: Fault::Unreadable(error.into()) }
    }

    /// Takes the next entry.
    pub fn take(&mut self, entry: &AuditEntry) -> Result<Option<Notice>, Damage> {
        if let Some(fault) = self.fault(entry) {
            return Err(Damage { seq: self.next_seq(), fault });
        }
        self.head = entry.head();
        self.trusts_first = false;
        self.entries += 1;
        self.expected = self.expected.filter(|hash| *hash != entry.hash);
        let at = entry.event.at;
        let before = self.last_at.replace(at).filter(|before| *before > at);
        Ok(before.map(|before| Notice::TimeWentBack { seq: entry.seq, before, at }))
    }

    /// The chain has no more entries.
    pub fn finish(self) -> Result<Verified, Damage> {
        let seq = self.next_seq();
        if let Some(noted) = self.noted.filter(|noted| noted.seq > self.head.seq) {
            return Err(Damage { seq, fault: Fault::EndsTooEarly(noted.hash) });
        }
        match self.expected {
            Some(hash) => Err(Damage { seq, fault: Fault::EndsTooEarly(hash) }),
            None => Ok(Verified { entries: self.entries, head: self.head }),
        }
    }

    fn fault(&self, entry: &AuditEntry) -> Option<Fault> {
        if entry.seq != self.next_seq() {
            return Some(Fault::Gap { found: entry.seq });
        }
        if !self.trusts_first && entry.prev_hash != self.head.hash {
            return Some(Fault::WrongPrevHash);
        }
        match entry.computed_hash() {
            Ok(hash) if hash == entry.hash => {}
            Ok(_) => return Some(Fault::WrongHash),
            Err(error) => return Some(Fault::Unreadable(Box::new(error))),
        }
        if !self.keys.is_empty() {
            let Some(mac) = entry.mac else { return Some(Fault::NotSigned) };
            // Whoever verifies has the key and nobody watches the time it takes.
            if !self.keys.iter().any(|key| key.sign(&entry.hash) == mac) {
                return Some(Fault::WrongMac);
            }
        }
        let noted = self.noted.filter(|noted| noted.seq == entry.seq);
        noted.is_some_and(|noted| noted.hash != entry.hash).then_some(Fault::OtherHead)
    }
}
