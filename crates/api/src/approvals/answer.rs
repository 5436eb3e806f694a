//! A person's answer, as it comes over HTTP and the WebSocket.

use engine::ApprovalReply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use validator::Validate;

/// Longest reason a person may give, in characters.
pub const ANSWER_REASON_CHARS_MAX: u64 = 4000;

/// A person's answer.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct AnswerRequest {
    pub decision: AnswerWord,
    /// The model reads it.
    #[validate(length(max = ANSWER_REASON_CHARS_MAX))]
    pub reason: Option<String>,
    /// Runs in place of the input that was asked about; an object, judged by the policies again.
    pub updated_input: Option<Value>,
    /// To questions of the model: by question, the label of an option or words of your own; several labels where the
    /// question takes them.
    pub answers: Option<Answers>,
    /// Such calls run from now on without a question: the same input, and what the agent's suggested rules cover.
    pub remember: Option<Remember>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerWord {
    Allow,
    Deny,
}

/// For how long a yes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Remember {
    /// As long as the session lives.
    Session,
}

/// Answers by question.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Answers(BTreeMap<String, OneOrMore>);

/// One answer, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<AnswerRequest> for ApprovalReply {
    fn from(request: AnswerRequest) -> Self {
        let answers = request.answers.map(|answers| {
            let several = |given| match given {
                OneOrMore::One(answer) => vec![answer],
                OneOrMore::More(answers) => answers,
            };
            answers.0.into_iter().map(|(question, given)| (question, several(given))).collect()
        });
        Self {
            is_allowed: request.decision == AnswerWord::Allow,
            reason: request.reason,
            updated_input: request.updated_input,
            answers,
            remember: request.remember == Some(Remember::Session),
        }
    }
}
