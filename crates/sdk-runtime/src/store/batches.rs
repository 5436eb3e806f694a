//! What waits for the store: entries per transcript, in their order, bounded in bytes.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{
    SessionKey,
    line::TranscriptLine,
    mirror::{MirrorLoss, MirrorLossReason},
};

/// Beyond these, what waits is stored before the turn ends.
const ENTRIES_BATCH_MAX: usize = 500;
const BYTES_BATCH_MAX: usize = 1 << 20;

/// Entries of one transcript.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) key: SessionKey,
    pub(super) file: PathBuf,
    pub(super) lines: Vec<TranscriptLine>,
    pub(super) bytes: usize,
}

impl Batch {
    pub(super) fn lost(&self, reason: MirrorLossReason) -> MirrorLoss {
        let uuids = self.lines.iter().filter_map(TranscriptLine::uuid);
        MirrorLoss {
            key: self.key.clone(),
            file: self.file.clone(),
            entries: self.lines.len(),
            uuids: uuids.map(str::to_owned).collect(),
            reason,
        }
    }
}

/// Batches in the order their transcripts came up.
#[derive(Debug, Default)]
pub(super) struct Batches {
    batches: Vec<Batch>,
    entries: usize,
    bytes: usize,
}

impl Batches {
    pub(super) fn put(&mut self, batch: Batch) {
        self.entries += batch.lines.len();
        self.bytes += batch.bytes;
        match self.batches.iter_mut().find(|other| other.key == batch.key) {
            Some(other) => {
                other.lines.extend(batch.lines);
                other.bytes += batch.bytes;
            }
            None => self.batches.push(batch),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn are_many(&self) -> bool {
        self.entries > ENTRIES_BATCH_MAX || self.bytes > BYTES_BATCH_MAX
    }

    pub(super) fn take(&mut self) -> Vec<Batch> {
        std::mem::take(self).batches
    }
}

/// Which key the transcript at this path has: its name tells the session, wherever the file lies.
pub(super) fn key_of(file: &Path, project_key: &str) -> Option<SessionKey> {
    let parts: Vec<&str> = file.iter().filter_map(|part| part.to_str()).collect();
    let (last, folders) = parts.split_last()?;
    let stem = last.strip_suffix(".jsonl")?;
    if is_session(stem) {
        return Some(SessionKey::main(project_key, stem));
    }
    let session = folders.iter().rposition(|part| is_session(part))?;
    let inner = folders.get(session + 1..)?.iter().copied().chain([stem]);
    let subpath = inner.collect::<Vec<_>>().join("/");
    Some(SessionKey::main(project_key, *folders.get(session)?).with_subpath(subpath))
}

fn is_session(name: &str) -> bool {
    name.len() == 36 && name.parse::<Uuid>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "76a4cfd2-d759-4890-a78f-7daec76c145a";

    fn key(file: &str) -> Option<String> {
        key_of(Path::new(file), "own").map(|key| key.to_string())
    }

    #[test]
    fn a_path_tells_the_session_and_what_of_it() {
        let main = format!("/c/projects/-srv-demo/{ID}.jsonl");
        let sub = format!("/c/projects/-srv-demo/{ID}/subagents/workflows/r1/agent-a5.jsonl");
        assert_eq!(key(&main), Some(format!("own/{ID}")));
        assert_eq!(key(&sub), Some(format!("own/{ID}/subagents/workflows/r1/agent-a5")));
        assert_eq!(key(&format!("/any/where/{ID}.jsonl")), Some(format!("own/{ID}")));
        assert_eq!(key("/c/projects/-srv-demo/notes.jsonl"), None);
        assert_eq!(key(&format!("/c/projects/x/{ID}.txt")), None);
    }
}
