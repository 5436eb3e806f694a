//! The sessions of a store, and those brought to one from the disk.

use std::{fs, sync::Arc};

use sdk_runtime::{
    sessions::{ForkOptions, Page, SessionError, SessionFiles},
    store::{MemoryStore, SessionKey, SessionStore as _, StoredSessions, import},
};
use serde_json::{Value, json};
use uuid::Uuid;

fn user(uuid: &str, parent: Option<&str>, text: &str) -> Value {
    json!({
        "parentUuid": parent, "isSidechain": false, "type": "user", "uuid": uuid,
        "message": { "role": "user", "content": text }, "timestamp": "2026-01-02T03:04:05.678Z",
    })
}

#[tokio::test]
async fn they_are_listed_read_and_edited_like_those_on_disk() {
    let store = Arc::new(MemoryStore::new());
    let sessions = StoredSessions::new(store.clone(), "p");
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    for (id, text) in [(one, "one"), (two, "two")] {
        let key = SessionKey::main("p", id.to_string());
        store.append(&key, &[user("a", None, text), user("b", Some("a"), "more")]).await.unwrap();
    }
    let side = SessionKey::main("p", one.to_string()).with_subpath("subagents/agent-x");
    let metadata = json!({ "type": "agent_metadata", "toolUseId": "toolu_1" });
    store.append(&side, &[metadata, user("s", None, "side")]).await.unwrap();

    let summaries = async |page: Page| {
        let listed = sessions.list(page).await.unwrap();
        listed.into_iter().map(|info| info.summary).collect::<Vec<_>>()
    };
    assert_eq!(summaries(Page::all()).await, ["two", "one"]);
    sessions.rename(one, "plum").await.unwrap();
    sessions.tag(one, Some("blue")).await.unwrap();
    assert_eq!(summaries(Page::all()).await, ["plum", "two"]);
    assert_eq!(summaries(Page::new(1, 1)).await, ["two"]);
    let info = sessions.info(one).await.unwrap().unwrap();
    assert_eq!((info.tag.as_deref(), info.bytes), (Some("blue"), None));
    assert_eq!(sessions.messages(one, Page::all()).await.unwrap().len(), 2);
    assert_eq!(sessions.subagents(one).await.unwrap(), ["x"]);
    let messages = sessions.subagent_messages(one, "x", Page::all()).await.unwrap();
    assert_eq!(messages[0].parent_tool_use_id.as_deref(), Some("toolu_1"));
    let fork = sessions.fork(one, ForkOptions::default().with_up_to("a")).await.unwrap();
    assert_eq!(sessions.messages(fork, Page::all()).await.unwrap().len(), 1);
    assert_eq!(sessions.info(fork).await.unwrap().unwrap().summary, "plum (fork)");
    sessions.delete(one).await.unwrap();
    assert!(sessions.info(one).await.unwrap().is_none());
    for error in [
        sessions.messages(one, Page::all()).await.unwrap_err(),
        sessions.rename(one, "x").await.unwrap_err(),
        sessions.fork(one, ForkOptions::default()).await.unwrap_err(),
    ] {
        assert!(matches!(error, SessionError::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_import_brings_what_is_missing_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let id = Uuid::new_v4();
    let project = folder.path().join("projects/-nowhere-demo");
    let beside = project.join(id.to_string()).join("subagents");
    fs::create_dir_all(&beside).unwrap();
    let note = json!({ "type": "custom-title", "customTitle": "t" });
    let text: String = [user("a", None, "one"), note.clone(), note.clone()]
        .iter()
        .map(|entry| format!("{entry}\n"))
        .collect();
    fs::write(project.join(format!("{id}.jsonl")), text).unwrap();
    fs::write(beside.join("agent-x.jsonl"), format!("{}\n", user("s", None, "side"))).unwrap();
    fs::write(beside.join("agent-x.meta.json"), r#"{"toolUseId":"t"}"#).unwrap();

    let store = MemoryStore::new();
    let key = SessionKey::main("-nowhere-demo", id.to_string());
    store.append(&key, std::slice::from_ref(&note)).await.unwrap();
    let files = SessionFiles::new(folder.path());
    assert_eq!(import(&files, id, &store, None).await.unwrap(), 4);
    assert_eq!(import(&files, id, &store, None).await.unwrap(), 0);
    let main = store.load(&key).await.unwrap().unwrap();
    assert_eq!(main, [note.clone(), user("a", None, "one"), note]);
    let side = store.load(&key.with_subpath("subagents/agent-x")).await.unwrap().unwrap();
    let metadata = json!({ "type": "agent_metadata", "toolUseId": "t" });
    assert_eq!(side, [user("s", None, "side"), metadata]);
}
