//! The two tools that are questions to a person: `AskUserQuestion` and `ExitPlanMode`.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{Decision, PermissionUpdate, ToolQuestion};
use crate::{open::open_struct, options::PermissionMode};

open_struct! {
    /// One question of the model to the user.
    #[serde(rename_all = "camelCase")]
    UserQuestion {
        /// The question, which is also its key in the answer.
        question: String,
        /// A very short label.
        header: String,
        /// What can be chosen; the user may always answer in words of their own.
        options: Vec<QuestionOption>,
        /// Whether several can be chosen.
        multi_select: bool,
    }
    /// Something that can be chosen.
    QuestionOption {
        /// What is chosen.
        label: String,
        /// What it means.
        description: String,
        /// What it would look like, in the form of `AgentOptions::question_preview`.
        preview: Option<String>,
    }
}

/// A call of `AskUserQuestion`: one to four questions.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UserQuestions {
    /// The questions.
    pub questions: Vec<UserQuestion>,
    input: Value,
}

impl UserQuestions {
    /// Reads the questions, when that is what the agent asks about.
    pub fn read(question: &ToolQuestion) -> Option<Self> {
        if question.tool_name != "AskUserQuestion" {
            return None;
        }
        let questions = Vec::deserialize(&question.input["questions"]).ok()?;
        Some(Self { questions, input: question.input.clone() })
    }

    /// Answers with labels, or words of the user's own, by question. Several labels are joined by `, `.
    pub fn answer<Q, A>(&self, answers: impl IntoIterator<Item = (Q, A)>) -> Decision
    where
        Q: Into<String>,
        A: Into<String>,
    {
        let answers = answers.into_iter().map(|(question, answer)| (question.into(), answer.into()));
        let answers: BTreeMap<String, String> = answers.collect();
        let mut input = self.input.clone();
        input["answers"] = json!(answers);
        Decision::allow().with_input(input)
    }
}

/// A call of `ExitPlanMode`: the agent has made a plan and wants to carry it out.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PlanApproval {
    /// The plan, when the agent shows it.
    pub plan: Option<String>,
    /// The file the plan is in, when there is one.
    pub plan_file: Option<String>,
    input: Value,
}

impl PlanApproval {
    /// Reads the plan, when that is what the agent asks about.
    pub fn read(question: &ToolQuestion) -> Option<Self> {
        if question.tool_name != "ExitPlanMode" {
            return None;
        }
        let text = |key: &str| question.input[key].as_str().map(str::to_owned);
        let (plan, plan_file) = (text("plan"), text("planFilePath"));
        Some(Self { plan, plan_file, input: question.input.clone() })
    }

    /// Leaves plan mode; the session goes on in the mode it had before.
    pub fn approve(&self) -> Decision {
        Decision::allow().with_input(self.input.clone())
    }

    /// Leaves plan mode into this one.
    pub fn approve_into(&self, mode: PermissionMode) -> Decision {
        self.approve().with_updates(vec![PermissionUpdate::session_mode(mode)])
    }

    /// Stays in plan mode; the model reads what is still missing.
    pub fn keep_planning(&self, feedback: impl Into<String>) -> Decision {
        Decision::deny(feedback)
    }
}
