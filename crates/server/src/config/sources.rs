//! Where settings come from: the environment wins over `.env`, which wins over a TOML file.

use std::{collections::BTreeMap, ffi::OsString, fmt, fs, io, path::PathBuf};

use toml::Value;

use super::{Config, ConfigErrors, Setting, error::Mistake};

const DOTENV_FILE: &str = ".env";
/// The variable that names the TOML file.
const FILE_VARIABLE: &str = "STEWARD_CONFIG";

type Pairs = BTreeMap<String, String>;

/// The texts of all sources, before anything is understood.
#[derive(Default)]
pub struct Sources {
    environment: Vec<(OsString, OsString)>,
    dotenv: String,
    file: Option<ConfigFile>,
    /// What went wrong while reading them.
    unread: Vec<Mistake>,
}

/// A TOML file of settings.
pub struct ConfigFile {
    pub path: PathBuf,
    pub text: String,
}

impl Sources {
    /// The environment, the text of `.env` (empty: none) and the TOML file, already read.
    #[must_use]
    pub fn new(environment: Vec<(OsString, OsString)>, dotenv: String, file: Option<ConfigFile>) -> Self {
        Self { environment, dotenv, file, unread: Vec::new() }
    }

    /// Reads the environment and the files; a file that cannot be read is reported by `resolve`.
    #[must_use]
    pub fn of_process() -> Self {
        let mut sources = Self { environment: std::env::vars_os().collect(), ..Self::default() };
        match fs::read_to_string(DOTENV_FILE) {
            Ok(text) => sources.dotenv = text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => sources.unread.push(Mistake::source(DOTENV_FILE, error.to_string())),
        }
        if let Some(path) = sources.variable(FILE_VARIABLE).filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            match fs::read_to_string(&path) {
                Ok(text) => sources.file = Some(ConfigFile { path, text }),
                Err(error) => {
                    let name = format!("{FILE_VARIABLE}={}", path.display());
                    sources.unread.push(Mistake::source(name, error.to_string()));
                }
            }
        }
        sources
    }

    /// The settings, or everything that is wrong in all sources.
    pub fn resolve(self) -> Result<Config, ConfigErrors> {
        let mut mistakes = Vec::new();
        let mut values = Pairs::new();
        if let Some(file) = &self.file {
            values.extend(read_toml(file, &mut mistakes));
        }
        values.extend(set(read_dotenv(&self.dotenv, &mut mistakes)));
        values.extend(set(self.read_environment(&mut mistakes)));
        mistakes.extend(self.unread);
        match Config::from_map(&values) {
            Ok(config) if mistakes.is_empty() => Ok(config),
            Ok(_) => Err(ConfigErrors::new(mistakes)),
            Err(errors) => {
                mistakes.extend(errors.into_mistakes());
                Err(ConfigErrors::new(mistakes))
            }
        }
    }

    fn variable(&self, name: &str) -> Option<&OsString> {
        self.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn read_environment(&self, mistakes: &mut Vec<Mistake>) -> Pairs {
        let mut pairs = Pairs::new();
        for setting in Config::settings() {
            match self.variable(setting.name).map(|value| value.to_str()) {
                Some(Some(value)) => {
                    pairs.insert(setting.name.to_owned(), value.to_owned());
                }
                Some(None) => mistakes.push(Mistake::source(setting.name, "text in UTF-8")),
                None => {}
            }
        }
        pairs
    }
}

/// An empty value is no value, so it does not hide one from a lesser source.
fn set(pairs: Pairs) -> impl Iterator<Item = (String, String)> {
    pairs.into_iter().filter(|(_, value)| !value.trim().is_empty())
}

fn read_dotenv(text: &str, mistakes: &mut Vec<Mistake>) -> Pairs {
    let mut pairs = Pairs::new();
    for item in dotenvy::Iter::new(text.as_bytes()) {
        match item {
            Ok((name, value)) => {
                pairs.insert(name, value);
            }
            // The error repeats the line, and a line may hold a secret.
            Err(_) => mistakes.push(Mistake::source(DOTENV_FILE, "has a line that is not NAME=value")),
        }
    }
    pairs
}

fn read_toml(file: &ConfigFile, mistakes: &mut Vec<Mistake>) -> Pairs {
    let name = file.path.display().to_string();
    let table = match file.text.parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => {
            // Only the message: the whole error shows the line, and a line may hold a secret.
            let before = error.span().and_then(|span| file.text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            mistakes.push(Mistake::source(name, format!("line {line}: {}", error.message())));
            return Pairs::new();
        }
    };
    let settings = Config::settings();
    let mut pairs = Pairs::new();
    for (key, value) in table {
        if let Err(problem) = add(&mut pairs, &settings, &key, &value) {
            mistakes.push(Mistake::source(format!("{key} in {name}"), problem));
        }
    }
    pairs
}

fn add(pairs: &mut Pairs, settings: &[Setting], key: &str, value: &Value) -> Result<(), &'static str> {
    let upper = key.to_ascii_uppercase();
    let spelt = key == upper || key == key.to_ascii_lowercase();
    if !spelt || !settings.iter().any(|setting| setting.name == upper) {
        return Err("is not a setting");
    }
    let text = toml_text(value)
        .ok_or("must be a text, a number, true or false, or a list of texts without commas")?;
    match pairs.insert(upper, text) {
        None => Ok(()),
        Some(_) => Err("is given twice"),
    }
}

/// The value as it would be written in the environment.
fn toml_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> =
                items.iter().map(|item| item.as_str().filter(|text| !text.contains(','))).collect();
            Some(texts?.join(","))
        }
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

/// Names only: the texts hold secrets.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigFile").field("path", &self.path).finish_non_exhaustive()
    }
}
