//! Which tools a hook is for, in the words of the CLI's own matchers.

use regex::Regex;

/// A matcher that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read the matcher {matcher:?}")]
pub struct BadMatcher {
    matcher: String,
    #[source]
    source: Box<regex::Error>,
}

/// Tools by name, by several names, or by a regular expression over the whole name.
#[derive(Debug, Clone)]
pub enum Matcher {
    All,
    Names(Vec<String>),
    Pattern(Regex),
}

impl Matcher {
    /// Reads `Bash`, `Edit|Write` or `mcp__.*`; nothing, an empty text and `*` match all.
    pub fn parse(text: Option<&str>) -> Result<Self, BadMatcher> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty() && *text != "*") else {
            return Ok(Self::All);
        };
        if text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '|')) {
            return Ok(Self::Names(text.split('|').map(str::to_owned).collect()));
        }
        let bad = |source| BadMatcher { matcher: text.to_owned(), source: Box::new(source) };
        // By itself first: what is only balanced inside our brackets would match less, or more, than it says.
        Regex::new(text).map_err(bad)?;
        Regex::new(&format!("^(?:{text})$")).map(Self::Pattern).map_err(bad)
    }

    /// Whether it is for this tool. An event without a tool is for every hook.
    #[must_use]
    pub fn matches(&self, tool_name: Option<&str>) -> bool {
        match (self, tool_name) {
            (Self::All, _) | (_, None) => true,
            (Self::Names(names), Some(tool)) => names.iter().any(|name| name == tool),
            (Self::Pattern(pattern), Some(tool)) => pattern.is_match(tool),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_counts() {
        let table: [(Option<&str>, &[&str], &[&str]); 8] = [
            (None, &["Bash", "mcp__a__b"], &[]),
            (Some(""), &["Bash"], &[]),
            (Some("*"), &["Bash"], &[]),
            (Some("Bash"), &["Bash"], &["BashOutput", "bash", "KillBash"]),
            (Some("Edit|Write"), &["Edit", "Write"], &["MultiEdit", "Edit|Write"]),
            (Some("mcp__.*"), &["mcp__a__b"], &["x_mcp__a", "Bash"]),
            (Some("Notebook.*|Edit"), &["NotebookEdit", "Edit"], &["MultiEdit"]),
            (Some("(?i)bash"), &["BASH"], &["bash2"]),
        ];
        for (text, yes, no) in table {
            let matcher = Matcher::parse(text).unwrap();
            for tool in yes {
                assert!(matcher.matches(Some(tool)), "{text:?} {tool}");
            }
            for tool in no {
                assert!(!matcher.matches(Some(tool)), "{text:?} {tool}");
            }
            assert!(matcher.matches(None), "{text:?}");
        }
        assert!(Matcher::parse(Some("(")).is_err());
        assert!(Matcher::parse(Some("a)|(b")).is_err(), "an unbalanced one must not break out of its bounds");
    }
}
