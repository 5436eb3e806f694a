//! Reading conversations: the main one and those of subagents.

use sdk_runtime::sessions::{Page, Role, SessionError};
use serde_json::json;
use uuid::Uuid;

use crate::files::{Folder, assistant, user, write};

#[tokio::test]
async fn a_conversation_is_read_from_its_root_to_its_newest_leaf() {
    let folder = Folder::new();
    let (id, path) = folder.session(&[
        user("a", None, "one"),
        assistant("b", "a", "two"),
        user("old", Some("b"), "given up"),
        user("c", Some("b"), "three"),
        json!({ "type": "attachment", "uuid": "x", "parentUuid": "c" }),
        assistant("d", "x", "four"),
        json!({ "type": "custom-title", "customTitle": "t" }),
    ]);
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"type\":\"user\",\"uuid\":\"torn\",\"parentUuid\":\"d\"");
    std::fs::write(&path, text).unwrap();
    let files = folder.files();
    let messages = files.messages(id, Page::all()).await.unwrap();
    let said: Vec<_> = messages.iter().map(|message| (message.role, message.uuid.as_str())).collect();
    let (u, a) = (Role::User, Role::Assistant);
    assert_eq!(said, [(u, "a"), (a, "b"), (u, "c"), (a, "d")]);
    assert_eq!(messages[1].message["content"][0]["text"], "two");
    let page = files.messages(id, Page::new(1, 2)).await.unwrap();
    assert_eq!(page, messages[1..3]);
    assert!(files.messages(id, Page::new(9, 2)).await.unwrap().is_empty());
    let unknown = files.messages(Uuid::new_v4(), Page::all()).await.unwrap_err();
    assert!(matches!(unknown, SessionError::NotFound { .. }), "{unknown}");
}

#[tokio::test]
async fn many_branches_over_one_stem_are_read_in_no_time() {
    let folder = Folder::new();
    let mut entries = vec![user("0", None, "x")];
    for number in 1..20_000_u32 {
        let parent = (number - 1).to_string();
        entries.push(match number % 3 {
            // Ends of branches that all lead back over the same stem.
            0 => json!({ "type": "attachment", "uuid": format!("note{number}"), "parentUuid": parent }),
            _ => user(&number.to_string(), Some(&parent), "x"),
        });
        if number % 3 == 0 {
            entries.push(user(&number.to_string(), Some(&parent), "x"));
        }
    }
    let (id, _) = folder.session(&entries);
    let messages = folder.files().messages(id, Page::all()).await.unwrap();
    assert_eq!(messages.len(), 20_000);
}

#[tokio::test]
async fn subagents_are_found_with_what_started_them() {
    let folder = Folder::new();
    let (id, path) = folder.session(&[user("a", None, "one")]);
    let beside = path.with_extension("").join("subagents");
    let mut side = user("s", None, "find it");
    side["isSidechain"] = json!(true);
    let mut answer = assistant("t", "s", "found");
    answer["isSidechain"] = json!(true);
    write(&beside.join("agent-a1.jsonl"), &[side.clone(), answer]);
    let metadata = json!({ "toolUseId": "toolu_1", "parentAgentId": "a0" }).to_string();
    std::fs::write(beside.join("agent-a1.meta.json"), metadata).unwrap();
    write(&beside.join("workflows/run/agent-b2.jsonl"), &[side]);
    std::os::unix::fs::symlink(&beside, beside.join("circle")).unwrap();
    let files = folder.files();
    assert_eq!(files.subagents(id).await.unwrap(), ["a1", "b2"]);
    let messages = files.subagent_messages(id, "a1", Page::all()).await.unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1].parent_tool_use_id.as_deref(), Some("toolu_1"));
    assert_eq!(messages[1].parent_agent_id.as_deref(), Some("a0"));
    let messages = files.subagent_messages(id, "b2", Page::all()).await.unwrap();
    assert_eq!(messages[0].parent_tool_use_id, None);
    let unknown = files.subagent_messages(id, "c3", Page::all()).await.unwrap_err();
    assert!(matches!(unknown, SessionError::NoSuchSubagent { .. }), "{unknown}");
}
