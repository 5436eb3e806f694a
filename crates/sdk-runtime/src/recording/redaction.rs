//! Redaction: what a recording must not hold.

use std::sync::Arc;

use serde_json::Value;

use super::Direction;
use crate::{hidden::secret_flag, launcher::Invocation, options::EnvMode};

/// What stands where something was left out.
const REDACTED: &str = "(redacted)";
/// Names of variables that hold something secret contain one of these.
const SECRET_WORDS: [&str; 7] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "AUTH"];
/// A shorter value occurs in ordinary text.
const SECRET_BYTES_MIN: usize = 6;
/// Tables in control requests whose values may be secret.
const SECRET_TABLES: [&str; 2] = ["env", "headers"];

type Redact = dyn Fn(Direction, &mut Value) + Send + Sync;

pub(super) struct Redaction {
    secrets: Vec<String>,
    redact: Option<Arc<Redact>>,
}

impl Redaction {
    pub(super) fn new(invocation: &Invocation, redact: Option<Arc<Redact>>) -> Self {
        let own = invocation.env.iter().map(|(name, value)| (name.clone(), value.clone()));
        let inherited = match invocation.env_mode {
            EnvMode::Replace => Vec::new(),
            EnvMode::Merge => inherited(),
        };
        let is_secret = |name: &str, value: &str| {
            let name = name.to_ascii_uppercase();
            value.len() >= SECRET_BYTES_MIN && SECRET_WORDS.iter().any(|word| name.contains(word))
        };
        let all = own.chain(inherited).filter(|(name, value)| is_secret(name, value));
        let mut secrets: Vec<String> = all.map(|(_, value)| value).collect();
        // A secret may be part of another one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets, redact }
    }

    pub(super) fn apply(&self, direction: Direction, value: &mut Value) {
        if direction == Direction::In && value["type"] == "control_request" {
            hide_tables(&mut value["request"]);
        }
        self.hide_secrets(value);
        if let Some(redact) = &self.redact {
            redact(direction, value);
        }
    }

    /// An argument of the command line.
    pub(super) fn argument(&self, argument: &str) -> String {
        match secret_flag(argument) {
            Some(flag) => format!("{flag}{REDACTED}"),
            None => self.text(argument).unwrap_or_else(|| argument.to_owned()),
        }
    }

    fn text(&self, text: &str) -> Option<String> {
        let mut hidden = None;
        for secret in &self.secrets {
            let so_far = hidden.as_deref().unwrap_or(text);
            if so_far.contains(secret.as_str()) {
                hidden = Some(so_far.replace(secret.as_str(), REDACTED));
            }
        }
        hidden
    }

    fn hide_secrets(&self, value: &mut Value) {
        if self.secrets.is_empty() {
            return;
        }
        match value {
            Value::String(text) => {
                if let Some(hidden) = self.text(text) {
                    *text = hidden;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_secrets(item)),
            Value::Object(map) => map.values_mut().for_each(|item| self.hide_secrets(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn hide_tables(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner {
                    Value::Object(table) if SECRET_TABLES.contains(&key.as_str()) => {
                        table.values_mut().for_each(|secret| *secret = REDACTED.into());
                    }
                    other => hide_tables(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_tables),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What the agent inherits must not be recorded either.
fn inherited() -> Vec<(String, String)> {
    let variables = std::env::vars_os();
    variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
