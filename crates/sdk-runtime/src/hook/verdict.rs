//! The last look at a hook's answer before the agent sees it: garbage is a failure, and failure means no.

use serde_json::{Value, json};

use super::{HookEvent, HookOutput};

/// What is wrong with an answer, in words for the agent.
pub(crate) fn fault(event: &HookEvent, output: &HookOutput) -> Option<String> {
    let Some(fields) = output.0.as_object() else {
        return Some("answered with something that is no object".to_owned());
    };
    let is_word = |value: Option<&Value>, words: &[&str]| match value {
        None | Some(Value::Null) => true,
        Some(value) => value.as_str().is_some_and(|word| words.contains(&word)),
    };
    if !is_word(fields.get("decision"), &["approve", "block"]) {
        return Some("answered with a decision that does not exist".to_owned());
    }
    if fields.get("continue").is_some_and(|flag| !flag.is_boolean()) {
        return Some("answered with a continue that is neither true nor false".to_owned());
    }
    let specific = match fields.get("hookSpecificOutput") {
        None | Some(Value::Null) => return None,
        Some(Value::Object(specific)) => specific,
        Some(_) => return Some("answered with a hookSpecificOutput that is no object".to_owned()),
    };
    if specific.get("hookEventName").and_then(Value::as_str) != Some(event.as_str()) {
        return Some(format!("answered for another event than {event}"));
    }
    let decisions = ["allow", "deny", "ask", "defer"];
    if !is_word(specific.get("permissionDecision"), &decisions) {
        return Some("answered with a permissionDecision that does not exist".to_owned());
    }
    let decision = specific.get("decision").filter(|decision| !decision.is_null());
    match decision {
        Some(_) if *event != HookEvent::PermissionRequest => {
            return Some(format!("answered with a decision in a form that {event} does not have"));
        }
        Some(decision) if !["allow", "deny"].map(Some).contains(&decision["behavior"].as_str()) => {
            return Some("answered with a decision that neither allows nor denies".to_owned());
        }
        _ => {}
    }
    let inputs = [Some(specific), decision.and_then(Value::as_object)].into_iter().flatten();
    if inputs
        .filter_map(|fields| fields.get("updatedInput"))
        .any(|input| !input.is_object() && !input.is_null())
    {
        return Some("answered with an updatedInput that is no object".to_owned());
    }
    None
}

/// The no of an event that can say no, in its own form; `None` where only an error answer is left.
///
/// The agent honours `onFailure: "block"` as well; spelled out, the agent reads the reason.
pub(crate) fn no(event: &HookEvent, reason: &str) -> Option<Value> {
    let specific = match event {
        HookEvent::PreToolUse => {
            json!({ "permissionDecision": "deny", "permissionDecisionReason": reason })
        }
        HookEvent::PreModelSwitch => {
            json!({ "permissionDecision": "deny", "permissionDecisionReason": reason })
        }
        HookEvent::PermissionRequest => json!({ "decision": { "behavior": "deny", "message": reason } }),
        HookEvent::UserPromptSubmit | HookEvent::UserPromptExpansion => {
            return Some(json!({ "decision": "block", "reason": reason }));
        }
        _ => return None,
    };
    let mut output = json!({ "hookSpecificOutput": specific });
    output["hookSpecificOutput"]["hookEventName"] = event.as_str().into();
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_found_and_everything_this_crate_writes_passes() {
        let event = HookEvent::PreToolUse;
        let garbage = [
            json!(null),
            json!("yes"),
            json!({ "decision": "maybe" }),
            json!({ "continue": "no" }),
            json!({ "hookSpecificOutput": 1 }),
            json!({ "hookSpecificOutput": { "permissionDecision": "allow" } }),
            json!({ "hookSpecificOutput": { "hookEventName": "PostToolUse" } }),
            json!({ "hookSpecificOutput": { "hookEventName": "PreToolUse", "permissionDecision": "perhaps" } }),
            json!({ "hookSpecificOutput": { "hookEventName": "PreToolUse", "updatedInput": "x" } }),
            json!({ "hookSpecificOutput": { "hookEventName": "PreToolUse", "decision": { "behavior": "deny" } } }),
        ];
        for output in garbage {
            assert!(fault(&event, &HookOutput(output.clone())).is_some(), "{output}");
        }
        let request = HookEvent::PermissionRequest;
        for decision in [
            json!("deny"),
            json!({}),
            json!({ "behavior": "ask" }),
            json!({ "behavior": "allow", "updatedInput": 1 }),
        ] {
            let specific = json!({ "hookEventName": request.as_str(), "decision": decision });
            assert!(
                fault(&request, &HookOutput(json!({ "hookSpecificOutput": specific }))).is_some(),
                "{decision}"
            );
        }
        for word in HookEvent::KNOWN {
            let event = HookEvent::from(*word);
            if let Some(no) = no(&event, "because") {
                assert_eq!(fault(&event, &HookOutput(no)), None);
            }
        }
        assert_eq!(fault(&event, &HookOutput::proceed()), None);
    }
}
