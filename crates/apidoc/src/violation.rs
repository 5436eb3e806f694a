//! One unacceptable part of a request, and how parse and validation errors are told in its words.

use schemars::JsonSchema;
use serde::Serialize;
use serde_path_to_error::{Path, Segment};
use validator::{ValidationError, ValidationErrors, ValidationErrorsKind};

/// One unacceptable part of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Violation {
    /// JSON pointer into the body, `?name` for a query parameter, `#Name` for a header.
    pub pointer: String,
    /// Name of the broken rule, for programs.
    pub code: String,
    /// The broken rule, for people.
    pub message: String,
    /// Where in the text at `pointer`, when it is one that has lines; counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    pub line: Option<u32>,
    /// In characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    pub column: Option<u32>,
}

impl Violation {
    /// The part at `pointer` breaks the rule `code`.
    pub fn new(pointer: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        let (pointer, code, message) = (pointer.into(), code.into(), message.into());
        Self { pointer, code, message, line: None, column: None }
    }

    /// The same at a place in the text there.
    #[must_use]
    pub fn at(self, line: u32, column: u32) -> Self {
        Self { line: Some(line), column: Some(column), ..self }
    }
}

/// Which part of the request a pointer starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Body,
    Query,
}

impl Part {
    fn pointer(self, keys: &[String]) -> String {
        let escaped = keys.iter().map(|key| key.replace('~', "~0").replace('/', "~1"));
        match self {
            Part::Body => escaped.map(|key| format!("/{key}")).collect(),
            Part::Query => format!("?{}", escaped.collect::<Vec<_>>().join("/")),
        }
    }
}

/// All that serde_html_form says when a parameter for one value is given twice.
const REPEATED: &str = "unsupported value";

/// The violation that a serde error describes. serde gives the rule only as text, so the texts that
/// serde itself writes are read back; any other text is a type's own and stands for code `invalid`.
pub(crate) fn of_parse(part: Part, path: &Path, text: &str) -> Violation {
    const RULES: [(&str, &str); 7] = [
        ("unknown field", "unknown_field"),
        ("missing field", "required"),
        ("duplicate field", "duplicate"),
        ("unknown variant", "enum"),
        ("invalid type", "type"),
        ("invalid value", "value"),
        (REPEATED, "duplicate"),
    ];
    let mut keys: Vec<String> = path.iter().filter_map(key).collect();
    let code = RULES.iter().find(|(start, _)| text.starts_with(start)).map_or("invalid", |(_, code)| *code);
    // serde reports these three at the object that holds the field; an unknown field usually comes with
    // its own path, except inside a tagged enum, which serde buffers.
    let named = text.split('`').nth(1).map(str::to_owned);
    match code {
        "required" | "duplicate" => keys.extend(named),
        "unknown_field" if keys.last() != named.as_ref() => keys.extend(named),
        _ => {}
    }
    // serde_json appends the position, which says less than the pointer.
    let message = text.rfind(" at line ").map_or(text, |end| &text[..end]);
    let message = if message == REPEATED { "given more than once" } else { message };
    Violation::new(part.pointer(&keys), code, message)
}

fn key(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        // An externally tagged variant with data is an object with the tag as its key; but an unknown
        // variant has no segment, so a pointer never runs past the value that is there.
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }
}

/// Every rule of the `validator` derive that a value breaks, sorted. The derive reports the names that
/// fields have in Rust: a field with a rule must not be renamed for serde.
pub(crate) fn of_rules(part: Part, errors: &ValidationErrors) -> Vec<Violation> {
    let mut violations = Vec::new();
    gather(part, &mut Vec::new(), errors, &mut violations);
    violations.sort();
    violations
}

fn gather(part: Part, keys: &mut Vec<String>, errors: &ValidationErrors, out: &mut Vec<Violation>) {
    for (field, kind) in errors.errors() {
        // Rules over the whole struct are reported under a name that no field has.
        let own = *field != "__all__";
        if own {
            keys.push(field.trim_start_matches("r#").to_owned());
        }
        match kind {
            ValidationErrorsKind::Field(broken) => {
                out.extend(
                    broken.iter().map(|e| Violation::new(part.pointer(keys), e.code.clone(), rule(e))),
                );
            }
            ValidationErrorsKind::Struct(inner) => gather(part, keys, inner, out),
            ValidationErrorsKind::List(items) => {
                for (index, inner) in items {
                    keys.push(index.to_string());
                    gather(part, keys, inner, out);
                    keys.pop();
                }
            }
        }
        if own {
            keys.pop();
        }
    }
}

/// The rule in words: its own message, or its name and limits (never the value: it may be a secret).
fn rule(error: &ValidationError) -> String {
    if let Some(message) = &error.message {
        return message.clone().into_owned();
    }
    let mut limits: Vec<String> = error
        .params
        .iter()
        .filter(|(name, _)| *name != "value")
        .map(|(name, limit)| format!("{name} {limit}"))
        .collect();
    limits.sort();
    if limits.is_empty() {
        format!("breaks the rule {}", error.code)
    } else {
        format!("{}: {}", error.code, limits.join(", "))
    }
}
