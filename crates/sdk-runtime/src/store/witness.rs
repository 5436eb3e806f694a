//! The witness: notices what the agent said and never reported as written. A CLI that cannot write its
//! transcript, because the disk is full or the folder gone, goes on without a word.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use serde_json::Value;

use super::{
    SessionKey,
    line::TranscriptLine,
    mirror::{MirrorLoss, MirrorLossReason},
};

/// Messages that are remembered; beyond it the witness sleeps until some are accounted for.
const MESSAGES_MAX: usize = 16_384;

/// Messages of the model heard on one side only: streamed to the host, or reported for the store.
#[derive(Debug, Default)]
pub(super) struct Witness {
    streamed: BTreeMap<String, String>,
    reported: HashSet<String>,
}

impl Witness {
    /// A frame for the host. Made-up frames, such as those of API errors, are no messages of the model.
    pub(super) fn saw(&mut self, frame: &Value) {
        let is_message = frame["type"] == "assistant"
            && frame["parent_tool_use_id"].is_null()
            && frame["error"].is_null()
            && frame["message"]["model"] != "<synthetic>";
        let (Some(uuid), Some(session)) = (frame["uuid"].as_str(), frame["session_id"].as_str()) else {
            return;
        };
        if is_message && !self.reported.remove(uuid) && self.streamed.len() < MESSAGES_MAX {
            self.streamed.insert(uuid.to_owned(), session.to_owned());
        }
    }

    /// A line for the store.
    pub(super) fn heard(&mut self, line: &TranscriptLine) {
        let Some(uuid) = line.uuid().filter(|_| line.is_of_model()) else {
            return;
        };
        if self.streamed.remove(uuid).is_none() && self.reported.len() < MESSAGES_MAX {
            self.reported.insert(uuid.to_owned());
        }
    }

    /// What was streamed and never reported, by session.
    pub(super) fn missing(&mut self, project_key: &str) -> Vec<MirrorLoss> {
        let mut sessions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (uuid, session) in std::mem::take(&mut self.streamed) {
            sessions.entry(session).or_default().push(uuid);
        }
        let losses = sessions.into_iter().map(|(session, uuids)| MirrorLoss {
            key: SessionKey::main(project_key, session),
            file: PathBuf::new(),
            entries: uuids.len(),
            uuids,
            reason: MirrorLossReason::NeverReported,
        });
        losses.collect()
    }
}
