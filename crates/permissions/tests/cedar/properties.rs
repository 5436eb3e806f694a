//! What must hold for every set of rules and every call.

use super::{bash, call, compiled, judge};
use async_trait::async_trait;
use domain::{Opinion, Verdict};
use permissions::{
    CannotJudge, Policy, PolicyEngine, Surroundings, ToolCall,
    cedar::{CedarCall, CedarPolicy},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

struct Always(Verdict);

#[async_trait]
impl Policy for Always {
    fn name(&self) -> &str {
        "built-in"
    }

    async fn judge(&self, _: &ToolCall, _: &Surroundings) -> Result<Opinion, CannotJudge> {
        Ok(Opinion::new(self.0, "built-in", "", ""))
    }
}

struct Custom(CedarPolicy);

#[async_trait]
impl Policy for Custom {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn judge(&self, call: &ToolCall, surroundings: &Surroundings) -> Result<Opinion, CannotJudge> {
        Ok(self.0.judge(&CedarCall::new(call, surroundings, super::NOW.parse().unwrap())))
    }
}

fn rule() -> impl Strategy<Value = (&'static str, &'static str)> {
    let effects = prop::sample::select(vec!["permit", "forbid", "@decision(\"ask\") forbid"]);
    let scopes = prop::sample::select(vec![
        "(principal, action, resource)",
        "(principal, action == Action::\"use_tool\", resource)",
        "(principal, action == Action::\"run_command\", resource == Command::\"ls\")",
        "(principal, action == Action::\"read_file\", resource) when { resource.path like \"/work/*\" }",
        "(principal is Subagent, action, resource)",
        "(principal, action == Action::\"fetch_url\", resource in Host::\"com\")",
    ]);
    (effects, scopes)
}

fn rules() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    prop::collection::vec(rule(), 1..6)
}

fn text(rules: &[(&str, &str)]) -> String {
    rules.iter().map(|(effect, scope)| format!("{effect}{scope};\n")).collect()
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

fn any_call() -> impl Strategy<Value = ToolCall> {
    let tools = prop::sample::select(vec![
        "Read",
        "Write",
        "Glob",
        "WebFetch",
        "Task",
        "mcp__a__b",
        "mcp__",
        "",
        "é\"\n",
    ]);
    prop_oneof![
        prop::sample::select(vec!["ls", "ls && id", "ls >x", "$X", "rm -rf /"]).prop_map(bash),
        (tools, json_value()).prop_map(|(tool, input)| call(tool, input)),
        ".*".prop_map(|path| call("Read", json!({ "file_path": path }))),
        ".*".prop_map(|url| call("WebFetch", json!({ "url": format!("https://{url}") }))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// No custom policy, whatever it permits, lessens what a built-in one says, in either order.
    #[test]
    fn a_custom_policy_lessens_no_verdict(rules in rules(), call in any_call(), built_in in 0..4_usize) {
        let built_in = Verdict::ALL[built_in];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let custom: Arc<dyn Policy> = Arc::new(Custom(compiled(&text(&rules))));
        let always: Arc<dyn Policy> = Arc::new(Always(built_in));
        for policies in [vec![always.clone(), custom.clone()], vec![custom, always]] {
            let joined = runtime.block_on(PolicyEngine::new(policies).judge(&call, &super::surroundings()));
            prop_assert!(joined.verdict >= built_in, "{built_in:?} became {joined:?}");
        }
    }

    /// Adding a forbid never makes a policy say less.
    #[test]
    fn another_forbid_lessens_no_verdict(rules in rules(), more in rule(), call in any_call()) {
        let before = judge(&compiled(&text(&rules)), &call).verdict;
        let more = ("forbid", more.1);
        let after = judge(&compiled(&text(&[rules.as_slice(), &[more]].concat())), &call).verdict;
        prop_assert!(after >= before, "{before:?} became {after:?} by {more:?}");
    }

    /// Whatever a call holds, it fits the schema: a rule about everything denies it, unless it was denied before
    /// because its tool's own fields are not there.
    #[test]
    fn every_call_can_be_put_into_words(call in any_call()) {
        let opinion = judge(&compiled("@id(\"all\") forbid(principal, action, resource);"), &call);
        prop_assert_eq!(opinion.verdict, Verdict::Deny);
        prop_assert!(!opinion.reason.contains("words of policies"), "{}", opinion.reason);
        // No file has a name with NUL, so what is said of it cannot be judged and is denied for that.
        let names_a_file = !call.input.to_string().contains("\\u0000");
        if names_a_file && ["Task", "mcp__a__b", "mcp__", ""].contains(&call.tool_name.as_str()) {
            prop_assert_eq!(opinion.rule, "all", "{}", opinion.reason);
        }
    }

    /// No text does harm.
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = CedarPolicy::compile("house", None, &text);
    }
}
