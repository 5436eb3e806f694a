//! What a person answers, checked against what was asked.

use crate::FieldError;
use domain::{Approval, ApprovalAnswer, ApprovalKind, UserId};
use sdk_runtime::{QuestionOption, UserQuestion};
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A person's answer, not yet checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApprovalReply {
    pub is_allowed: bool,
    pub reason: Option<String>,
    /// Runs in place of the input that was asked about.
    pub updated_input: Option<Value>,
    /// By question of the model: labels of options, or words of the person's own.
    pub answers: Option<BTreeMap<String, Vec<String>>>,
    /// Whether such calls run in this session from now on without a question.
    pub remember: bool,
}

impl ApprovalReply {
    /// The answer to be stored, or what is wrong with it.
    pub(crate) fn check(self, by: UserId, approval: &Approval) -> Result<ApprovalAnswer, Vec<FieldError>> {
        let mut faults = Vec::new();
        let mut refuse = |given: bool, pointer: &str, why: &str| {
            if given {
                faults.push(FieldError::new(pointer, "not_here", why));
            }
        };
        let is_call = approval.kind == ApprovalKind::Tool;
        if !self.is_allowed {
            refuse(self.updated_input.is_some(), "/updated_input", "goes with a yes only");
            refuse(self.answers.is_some(), "/answers", "goes with a yes only");
            refuse(self.remember, "/remember", "goes with a yes only: rules for a no belong into a policy");
        } else if !is_call {
            refuse(self.updated_input.is_some(), "/updated_input", "goes with calls of ordinary tools only");
            refuse(self.remember, "/remember", "goes with calls of ordinary tools only");
        }
        if approval.kind != ApprovalKind::Question {
            refuse(self.answers.is_some(), "/answers", "goes with questions of the model only");
        }
        if self.updated_input.as_ref().is_some_and(|input| !input.is_object()) {
            faults.push(FieldError::new("/updated_input", "object", "must be an object, as tools take it"));
        }
        let mut updated_input = self.updated_input;
        if faults.is_empty() && self.is_allowed && approval.kind == ApprovalKind::Question {
            match answered(&approval.tool_input, self.answers.unwrap_or_default()) {
                Ok(input) => updated_input = Some(input),
                Err(wrong) => faults = wrong,
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(ApprovalAnswer {
            by,
            is_allowed: self.is_allowed,
            reason: self.reason.filter(|reason| !reason.trim().is_empty()),
            updated_input,
            remember: self.remember,
        })
    }
}

/// The input of `AskUserQuestion` with the answers in it. Every question is answered: by labels, or by words of the
/// person's own, which the tool always allows.
fn answered(input: &Value, given: BTreeMap<String, Vec<String>>) -> Result<Value, Vec<FieldError>> {
    let Ok(questions) = Vec::<UserQuestion>::deserialize(&input["questions"]) else {
        let message = "the model's questions cannot be read, so they can only be denied";
        return Err(vec![FieldError::new("/decision", "unreadable", message)]);
    };
    let mut faults = Vec::new();
    for asked in given.keys().filter(|asked| !questions.iter().any(|q| q.question == **asked)) {
        let known: Vec<_> = questions.iter().map(|q| q.question.as_str()).collect();
        let message = format!("is not among the questions: {}", known.join(" | "));
        faults.push(FieldError::new(pointer(asked), "unknown_question", message));
    }
    let mut answers = serde_json::Map::new();
    for question in &questions {
        let chosen = given.get(&question.question).map(Vec::as_slice).unwrap_or_default();
        match joined(question, chosen) {
            Ok(text) => drop(answers.insert(question.question.clone(), json!(text))),
            Err(message) => faults.push(FieldError::new(pointer(&question.question), "answer", message)),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut input = input.clone();
    input["answers"] = Value::Object(answers);
    Ok(input)
}

fn joined(question: &UserQuestion, chosen: &[String]) -> Result<String, String> {
    let labels = || question.options.iter().map(|QuestionOption { label, .. }| label.as_str());
    match chosen {
        [] => Err(format!("must be answered; the options are {}", labels().collect::<Vec<_>>().join(" | "))),
        _ if chosen.iter().any(|answer| answer.trim().is_empty()) => Err("must not be empty".to_owned()),
        [only] => Ok(only.clone()),
        _ if !question.multi_select => Err("takes one answer only".to_owned()),
        several => match several.iter().find(|answer| !labels().any(|label| label == **answer)) {
            Some(unknown) => Err(format!("{unknown} is no option; words of your own go alone")),
            None => Ok(several.join(", ")),
        },
    }
}

fn pointer(question: &str) -> String {
    format!("/answers/{}", question.replace('~', "~0").replace('/', "~1"))
}
