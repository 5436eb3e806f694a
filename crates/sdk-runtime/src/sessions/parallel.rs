//! Tools that ran in parallel: their calls and results are put back into the conversation.
//!
//! The CLI writes one assistant entry per content block, chained one after another, and each result
//! hangs on the entry of its own call. The walk from the leaf sees one of those branches only.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::chain::{Tree, uuid};

/// Every response of the model with the entries that belong to it.
struct Responses<'a> {
    /// Assistant entries by API message.
    members: HashMap<&'a str, Vec<usize>>,
    /// Which entry made a tool call; `None` when two responses claim it.
    callers: HashMap<&'a str, Option<usize>>,
    /// Tool results by the entry they may belong to.
    results: HashMap<usize, Vec<usize>>,
}

/// The chain with what it left out, behind the last entry of the response it belongs to.
pub(super) fn with_orphans(tree: &Tree<'_>, chain: Vec<usize>) -> Vec<usize> {
    let responses = Responses::read(tree);
    let mut anchors: HashMap<&str, usize> = HashMap::new();
    let mut in_order = Vec::new();
    for place in &chain {
        if let Some(id) = tree.entries.get(*place).and_then(message_id)
            && anchors.insert(id, *place).is_none()
        {
            in_order.push(id);
        }
    }
    let mut on_chain: HashSet<usize> = chain.iter().copied().collect();
    let answered: HashSet<&str> =
        chain.iter().filter_map(|place| tree.entries.get(*place)).flat_map(answers).collect();
    let mut inserts: HashMap<usize, Vec<usize>> = HashMap::new();
    for id in in_order {
        let orphans = responses.orphans(tree, id, &on_chain, &answered);
        on_chain.extend(&orphans);
        if let Some(anchor) = anchors.get(id).filter(|_| !orphans.is_empty()) {
            inserts.insert(*anchor, orphans);
        }
    }
    let mut whole = Vec::with_capacity(chain.len());
    for place in chain {
        whole.push(place);
        whole.extend(inserts.remove(&place).unwrap_or_default());
    }
    whole
}

impl<'a> Responses<'a> {
    fn read(tree: &Tree<'a>) -> Self {
        let mut read = Self { members: HashMap::new(), callers: HashMap::new(), results: HashMap::new() };
        let places = tree.order().iter().filter_map(|place| Some((*place, tree.entries.get(*place)?)));
        let places: Vec<(usize, &'a Value)> = places.collect();
        let mut results = Vec::new();
        for (place, entry) in &places {
            if let Some(id) = message_id(entry) {
                read.members.entry(id).or_default().push(*place);
                for call in ids(entry, "tool_use", "id") {
                    read.claim(tree, call, *place, id);
                }
            } else if is_tool_result(entry) {
                results.push((*place, *entry));
            }
        }
        for (place, result) in results {
            read.file(tree, place, result);
        }
        read
    }

    fn claim(&mut self, tree: &Tree<'a>, call: &'a str, place: usize, message: &str) {
        let claimed = self.callers.get(call).map(|owner| {
            owner.and_then(|owner| tree.entries.get(owner)).and_then(message_id) == Some(message)
        });
        self.callers.insert(call, (claimed != Some(false)).then_some(place));
    }

    /// Files a result under its parent, and under whoever else it names if the same agent wrote both.
    fn file(&mut self, tree: &Tree<'a>, place: usize, result: &'a Value) {
        let parent = result["parentUuid"].as_str().and_then(|parent| tree.find(parent));
        let source = result["sourceToolAssistantUUID"].as_str().and_then(|source| tree.find(source));
        let callers = answers(result).filter_map(|call| self.callers.get(call).copied().flatten());
        let named = source.into_iter().chain(callers);
        let same =
            named.filter(|at| tree.entries.get(*at).is_some_and(|other| is_same_writer(result, other)));
        let owners: Vec<usize> = parent.into_iter().chain(same).collect();
        for owner in owners {
            self.results.entry(owner).or_default().push(place);
        }
    }

    /// Entries of a response, and results of its calls, that are not on the chain.
    fn orphans(
        &self,
        tree: &Tree<'_>,
        message: &str,
        on_chain: &HashSet<usize>,
        answered: &HashSet<&str>,
    ) -> Vec<usize> {
        let members = self.members.get(message).map(Vec::as_slice).unwrap_or_default();
        let mut siblings: Vec<usize> =
            members.iter().copied().filter(|place| !on_chain.contains(place)).collect();
        let mut results = Vec::new();
        let mut strays = Vec::new();
        let mut seen = HashSet::new();
        for result in members.iter().filter_map(|member| self.results.get(member)).flatten().copied() {
            if on_chain.contains(&result) || !seen.insert(result) {
                continue;
            }
            match tree.parent(result).is_some_and(|parent| members.contains(&parent)) {
                true => results.push(result),
                false => strays.push(result),
            }
        }
        // A result that hangs elsewhere counts only if it answers a call nobody else answers.
        strays.sort_unstable();
        let mut answered = if strays.is_empty() { HashSet::new() } else { answered.clone() };
        answered.extend(results.iter().filter_map(|place| tree.entries.get(*place)).flat_map(answers));
        for stray in strays {
            let Some(entry) = tree.entries.get(stray) else { continue };
            let is_ours = |call: &str| {
                self.callers.get(call).copied().flatten().is_some_and(|caller| members.contains(&caller))
            };
            if answers(entry).any(|call| !answered.contains(call) && is_ours(call)) {
                answered.extend(answers(entry));
                results.push(stray);
            }
        }
        let time = |place: &usize| tree.entries.get(*place).and_then(|entry| entry["timestamp"].as_str());
        siblings.sort_by_key(time);
        results.sort_by_key(time);
        siblings.extend(results);
        siblings
    }
}

/// The API message an assistant entry is a part of.
fn message_id(entry: &Value) -> Option<&str> {
    let id = entry["message"]["id"].as_str().filter(|id| !id.is_empty());
    id.filter(|_| entry["type"] == "assistant")
}

/// The calls an entry answers.
fn answers(entry: &Value) -> impl Iterator<Item = &str> {
    ids(entry, "tool_result", "tool_use_id")
}

fn ids<'a>(entry: &'a Value, kind: &str, field: &str) -> impl Iterator<Item = &'a str> {
    let blocks = entry["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    blocks.iter().filter(move |block| block["type"] == kind).filter_map(move |block| block[field].as_str())
}

