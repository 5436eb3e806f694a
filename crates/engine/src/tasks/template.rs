//! Prompt templates: Jinja, as minijinja has it, with nothing in reach but the variables.
//!
//! No template reaches a file or another template. What one may do and make is bounded: its fuel runs out with the work
//! and the memory that it takes, and the text that comes of it has an end.

use crate::{Error, FieldError, Result};
use domain::{Task, TaskSpec};
use minijinja::{
    Environment, ErrorKind, UndefinedBehavior, Value as Var,
    value::{Enumerator, Object, Serde},
};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    sync::Arc,
};

/// What a template may spend: about an instruction each, or 64 bytes of data that it makes.
const FUEL: u64 = 200_000;
/// Largest prompt that may come of it, in bytes.
const PROMPT_BYTES_MAX: usize = 1024 * 1024;
/// Largest set of variables, in bytes of JSON, and how many there may be.
const VARIABLES_BYTES_MAX: usize = 256 * 1024;
const VARIABLES_MAX: usize = 200;
/// Variables that a template may ask for.
const NAMES_MAX: usize = 64;
/// The field that a template stands in.
const TEMPLATE: &str = "/prompt_template";

/// A template with its variables filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rendered {
    pub(crate) prompt: String,
    /// Those that were given over the defaults.
    pub(crate) variables: Map<String, Value>,
}

/// Fills in a task's template: what is given, and its defaults for the rest. Everything that is missing is named.
pub(crate) fn render(task: &Task, given: &Map<String, Value>) -> Result<Rendered> {
    render_spec(&task.spec, given)
}

fn render_spec(spec: &TaskSpec, given: &Map<String, Value>) -> Result<Rendered> {
    let mut faults: Vec<FieldError> = variables_fault("/variables", given).into_iter().collect();
    let mut variables = spec.default_variables.clone();
    variables.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
    let environment = environment();
    let template = Template::parse(&environment, &spec.prompt_template);
    let template = template.map_err(|fault| Error::Invalid(vec![fault]))?;
    if faults.is_empty() {
        match template.fill(&variables) {
            Ok(prompt) if !prompt.trim().is_empty() => return Ok(Rendered { prompt, variables }),
            Ok(_) => faults.push(FieldError::new("/variables", "blank", "leave nothing of the prompt")),
            Err(error) => {
                let missing = template.needs(&variables);
                faults.extend(missing.iter().map(|name| required("/variables", name)));
                if missing.is_empty() {
                    faults.push(filling_fault(&error));
                }
            }
        }
    }
    Err(Error::Invalid(faults))
}

/// What is wrong with a template and its defaults. One that is to run by itself must do with the defaults.
pub(crate) fn faults(template: &str, defaults: &Map<String, Value>, runs_by_itself: bool) -> Vec<FieldError> {
    let mut faults: Vec<FieldError> = variables_fault("/default_variables", defaults).into_iter().collect();
    let environment = environment();
    match Template::parse(&environment, template) {
        Err(fault) => faults.push(fault),
        Ok(template) if runs_by_itself => {
            let missing = template.needs(defaults);
            faults.extend(missing.iter().map(|name| required("/default_variables", name)));
        }
        Ok(_) => {}
    }
    faults
}

/// A template that was read.
struct Template<'e, 's> {
    template: minijinja::Template<'e, 's>,
    /// What it may look up.
    names: BTreeSet<String>,
}

fn environment<'s>() -> Environment<'s> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    // Only then does a fault know its column.
    environment.set_debug(true);
    // It would show what else is in memory, and is of no use in a prompt.
    environment.remove_global("debug");
    environment
}

impl<'e, 's> Template<'e, 's> {
    fn parse(environment: &'e Environment<'s>, text: &'s str) -> std::result::Result<Self, FieldError> {
        let template = environment
            .template_from_str(text)
            .map_err(|error| placed(template_fault(&error), &error, text))?;
        let mut names: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        for (global, _) in environment.globals() {
            names.remove(global);
        }
        if names.len() > NAMES_MAX {
            let message = format!("must ask for at most {NAMES_MAX} variables");
            return Err(FieldError::new(TEMPLATE, "too_many", message));
        }
        Ok(Self { template, names })
    }

