//! Two schemas: whether every value that may be sent by the one is taken by the other.
//!
//! A request is written by the old client and read by the new server, an answer the other way round. So both are one
//! question: does what the writer may write fit into what the reader knows?

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::compare::object;

const COMPONENTS: &str = "#/components/schemas/";

/// Who writes what a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// The client.
    Request,
    /// The server.
    Response,
}

/// The components of both documents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schemas<'d> {
    pub(super) old: &'d Value,
    pub(super) new: &'d Value,
}

/// A schema, and the document whose components it refers to.
#[derive(Debug, Clone)]
struct Side<'d> {
    schema: Value,
    document: &'d Value,
}

/// One comparison: the components that are being compared, so that a type that holds itself ends.
struct Walk {
    direction: Direction,
    open: Vec<(String, String)>,
}

impl Schemas<'_> {
    /// What of the change from `old` to `new` breaks clients; `place` is where the schemas stand.
    pub(super) fn breaking(
        self,
        place: &str,
        old: &Value,
        new: &Value,
        direction: Direction,
    ) -> BTreeSet<String> {
        let old = Side { schema: old.clone(), document: self.old };
        let new = Side { schema: new.clone(), document: self.new };
        let mut walk = Walk { direction, open: Vec::new() };
        match direction {
            Direction::Request => walk.fits(place, &old, &new),
            Direction::Response => walk.fits(place, &new, &old),
        }
    }
}

impl Walk {
    /// Why not everything that `writer` allows is allowed by `reader`.
    fn fits(&mut self, place: &str, writer: &Side<'_>, reader: &Side<'_>) -> BTreeSet<String> {
        if let (Some(written), Some(read)) = (writer.component(), reader.component()) {
            let pair = (written.to_owned(), read.to_owned());
            if self.open.contains(&pair) {
                return BTreeSet::new();
            }
            let place = match self.direction {
                Direction::Request => format!("{read} in requests"),
                Direction::Response => format!("{read} in answers"),
            };
            self.open.push(pair);
            let found = self.alternatives(&place, &writer.resolved(), &reader.resolved());
            self.open.pop();
            return found;
        }
        self.alternatives(place, &writer.resolved(), &reader.resolved())
    }

    fn alternatives(&mut self, place: &str, writer: &Side<'_>, reader: &Side<'_>) -> BTreeSet<String> {
        let readers = reader.alternatives();
        let mut found = BTreeSet::new();
        for written in writer.alternatives() {
            // The one it fits best says what is wrong with it, and one of another type says nothing.
            let alike: Vec<_> = readers.iter().filter(|reader| written.is_like(reader)).collect();
            let compared = if alike.is_empty() { readers.iter().collect() } else { alike };
            let reasons = compared.into_iter().map(|reader| self.one(place, &written, reader));
            found.extend(reasons.min_by_key(BTreeSet::len).unwrap_or_default());
        }
        found
    }

    /// Both without alternatives.
    fn one(&mut self, place: &str, writer: &Side<'_>, reader: &Side<'_>) -> BTreeSet<String> {
        if writer.component().is_some() || reader.component().is_some() {
            return self.fits(place, writer, reader);
        }
        let (Some(written), Some(read)) = (writer.rules(), reader.rules()) else {
            let is_open = reader.schema == true || reader.rules().is_some_and(Map::is_empty);
            return if is_open { BTreeSet::new() } else { self.found(place, "anything") };
        };
        if let (Some(from), to) = (kind(read), kind(written))
            && !is_within(to, from)
        {
            // Of values of another type, the other rules say nothing.
            return self.found(place, to.unwrap_or("anything"));
        }
        let mut found = self.words(place, written, read);
        found.extend(self.limits(place, written, read));
        found.extend(self.conditions(place, written, read));
        found.extend(self.fields(place, writer, reader, written, read));
        if let Some(items) = read.get("items") {
            let items = reader.of(items);
            let written = writer.of(written.get("items").unwrap_or(&json!(true)));
            found.extend(self.fits(&format!("{place}/*"), &written, &items));
        }
        found
    }

    fn found(&self, place: &str, what: &str) -> BTreeSet<String> {
        let change = match self.direction {
            Direction::Request => format!("{place} does not take {what} any more"),
            Direction::Response => format!("{place} can be {what}"),
        };
        BTreeSet::from([change])
    }

    fn words(
        &self,
        place: &str,
        written: &Map<String, Value>,
        read: &Map<String, Value>,
    ) -> BTreeSet<String> {
        let Some(known) = words(read) else { return BTreeSet::new() };
        let Some(said) = words(written) else { return self.found(place, "any other word") };
        said.iter()
            .filter(|word| !known.contains(word))
            .flat_map(|word| self.found(place, &word.to_string()))
            .collect()
    }

