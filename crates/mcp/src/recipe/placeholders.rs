//! `${NAME}` in a text, in the place of a secret.

/// The text with what `value` has for each name; a name that it has nothing for stays as it is.
pub fn fill<'v>(text: &str, value: impl Fn(&str) -> Option<&'v str>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, after)) = next(rest) {
        filled.push_str(before);
        match value(name) {
            Some(value) => filled.push_str(value),
            None => filled.push_str(&format!("${{{name}}}")),
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The names in a text.
pub fn names(text: &str) -> Vec<&str> {
    let mut rest = Some(text);
    std::iter::from_fn(|| {
        let (_, name, after) = next(rest?)?;
        rest = Some(after);
        Some(name)
    })
    .collect()
}

/// Whether a name can stand in a placeholder, and be one of an environment variable.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What is before the first placeholder, its name, and what is after it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + text.get(from..)?.find("${")?;
        let inside = text.get(open + 2..)?;
        if let Some((name, after)) = inside.split_once('}')
            && is_name(name)
        {
            return Some((text.get(..open)?, name, after));
        }
        from = open + 2;
    }
}
