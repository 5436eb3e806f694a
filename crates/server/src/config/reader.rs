//! Asks a map for settings one by one, and remembers what was asked and what was wrong.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::error::Mistake;

/// A setting as the parser knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    pub name: &'static str,
    /// What an absent value stands for, as it would be written; `None`: nothing, or found at start.
    pub default: Option<&'static str>,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// One reading of a map. A parser's error says what is allowed.
pub(super) struct Reader<'a> {
    values: &'a BTreeMap<String, String>,
    pub(super) asked: Vec<Setting>,
    pub(super) mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(values: &'a BTreeMap<String, String>) -> Self {
        Self { values, asked: Vec::new(), mistakes: Vec::new() }
    }

    /// A setting with a default, which goes through the same parser.
    pub(super) fn value<T>(
        &mut self,
        name: &'static str,
        default: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(Setting { name, default: Some(default), secret: false }, parse)?
    }

    /// A setting that may be absent: `Some(None)`. A mistake is `None`.
    pub(super) fn option<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        self.read(Setting { name, default: None, secret: false }, parse)
    }

    /// Like `option`, for a value that is never shown.
    pub(super) fn secret(
        &mut self,
        name: &'static str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<Option<SecretString>> {
        let setting = Setting { name, default: None, secret: true };
        self.read(setting, |text| check(text).map(|()| SecretString::from(text)))
    }

    /// Notes what is wrong with a setting beside others.
    pub(super) fn mistake(&mut self, name: &'static str, allowed: &str) {
        self.mistakes.push(Mistake::value(name, None, allowed.to_owned()));
    }

    fn read<T>(&mut self, setting: Setting, parse: impl Fn(&str) -> Result<T, String>) -> Option<Option<T>> {
        self.asked.push(setting);
        // An empty value is what `NAME=` in a file means to most people: not set.
        let given = self.values.get(setting.name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let Some(text) = given.or(setting.default) else { return Some(None) };
        match parse(text) {
            Ok(value) => Some(Some(value)),
            Err(allowed) => {
                let shown = (!setting.secret).then_some(text);
                self.mistakes.push(Mistake::value(setting.name, shown, allowed));
                None
            }
        }
    }
}
