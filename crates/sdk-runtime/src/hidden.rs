//! What of values that may be secret is shown: that they are there, and their names.

use std::{collections::BTreeMap, fmt};

/// Flags whose value may hold the secrets of a server.
const SECRET_FLAGS: [&str; 3] = ["--mcp-config=", "--settings=", "--managed-settings="];

/// A secret.
pub(crate) struct Hidden;

/// Names with hidden values.
pub(crate) struct Names<'a, T>(pub(crate) &'a BTreeMap<String, T>);

/// The flag of an argument whose value is not to be shown, with its `=`.
pub(crate) fn secret_flag(argument: &str) -> Option<&'static str> {
    SECRET_FLAGS.into_iter().find(|flag| argument.starts_with(flag))
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T> fmt::Debug for Names<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|name| (name, Hidden))).finish()
    }
}
