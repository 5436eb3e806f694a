//! The mark of an archived session: a file beside its transcript that the TypeScript SDK writes too. A prompt in the
//! session takes it back. The CLI says so in the file; where it could not, or was none that does, the transcript tells.

use std::{
    fs::DirBuilder,
    io::{self, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    error::SessionError,
    excerpt::{Excerpt, Part, open_file},
    fields,
    first_prompt::FirstPrompt,
    places::session_folder,
};

const FILE_NAME: &str = "archived.json";
/// A longer file is not one of these.
const BYTES_MAX: u64 = 4096;
/// Who wrote the mark, in the words of the official SDK.
const BY_SDK: &str = "sdk";

/// Any of these means that nobody sent the entry as a prompt of their own.
const NOT_TYPED: [&str; 8] = [
    "isCompactSummary",
    "isSidechain",
    "isVirtual",
    "isVisibleInTranscriptOnly",
    "isMeta",
    "textNotTyped",
    "handedOff",
    "queueSkipAttachments",
];
/// So does that one of these is there at all.
const NOT_BY_HAND: [&str; 3] = ["persist", "wakeupSource", "scheduledTaskId"];
/// Who may have begun the turn of a prompt.
const TURN_ORIGINS: [&str; 3] = ["human", "sdk", "unknown"];
/// How the text of a command of the CLI's own begins, which is no prompt, and that of one that is.
const COMMAND_NAME: &str = "<command-name>";
const COMMAND_MESSAGE: &str = "<command-message>";

#[derive(Serialize, Deserialize)]
struct Record {
    archived: bool,
    at: String,
    #[serde(default)]
    by: String,
}

/// Marks the session of a transcript as archived, or as not.
pub(super) fn mark(transcript: &Path, is_archived: bool, now: SystemTime) -> Result<(), SessionError> {
    let at = humantime::format_rfc3339_millis(now).to_string();
    let record = Record { archived: is_archived, at, by: BY_SDK.to_owned() };
    let path = path_of(transcript);
    write(&path, &record).map_err(|error| SessionError::io("write", path, error))
}

/// Whether the session is archived; `None` when it never was. A file that is none of ours is no mark.
pub(super) fn is_archived(transcript: &Path, excerpt: &Excerpt) -> Option<bool> {
    let record = read(&path_of(transcript))?;
    let at = humantime::parse_rfc3339(&record.at).ok()?;
    let is_taken_back = || {
        let parts = excerpt.tail.iter().chain([&excerpt.head]);
        parts.flat_map(|part: &Part| &part.lines).any(|line| prompted_at(line).is_some_and(|time| time > at))
    };
    Some(record.archived && !is_taken_back())
}

fn path_of(transcript: &Path) -> PathBuf {
    session_folder(transcript).join(FILE_NAME)
}

/// The file is whole or as it was.
fn write(path: &Path, record: &Record) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(serde_json::to_string(record)?.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

fn read(path: &Path) -> Option<Record> {
    let mut text = String::new();
    let read = open_file(path).ok()?.take(BYTES_MAX + 1).read_to_string(&mut text).ok()?;
    if read as u64 > BYTES_MAX {
        return None;
    }
    serde_json::from_str(&text).ok()
}

/// When somebody sent the prompt that a line holds; `None` for all other lines.
fn prompted_at(line: &str) -> Option<SystemTime> {
    let may_be = fields::mentions(line, "\"user\"") || fields::mentions(line, "\"queued_command\"");
    if !may_be || fields::mentions(line, "\"tool_result\"") {
        return None;
    }
    let entry: Value = serde_json::from_str(line).ok()?;
    let attachment = &entry["attachment"];
    let (content, origin) = match entry["type"].as_str()? {
        "user" if is_by_hand(&entry) => (&entry["message"]["content"], &entry["origin"]),
        "attachment" if attachment["type"] == "queued_command" && is_queued_by_hand(&entry) => {
            (&attachment["prompt"], &attachment["origin"])
        }
        _ => return None,
    };
    let origin = (!origin.is_null()).then_some(origin);
    if origin.is_some_and(|origin| origin["kind"] != "human") || !is_prompt(content, origin.is_some()) {
        return None;
    }
    humantime::parse_rfc3339(entry["timestamp"].as_str()?).ok()
}

fn is_by_hand(entry: &Value) -> bool {
    let turn_origin = entry["turnOrigin"].as_str();
    NOT_TYPED.iter().all(|key| is_not_set(&entry[*key]))
        && NOT_BY_HAND.iter().all(|key| entry.get(key).is_none())
        && entry["toolUseResult"].is_null()
        && turn_origin.is_none_or(|origin| TURN_ORIGINS.contains(&origin))
}

fn is_queued_by_hand(entry: &Value) -> bool {
    let attachment = &entry["attachment"];
    let mode = attachment["commandMode"].as_str();
    is_not_set(&entry["isSidechain"])
        && is_not_set(&attachment["isMeta"])
        && mode.is_none_or(|mode| ["prompt", "bash"].contains(&mode))
}

fn is_not_set(flag: &Value) -> bool {
    flag.is_null() || *flag == false
}

/// Whether this is what somebody says. Where it is on record that a person wrote it, any text is.
fn is_prompt(content: &Value, is_human: bool) -> bool {
    let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
    if blocks.iter().any(|block| block["type"] == "image" || block["type"] == "document") {
        return true;
    }
    let texts = blocks.iter().map(|block| &block["text"]).chain([content]).filter_map(Value::as_str);
    let texts: Vec<&str> = texts.map(str::trim_start).filter(|text| !text.is_empty()).collect();
    if is_human {
        return !texts.is_empty() && !texts.iter().any(|text| text.starts_with(COMMAND_NAME));
    }
    texts.iter().any(|text| text.starts_with(COMMAND_MESSAGE)) || FirstPrompt::is_in(content)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: &str = "2026-01-02T03:04:05.678Z";

    fn is_prompt_entry(change: impl FnOnce(&mut Value)) -> bool {
        let mut entry =
            json!({ "type": "user", "timestamp": AT, "message": { "role": "user", "content": "hello" } });
        change(&mut entry);
        let found = prompted_at(&entry.to_string());
        assert!(found.is_none_or(|found| found == humantime::parse_rfc3339(AT).unwrap()));
        found.is_some()
    }

    #[test]
    fn only_what_somebody_sent_is_a_prompt() {
        assert!(is_prompt_entry(|_| {}));
        assert!(is_prompt_entry(|entry| entry["isMeta"] = json!(false)));
        assert!(is_prompt_entry(|entry| entry["origin"] = json!({ "kind": "human" })));
        assert!(is_prompt_entry(|entry| entry["turnOrigin"] = json!("sdk")));
        let image = json!([{ "type": "image", "source": {} }]);
        assert!(is_prompt_entry(|entry| entry["message"]["content"] = image));
        let command = json!("<command-message>x</command-message>\n<command-name>/x</command-name>");
        assert!(is_prompt_entry(|entry| entry["message"]["content"] = command));

        for key in NOT_TYPED {
            assert!(!is_prompt_entry(|entry| entry[key] = json!(true)), "{key}");
        }
        for key in NOT_BY_HAND {
            assert!(!is_prompt_entry(|entry| entry[key] = json!("x")), "{key}");
        }
        assert!(!is_prompt_entry(|entry| entry["origin"] = json!({ "kind": "task-notification" })));
        assert!(!is_prompt_entry(|entry| entry["turnOrigin"] = json!("schedule")));
        assert!(!is_prompt_entry(|entry| entry["toolUseResult"] = json!("x")));
        assert!(!is_prompt_entry(|entry| entry["type"] = json!("assistant")));
        let result = json!([{ "type": "tool_result", "content": "x" }, { "type": "text", "text": "x" }]);
        assert!(!is_prompt_entry(|entry| entry["message"]["content"] = result));
        for machine in ["<local-command-stdout>x", "<command-name>/clear</command-name>", " "] {
            assert!(!is_prompt_entry(|entry| entry["message"]["content"] = json!(machine)), "{machine}");
        }
    }

    #[test]
    fn a_prompt_that_waited_in_the_queue_is_one_too() {
        let queued = |change: &dyn Fn(&mut Value)| {
            let attachment = json!({ "type": "queued_command", "prompt": "hello", "commandMode": "prompt" });
            is_prompt_entry(|entry| {
                *entry = json!({ "type": "attachment", "timestamp": AT, "attachment": attachment });
                change(entry);
            })
        };
        assert!(queued(&|_| {}));
        assert!(!queued(&|entry| entry["attachment"]["commandMode"] = json!("task-notification")));
        assert!(!queued(&|entry| entry["attachment"]["isMeta"] = json!(true)));
        assert!(!queued(&|entry| entry["isSidechain"] = json!(true)));
        assert!(!queued(&|entry| entry["attachment"]["origin"] = json!({ "kind": "channel" })));
    }
}