    fn fill(&self, variables: &Map<String, Value>) -> std::result::Result<String, minijinja::Error> {
        self.fill_with(Var::from(Serde(variables)))
    }

    fn fill_with(&self, variables: Var) -> std::result::Result<String, minijinja::Error> {
        let mut text = Bounded(Vec::new());
        self.template.render_captured_to(variables, &mut text)?;
        String::from_utf8(text.0)
            .map_err(|error| minijinja::Error::new(ErrorKind::WriteFailure, error.to_string()))
    }

    /// The variables without which it cannot be filled in. One that is only looked at with `default` or `is defined` can
    /// be left out.
    fn needs(&self, variables: &Map<String, Value>) -> Vec<String> {
        let missing: Vec<&String> = self.names.iter().filter(|name| !variables.contains_key(*name)).collect();
        let is_needed = |name: &&String| {
            let known = variables.iter().map(|(known, value)| (known.clone(), Var::from(Serde(value))));
            let others = missing.iter().filter(|other| *other != name);
            let stand_ins = others.map(|other| ((*other).clone(), Var::from_object(Anything)));
            let others: BTreeMap<String, Var> = known.chain(stand_ins).collect();
            let filled = self.fill_with(Var::from(others));
            filled.is_err_and(|error| error.kind() == ErrorKind::UndefinedError)
        };
        missing.iter().copied().filter(is_needed).cloned().collect()
    }
}

/// Stands for a variable that is missing: it has whatever is looked for in it.
#[derive(Debug)]
struct Anything;

impl Object for Anything {
    fn get_value(self: &Arc<Self>, _: &Var) -> Option<Var> {
        Some(Var::from_object(Self))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Empty
    }
}

/// A text that does not grow beyond the largest prompt.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.0.len() + part.len() > PROMPT_BYTES_MAX {
            return Err(io::Error::other("the prompt is too long"));
        }
        self.0.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn variables_fault(pointer: &str, variables: &Map<String, Value>) -> Option<FieldError> {
    if variables.len() > VARIABLES_MAX {
        let message = format!("must be at most {VARIABLES_MAX} variables");
        return Some(FieldError::new(pointer, "too_many", message));
    }
    let bytes = serde_json::to_vec(variables).map_or(usize::MAX, |json| json.len());
    (bytes > VARIABLES_BYTES_MAX).then(|| {
        FieldError::new(pointer, "size", format!("must be at most {VARIABLES_BYTES_MAX} bytes of JSON"))
    })
}

fn required(below: &str, name: &str) -> FieldError {
    FieldError::new(format!("{below}/{name}"), "required", "is needed by the template and has no default")
}

/// Why the template is none.
fn template_fault(error: &minijinja::Error) -> FieldError {
    FieldError::new(TEMPLATE, "template", told(error))
}

/// Why it cannot be filled in with these variables.
fn filling_fault(error: &minijinja::Error) -> FieldError {
    match error.kind() {
        ErrorKind::OutOfFuel => {
            FieldError::new("/variables", "too_complex", "make the template do more work than it may")
        }
        ErrorKind::WriteFailure => {
            let message = format!("make a prompt of more than {PROMPT_BYTES_MAX} bytes");
            FieldError::new("/variables", "too_long", message)
        }
        _ => FieldError::new("/variables", "template", told(error)),
    }
}

fn told(error: &minijinja::Error) -> String {
    let line = error.line().map_or(String::new(), |line| format!(" (line {line} of the template)"));
    match error.detail() {
        Some(detail) => format!("{}: {detail}{line}", error.kind()),
        None => format!("{}{line}", error.kind()),
    }
}

