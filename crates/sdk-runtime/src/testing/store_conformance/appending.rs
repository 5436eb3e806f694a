//! Rules of appending and loading.

use futures::future::try_join_all;
use serde_json::{Value, json};

use super::{Tried, entry, expect, expect_load, key, note, subagent};
use crate::store::{SessionKey, SessionStore};

pub(super) async fn loads_what_was_appended(store: &dyn SessionStore) -> Tried {
    let entries = [entry("b"), note("x"), entry("a")];
    store.append(&key(), &entries).await?;
    expect_load(store, &key(), &entries).await
}

pub(super) async fn keeps_the_order(store: &dyn SessionStore) -> Tried {
    store.append(&key(), &[entry("z")]).await?;
    store.append(&key(), &[entry("a"), entry("m")]).await?;
    store.append(&key(), &[entry("b")]).await?;
    expect_load(store, &key(), &[entry("z"), entry("a"), entry("m"), entry("b")]).await
}

pub(super) async fn keeps_any_entry(store: &dyn SessionStore) -> Tried {
    let deep = (0..50).fold(json!("core"), |inner, _| json!({ "in": [inner] }));
    let entries = [
        json!({ "type": "user", "uuid": "1", "text": "\u{0}\n\r\t\"\\/\u{2028}\u{2029}\u{85}\u{fffd}ü😀" }),
        json!({ "type": "user", "uuid": "2", "numbers": [0, -1, u64::MAX, i64::MIN, 0.1, 1e300] }),
        json!({ "type": "user", "uuid": "3", "nothing": null, "empty": [{}, [], ""], "yes": true }),
        json!({ "type": "user", "uuid": "4", "": "empty name", "a.b": 1, "$c": 2, "d'\"e": 3 }),
        json!({ "type": "user", "uuid": "5", "deep": deep }),
        json!({ "type": "user", "uuid": "6", "long": "x".repeat(2 << 20) }),
    ];
    store.append(&key(), &entries).await?;
    expect_load(store, &key(), &entries).await?;
    let many: Vec<Value> = (0..600).map(|number| entry(&format!("many-{number}"))).collect();
    store.append(&subagent("many"), &many).await?;
    expect_load(store, &subagent("many"), &many).await
}

pub(super) async fn unknown_is_none(store: &dyn SessionStore) -> Tried {
    expect_load(store, &key(), &[]).await?;
    store.append(&key(), &[entry("a")]).await?;
    expect_load(store, &subagent("unknown"), &[]).await?;
    expect_load(store, &SessionKey::main(key().project_key, "unknown"), &[]).await
}

pub(super) async fn empty_append(store: &dyn SessionStore) -> Tried {
    store.append(&key(), &[]).await?;
    store.append(&subagent("a"), &[]).await?;
    expect_load(store, &key(), &[]).await?;
    let listed = store.list(&key().project_key).await?;
    expect("sessions after appending nothing", &listed.len(), &0)?;
    let subkeys = store.list_subkeys(&key().project_key, &key().session_id).await?;
    expect("subkeys after appending nothing", &subkeys.len(), &0)?;
    store.append(&key(), &[entry("a")]).await?;
    store.append(&key(), &[]).await?;
    expect_load(store, &key(), &[entry("a")]).await
}

pub(super) async fn keeps_keys_apart(store: &dyn SessionStore) -> Tried {
    let names = ["a", "A", "a/b", "a%2fb", "a_b", "a-b", "..", ".", "ü", "a b", "a\\b", "main", "*"];
    let mut keys = vec![key(), subagent("a"), subagent("b")];
    for name in names {
        keys.push(SessionKey::main(name, "s"));
        keys.push(SessionKey::main("p", name));
        keys.push(SessionKey::main("p", "s").with_subpath(name));
    }
    keys.push(SessionKey::main("p/s", "t"));
    keys.push(SessionKey::main("p", "s/t"));
    for (number, key) in keys.iter().enumerate() {
        store.append(key, &[entry(&format!("entry-{number}"))]).await?;
    }
    for (number, key) in keys.iter().enumerate() {
        expect_load(store, key, &[entry(&format!("entry-{number}"))]).await?;
    }
    Ok(())
}

pub(super) async fn is_idempotent(store: &dyn SessionStore) -> Tried {
    let batch = [entry("a"), entry("b")];
    store.append(&key(), &batch).await?;
    store.append(&key(), &batch).await?;
    expect_load(store, &key(), &batch).await?;
    store.append(&key(), &[entry("b"), entry("c"), entry("c")]).await?;
    expect_load(store, &key(), &[entry("a"), entry("b"), entry("c")]).await
}

pub(super) async fn uuids_are_of_one_key(store: &dyn SessionStore) -> Tried {
    let fork = SessionKey::main(key().project_key, "11111111-d759-4890-a78f-7daec76c145a");
    for key in [key(), subagent("a"), fork.clone()] {
        store.append(&key, &[entry("a")]).await?;
    }
    for key in [key(), subagent("a"), fork] {
        expect_load(store, &key, &[entry("a")]).await?;
    }
    Ok(())
}

pub(super) async fn adds_what_has_no_uuid(store: &dyn SessionStore) -> Tried {
    store.append(&key(), &[note("x"), note("x")]).await?;
    store.append(&key(), &[note("x")]).await?;
    expect_load(store, &key(), &[note("x"), note("x"), note("x")]).await
}

pub(super) async fn takes_appends_at_once(store: &dyn SessionStore) -> Tried {
    const WRITERS: usize = 8;
    const BATCHES: usize = 10;
    let writers = (0..WRITERS).map(|writer| async move {
        for batch in 0..BATCHES {
            let entries: Vec<Value> = (0..3).map(|at| entry(&format!("{writer}-{batch}-{at}"))).collect();
            store.append(&key(), &entries).await?;
        }
        Ok::<_, crate::store::StoreError>(())
    });
    try_join_all(writers).await?;
    let entries = store.load(&key()).await?.unwrap_or_default();
    expect("entries of writers at once", &entries.len(), &(WRITERS * BATCHES * 3))?;
    for writer in 0..WRITERS {
        let prefix = format!("{writer}-");
        let found = entries.iter().filter_map(|entry| entry["uuid"].as_str());
        let found: Vec<String> = found.filter(|uuid| uuid.starts_with(&prefix)).map(str::to_owned).collect();
        let wanted = (0..BATCHES).flat_map(|batch| (0..3).map(move |at| format!("{writer}-{batch}-{at}")));
        expect("order of one writer", &found, &wanted.collect())?;
    }
    Ok(())
}
