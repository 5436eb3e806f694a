//! From a policy's text to rules that can be asked, or to every fault in it with its line and column.

use super::language::language;
use cedar_policy::{Effect, PolicyId, PolicySet, ValidationMode, ValidationWarning};
use domain::{AskTerms, Verdict};
use miette::Diagnostic;
use std::collections::{BTreeMap, HashMap};

/// Longest text of a policy, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of brackets in a policy.
pub const NESTING_MAX: usize = 32;
/// Longest single rule, in bytes. A rule is as deep as its operators are many, and it is asked and forgotten on the
/// small stacks of the server's workers.
pub const RULE_BYTES_MAX: usize = 8 * 1024;
/// Most rules in a policy; each is asked about every part of every call.
pub const RULES_MAX: usize = 500;

/// Longest time, in seconds, that a rule may give people to answer.
pub const EXPIRY_SECONDS_MAX: u32 = 24 * 60 * 60;

/// What is wrong with a policy's text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFault {
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
    /// `syntax`, `type`, `ineffective`, `confusable`, `annotation`, `template`, `duplicate`, `empty`, `size`, or
    /// `internal` when this server could not check the text.
    pub code: &'static str,
    pub message: String,
}

/// Rules that were parsed and checked against the schema.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) set: PolicySet,
    pub(super) by_id: HashMap<PolicyId, Rule>,
}

/// What decides about a call when its condition holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// From `@id`, or Cedar's own: `policy0` for the first.
    pub(super) name: String,
    pub(super) verdict: Verdict,
    /// From `@reason`.
    pub(super) reason: Option<String>,
    /// From `@expires_after_seconds` and `@when_expired`.
    pub(super) terms: Option<AskTerms>,
}

/// The parser goes down as deep as a text chains its operators; 16 MiB were enough for the longest text of each kind.
const PARSER_STACK_BYTES: usize = 64 * 1024 * 1024;

/// Parses and checks a text. Takes up to a second for the worst of texts.
pub(super) fn compile(text: &str) -> Result<Rules, Vec<TextFault>> {
    let no_thread = |message: String| vec![Places { text }.fault(0, "internal", message)];
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size(PARSER_STACK_BYTES);
        let parser =
            parser.spawn_scoped(scope, || check(text)).map_err(|error| no_thread(error.to_string()))?;
        parser.join().unwrap_or_else(|_| Err(no_thread("the parser failed".to_owned())))
    })
}

fn check(text: &str) -> Result<Rules, Vec<TextFault>> {
    let places = Places { text };
    if let Some(fault) = too_large(&places) {
        return Err(vec![fault]);
    }
    let set: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors.iter().map(|error| places.diagnosed("syntax", error, text.len())).collect::<Vec<_>>()
    })?;
    let mut faults = vec![];
    for template in set.templates() {
        let message = "a custom policy has no slots: name the principal and the resource";
        faults.push(places.fault(template.as_ref().loc().map_or(0, |loc| loc.start()), "template", message));
    }
    for policy in set.policies() {
        let place = policy.as_ref().loc();
        if place.is_none_or(|place| place.end() - place.start() > RULE_BYTES_MAX) {
            let offset = place.map_or(0, |place| place.start());
            faults.push(places.fault(offset, "size", format!("at most {RULE_BYTES_MAX} bytes in one rule")));
        }
    }
    if set.num_of_policies() > RULES_MAX {
        faults.push(places.fault(0, "size", format!("at most {RULES_MAX} rules")));
    }
    if set.is_empty() {
        faults.push(places.fault(text.len(), "empty", "the policy has no rule"));
    }
    if faults.is_empty() {
        let validator = &language().map_err(|error| vec![places.fault(0, "internal", error)])?.validator;
        let validated = validator.validate(&set, ValidationMode::Strict);
        let rule = |id| set.policy(id).and_then(|policy| policy.as_ref().loc()).map_or(0, |loc| loc.start());
        faults.extend(
            validated
                .validation_errors()
                .map(|error| places.diagnosed("type", error, rule(error.policy_id()))),
        );
        // What warns elsewhere is refused here: a rule that can never apply looks like protection and is none. It
        // never applies either when a name in it is wrong, which is said already.
        if faults.is_empty() {
            faults.extend(
                validated.validation_warnings().map(|warning| {
                    places.diagnosed(warning_code(warning), warning, rule(warning.policy_id()))
                }),
            );
        }
    }
    let by_id = rules(&set, &places, &mut faults);
    // Cedar finds one mistake anew for every kind of call.
    faults
        .sort_by(|a, b| (a.line, a.column, a.code, &a.message).cmp(&(b.line, b.column, b.code, &b.message)));
    faults.dedup_by_key(|fault| (fault.line, fault.column, fault.code));
    if faults.is_empty() { Ok(Rules { set, by_id }) } else { Err(faults) }
}

