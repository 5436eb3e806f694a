//! Forking: a conversation, up to a message, as a new session with ids of its own.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    path::Path,
    time::SystemTime,
};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    error::SessionError,
    first_prompt::FirstPrompt,
    transcript::{is_in_tree, read_entries, write_entry},
};

const TITLE_OF_THE_UNNAMED: &str = "Forked session";
/// Fields that would tie a copy to what its original was part of.
const FIELDS_DROPPED: [&str; 4] = ["teamName", "agentName", "slug", "sourceToolAssistantUUID"];

/// How to fork.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForkOptions {
    /// The last message that is taken along; `None` takes all.
    pub up_to: Option<String>,
    /// Title of the fork; `None` takes the old one with “ (fork)”.
    pub title: Option<String>,
}

impl ForkOptions {
    /// Sets `up_to`, the uuid of a message.
    #[must_use]
    pub fn with_up_to(mut self, message: impl ToString) -> Self {
        self.up_to = Some(message.to_string());
        self
    }

    /// Sets `title`.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }
}

/// What is needed of a transcript to fork it.
pub(crate) fn is_wanted(entry: &Value) -> bool {
    is_in_tree(entry)
        || entry["type"] == "content-replacement"
        || entry["customTitle"].is_string()
        || entry["aiTitle"].is_string()
}

/// Forks a transcript into a file beside it. The file is there whole, or not at all.
pub(super) fn fork_file(path: &Path, session_id: Uuid, options: &ForkOptions) -> Result<Uuid, SessionError> {
    let entries = read_entries(path, is_wanted).map_err(|error| SessionError::io("read", path, error))?;
    let (fork, entries) = fork(&entries, session_id, options)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let target = folder.join(format!("{fork}.jsonl"));
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".fork-").tempfile_in(folder)?;
        let text: String = entries.iter().map(write_entry).collect();
        file.write_all(text.as_bytes())?;
        file.persist_noclobber(&target)?;
        Ok(())
    };
    write().map_err(|error| SessionError::io("write", &target, error))?;
    Ok(fork)
}

/// The id and the entries of a fork. `entries` are those `is_wanted` wants.
pub(crate) fn fork(
    entries: &[Value],
    session_id: Uuid,
    options: &ForkOptions,
) -> Result<(Uuid, Vec<Value>), SessionError> {
    let main = |entry: &&Value| is_in_tree(entry) && entry["isSidechain"] != true;
    let mut tree: Vec<&Value> = entries.iter().filter(main).collect();
    if let Some(up_to) = &options.up_to {
        let cut = tree.iter().position(|entry| entry["uuid"] == up_to.as_str());
        let cut = cut.ok_or_else(|| no_such_message(session_id, up_to))?;
        tree.truncate(cut + 1);
    }
    if !tree.iter().any(|entry| entry["type"] != "progress") {
        return Err(SessionError::NoMessages { session_id });
    }
    let fork = Uuid::new_v4();
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let mut copies = Copies::new(&tree, session_id, fork).entries(&tree);
    if let Some(last) = copies.last_mut() {
        // The branch with the newest message is the one that goes on.
        last["timestamp"] = json!(now);
    }
    let replacements = entries.iter().filter(|entry| {
        entry["type"] == "content-replacement" && entry["sessionId"] == session_id.to_string()
    });
    let replacements: Vec<&Value> =
        replacements.filter_map(|entry| entry["replacements"].as_array()).flatten().collect();
    if !replacements.is_empty() {
        copies.push(json!({
            "type": "content-replacement", "sessionId": fork, "replacements": replacements,
            "uuid": Uuid::new_v4(), "timestamp": now,
        }));
    }
    copies.push(json!({
        "type": "custom-title", "sessionId": fork, "customTitle": title(entries, options),
        "uuid": Uuid::new_v4(), "timestamp": now,
    }));
    Ok((fork, copies))
}

/// Makes copies whose ids point to each other as those of the originals do.
struct Copies<'a> {
    originals: HashMap<&'a str, &'a Value>,
    ids: HashMap<&'a str, Uuid>,
    session_id: Uuid,
    fork: Uuid,
}

