//! Names of skills become permission rules, so a name must not be able to become another rule.

use super::Skills;

/// The rules that allow these skills.
pub(crate) fn rules(skills: &Skills) -> Vec<String> {
    match skills {
        Skills::All => vec!["Skill".to_owned()],
        Skills::Only(names) => names.iter().map(|name| format!("Skill({name})")).collect(),
    }
}

/// Why this cannot be the name of a skill.
pub(super) fn fault(name: &str) -> Option<&'static str> {
    let is_delimiter = |c: char| matches!(c, '(' | ')' | ',') || c.is_control();
    let why = if name.trim().is_empty() {
        "a skill needs a name"
    } else if name != name.trim() {
        "a name of a skill has no space around it"
    } else if name.contains(is_delimiter) {
        "a name of a skill has no parentheses, commas or control characters"
    } else if name == "*" || name.ends_with(":*") || name.ends_with(" *") {
        "skills are listed by name, without wildcards; Skills::All means all"
    } else if name.starts_with('/') {
        "a skill is listed by its name, without a slash"
    } else if name.contains("\\\\") || name.ends_with('\\') {
        "a name of a skill has no doubled or final backslash"
    } else {
        return None;
    };
    Some(why)
}
