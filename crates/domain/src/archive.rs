//! An archive: what a session had on disk, and its transcript, put away as one object.

use crate::{ArchiveId, ServerId, Session, SessionId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How an archive is packed; each is opened by tools that every system has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// tar and gzip.
    #[default]
    Gzip,
    /// tar and Zstandard.
    Zstd,
    /// tar alone.
    None,
    /// A zip file.
    Zip,
}

impl Compression {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Zstd, Self::None, Self::Zip];

    /// The word for it on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::None => "none",
            Self::Zip => "zip",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.as_str() == word)
    }

    /// How the names of such files end, without the first dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "tar.gz",
            Self::Zstd => "tar.zst",
            Self::None => "tar",
            Self::Zip => "zip",
        }
    }

    /// The media type of such files.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => "application/gzip",
            Self::Zstd => "application/zstd",
            Self::None => "application/x-tar",
            Self::Zip => "application/zip",
        }
    }
}

/// Where an archive is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchivePlace {
    /// On the disk of the server that made it.
    Local,
    /// In the bucket that all servers share.
    S3,
}

impl ArchivePlace {
    /// Every place.
    pub const ALL: [Self; 2] = [Self::Local, Self::S3];

    /// The word for it in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::S3 => "s3",
        }
    }

    /// The place of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.as_str() == word)
    }
}

/// Where an archive is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveStatus {
    /// Asked for; nobody has begun.
    Pending,
    /// Being packed and stored. One that was left so by a crash is begun anew.
    InProgress,
    /// Stored, read back and found whole.
    Completed,
    /// Given up; the session is as it was before.
    Failed,
}

impl ArchiveStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Pending, Self::InProgress, Self::Completed, Self::Failed];

    /// The word for it on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// An archive on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    pub id: ArchiveId,
    pub session_id: SessionId,
    pub status: ArchiveStatus,
    pub compression: Compression,
    pub place: ArchivePlace,
    /// Who packed it last: one in a local place is on that server's disk. Unknown until somebody has begun.
    pub server_id: Option<ServerId>,
    /// Its name in the store, as the last attempt has it.
    pub key: String,
    /// The last message of the conversation it holds; 0 when nothing was said.
    pub at_message: u64,
    /// Known once it is completed.
    pub content: Option<ArchiveContent>,
    /// Why the last attempt failed.
    pub error_message: Option<String>,
    /// How often somebody has begun; a later attempt makes what an earlier one still does void.
    pub attempt: u32,
    /// When a pending one is begun at the earliest.
    pub due_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When it was completed.
    pub archived_at: Option<Timestamp>,
    /// Since when it can be restored no more: a newer one took its place, or its time was up.
    pub removed_at: Option<Timestamp>,
}

impl Archive {
    /// One that was asked for just now.
    #[must_use]
    pub fn pending(session: &Session, place: ArchivePlace, compression: Compression, at: Timestamp) -> Self {
        let id = ArchiveId::new();
        let (user, session_id, extension) = (session.user_id, session.id, compression.extension());
        Self {
            id,
            session_id,
            status: ArchiveStatus::Pending,
            compression,
            place,
            server_id: None,
            key: format!("{user}/{session_id}/{id}.{extension}"),
            at_message: session.counters.messages,
            content: None,
            error_message: None,
            attempt: 0,
            due_at: at,
            created_at: at,
            updated_at: at,
            archived_at: None,
            removed_at: None,
        }
    }

    /// The same as the next attempt begins on this server.
    #[must_use]
    pub fn claimed(self, server: ServerId, at: Timestamp) -> Self {
        let (status, server_id, attempt) = (ArchiveStatus::InProgress, Some(server), self.attempt + 1);
        let key = key_of_attempt(self.id, &self.key, attempt);
        Self { status, server_id, key, attempt, updated_at: at, ..self }
    }

    /// Every name in the store under which an attempt may have put something.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        keys_of_attempts(self.id, &self.key, self.attempt)
    }

    /// Whether this is still what whoever claimed it has.
    #[must_use]
    pub fn is_claimed_as(&self, claimed: &Self) -> bool {
        self.status == ArchiveStatus::InProgress && self.attempt == claimed.attempt
    }

    /// The same after an attempt that failed, for another one.
    #[must_use]
    pub fn postponed(self, error: &str, due_at: Timestamp, at: Timestamp) -> Self {
        let error_message = Some(error.to_owned());
        Self { status: ArchiveStatus::Pending, error_message, due_at, updated_at: at, ..self }
    }

    /// The same once it is stored.
    #[must_use]
    pub fn completed(self, content: &ArchiveContent, at: Timestamp) -> Self {
        let (status, content) = (ArchiveStatus::Completed, Some(content.clone()));
        Self { status, content, error_message: None, archived_at: Some(at), updated_at: at, ..self }
    }

    /// The same given up.
    #[must_use]
    pub fn failed(self, error: &str, at: Timestamp) -> Self {
        let error_message = Some(error.to_owned());
        Self { status: ArchiveStatus::Failed, error_message, updated_at: at, ..self }
    }

    /// Whether a session can be restored from it.
    #[must_use]
    pub fn is_restorable(&self) -> bool {
        self.status == ArchiveStatus::Completed && self.removed_at.is_none()
    }

    /// Whether this server can read it.
    #[must_use]
    pub fn is_within_reach_of(&self, server: ServerId) -> bool {
        match self.place {
            ArchivePlace::S3 => true,
            ArchivePlace::Local => self.server_id.is_none_or(|packed_by| packed_by == server),
        }
    }
}

/// The names in the store that so many attempts at an archive have; `key` is one of them.
#[must_use]
pub fn keys_of_attempts(id: ArchiveId, key: &str, attempts: u32) -> Vec<String> {
    (1..=attempts.max(1)).map(|attempt| key_of_attempt(id, key, attempt)).collect()
}

/// Each attempt has a name of its own in the store: one that was taken for lost and goes on all the same must not write
/// over what a later one has stored.
fn key_of_attempt(id: ArchiveId, key: &str, attempt: u32) -> String {
    let id = id.to_string();
    let Some((before, after)) = key.rsplit_once(&id) else { return key.to_owned() };
    let extension = after.find('.').and_then(|at| after.get(at..)).unwrap_or_default();
    match attempt {
        0 | 1 => format!("{before}{id}{extension}"),
        _ => format!("{before}{id}-{attempt}{extension}"),
    }
}

/// What a completed archive is and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveContent {
    /// Of the object.
    pub size_bytes: u64,
    /// Of the object.
    pub sha256: [u8; 32],
    /// Of the manifest, which is an object beside it.
    pub manifest_sha256: [u8; 32],
    pub file_count: u64,
    /// Of all files together, unpacked.
    pub unpacked_bytes: u64,
    /// Files and folders that the excludes left out.
    pub excluded_count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_has_a_name_of_its_own_whichever_is_known() {
        let id = ArchiveId::new();
        for before in ["user/session/", "bucket/prefix/user/session/"] {
            let first = format!("{before}{id}.tar.gz");
            let all = [first, format!("{before}{id}-2.tar.gz"), format!("{before}{id}-3.tar.gz")];
            for known in &all {
                assert_eq!(keys_of_attempts(id, known, 3), all);
            }
            // Before there was one there is nothing else.
            assert_eq!(keys_of_attempts(id, &all[0], 0), all[..1]);
        }
    }
}
