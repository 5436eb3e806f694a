//! What policies say of a tool call, and how their opinions are joined.

use serde::{Deserialize, Serialize};

/// What is to become of a tool call, from the least to the greatest say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing to say: the agent's own rules, its permission mode and people decide.
    Abstain,
    /// It runs and nobody is asked.
    Allow,
    /// A person decides.
    Ask,
    /// It does not run.
    Deny,
}

impl Verdict {
    /// Every verdict, the least first.
    pub const ALL: [Self; 4] = [Self::Abstain, Self::Allow, Self::Ask, Self::Deny];

    /// The word for this verdict on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Abstain => "abstain",
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }

    /// The verdict of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == word)
    }
}

/// A verdict, who came to it, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    pub verdict: Verdict,
    /// The policy: `commands`, `paths`, `tools`, `network`, or a custom one's name.
    pub policy: String,
    /// The version of a custom policy.
    pub version: Option<u32>,
    /// The rule of that policy which decided, in a form its author recognises.
    pub rule: String,
    /// A sentence the agent and people can read. It holds no secret.
    pub reason: String,
    /// How a person is asked, when the verdict is to ask one; `None` is as the operator decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<AskTerms>,
}

/// How a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskTerms {
    /// How long a person has.
    pub expires_after_seconds: u32,
    /// What holds when nobody answers in time: the call runs, or it does not.
    pub allows_when_expired: bool,
}

impl AskTerms {
    /// The stricter of two, whole: a no at the end before a yes, then the shorter time before a no and the longer one
    /// before a yes. The operator's terms (`None`) end in a no, in a time that others may name.
    #[must_use]
    pub fn stricter(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let laxity = |terms: &Option<Self>| match terms {
            Some(Self { allows_when_expired: false, expires_after_seconds: seconds }) => (0, *seconds),
            None => (1, 0),
            Some(Self { allows_when_expired: true, expires_after_seconds: seconds }) => {
                (2, u32::MAX - *seconds)
            }
        };
        std::cmp::min_by_key(one, other, laxity)
    }
}

impl Opinion {
    /// Nothing to say.
    #[must_use]
    pub fn abstain(policy: impl Into<String>) -> Self {
        Self::new(Verdict::Abstain, policy, "", "no rule concerns this")
    }

    /// An opinion of a built-in policy.
    #[must_use]
    pub fn new(
        verdict: Verdict,
        policy: impl Into<String>,
        rule: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            verdict,
            policy: policy.into(),
            version: None,
            rule: rule.into(),
            reason: reason.into(),
            terms: None,
        }
    }

    /// The same opinion, and how a person is asked.
    #[must_use]
    pub fn with_terms(self, terms: AskTerms) -> Self {
        Self { terms: Some(terms), ..self }
    }

    /// The greater of two opinions; of equal ones the first, so that whoever is asked first gives the reason. Of two
    /// that ask, the stricter terms hold.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self.verdict, other.verdict) {
            (Verdict::Ask, Verdict::Ask) => {
                Self { terms: AskTerms::stricter(self.terms, other.terms), ..self }
            }
            (first, second) if second > first => other,
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_verdict_wins_and_the_first_gives_the_reason() {
        let opinion = |verdict, policy| Opinion::new(verdict, policy, "", "");
        for first in Verdict::ALL {
            for second in Verdict::ALL {
                let joined = opinion(first, "first").or(opinion(second, "second"));
                assert_eq!(joined.verdict, first.max(second));
                assert_eq!(joined.policy == "first", first >= second);
            }
        }
    }

    #[test]
    fn of_two_that_ask_the_stricter_terms_hold_in_either_order() {
        let terms = |allows_when_expired, expires_after_seconds| {
            Some(AskTerms { expires_after_seconds, allows_when_expired })
        };
        // The strictest first.
        let order = [terms(false, 10), terms(false, 3600), None, terms(true, 3600), terms(true, 10)];
        let opinion = |verdict, terms| Opinion { terms, ..Opinion::new(verdict, "house", "", "") };
        for (strict, one) in order.iter().enumerate() {
            for (lax, other) in order.iter().enumerate() {
                let joined = opinion(Verdict::Ask, *one).or(opinion(Verdict::Ask, *other));
                assert_eq!(joined.terms, order[strict.min(lax)], "{one:?} {other:?}");
            }
        }
        let asks = opinion(Verdict::Ask, order[0]);
        assert_eq!(asks.clone().or(opinion(Verdict::Deny, None)).terms, None);
        assert_eq!(opinion(Verdict::Allow, None).or(asks).terms, order[0]);
    }
}
