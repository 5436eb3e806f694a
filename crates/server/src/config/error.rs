//! What is wrong with the settings, all of it, in words for the person who wrote them.

use std::fmt;

/// The longest value that is repeated whole.
const MAX_SHOWN_CHARS: usize = 80;

/// Everything that is wrong; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Mistake>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The setting, or the file it is in.
    pub name: String,
    /// What was given; absent for secrets.
    pub value: Option<String>,
    /// What is allowed instead, or what to do.
    pub allowed: String,
}

impl ConfigErrors {
    pub(super) fn new(mistakes: Vec<Mistake>) -> Self {
        Self(mistakes)
    }

    /// The mistakes, in the order of the settings.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.0
    }
}

impl Mistake {
    /// A value that is not allowed; without the value when it is secret.
    pub(super) fn value(name: &str, value: Option<&str>, allowed: String) -> Self {
        Self { name: name.to_owned(), value: value.map(shown), allowed }
    }

    /// Something wrong with a place settings come from.
    pub(super) fn source(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { name: name.into(), value: None, allowed: what.into() }
    }
}

/// The value with what stands between `//` and `@` masked: a URL carries its password there.
fn shown(value: &str) -> String {
    let masked = match (value.find("//"), value.rfind('@')) {
        (Some(start), Some(end)) if start + 2 <= end => {
            format!("{}***{}", &value[..start + 2], &value[end..])
        }
        _ => value.to_owned(),
    };
    match masked.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((cut, _)) => format!("{}…", &masked[..cut]),
        None => masked,
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("read the settings:")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}: {}", self.name, self.allowed),
            None => write!(f, "{}: {}", self.name, self.allowed),
        }
    }
}

impl std::error::Error for ConfigErrors {}