/// The fault at its place in the text.
fn placed(fault: FieldError, error: &minijinja::Error, text: &str) -> FieldError {
    let figure = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let before = error.range().and_then(|range| text.get(..range.start));
    match (before, error.line()) {
        (Some(before), _) => {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            fault.at(figure(line), figure(column))
        }
        (None, Some(line)) => fault.at(figure(line), 1),
        (None, None) => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn filled(template: &str, defaults: Value, given: Value) -> std::result::Result<String, Vec<String>> {
        let spec = TaskSpec {
            prompt_template: template.into(),
            default_variables: map(defaults),
            ..TaskSpec::default()
        };
        match render_spec(&spec, &map(given)) {
            Ok(rendered) => Ok(rendered.prompt),
            Err(Error::Invalid(faults)) => {
                Err(faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect())
            }
            Err(other) => Err(vec![other.to_string()]),
        }
    }

    fn refused(pairs: &[&str]) -> std::result::Result<String, Vec<String>> {
        Err(pairs.iter().map(|pair| (*pair).to_owned()).collect())
    }

    #[test]
    fn what_is_given_stands_before_the_defaults() {
        let text = filled("{{a}} {{ b }}", json!({"a": 1, "b": 2}), json!({"b": "é", "c": 0}));
        assert_eq!(text, Ok("1 é".into()));
        let text = filled(
            "{% for x in xs %}{{ loop.index }}:{{ x.y }} {% endfor %}",
            json!({}),
            json!({"xs": [{"y": 7}]}),
        );
        assert_eq!(text, Ok("1:7 ".into()));
    }

    #[test]
    fn each_variable_that_is_missing_is_named_and_none_that_may_be() {
        let template =
            "{{ a }} {{ b|default('x') }} {% if c is defined %}{{ c }}{% endif %} {{ d.e }}{{ f }}";
        assert_eq!(
            filled(template, json!({"f": 1}), json!({})),
            refused(&["/variables/a required", "/variables/d required"])
        );
        assert_eq!(filled(template, json!({"a": 1, "f": 2}), json!({"d": {"e": 3}})), Ok("1 x  32".into()));
        // It is there, and what is looked for in it is not.
        assert_eq!(filled("{{ d.e }}", json!({}), json!({"d": {}})), refused(&["/variables template"]));
        assert_eq!(filled("{{ a }}", json!({}), json!({"a": " \n"})), refused(&["/variables blank"]));
    }

    #[test]
    fn nothing_is_in_reach_but_the_variables() {
        for template in ["{% include 'x' %}", "{% import 'x' as x %}", "{% extends '/etc/passwd' %}"] {
            assert_eq!(
                filled(template, json!({}), json!({})),
                refused(&["/prompt_template template"]),
                "{template}"
            );
        }
        assert_eq!(filled("{{ debug() }}", json!({}), json!({})), refused(&["/variables template"]));
    }

    #[test]
    fn work_memory_and_text_are_bounded() {
        let long = "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}x{% endfor %}{% endfor %}{% endfor %}";
        assert_eq!(filled(long, json!({}), json!({})), refused(&["/variables too_complex"]));
        let doubled = format!(
            "{{% set a = 'xxxxxxxxxxxxxxxx' %}}{}{{{{ a|length }}}}",
            "{% set a = a ~ a %}".repeat(60)
        );
        assert_eq!(filled(&doubled, json!({}), json!({})), refused(&["/variables too_complex"]));
        assert_eq!(
            filled("{{ 'x' * 99999999 }}", json!({}), json!({})),
            refused(&["/variables too_complex"])
        );
        assert_eq!(
            filled("{{ x }}{{ x }}{{ x }}{{ x }}{{ x }}", json!({"x": "y".repeat(250_000)}), json!({})),
            refused(&["/variables too_long"])
        );
        assert_eq!(filled("x", json!({}), json!({"x": "y".repeat(300_000)})), refused(&["/variables size"]));
    }

    #[test]
    fn a_fault_has_its_place() {
        let found = faults("one\ntwo {{ x | }} three", &Map::new(), false);
        let [fault] = &found[..] else { unreachable!("{found:?}") };
        assert_eq!((fault.pointer.as_str(), fault.code), ("/prompt_template", "template"));
        let place = fault.place.unwrap();
        assert_eq!(place.line, 2, "{fault:?}");
        assert!(place.column > 4, "{fault:?}");
        let found = faults("{{ a }}{{ b }}", &map(json!({"a": 1})), true);
        assert_eq!(found[0].pointer, "/default_variables/b");
        assert!(faults("{{ a }}", &Map::new(), false).is_empty());
    }
}
