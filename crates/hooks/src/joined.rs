//! One answer out of the answers of several hooks: deny beats ask beats allow, and the first reason counts.

use sdk_runtime::{HookEvent, HookInput, HookOutput};
use serde_json::{Map, Value, json};

/// The answers of an event's hooks so far.
#[derive(Debug)]
pub struct Joined {
    event: HookEvent,
    decision: Option<(Permission, Option<String>)>,
    /// `decision: block`, and its reason.
    block: Option<Option<String>>,
    /// `continue: false`, and its reason.
    stop: Option<Option<String>>,
    contexts: Vec<String>,
    messages: Vec<String>,
    suppresses_output: bool,
    /// Everything else an event honours; the last one that gives a field wins.
    specific: Map<String, Value>,
}

/// From the least to the greatest say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Permission {
    Allow,
    Ask,
    Deny,
}

impl Permission {
    /// To defer is to ask: an agent that resumes with a deferred call may run it before it knows its hooks (the CLI
    /// 2.1.330 did in five of ten trials), so that nobody would be asked at all.
    fn parse(word: &str) -> Option<Self> {
        match word {
            "allow" => Some(Self::Allow),
            "ask" | "defer" => Some(Self::Ask),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl Joined {
    /// Nothing was answered yet.
    pub fn new(event: HookEvent) -> Self {
        Self {
            event,
            decision: None,
            block: None,
            stop: None,
            contexts: vec![],
            messages: vec![],
            suppresses_output: false,
            specific: Map::new(),
        }
    }

    /// At which the answers are given.
    #[must_use]
    pub fn event(&self) -> &HookEvent {
        &self.event
    }

    /// Adds an answer without fault.
    pub fn add(&mut self, output: &HookOutput) {
        let fields = &output.0;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        // Such a hook goes on by itself and has nothing to say; passed on, nobody else's answer would count.
        if fields["async"] == true {
            return;
        }
        let reason = text(&fields["reason"]);
        match (self.has_permission(), fields["decision"].as_str()) {
            (true, Some("block")) => self.permit(Permission::Deny, reason),
            (true, Some("approve")) => self.permit(Permission::Allow, reason),
            (false, Some("block")) => {
                self.block.get_or_insert(reason);
            }
            _ => {}
        }
        if fields["continue"] == false {
            self.stop.get_or_insert(text(&fields["stopReason"]));
        }
        self.messages.extend(text(&fields["systemMessage"]));
        self.suppresses_output |= fields["suppressOutput"] == true;
        let Some(specific) = fields["hookSpecificOutput"].as_object() else { return };
        for (name, value) in specific {
            match name.as_str() {
                "hookEventName" | "permissionDecisionReason" => {}
                "permissionDecision" => {
                    if let Some(permission) = value.as_str().and_then(Permission::parse) {
                        let reason = specific.get("permissionDecisionReason").and_then(Value::as_str);
                        self.permit(permission, reason.map(str::to_owned));
                    }
                }
                "additionalContext" => self.contexts.extend(text(value)),
                _ if value.is_null() => {}
                "decision" if self.event == HookEvent::PermissionRequest => self.decide_request(value),
                _ => {
                    self.specific.insert(name.clone(), value.clone());
                }
            }
        }
    }

    /// Whether what was about to happen does not, so that no further hook needs to be asked.
    #[must_use]
    pub fn is_no(&self) -> bool {
        self.block.is_some()
            || self.decision.as_ref().is_some_and(|(permission, _)| *permission == Permission::Deny)
            || self.request_is("deny")
    }

    /// Whether a hook allows what somebody would be asked about.
    #[must_use]
    pub fn is_allowed_request(&self) -> bool {
        self.request_is("allow")
    }

    /// What the judgement of the call leaves of an allowed request: a no is one here too, and whoever is to be asked is.
    pub fn hold_request_to(&mut self, judged: &Self) {
        match &judged.decision {
            Some((Permission::Deny, reason)) => {
                let message = reason.as_deref().unwrap_or_default();
                self.specific.insert("decision".into(), json!({ "behavior": "deny", "message": message }));
            }
            Some((Permission::Ask, _)) => {
                self.specific.remove("decision");
            }
            Some((Permission::Allow, _)) | None => {}
        }
    }

    /// Whether the turn is to end.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        self.stop.is_some()
    }

    /// Puts what was changed so far into what the next hook is told; whether that is news. It is read from what the
    /// agent gets, so that nobody judges what does not happen.
    pub fn apply(&self, input: &mut HookInput) -> bool {
        let Some((field, changed)) = self.changed() else { return false };
        if input.raw[field] == *changed {
            return false;
        }
        if field == "tool_input" {
            input.tool_input = changed.clone();
        }
        if let Some(raw) = input.raw.as_object_mut() {
            raw.insert(field.to_owned(), changed.clone());
        }
        true
    }

    /// The field of an event's input that was changed, and to what.
    fn changed(&self) -> Option<(&'static str, &Value)> {
        let given = |name: &str| self.specific.get(name);
        match self.event {
            HookEvent::PreToolUse => Some(("tool_input", given("updatedInput")?)),
            HookEvent::PermissionRequest => Some(("tool_input", self.request()?.get("updatedInput")?)),
            HookEvent::PostToolUse => {
                let changed = given("updatedMCPToolOutput").or_else(|| given("updatedToolOutput"))?;
                Some(("tool_response", changed))
            }
            _ => None,
        }
    }

    /// The reason of a no, if one was given.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        let decided = self.decision.as_ref().and_then(|(_, reason)| reason.as_deref());
        let blocked = self.block.as_ref().and_then(|reason| reason.as_deref());
        let denied = self.request().and_then(|decision| decision["message"].as_str());
        blocked.or(decided).or(denied)
    }

    /// The one answer.
    #[must_use]
    pub fn into_output(self) -> HookOutput {
        let mut output = Map::new();
        let mut specific = self.specific;
        if let Some((permission, reason)) = self.decision {
            specific.insert("permissionDecision".into(), permission.as_str().into());
            if let Some(reason) = reason {
                specific.insert("permissionDecisionReason".into(), reason.into());
            }
        }
        if !self.contexts.is_empty() {
            specific.insert("additionalContext".into(), self.contexts.join("\n\n").into());
        }
        if let Some(reason) = self.block {
            output.insert("decision".into(), "block".into());
            output.extend(reason.map(|reason| ("reason".to_owned(), reason.into())));
        }
        if let Some(reason) = self.stop {
            output.insert("continue".into(), false.into());
            output.extend(reason.map(|reason| ("stopReason".to_owned(), reason.into())));
        }
        if !self.messages.is_empty() {
            output.insert("systemMessage".into(), self.messages.join("\n").into());
        }
        if self.suppresses_output {
            output.insert("suppressOutput".into(), true.into());
        }
        if !specific.is_empty() {
            specific.insert("hookEventName".into(), self.event.as_str().into());
            output.insert("hookSpecificOutput".into(), specific.into());
        }
        HookOutput(output.into())
    }

    /// What becomes of a PermissionRequest. To the agent it is a decision there and nowhere else.
    fn request(&self) -> Option<&Value> {
        self.specific.get("decision").filter(|_| self.event == HookEvent::PermissionRequest)
    }

    fn request_is(&self, behavior: &str) -> bool {
        self.request().is_some_and(|decision| decision["behavior"] == behavior)
    }

    /// A no stands. A yes is one to this call only, with the input that was last given: rules for later ones
    /// (`updatedPermissions`) are not a hook's to make.
    fn decide_request(&mut self, decision: &Value) {
        if self.request_is("deny") {
            return;
        }
        let mut kept = decision.clone();
        if decision["behavior"] == "allow" {
            kept = json!({ "behavior": "allow" });
            let before = self.request().map(|before| &before["updatedInput"]);
            let inputs = [Some(&decision["updatedInput"]), before];
            if let Some(input) = inputs.into_iter().flatten().find(|input| !input.is_null()) {
                kept["updatedInput"] = input.clone();
            }
        }
        self.specific.insert("decision".into(), kept);
    }

    fn has_permission(&self) -> bool {
        matches!(self.event, HookEvent::PreToolUse | HookEvent::PreModelSwitch)
    }

    fn permit(&mut self, permission: Permission, reason: Option<String>) {
        // Of equal ones the first, so that who is asked first gives the reason.
        if self.decision.as_ref().is_none_or(|(before, _)| permission > *before) {
            self.decision = Some((permission, reason));
        }
    }
}

/// An answer by itself.
pub fn alone(event: &HookEvent, output: &HookOutput) -> Joined {
    let mut alone = Joined::new(event.clone());
    alone.add(output);
    alone
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn joined(event: HookEvent, outputs: &[Value]) -> Value {
        let mut joined = Joined::new(event);
        for output in outputs {
            joined.add(&HookOutput(output.clone()));
        }
        joined.into_output().0
    }

    fn permission(decision: &str, reason: &str) -> Value {
        json!({ "hookSpecificOutput": {
            "hookEventName": "PreToolUse", "permissionDecision": decision, "permissionDecisionReason": reason,
        }})
    }

    #[test]
    fn the_greatest_decision_wins_and_the_first_gives_the_reason() {
        let order = ["allow", "ask", "deny"];
        for (first_rank, first) in order.iter().enumerate() {
            for (second_rank, second) in order.iter().enumerate() {
                let outputs = [permission(first, "first"), permission(second, "second")];
                let joined = joined(HookEvent::PreToolUse, &outputs);
                let (decision, reason) =
                    if second_rank > first_rank { (second, "second") } else { (first, "first") };
                assert_eq!(joined, permission(decision, reason));
            }
        }
        assert_eq!(joined(HookEvent::PreToolUse, &[json!({}), json!({})]), json!({}));
    }

    #[test]
    fn a_deferred_call_is_asked_about() {
        let deferred = permission("defer", "later");
        assert_eq!(
            joined(HookEvent::PreToolUse, std::slice::from_ref(&deferred)),
            permission("ask", "later")
        );
        let outputs = [permission("allow", "yes"), deferred.clone()];
        assert_eq!(joined(HookEvent::PreToolUse, &outputs), permission("ask", "later"));
        assert_eq!(
            joined(HookEvent::PreToolUse, &[deferred, permission("deny", "no")]),
            permission("deny", "no")
        );
    }

    #[test]
    fn the_old_words_mean_the_same() {
        let blocked = joined(HookEvent::PreToolUse, &[json!({ "decision": "block", "reason": "no" })]);
        assert_eq!(blocked, permission("deny", "no"));
        let outputs = [
            json!({ "decision": "block", "reason": "one" }),
            json!({ "decision": "block", "reason": "two" }),
        ];
        assert_eq!(joined(HookEvent::Stop, &outputs), outputs[0]);
    }

    #[test]
    fn texts_are_joined_and_the_last_field_wins() {
        let output = |context: &str, input: &str| {
            json!({ "systemMessage": context, "hookSpecificOutput": {
                "hookEventName": "PreToolUse", "additionalContext": context, "updatedInput": { "command": input },
            }})
        };
        let outputs =
            [output("a", "one"), json!({ "continue": false, "stopReason": "enough" }), output("b", "two")];
        assert_eq!(
            joined(HookEvent::PreToolUse, &outputs),
            json!({
                "continue": false, "stopReason": "enough", "systemMessage": "a\nb",
                "hookSpecificOutput": {
                    "hookEventName": "PreToolUse", "additionalContext": "a\n\nb", "updatedInput": { "command": "two" },
                },
            })
        );
    }

    #[test]
    fn an_answer_in_the_background_is_none() {
        assert_eq!(joined(HookEvent::PreToolUse, &[json!({ "async": true })]), json!({}));
    }

    #[test]
    fn a_refused_permission_request_stands() {
        let decision = |behavior: &str| json!({ "hookSpecificOutput": { "hookEventName": "PermissionRequest", "decision": { "behavior": behavior } } });
        let outputs = [decision("deny"), decision("allow")];
        assert_eq!(joined(HookEvent::PermissionRequest, &outputs), decision("deny"));
        assert!(alone(&HookEvent::PermissionRequest, &HookOutput(decision("deny"))).is_no());
        // Elsewhere the agent does not know it, so it ends no round.
        assert!(!alone(&HookEvent::PreToolUse, &HookOutput(decision("deny"))).is_no());
    }
}