    fn limits(
        &self,
        place: &str,
        written: &Map<String, Value>,
        read: &Map<String, Value>,
    ) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (rule, is_lower) in LIMITS {
            let Some(bound) = read.get(*rule).and_then(Value::as_f64) else { continue };
            let own = written.get(*rule).and_then(Value::as_f64).or_else(|| implied(written, rule));
            let is_kept = own.is_some_and(|own| if *is_lower { own >= bound } else { own <= bound });
            // Words are as long as they are.
            if !is_kept && words(written).is_none() {
                found.extend(self.found(place, &format!("what is beyond {rule} {bound}")));
            }
        }
        for rule in ["pattern", "format"] {
            let (Some(known), own) = (read.get(rule).and_then(Value::as_str), written.get(rule)) else {
                continue;
            };
            let is_kept =
                own.and_then(Value::as_str).is_some_and(|own| own == known || is_narrower(own, known));
            if !is_kept && words(written).is_none() {
                found.extend(self.found(place, &format!("what is not of the {rule} {known}")));
            }
        }
        found
    }

    /// Which of two conditions takes more is not looked at: another one is a change.
    fn conditions(
        &self,
        place: &str,
        written: &Map<String, Value>,
        read: &Map<String, Value>,
    ) -> BTreeSet<String> {
        let has = CONDITIONS.iter().any(|rule| read.contains_key(*rule));
        if has && CONDITIONS.iter().any(|rule| read.get(*rule) != written.get(*rule)) {
            return self.found(place, "what does not meet its conditions");
        }
        BTreeSet::new()
    }

    fn fields(
        &mut self,
        place: &str,
        writer: &Side<'_>,
        reader: &Side<'_>,
        written: &Map<String, Value>,
        read: &Map<String, Value>,
    ) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let none = Value::Null;
        let fields = |rules: &Map<String, Value>| rules.get("properties").unwrap_or(&none).clone();
        let (sent, known) = (fields(written), fields(read));
        for field in required(read).difference(&required(written)) {
            let is_gone = sent.get(field).is_none();
            found.insert(match self.direction {
                Direction::Request => format!("{place}/{field} is demanded"),
                Direction::Response if is_gone => format!("{place}/{field} is gone"),
                Direction::Response => format!("{place}/{field} may be missing"),
            });
        }
        for (field, schema) in object(&known) {
            match sent.get(field) {
                Some(own) => {
                    let place = format!("{place}/{field}");
                    found.extend(self.fits(&place, &writer.of(own), &reader.of(schema)));
                }
                None if self.direction == Direction::Response => {
                    found.insert(format!("{place}/{field} is gone"));
                }
                None => {}
            }
        }
        if self.direction == Direction::Request {
            // Of answers, clients are to ignore what they do not know.
            let others = read.get("additionalProperties").unwrap_or(&Value::Bool(true));
            for (field, own) in object(&sent).filter(|(field, _)| known.get(field).is_none()) {
                if *others == false {
                    found.insert(format!("{place}/{field} is gone"));
                } else {
                    found.extend(self.fits(&format!("{place}/{field}"), &writer.of(own), &reader.of(others)));
                }
            }
            if *others == false && written.get("additionalProperties").is_none_or(|own| *own != false) {
                found.extend(self.found(place, "fields of other names"));
            }
        }
        if let (Some(own @ Value::Object(_)), Some(others @ Value::Object(_))) =
            (written.get("additionalProperties"), read.get("additionalProperties"))
        {
            found.extend(self.fits(&format!("{place}/*"), &writer.of(own), &reader.of(others)));
        }
        found
    }
}

impl<'d> Side<'d> {
    fn of(&self, schema: &Value) -> Self {
        Self { schema: schema.clone(), document: self.document }
    }

    fn rules(&self) -> Option<&Map<String, Value>> {
        self.schema.as_object()
    }

    /// Whether both are of one name, or of one type and one tag.
    fn is_like(&self, other: &Self) -> bool {
        if self.component().is_some() && self.component() == other.component() {
            return true;
        }
        let (own, other) = (self.resolved(), other.resolved());
        let (Some(own), Some(other)) = (own.rules(), other.rules()) else { return false };
        kind(other).is_some_and(|kind_known| is_within(kind(own), kind_known)) && tags(own) == tags(other)
    }

    fn component(&self) -> Option<&str> {
        self.schema.get("$ref")?.as_str()?.strip_prefix(COMPONENTS)
    }

