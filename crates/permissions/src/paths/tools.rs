//! The files that the agent's tools name in their inputs.

use super::access::{Access, Use};
use crate::{CannotJudge, ToolCall, shell::Word};
use serde_json::Value;

/// A text longer than any path is none.
const PATH_BYTES_MAX: usize = 4096;

/// The command line of a tool that gives one to a shell.
pub(crate) fn command_line(call: &ToolCall) -> Option<&str> {
    match call.tool_name.as_str() {
        "Bash" | "Monitor" => call.input["command"].as_str(),
        _ => None,
    }
}

/// What any other tool names.
pub(crate) fn accesses(call: &ToolCall) -> Result<Vec<Access>, CannotJudge> {
    let input = &call.input;
    let named = |field: &str| match &input[field] {
        Value::String(path) if !path.is_empty() => Ok(Word::Known(path.clone())),
        _ => Err(CannotJudge(format!("{} names no {field}", call.tool_name))),
    };
    let here_or = |field: &str| match &input[field] {
        Value::Null => Ok(Word::Known(".".to_owned())),
        _ => named(field),
    };
    Ok(match call.tool_name.as_str() {
        "Bash" | "Monitor" => return Err(CannotJudge("there is no command to judge".to_owned())),
        "Read" => vec![Access::new(Use::Read, named("file_path")?)],
        "Write" | "Edit" | "MultiEdit" => vec![Access::new(Use::Write, named("file_path")?)],
        "NotebookRead" => vec![Access::new(Use::Read, named("notebook_path")?)],
        "NotebookEdit" => vec![Access::new(Use::Write, named("notebook_path")?)],
        "LS" => vec![Access::new(Use::Read, here_or("path")?)],
        // It tells names, not contents.
        "Glob" => vec![Access::new(Use::Read, here_or("path")?), Access::new(Use::Read, pattern(input))],
        "Grep" => vec![Access::new(Use::Read, here_or("path")?).whole(true)],
        _ => {
            let mut mentioned = vec![];
            mention(input, &mut mentioned);
            mentioned
        }
    })
}

/// The pattern below the directory that Glob is given.
fn pattern(input: &Value) -> Word {
    let (pattern, dir) = (input["pattern"].as_str().unwrap_or_default(), input["path"].as_str());
    let is_own_way = pattern.starts_with(['/', '~']);
    match dir.filter(|_| !is_own_way) {
        Some(dir) => Word::Pattern(format!("{}/{pattern}", dir.trim_end_matches('/'))),
        None => Word::Pattern(pattern.to_owned()),
    }
}

/// Every text in an unknown tool's input that can be nothing but a path.
fn mention(value: &Value, mentioned: &mut Vec<Access>) {
    match value {
        Value::String(text) => {
            let path = text.strip_prefix("file://").unwrap_or(text);
            let is_path = ["/", "~", "./", "../"].iter().any(|start| path.starts_with(start));
            if is_path && path.len() <= PATH_BYTES_MAX && !path.contains('\n') {
                mentioned.push(Access::new(Use::Mention, Word::Known(path.to_owned())));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| mention(item, mentioned)),
        Value::Object(fields) => fields.values().for_each(|field| mention(field, mentioned)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
