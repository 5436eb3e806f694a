//! Transcripts: kept as they were, each uuid once, read in parts.

use super::{AnyStore, Fixture};
use domain::{
    Generation, SessionId, TurnEnd,
    ports::StoreError,
    transcript::{TranscriptEntry, TranscriptKey, TranscriptLines, TranscriptPlace},
};
use futures::future::join_all;
use uuid::Uuid;

/// A main transcript of a conversation that nobody has had.
pub(super) fn key(session_id: SessionId) -> TranscriptKey {
    TranscriptKey { session_id, conversation: Uuid::new_v4(), subpath: None }
}

pub(super) fn beside(key: &TranscriptKey, subpath: &str) -> TranscriptKey {
    TranscriptKey { subpath: Some(subpath.into()), ..key.clone() }
}

/// An entry that names its conversation, as most do.
pub(super) fn entry(key: &TranscriptKey, uuid: &str) -> TranscriptEntry {
    let text = format!(r#"{{"uuid":"{uuid}","sessionId":"{}","text":"ü \u0000"}}"#, key.conversation);
    TranscriptEntry { uuid: Some(uuid.into()), text }
}

/// The texts of a transcript, read to its end.
pub(super) async fn texts<S: AnyStore>(store: &S, key: &TranscriptKey) -> Vec<String> {
    let (mut texts, mut place) = (Vec::new(), 0);
    loop {
        let part = store.transcript_after(key, place).await.unwrap();
        texts.extend(part.entries);
        let Some(next) = part.next else { return texts };
        assert!(next > place, "it would be read for ever");
        place = next;
    }
}

pub async fn a_transcript_is_kept_as_it_was_and_each_uuid_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let key = key(f.session().await.id);
    let note = TranscriptEntry { uuid: None, text: r#"{"z": 1.0,"a":"\u0000"}"#.into() };
    let [a, b, c] = ["a", "b", "c"].map(|uuid| entry(&key, uuid));
    let at = f.tick();
    f.store.append_transcript(&key, Generation::FIRST, &[a.clone(), note.clone()], at).await.unwrap();
    f.store
        .append_transcript(
            &key,
            Generation::FIRST,
            &[a.clone(), b.clone(), b.clone(), note.clone(), c.clone()],
            at,
        )
        .await
        .unwrap();
    for one in [&a, &note, &note] {
        f.store.append_transcript(&key, Generation::FIRST, std::slice::from_ref(one), at).await.unwrap();
    }
    let expected = [&a, &note, &b, &note, &c, &note, &note].map(|entry| entry.text.clone());
    assert_eq!(texts(&f.store, &key).await, expected);
    let place = f.store.transcript_place(key.session_id, "b").await.unwrap();
    assert_eq!(place, Some(TranscriptPlace { conversation: key.conversation, position: 3 }));
    assert_eq!(f.store.transcript_place(key.session_id, "x").await.unwrap(), None);
    let other = f.session().await.id;
    assert_eq!(f.store.transcript_place(other, "b").await.unwrap(), None, "a stranger's entry");
    let nowhere = TranscriptKey { session_id: SessionId::new(), ..key };
    let refused = f.store.append_transcript(&nowhere, Generation::FIRST, &[a], at).await;
    assert!(matches!(refused, Err(StoreError::Inconsistent { .. })), "{refused:?}");
}

pub async fn the_last_lines_of_transcripts_are_stored_with_the_end_of_a_turn<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let begun = f.begin(session).await;
    let main = key(session);
    let beside = beside(&main, "subagents/agent-x");
    let [a, b, c] = ["a", "b", "c"].map(|uuid| entry(&main, uuid));
    f.store.append_transcript(&main, Generation::FIRST, &[a.clone(), b.clone()], f.tick()).await.unwrap();
    let last_lines = vec![
        TranscriptLines { key: main.clone(), entries: vec![b.clone(), c.clone(), c.clone()] },
        TranscriptLines { key: beside.clone(), entries: vec![entry(&beside, "s")] },
    ];
    let end = TurnEnd { last_lines, ..f.well() };
    let late = f.store.end(begun.turn_id, Generation::FIRST.next(), &end).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(texts(&f.store, &main).await.len(), 2);

    f.store.end(begun.turn_id, Generation::FIRST, &end).await.unwrap().unwrap();
    assert_eq!(texts(&f.store, &main).await, [&a, &b, &c].map(|entry| entry.text.clone()));
    assert_eq!(texts(&f.store, &beside).await.len(), 1);
    assert_eq!(f.store.end(begun.turn_id, Generation::FIRST, &end).await.unwrap(), None);
    let all = f.store.transcripts(session).await.unwrap();
    assert_eq!(
        all.iter().map(|one| (one.length, one.added_at)).collect::<Vec<_>>(),
        [(3, end.at), (1, end.at)]
    );
}

