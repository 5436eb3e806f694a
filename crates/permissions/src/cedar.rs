//! A custom policy in Cedar: its rules, asked about each part of a call, and what they come to together.

mod compile;
mod language;
mod question;
mod target;

use self::{
    compile::Rules,
    question::{Question, Questions},
};
use crate::{CannotJudge, Surroundings, ToolCall};
use cedar_policy::{AuthorizationError, Authorizer, PolicyId};
use domain::{AskTerms, Opinion, Verdict};
use jiff::Timestamp;

pub use compile::{EXPIRY_SECONDS_MAX, NESTING_MAX, RULE_BYTES_MAX, RULES_MAX, TEXT_BYTES_MAX, TextFault};
pub use language::SCHEMA;
pub use question::INPUT_VALUES_MAX;

/// The rule named when the rules could not be asked.
const CANNOT_JUDGE: &str = "cannot_judge";

/// One version of a custom policy, ready to judge.
#[derive(Debug)]
pub struct CedarPolicy {
    name: String,
    version: Option<u32>,
    rules: Rules,
    authorizer: Authorizer,
}

/// A call in the words of policies; made once and put to each of them.
pub struct CedarCall(Result<Questions, CannotJudge>);

impl std::fmt::Debug for CedarCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CedarCall")
    }
}

impl CedarCall {
    /// Reads what the call would do. Looks at the file system, to see where paths lead.
    #[must_use]
    pub fn new(call: &ToolCall, surroundings: &Surroundings, at: Timestamp) -> Self {
        Self(Questions::about(call, surroundings, at))
    }
}

impl CedarPolicy {
    /// Checks a text. `version` is `None` for one that is only tried.
    pub fn compile(
        name: impl Into<String>,
        version: Option<u32>,
        text: &str,
    ) -> Result<Self, Vec<TextFault>> {
        let rules = compile::compile(text)?;
        Ok(Self { name: name.into(), version, rules, authorizer: Authorizer::new() })
    }

    /// Its name in opinions.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the policy says of the call.
    ///
    /// A `forbid` that holds for any part decides for the whole. A `permit` counts if it holds for the tool, or for
    /// every part that needs one: permitting one command of a line does not permit the others. A question that nobody
    /// answers ends in a yes only where a `permit` would have counted.
    #[must_use]
    pub fn judge(&self, call: &CedarCall) -> Opinion {
        let questions = match &call.0 {
            Ok(questions) => questions,
            Err(error) => return self.opinion(Verdict::Deny, CANNOT_JUDGE, error.to_string()),
        };
        let about_tool = self.ask(&questions.about_tool);
        let mut greatest: Option<Opinion> = None;
        let mut all_permitted = questions.about_parts.iter().any(|question| question.needs_permit);
        for question in &questions.about_parts {
            let opinion = self.ask(question);
            all_permitted &= !question.needs_permit || opinion.verdict >= Verdict::Allow;
            greatest = Some(match greatest {
                Some(greatest) => greatest.or(opinion),
                None => opinion,
            });
        }
        let abstain = || self.opinion(Verdict::Abstain, "", "no rule concerns this".to_owned());
        let permits = questions.permits_count && (about_tool.verdict >= Verdict::Allow || all_permitted);
        let about_parts = greatest
            .filter(|opinion| opinion.verdict > Verdict::Allow || all_permitted)
            .unwrap_or_else(abstain);
        let joined = about_tool.or(about_parts);
        if joined.verdict == Verdict::Allow && !questions.permits_count {
            return abstain();
        }
        let terms = joined
            .terms
            .map(|terms| AskTerms { allows_when_expired: terms.allows_when_expired && permits, ..terms });
        Opinion { terms, ..joined }
    }

    fn ask(&self, question: &Question) -> Opinion {
        let answer = self.authorizer.is_authorized(&question.request, &self.rules.set, &question.entities);
        let diagnostics = answer.diagnostics();
        // A rule that could not be evaluated might have been the one that forbids.
        if let Some(AuthorizationError::PolicyEvaluationError(error)) = diagnostics.errors().next() {
            let rule = self.rule_name(error.policy_id());
            let why = format!("rule {rule} could not be evaluated: {}", error.inner());
            return self.opinion(Verdict::Deny, rule, why);
        }
        // By name, so that of several rules with one verdict it is always the same one that gives the reason.
        let mut holding: Vec<_> = diagnostics.reason().filter_map(|id| self.rules.by_id.get(id)).collect();
        holding.sort_by(|a, b| b.verdict.cmp(&a.verdict).then_with(|| a.name.cmp(&b.name)));
        let Some(rule) = holding.first() else {
            return self.opinion(Verdict::Abstain, "", "no rule concerns this".to_owned());
        };
        let reason = rule.reason.clone().unwrap_or_else(|| {
            let says = match rule.verdict {
                Verdict::Deny => "forbids",
                Verdict::Ask => "wants a person to decide about",
                Verdict::Allow | Verdict::Abstain => "permits",
            };
            format!("rule {} of policy {} {says} {}", rule.name, self.name, question.subject)
        });
        let asking = holding.iter().filter(|asking| asking.verdict == rule.verdict);
        let terms = asking.map(|asking| asking.terms).reduce(AskTerms::stricter).flatten();
        Opinion { terms, ..self.opinion(rule.verdict, &rule.name, reason) }
    }

    fn rule_name<'a>(&'a self, id: &'a PolicyId) -> &'a str {
        self.rules.by_id.get(id).map_or_else(|| id.as_ref(), |rule| rule.name.as_str())
    }

    fn opinion(&self, verdict: Verdict, rule: &str, reason: String) -> Opinion {
        Opinion { version: self.version, ..Opinion::new(verdict, &self.name, rule, reason) }
    }
}
