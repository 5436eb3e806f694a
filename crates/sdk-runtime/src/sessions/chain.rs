//! The conversation in a transcript: the branch that was written last, from its root to its leaf.
//!
//! A transcript is a tree by `parentUuid`. `logicalParentUuid`, which leads past a compaction, is not
//! followed, because the summary stands for what came before.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    message::{Parents, SessionMessage},
    parallel,
};

/// The entries of a transcript, found by their uuid.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) entries: &'a [Value],
    /// Where the last entry of a uuid is.
    places: HashMap<&'a str, usize>,
    /// One place per uuid, in the order in which the uuids came first.
    order: Vec<usize>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(entries: &'a [Value]) -> Self {
        let mut places = HashMap::with_capacity(entries.len());
        let mut uuids = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            let uuid = uuid(entry);
            if places.insert(uuid, place).is_none() {
                uuids.push(uuid);
            }
        }
        let order = uuids.iter().filter_map(|uuid| places.get(uuid).copied()).collect();
        Self { entries, places, order }
    }

    pub(super) fn find(&self, uuid: &str) -> Option<usize> {
        self.places.get(uuid).copied()
    }

    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    pub(super) fn parent(&self, place: usize) -> Option<usize> {
        self.find(self.entries.get(place)?["parentUuid"].as_str()?)
    }

    /// From an entry up to its root, the entry first. A tree that bites its tail ends.
    pub(super) fn ancestors(&self, place: usize) -> Vec<usize> {
        let mut seen = HashSet::new();
        let mut path = Vec::new();
        let mut at = Some(place);
        while let Some(place) = at.filter(|place| seen.insert(*place)) {
            path.push(place);
            at = self.parent(place);
        }
        path
    }
}

/// The visible messages of the main conversation. `entries` are those of the tree.
pub(crate) fn conversation(entries: &[Value]) -> Vec<SessionMessage> {
    let tree = Tree::new(entries);
    let Some(leaf) = main_leaf(&tree) else {
        return Vec::new();
    };
    let mut chain = tree.ancestors(leaf);
    chain.reverse();
    let chain = parallel::with_orphans(&tree, chain);
    let visible = chain.into_iter().filter_map(|place| entries.get(place)).filter(|entry| is_main(entry));
    visible.filter_map(|entry| SessionMessage::of(entry.clone(), &Parents::default())).collect()
}

/// The messages of a subagent's conversation, which has no branches.
pub(crate) fn subagent_conversation(entries: &[Value], parents: &Parents) -> Vec<SessionMessage> {
    let tree = Tree::new(entries);
    let Some(leaf) = entries.iter().rposition(is_message) else {
        return Vec::new();
    };
    let mut chain = tree.ancestors(leaf);
    chain.reverse();
    let chain = chain.into_iter().filter_map(|place| entries.get(place));
    chain.filter_map(|entry| SessionMessage::of(entry.clone(), parents)).collect()
}

/// The newest message that ends a branch, of the main conversation if there is one.
fn main_leaf(tree: &Tree<'_>) -> Option<usize> {
    let parents: HashSet<&str> =
        tree.entries.iter().filter_map(|entry| entry["parentUuid"].as_str()).collect();
    let ends = tree
        .order()
        .iter()
        .filter(|place| tree.entries.get(**place).is_some_and(|entry| !parents.contains(uuid(entry))));
    // Attachments and the like may follow the last message of a branch.
    let mut known: HashMap<usize, Option<usize>> = HashMap::new();
    let leaves: Vec<usize> = ends.filter_map(|end| message_above(tree, *end, &mut known)).collect();
    let is_main_leaf = |place: &&usize| tree.entries.get(**place).is_some_and(is_main);
    leaves.iter().filter(is_main_leaf).max().or_else(|| leaves.iter().max()).copied()
}

/// The nearest message from here to the root. What was found is kept, because many branches share a stem.
fn message_above(tree: &Tree<'_>, end: usize, known: &mut HashMap<usize, Option<usize>>) -> Option<usize> {
    let mut path = Vec::new();
    let mut at = Some(end);
    let mut found = None;
    while let Some(place) = at {
        if let Some(answer) = known.get(&place) {
            found = *answer;
            break;
        }
        if tree.entries.get(place).is_some_and(is_message) {
            found = Some(place);
            break;
        }
        // Also what keeps a tree that bites its tail from being walked for ever.
        known.insert(place, None);
        path.push(place);
        at = tree.parent(place);
    }
    known.extend(path.into_iter().map(|place| (place, found)));
    found
}

fn is_message(entry: &Value) -> bool {
    matches!(entry["type"].as_str(), Some("user" | "assistant"))
}

/// Part of what a person sees: nothing of subagents, teams, or the CLI's own notes.
fn is_main(entry: &Value) -> bool {
    let has = |field: &str| match &entry[field] {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::String(text) => !text.is_empty(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => true,
    };
    !has("isSidechain") && !has("teamName") && !has("isMeta")
}

pub(super) fn uuid(entry: &Value) -> &str {
    entry["uuid"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(kind: &str, uuid: &str, parent: Option<&str>) -> Value {
        json!({ "type": kind, "uuid": uuid, "parentUuid": parent, "message": { "content": uuid } })
    }

    fn uuids(entries: &[Value]) -> Vec<String> {
        conversation(entries).into_iter().map(|message| message.uuid).collect()
    }

    #[test]
    fn the_branch_written_last_is_the_conversation() {
        let entries = [
            entry("user", "a", None),
            entry("assistant", "b", Some("a")),
            entry("user", "old", Some("b")),
            entry("user", "new", Some("b")),
            entry("attachment", "note", Some("new")),
        ];
        assert_eq!(uuids(&entries), ["a", "b", "new"]);
    }

    #[test]
    fn sidechains_and_notes_of_the_cli_are_no_leaves() {
        let mut side = entry("user", "side", None);
        side["isSidechain"] = json!(true);
        let mut meta = entry("user", "meta", Some("a"));
        meta["isMeta"] = json!(true);
        let entries = [entry("user", "a", None), entry("assistant", "b", Some("a")), meta, side];
        assert_eq!(uuids(&entries), ["a", "b"]);
    }

    #[test]
    fn a_tree_that_bites_its_tail_ends() {
        let entries = [
            entry("user", "a", Some("b")),
            entry("assistant", "b", Some("a")),
            entry("attachment", "c", Some("d")),
            entry("attachment", "d", Some("c")),
            entry("user", "e", Some("b")),
        ];
        assert_eq!(uuids(&entries), ["a", "b", "e"]);
        assert!(uuids(&[]).is_empty());
    }
}
