//! The settings as the server will see them, as far as this tool must know them.
//!
//! The server reads them itself; here they only decide what to start beside it. So nothing is checked, and a file
//! that cannot be read is left for the server to complain about.

use std::{collections::BTreeMap, fs, path::Path};

/// Names and values: the environment wins over `.env`, which wins over the file of `STEWARD_CONFIG`.
#[derive(Debug, Default)]
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    pub(crate) fn read(root: &Path) -> Self {
        let mut values = BTreeMap::new();
        if let Some(text) =
            std::env::var_os("STEWARD_CONFIG").and_then(|path| fs::read_to_string(root.join(path)).ok())
        {
            values.extend(toml_values(&text));
        }
        let dotenv = fs::read(root.join(".env")).unwrap_or_default();
        values.extend(dotenvy::Iter::new(dotenv.as_slice()).flatten().filter(is_set));
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        values.extend(environment.filter(is_set));
        Self(values)
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// The value of a setting, unless it is absent or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn is_set((_, value): &(String, String)) -> bool {
    !value.trim().is_empty()
}

/// The texts only: nothing this tool looks for is a number or a list.
fn toml_values(text: &str) -> BTreeMap<String, String> {
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let text =
        |(name, value): (String, toml::Value)| Some((name.to_ascii_uppercase(), value.as_str()?.to_owned()));
    table.into_iter().filter_map(text).filter(is_set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_texts_in_either_spelling() {
        let values =
            toml_values("anthropic_api_key = 'k'\nDATA_DIR = '/d'\napi_port = 1\nclaude_cli_path = ''");
        let wanted = [("ANTHROPIC_API_KEY", "k"), ("DATA_DIR", "/d")];
        assert_eq!(values, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn dotenv_is_read_and_the_environment_wins() {
        let root = tempfile::TempDir::new().unwrap();
        fs::write(root.path().join(".env"), "ANTHROPIC_UPSTREAM_URL=http://x\nPATH=/nowhere\nEMPTY=\n")
            .unwrap();
        let settings = Settings::read(root.path());
        assert_eq!(settings.get("ANTHROPIC_UPSTREAM_URL"), Some("http://x"));
        assert_ne!(settings.get("PATH"), Some("/nowhere"));
        assert_eq!(settings.get("EMPTY"), None);
    }
}
