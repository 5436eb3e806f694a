//! What a tool's input names: files, an address, a shell line.

use crate::{Surroundings, ToolCall};
use serde_json::Value;
use std::{
    ffi::OsString,
    path::{Component, Path, PathBuf},
};
use url::Url;

/// What one call touches, as far as its tool is known.
#[derive(Debug, Default)]
pub(super) struct Targets<'a> {
    pub(super) read: Vec<PathBuf>,
    pub(super) written: Vec<PathBuf>,
    pub(super) url: Option<Url>,
    pub(super) shell: Option<&'a str>,
}

impl<'a> Targets<'a> {
    pub(super) fn of(call: &'a ToolCall, surroundings: &Surroundings) -> Self {
        let text = |name: &str| call.input.get(name).and_then(Value::as_str);
        let file = |name: &str| text(name).map(|path| settle(Path::new(path), &call.cwd, &surroundings.home));
        let mut targets = Self::default();
        match call.tool_name.as_str() {
            "Read" => targets.read.extend(file("file_path")),
            "Glob" | "Grep" | "LS" => {
                let place = file("path").unwrap_or_else(|| settle(&call.cwd, &call.cwd, &surroundings.home));
                targets.read.push(place);
            }
            "Write" | "Edit" | "MultiEdit" => targets.written.extend(file("file_path")),
            "NotebookEdit" => targets.written.extend(file("notebook_path")),
            "WebFetch" => targets.url = text("url").and_then(|url| Url::parse(url).ok()),
            "Bash" => targets.shell = text("command"),
            _ => {}
        }
        targets
    }
}

/// The file a path leads to: made absolute, and with the symbolic links of what exists of it followed.
pub(super) fn settle(path: &Path, cwd: &Path, home: &Path) -> PathBuf {
    let path = match path.strip_prefix("~") {
        Ok(below) => home.join(below),
        Err(_) => cwd.join(path),
    };
    // Links are followed before `..` is taken away, as the system does.
    let mut existing = path.as_path();
    let mut missing: Vec<OsString> = vec![];
    loop {
        if let Ok(real) = existing.canonicalize() {
            let mut settled = real;
            for part in missing.iter().rev() {
                if part == ".." {
                    settled.pop();
                } else {
                    settled.push(part)
                }
            }
            return settled;
        }
        let mut parts = existing.components();
        match parts.next_back() {
            Some(Component::Normal(part)) => missing.push(part.to_owned()),
            Some(Component::ParentDir) => missing.push("..".into()),
            Some(Component::CurDir) => {}
            Some(Component::RootDir | Component::Prefix(_)) | None => return path,
        }
        existing = parts.as_path();
    }
}
