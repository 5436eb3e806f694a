//! What a process can be started with: strings without NUL, and no more of them than the system takes.

use crate::FieldError;
use std::collections::BTreeMap;

/// Longest single argument, in bytes; Linux takes 128 KiB. A list is one argument, joined by commas.
const ARGUMENT_BYTES_MAX: usize = 100 * 1024;
/// Environment variables a session may set, and the longest value of one in bytes.
const ENV_COUNT_MAX: usize = 128;
const ENV_VALUE_BYTES_MAX: usize = 32 * 1024;

/// What is wrong with a string that is handed to the agent by its stdin, where there is room for any length.
pub fn text(pointer: &str, text: Option<&str>) -> Option<FieldError> {
    text.filter(|text| text.contains('\0')).map(|_| nul(pointer))
}

/// What is wrong with a string that becomes an argument.
pub fn argument(pointer: &str, value: Option<&str>) -> Option<FieldError> {
    text(pointer, value).or_else(|| too_long(pointer, value.map_or(0, str::len), ARGUMENT_BYTES_MAX))
}

/// What is wrong with strings that become one argument.
pub fn list(pointer: &str, values: &[String]) -> Vec<FieldError> {
    let bytes = values.iter().map(|value| value.len() + 1).sum();
    let nuls = values.iter().enumerate().filter(|(_, value)| value.contains('\0'));
    let nuls = nuls.map(|(index, _)| nul(&format!("{pointer}/{index}")));
    nuls.chain(too_long(pointer, bytes, ARGUMENT_BYTES_MAX)).collect()
}

/// What is wrong with the values of environment variables, and with their number.
pub fn environment(pointer: &str, env: &BTreeMap<String, String>) -> Vec<FieldError> {
    let too_many = (env.len() > ENV_COUNT_MAX)
        .then(|| FieldError::new(pointer, "too_many", format!("must be at most {ENV_COUNT_MAX} variables")));
    let values = env.iter().filter_map(|(name, value)| {
        let pointer = format!("{pointer}/{name}");
        text(&pointer, Some(value)).or_else(|| too_long(&pointer, value.len(), ENV_VALUE_BYTES_MAX))
    });
    values.chain(too_many).collect()
}

fn nul(pointer: &str) -> FieldError {
    FieldError::new(pointer, "nul", "must not contain NUL")
}

fn too_long(pointer: &str, bytes: usize, bytes_max: usize) -> Option<FieldError> {
    (bytes > bytes_max)
        .then(|| FieldError::new(pointer, "too_long", format!("must be at most {bytes_max} bytes")))
}
