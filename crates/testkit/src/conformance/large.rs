//! Rows of megabytes: fewer come at once than were asked for, and none is lost. For databases; what the memory store has is
//! in memory anyway.

use super::{AnyStore, Fixture};
use domain::{
    Entry, EventKind, Generation, MessageId, MessageType, NewMessage, PageRequest, SessionId, ToolCallId,
};
use serde_json::json;

/// As few come as weigh no more than 16 MiB together.
pub async fn large_rows_come_a_few_at_a_time<S: AnyStore>(f: &Fixture<S>) {
    let session = f.session().await.id;
    let text = "y".repeat(5 << 20);
    for _ in 0..7 {
        record(f, session, message(&text)).await;
    }
    let (mut page, mut pages, mut seen) = (PageRequest::first(1000), vec![], vec![]);
    loop {
        let read = f.store.messages(session, &page).await.unwrap();
        pages.push(read.items.len());
        seen.extend(read.items.iter().map(|message| message.sequence_number));
        match read.next_cursor {
            None => break,
            cursor => page.cursor = cursor,
        }
    }
    assert_eq!(pages, [3, 3, 1]);
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    let two = f.store.messages(session, &PageRequest::first(2)).await.unwrap();
    assert!(two.items.len() == 2 && two.next_cursor.is_some());

    // Those of which one is too much come one by one, and small ones as they were asked for.
    let input = json!({ "content": "z".repeat(17 << 20) });
    for tool_input in [&input, &input, &json!({}), &json!({})] {
        let (id, tool_input) = (ToolCallId::new(), tool_input.clone());
        let (tool_use_id, tool_name) = (id.to_string(), "Write".to_owned());
        record(f, session, Entry::ToolCallStarted { id, tool_use_id, tool_name, tool_input }).await;
    }
    let (mut page, mut pages) = (PageRequest::first(1000), vec![]);
    loop {
        let read = f.store.tool_calls(session, &page).await.unwrap();
        pages.push(read.items.len());
        match read.next_cursor {
            None => break,
            cursor => page.cursor = cursor,
        }
    }
    assert_eq!(pages, [1, 1, 2]);

    let (mut parts, mut kinds, mut seq) = (vec![], vec![], 0);
    loop {
        let events = f.store.read_after(session, seq, 64).await.unwrap();
        let Some(last) = events.last() else { break };
        assert_eq!(events[0].seq, seq + 1, "without gaps");
        seq = last.seq;
        parts.push(events.len());
        kinds.extend(events.iter().map(|event| event.kind));
    }
    assert_eq!(parts, [3, 3, 1, 1, 1, 2]);
    assert_eq!((kinds[6], kinds[7]), (EventKind::Message, EventKind::ToolCallStarted));
}

async fn record<S: AnyStore>(f: &Fixture<S>, session: SessionId, entry: Entry) {
    f.store.record(session, Generation::FIRST, None, vec![entry], f.tick()).await.unwrap();
}

fn message(text: &str) -> Entry {
    Entry::Message(Box::new(NewMessage {
        id: MessageId::new(),
        entry_uuid: None,
        message_type: MessageType::Assistant,
        content: json!(text),
        model: None,
        thinking: None,
        parent_tool_use_id: None,
    }))
}