impl<'a> Copies<'a> {
    fn new(tree: &[&'a Value], session_id: Uuid, fork: Uuid) -> Self {
        let mut copies = Self { originals: HashMap::new(), ids: HashMap::new(), session_id, fork };
        for entry in tree {
            if let Some(uuid) = entry["uuid"].as_str() {
                copies.originals.insert(uuid, entry);
                copies.ids.entry(uuid).or_insert_with(Uuid::new_v4);
            }
        }
        copies
    }

    fn entries(&self, tree: &[&Value]) -> Vec<Value> {
        let written = tree.iter().filter(|entry| entry["type"] != "progress");
        written.map(|entry| self.copy(entry)).collect()
    }

    fn copy(&self, original: &Value) -> Value {
        let mut copy = original.clone();
        copy["uuid"] = json!(self.id(&original["uuid"]));
        copy["parentUuid"] = json!(self.parent(original));
        if original.get("logicalParentUuid").is_some() {
            copy["logicalParentUuid"] = json!(self.id(&original["logicalParentUuid"]));
        }
        copy["sessionId"] = json!(self.fork);
        copy["isSidechain"] = json!(false);
        copy["forkedFrom"] = json!({ "sessionId": self.session_id, "messageUuid": original["uuid"] });
        if let Value::Object(fields) = &mut copy {
            fields.retain(|name, _| !FIELDS_DROPPED.contains(&name.as_str()));
        }
        copy
    }

    fn id(&self, original: &Value) -> Option<Uuid> {
        self.ids.get(original.as_str()?).copied()
    }

    /// The nearest ancestor that is written: progress entries are passed over.
    fn parent(&self, original: &Value) -> Option<Uuid> {
        let mut parent = original["parentUuid"].as_str()?;
        // A chain cannot be longer than what there is, unless it bites its tail.
        for _ in 0..self.originals.len() {
            let entry = self.originals.get(parent)?;
            if entry["type"] != "progress" {
                return self.ids.get(parent).copied();
            }
            parent = entry["parentUuid"].as_str()?;
        }
        None
    }
}

fn no_such_message(session_id: Uuid, message_id: &str) -> SessionError {
    SessionError::NoSuchMessage { session_id, message_id: message_id.to_owned() }
}

fn title(entries: &[Value], options: &ForkOptions) -> String {
    let given = options.title.as_deref().map(str::trim).filter(|title| !title.is_empty());
    if let Some(title) = given {
        return title.to_owned();
    }
    let last = |key: &str| {
        let titles = entries.iter().rev().filter_map(|entry| entry[key].as_str());
        titles.map(str::to_owned).find(|title| !title.is_empty())
    };
    let first_prompt = || {
        let mut prompt = FirstPrompt::default();
        entries.iter().for_each(|entry| prompt.look_at(entry));
        prompt.text()
    };
    let old = last("customTitle").or_else(|| last("aiTitle")).or_else(first_prompt);
    format!("{} (fork)", old.as_deref().unwrap_or(TITLE_OF_THE_UNNAMED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &str, uuid: &str, parent: Option<&str>) -> Value {
        json!({
            "type": kind, "uuid": uuid, "parentUuid": parent, "isSidechain": false, "slug": "x",
            "message": { "content": uuid }, "timestamp": "2026-01-01T00:00:00.000Z",
        })
    }

    #[test]
    fn a_fork_has_ids_of_its_own_that_hang_together() {
        let source = Uuid::new_v4();
        let mut side = entry("user", "side", Some("a"));
        side["isSidechain"] = json!(true);
        let mut compacted = entry("system", "c", Some("b"));
        compacted["logicalParentUuid"] = json!("a");
        let entries = [
            entry("user", "a", None),
            entry("progress", "p", Some("a")),
            side,
            entry("assistant", "b", Some("p")),
            compacted,
            json!({ "type": "content-replacement", "sessionId": source, "replacements": [1] }),
            json!({ "type": "content-replacement", "sessionId": "other", "replacements": [2] }),
            entry("user", "after", Some("c")),
        ];
        let options = ForkOptions::default().with_up_to("c");
        let (fork, copies) = fork(&entries, source, &options).unwrap();
        let kinds: Vec<&str> = copies.iter().filter_map(|copy| copy["type"].as_str()).collect();
        assert_eq!(kinds, ["user", "assistant", "system", "content-replacement", "custom-title"]);
        assert_eq!(copies[0]["parentUuid"], Value::Null);
        assert_eq!(copies[1]["parentUuid"], copies[0]["uuid"]);
        assert_eq!(copies[2]["parentUuid"], copies[1]["uuid"]);
        assert_eq!(copies[2]["logicalParentUuid"], copies[0]["uuid"]);
        assert_eq!(copies[1]["forkedFrom"], json!({ "sessionId": source, "messageUuid": "b" }));
        assert_ne!(copies[1]["uuid"], "b");
        assert!(copies.iter().all(|copy| copy["sessionId"] == fork.to_string()));
        assert!(copies.iter().all(|copy| copy.get("slug").is_none()));
        assert_eq!(copies[3]["replacements"], json!([1]));
        assert_eq!(copies[4]["customTitle"], "a (fork)");
        assert_eq!(copies[0]["timestamp"], "2026-01-01T00:00:00.000Z");
        assert_ne!(copies[2]["timestamp"], "2026-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_cannot_be_forked_is_said() {
        let source = Uuid::new_v4();
        let nothing = fork(&[], source, &ForkOptions::default()).unwrap_err();
        assert!(matches!(nothing, SessionError::NoMessages { .. }), "{nothing}");
        let options = ForkOptions::default().with_up_to("nowhere");
        let unknown = fork(&[entry("user", "a", None)], source, &options).unwrap_err();
        assert!(matches!(unknown, SessionError::NoSuchMessage { .. }), "{unknown}");
    }
}
