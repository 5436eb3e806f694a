//! What a configuration folder needs beside the session for the CLI to run in it as the same user.

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde_json::Value;

use crate::sessions::{SessionError, config_dir::ConfigDir, excerpt::open_file};

/// A file of settings or credentials is small; anything larger is something else.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Settings that would have plugins installed anew into the empty folder.
const SETTINGS_DROPPED: [&str; 2] = ["enabledPlugins", "extraKnownMarketplaces"];
const SETTINGS_FILES: [&str; 2] = ["settings.json", "cowork_settings.json"];

/// Copies credentials, `.claude.json` and the user's settings. What is missing or cannot be read is left
/// out; what cannot be written is an error.
pub(super) fn seed(from: &ConfigDir, to: &Path) -> Result<(), SessionError> {
    if let Some(text) = read(&from.path.join(".credentials.json"))
        && let Some(text) = without_refresh_token(&text)
    {
        write(&to.join(".credentials.json"), &text)?;
    }
    if let Some(text) = read(&from.claude_json) {
        write(&to.join(".claude.json"), &text)?;
    }
    for name in SETTINGS_FILES {
        if let Some(text) = read(&from.path.join(name)) {
            write(&to.join(name), &for_another_folder(text))?;
        }
    }
    Ok(())
}

/// Writes a file only its owner may read, which must not exist yet.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), SessionError> {
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text)
    };
    write().map_err(|error| SessionError::io("write", path, error))
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let count = open_file(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
        let is_whole = count as u64 <= FILE_BYTES_MAX;
        is_whole.then_some(text).ok_or_else(|| io::ErrorKind::FileTooLarge.into())
    };
    match read() {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "left out of the folder a session resumes in");
            None
        }
    }
}

/// A refresh token works once. Used by the copy, it would be spent, and the user logged out.
fn without_refresh_token(text: &[u8]) -> Option<Vec<u8>> {
    let mut credentials: Value = serde_json::from_slice(text).ok()?;
    if let Some(oauth) = credentials.get_mut("claudeAiOauth").and_then(Value::as_object_mut) {
        oauth.remove("refreshToken");
    }
    Some(credentials.to_string().into_bytes())
}

/// Without what would lead out of the folder. What is no JSON object stays as it is, for the CLI to judge.
fn for_another_folder(text: Vec<u8>) -> Vec<u8> {
    let json = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let Ok(Value::Object(mut settings)) = serde_json::from_slice(json) else {
        return text;
    };
    settings.retain(|name, _| !SETTINGS_DROPPED.contains(&name.as_str()));
    if let Some(env) = settings.get_mut("env").and_then(Value::as_object_mut) {
        env.remove("CLAUDE_CONFIG_DIR");
    }
    Value::Object(settings).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_copied_works_once_more_and_harms_nothing() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = |name: &str, text: &str| fs::write(from.path().join(name), text).unwrap();
        put(".credentials.json", r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"hush"},"x":1}"#);
        put(".claude.json", r#"{"userID":"u"}"#);
        put(
            "settings.json",
            "\u{feff}{\"apiKeyHelper\":\"h\",\"enabledPlugins\":{},\"extraKnownMarketplaces\":{},
            \"env\":{\"CLAUDE_CONFIG_DIR\":\"/elsewhere\",\"A\":\"b\"}}",
        );
        fs::create_dir(from.path().join("cowork_settings.json")).unwrap();
        let claude_json = from.path().join(".claude.json");
        let source = ConfigDir { path: from.path().to_owned(), claude_json };
        seed(&source, to.path()).unwrap();
        let copy = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(to.path().join(name)).unwrap()).unwrap()
        };
        let credentials = json!({ "claudeAiOauth": { "accessToken": "a" }, "x": 1 });
        assert_eq!(copy(".credentials.json"), credentials);
        assert_eq!(copy(".claude.json"), json!({ "userID": "u" }));
        assert_eq!(copy("settings.json"), json!({ "apiKeyHelper": "h", "env": { "A": "b" } }));
        assert!(!to.path().join("cowork_settings.json").exists());
        let mode =
            std::os::unix::fs::MetadataExt::mode(&fs::metadata(to.path().join(".credentials.json")).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn credentials_that_cannot_be_read_are_not_copied() {
        assert_eq!(without_refresh_token(b"{\"refreshToken\":\"hush\""), None);
    }
}