pub async fn transcripts_of_a_session_are_kept_apart_and_forgotten_apart<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let main = key(f.session().await.id);
    let [one, two] = ["subagents/a", "subagents/b"].map(|subpath| beside(&main, subpath));
    let second = key(main.session_id);
    let mut at = f.tick();
    for key in [&main, &one, &two, &second] {
        at = f.tick();
        f.store.append_transcript(key, Generation::FIRST, &[entry(key, "same")], at).await.unwrap();
    }
    for key in [&main, &one, &two, &second] {
        assert_eq!(texts(&f.store, key).await, [entry(key, "same").text]);
    }
    let listed = f.store.transcripts(main.session_id).await.unwrap();
    assert_eq!(listed.len(), 4);
    let newest = listed.iter().find(|summary| summary.conversation == second.conversation).unwrap();
    assert_eq!((newest.added_at, &newest.subpath, newest.length), (at, &None, 1));

    let left = async || {
        let listed = f.store.transcripts(main.session_id).await.unwrap();
        listed
            .into_iter()
            .map(|summary| (summary.conversation == main.conversation, summary.subpath))
            .collect::<Vec<_>>()
    };
    f.store.delete_transcript(main.session_id, main.conversation, Some("subagents/a")).await.unwrap();
    let mut rest = vec![(true, None), (true, two.subpath.clone()), (false, None)];
    rest.sort();
    let mut found = left().await;
    found.sort();
    assert_eq!(found, rest);
    f.store.delete_transcript(main.session_id, main.conversation, None).await.unwrap();
    f.store.delete_transcript(main.session_id, main.conversation, None).await.unwrap();
    assert_eq!(left().await, [(false, None)]);
}

pub async fn appends_at_once_lose_nothing_and_keep_their_order<S: AnyStore>(store: S) {
    const WRITERS: usize = 6;
    const BATCHES: usize = 5;
    let f = Fixture::new(store).await;
    let (key, at) = (key(f.session().await.id), f.tick());
    let name = |writer: usize, batch: usize, place: usize| format!("{writer}-{batch}-{place}");
    let writers = (0..WRITERS).map(|writer| {
        let (store, key) = (&f.store, &key);
        async move {
            for batch in 0..BATCHES {
                let entries: Vec<_> = (0..3).map(|place| entry(key, &name(writer, batch, place))).collect();
                store.append_transcript(key, Generation::FIRST, &entries, at).await.unwrap();
            }
        }
    });
    join_all(writers).await;
    let all = texts(&f.store, &key).await;
    assert_eq!(all.len(), WRITERS * BATCHES * 3);
    for writer in 0..WRITERS {
        let names = (0..BATCHES).flat_map(|batch| (0..3).map(move |place| (batch, place)));
        let expected: Vec<String> =
            names.map(|(batch, place)| entry(&key, &name(writer, batch, place)).text).collect();
        let its: Vec<_> =
            all.iter().filter(|text| text.contains(&format!(r#""{writer}-"#))).cloned().collect();
        assert_eq!(its, expected);
    }
}

/// More than one part holds, and one entry that is larger than any part.
pub async fn a_large_transcript_is_read_in_parts<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (key, at) = (key(f.session().await.id), f.tick());
    let large = |uuid: &str, bytes: usize| TranscriptEntry {
        uuid: Some(uuid.into()),
        text: format!(r#"{{"uuid":"{uuid}","text":"{}"}}"#, "x".repeat(bytes)),
    };
    let mut entries: Vec<_> = (0..5_000).map(|number| entry(&key, &format!("e{number}"))).collect();
    entries.push(large("huge", 20 << 20));
    entries.extend((0..6).map(|number| large(&format!("l{number}"), 1 << 20)));
    for batch in entries.chunks(500) {
        f.store.append_transcript(&key, Generation::FIRST, batch, at).await.unwrap();
    }
    let expected: Vec<String> = entries.into_iter().map(|entry| entry.text).collect();
    assert!(texts(&f.store, &key).await == expected, "it is not what was added");
    let first = f.store.transcript_after(&key, 0).await.unwrap();
    assert!(first.next.is_some() && first.entries.len() < expected.len(), "it came at once");
    assert_eq!(texts(&f.store, &super::transcripts::key(key.session_id)).await, Vec::<String>::new());
}