fn is_tool_result(entry: &Value) -> bool {
    let content = entry["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    entry["type"] == "user"
        && entry["parentUuid"].as_str().is_some_and(|parent| !parent.is_empty())
        && content.iter().any(|block| block["type"] == "tool_result")
}

fn is_same_writer(one: &Value, other: &Value) -> bool {
    let is_side = |entry: &Value| entry["isSidechain"] == true;
    is_side(one) == is_side(other) && one["agentId"] == other["agentId"] && !uuid(other).is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sessions::chain::conversation;

    use super::*;

    fn call(uuid: &str, parent: &str, tool: &str) -> Value {
        json!({ "type": "assistant", "uuid": uuid, "parentUuid": parent, "message": {
            "id": "msg_1", "content": [{ "type": "tool_use", "id": tool }] } })
    }

    fn result(uuid: &str, parent: &str, tool: &str) -> Value {
        json!({ "type": "user", "uuid": uuid, "parentUuid": parent, "message": {
            "content": [{ "type": "tool_result", "tool_use_id": tool }] } })
    }

    fn uuids(entries: &[Value]) -> Vec<String> {
        conversation(entries).into_iter().map(|message| message.uuid).collect()
    }

    #[test]
    fn calls_and_results_off_the_branch_are_put_back() {
        let entries = [
            json!({ "type": "user", "uuid": "ask", "message": { "content": "go" } }),
            call("c1", "ask", "t1"),
            call("c2", "c1", "t2"),
            call("c3", "c2", "t3"),
            result("r1", "c1", "t1"),
            result("r2", "c2", "t2"),
            result("r3", "c3", "t3"),
            json!({ "type": "assistant", "uuid": "end", "parentUuid": "r2", "message": { "id": "msg_2" } }),
        ];
        assert_eq!(uuids(&entries), ["ask", "c1", "c2", "c3", "r1", "r3", "r2", "end"]);
    }

    #[test]
    fn a_call_two_responses_claim_places_no_result() {
        let mut other = call("x", "c1", "t1");
        other["message"]["id"] = json!("msg_9");
        let entries = [
            json!({ "type": "user", "uuid": "ask", "message": { "content": "go" } }),
            call("c1", "ask", "t1"),
            other,
            result("stray", "ask", "t1"),
            json!({ "type": "user", "uuid": "end", "parentUuid": "x", "message": { "content": "x" } }),
        ];
        assert_eq!(uuids(&entries), ["ask", "c1", "x", "end"]);
    }
}