/// Reads the annotations. One that is not known is refused: it would look as if it did something.
fn rules(set: &PolicySet, places: &Places<'_>, faults: &mut Vec<TextFault>) -> HashMap<PolicyId, Rule> {
    let mut by_id = HashMap::new();
    let mut named = BTreeMap::new();
    // In the order of the text, so that the second of two of one name is the fault.
    let mut policies: Vec<_> = set.policies().collect();
    policies.sort_by_key(|policy| policy.as_ref().loc().map_or(0, |loc| loc.start()));
    for policy in policies {
        let mut rule = Rule {
            name: AsRef::<str>::as_ref(policy.id()).to_owned(),
            verdict: match policy.effect() {
                Effect::Permit => Verdict::Allow,
                Effect::Forbid => Verdict::Deny,
            },
            reason: None,
            terms: None,
        };
        let (mut seconds, mut at_expiry) = (None, None);
        for (key, annotation) in policy.as_ref().annotations() {
            let value = annotation.val.as_str();
            let place = annotation.loc.as_ref().map_or(0, |loc| loc.start());
            let mut fault = |code, message: String| faults.push(places.fault(place, code, message));
            match (key.as_ref(), policy.effect()) {
                ("id" | "reason", _) if value.trim().is_empty() || value.contains(char::is_control) => {
                    fault("annotation", format!("@{key} is one line of text"));
                }
                ("id", _) => rule.name = value.to_owned(),
                ("reason", _) => rule.reason = Some(value.to_owned()),
                ("decision", Effect::Forbid) if value == "ask" => rule.verdict = Verdict::Ask,
                ("decision", Effect::Forbid) => {
                    fault("annotation", "@decision of a forbid is \"ask\"".to_owned());
                }
                ("decision", Effect::Permit) => {
                    // Read without its annotation, such a rule must never permit more than with it.
                    fault(
                        "annotation",
                        "@decision(\"ask\") belongs to a forbid: forbidden unless a person agrees".to_owned(),
                    );
                }
                ("expires_after_seconds", _) => match expiry(value) {
                    Some(expiry) => seconds = Some((expiry, place)),
                    None => fault("annotation", format!("@{key} is a number from 1 to {EXPIRY_SECONDS_MAX}")),
                },
                ("when_expired", _) => match value {
                    "allow" | "deny" => at_expiry = Some((value == "allow", place)),
                    _ => fault("annotation", format!("@{key} is \"deny\" or \"allow\"")),
                },
                _ => {
                    let known = "@id, @reason, @decision, @expires_after_seconds and @when_expired";
                    fault("annotation", format!("@{key} is not one of {known}"));
                }
            }
        }
        match terms(rule.verdict, seconds, at_expiry) {
            Ok(terms) => rule.terms = terms,
            Err(misplaced) => faults
                .extend(misplaced.into_iter().map(|(place, why)| places.fault(place, "annotation", why))),
        }
        if named.insert(rule.name.clone(), ()).is_some() {
            let message = format!("there are two rules named {:?}", rule.name);
            faults.push(places.fault(
                policy.as_ref().loc().map_or(0, |loc| loc.start()),
                "duplicate",
                message,
            ));
        }
        by_id.insert(policy.id().clone(), rule);
    }
    by_id
}

fn expiry(value: &str) -> Option<u32> {
    value.parse().ok().filter(|seconds| (1..=EXPIRY_SECONDS_MAX).contains(seconds))
}

/// How a rule asks, from its annotations and their places; or which of them have no effect, and why.
fn terms(
    verdict: Verdict,
    seconds: Option<(u32, usize)>,
    at_expiry: Option<(bool, usize)>,
) -> Result<Option<AskTerms>, Vec<(usize, &'static str)>> {
    if verdict != Verdict::Ask {
        let places = [seconds.map(|(_, place)| place), at_expiry.map(|(_, place)| place)];
        let misplaced: Vec<_> = places
            .into_iter()
            .flatten()
            .map(|place| (place, "this belongs to @decision(\"ask\") forbid"))
            .collect();
        return if misplaced.is_empty() { Ok(None) } else { Err(misplaced) };
    }
    match (seconds, at_expiry) {
        (Some((expires_after_seconds, _)), at_expiry) => Ok(Some(AskTerms {
            expires_after_seconds,
            allows_when_expired: at_expiry.is_some_and(|(allows, _)| allows),
        })),
        // Whoever lets silence decide says how long people have.
        (None, Some((_, place))) => {
            Err(vec![(place, "@when_expired needs @expires_after_seconds beside it")])
        }
        (None, None) => Ok(None),
    }
}

fn warning_code(warning: &ValidationWarning) -> &'static str {
    match warning {
        ValidationWarning::MixedScriptString(_)
        | ValidationWarning::BidiCharsInString(_)
        | ValidationWarning::BidiCharsInIdentifier(_)
        | ValidationWarning::MixedScriptIdentifier(_)
        | ValidationWarning::ConfusableIdentifier(_) => "confusable",
        _ => "ineffective",
    }
}

fn too_large(places: &Places<'_>) -> Option<TextFault> {
    if places.text.len() > TEXT_BYTES_MAX {
        return Some(places.fault(TEXT_BYTES_MAX, "size", format!("at most {TEXT_BYTES_MAX} bytes")));
    }
    // Counts brackets in strings and comments too: nobody writes that many of them there.
    let mut depth = 0_usize;
    for (offset, byte) in places.text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            return Some(places.fault(
                offset,
                "size",
                format!("at most {NESTING_MAX} brackets inside each other"),
            ));
        }
    }
    None
}

/// Where an offset in the text is for a person.
struct Places<'a> {
    text: &'a str,
}

impl Places<'_> {
    fn fault(&self, offset: usize, code: &'static str, message: impl Into<String>) -> TextFault {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        TextFault { line: number(line), column: number(column), code, message: message.into() }
    }

    /// Cedar's own finding with its help, at its first label or else at `fallback`.
    fn diagnosed(&self, code: &'static str, found: &dyn Diagnostic, fallback: usize) -> TextFault {
        let label = found.labels().and_then(|mut labels| labels.next());
        let said = label.as_ref().and_then(|label| label.label()).map(|label| format!(": {label}"));
        let help = found.help().map(|help| format!(" ({help})"));
        let message = format!("{found}{}{}", said.unwrap_or_default(), help.unwrap_or_default());
        self.fault(label.map_or(fallback, |label| label.offset()), code, message)
    }
}