    fn resolved(&self) -> Self {
        match self.component() {
            Some(name) => self.of(&self.document["components"]["schemas"][name]).resolved(),
            None => self.clone(),
        }
    }

    /// What it can be: the choices, each with what stands beside them, and each type by itself.
    fn alternatives(&self) -> Vec<Self> {
        let Some(rules) = self.rules() else { return vec![self.clone()] };
        for key in ["anyOf", "oneOf"] {
            if let Some(choices) = rules.get(key).and_then(Value::as_array) {
                let beside = || rules.iter().filter(|(rule, _)| *rule != key && *rule != "description");
                let joined = choices.iter().map(|choice| match choice.as_object() {
                    Some(choice) if choice.get("$ref").is_none() => {
                        let own = beside().map(|(rule, value)| (rule.clone(), value.clone()));
                        let mut joined: Map<String, Value> = own.collect();
                        joined.extend(choice.clone());
                        self.of(&joined.into())
                    }
                    _ => self.of(choice),
                });
                return joined.flat_map(|choice| choice.alternatives()).collect();
            }
        }
        match rules.get("type").and_then(Value::as_array) {
            Some(types) => types.iter().map(|kind| self.of_type(kind)).collect(),
            None => vec![self.clone()],
        }
    }

    fn of_type(&self, kind: &Value) -> Self {
        if *kind == "null" {
            return self.of(&json!({ "type": "null" }));
        }
        let mut one = self.clone();
        one.schema["type"] = kind.clone();
        if let Some(words) = one.schema.get_mut("enum").and_then(Value::as_array_mut) {
            words.retain(|word| !word.is_null());
        }
        one
    }
}

/// Each with whether it is a lower bound.
const LIMITS: &[(&str, bool)] = &[
    ("minimum", true),
    ("exclusiveMinimum", true),
    ("minLength", true),
    ("minItems", true),
    ("maximum", false),
    ("exclusiveMaximum", false),
    ("maxLength", false),
    ("maxItems", false),
];

/// Rules about fields together.
const CONDITIONS: &[&str] = &["if", "then", "else", "not", "dependentRequired"];

/// The one type of a schema without alternatives, if it says one.
fn kind(rules: &Map<String, Value>) -> Option<&str> {
    let said = rules.get("type").and_then(Value::as_str);
    said.or_else(|| match rules.get("const")? {
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("boolean"),
        _ => None,
    })
}

/// The fields that have one value only, which tells the choices of a union apart.
fn tags(rules: &Map<String, Value>) -> Vec<(String, Value)> {
    let fields = rules.get("properties").unwrap_or(&Value::Null);
    let tagged =
        object(fields).filter_map(|(name, schema)| Some((name.clone(), schema.get("const")?.clone())));
    tagged.collect()
}

fn is_within(kind: Option<&str>, known: &str) -> bool {
    kind.is_some_and(|kind| kind == known || kind == "integer" && known == "number")
}

/// Whether each value of the one format is one of the other.
fn is_narrower(own: &str, known: &str) -> bool {
    let bits = |format: &str| {
        let number = format.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let name = format.strip_suffix(number)?;
        Some((name.to_owned(), number.parse::<u32>().ok()?))
    };
    match (bits(own), bits(known)) {
        (Some((name, own)), Some((known_name, known))) => name == known_name && own <= known,
        _ => false,
    }
}

/// The bound that the format of an integer is, where a schema does not repeat it.
#[expect(clippy::cast_precision_loss, reason = "both sides of the comparison lose the same")]
fn implied(rules: &Map<String, Value>, rule: &str) -> Option<f64> {
    let (least, most) = match rules.get("format")?.as_str()? {
        "uint8" => (0.0, f64::from(u8::MAX)),
        "uint16" => (0.0, f64::from(u16::MAX)),
        "uint32" => (0.0, f64::from(u32::MAX)),
        "uint64" => (0.0, u64::MAX as f64),
        "int32" => (f64::from(i32::MIN), f64::from(i32::MAX)),
        "int64" => (i64::MIN as f64, i64::MAX as f64),
        _ => return None,
    };
    match rule {
        "minimum" => Some(least),
        "maximum" => Some(most),
        _ => None,
    }
}

fn words(rules: &Map<String, Value>) -> Option<Vec<Value>> {
    match (rules.get("const"), rules.get("enum")) {
        (Some(word), _) => Some(vec![word.clone()]),
        (None, Some(words)) => words.as_array().cloned(),
        (None, None) => None,
    }
}

fn required(rules: &Map<String, Value>) -> BTreeSet<String> {
    let names = rules.get("required").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}
