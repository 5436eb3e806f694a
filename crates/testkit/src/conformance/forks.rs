//! Forks: what is copied, what is not, and the family that they make.

use super::{
    AnyStore, Fixture, fixture,
    transcripts::{beside, entry, key, texts},
};
use domain::{
    AuditFilter, Counters, Entry, Generation, MessageId, MicroUsd, Origin, PageRequest, Scope, Session,
    SessionId, SessionMode,
    audit::Fact,
    fork::{DirectorySource, NewFork},
    ports::StoreError,
    session::AgentConversation,
    transcript::{TranscriptKey, TranscriptPlace},
};
use serde_json::json;

/// A parent with five messages, one of a subagent among them, and a transcript of as many entries.
async fn parent<S: AnyStore>(f: &Fixture<S>) -> (Session, TranscriptKey) {
    let session = f.session().await;
    let begun = f.begin(session.id).await;
    let mut entries = Vec::new();
    for (number, parent_tool_use_id) in [(2, None), (3, Some("toolu_1")), (4, None), (5, None)] {
        let mut message = fixture::message(json!(format!("message {number}")));
        message.parent_tool_use_id = parent_tool_use_id.map(str::to_owned);
        entries.push(Entry::Message(Box::new(message)));
    }
    f.store.record(session.id, Generation::FIRST, Some(begun.turn_id), entries, f.tick()).await.unwrap();
    domain::ports::Turns::end(&f.store, begun.turn_id, Generation::FIRST, &f.well()).await.unwrap();
    let key = key(session.id);
    let lines: Vec<_> = ["1", "2", "4", "5"].map(|uuid| entry(&key, uuid)).into();
    f.store.append_transcript(&key, Generation::FIRST, &lines, f.tick()).await.unwrap();
    let sub = beside(&key, "subagents/agent-a");
    f.store.append_transcript(&sub, Generation::FIRST, &[entry(&key, "side")], f.tick()).await.unwrap();
    (f.reload(session.id).await, key)
}

fn fork_of<S: AnyStore>(f: &Fixture<S>, parent: &Session, at_message: u64) -> Session {
    let mut session = fixture::session(f.user.id, f.tick());
    (session.mode, session.parent_session_id) = (SessionMode::Forked, Some(parent.id));
    session.fork_at_message = Some(at_message);
    session.spec.directory_source = Some(DirectorySource::Current);
    session.counters = Counters { messages: at_message, ..Counters::default() };
    session.agent = Some(AgentConversation { id: session.id.0, last_entry: None });
    session
}

pub async fn a_fork_has_the_history_up_to_its_message_and_nothing_else<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (parent, key) = parent(&f).await;
    let session = fork_of(&f, &parent, 4);
    let cut = TranscriptPlace { conversation: key.conversation, position: 3 };
    let fork = NewFork { session: session.clone(), parent: parent.id, cut: Some(cut) };
    f.store.fork(&fork, &Origin::system()).await.unwrap();

    assert_eq!(f.reload(session.id).await, session);
    assert_eq!((session.counters.cost, session.counters.tool_calls), (MicroUsd::ZERO, 0));
    let page = PageRequest::first(10);
    let (theirs, ours) = (
        f.store.messages(parent.id, &page).await.unwrap(),
        f.store.messages(session.id, &page).await.unwrap(),
    );
    assert_eq!((theirs.items.len(), ours.items.len()), (5, 4));
    for (original, copy) in theirs.items.iter().zip(&ours.items) {
        assert_ne!(copy.id, original.id);
        let expected =
            domain::Message { id: copy.id, session_id: session.id, turn_id: None, ..original.clone() };
        assert_eq!(*copy, expected);
    }
    let journal = f.journal(session.id).await;
    assert_eq!(fixture::kinds(&journal), ["notice"]);
    let notice = fixture::data(&journal[0]);
    assert_eq!(notice["what"], "forked");
    assert_eq!(notice["parent_session_id"], json!(parent.id));
    assert_eq!(
        (&notice["fork_at_message"], &notice["working_directory_source"]),
        (&json!(4), &json!("current"))
    );

    let ours = TranscriptKey { session_id: session.id, conversation: session.id.0, subpath: None };
    let expected: Vec<_> = ["1", "2", "4"].map(|uuid| entry(&ours, uuid).text).into();
    assert_eq!(texts(&f.store, &ours).await, expected, "cut after the entry, and named anew");
    assert_eq!(texts(&f.store, &beside(&ours, "subagents/agent-a")).await, [entry(&ours, "side").text]);
    assert_eq!(texts(&f.store, &key).await.len(), 4, "the parent keeps its own");

    let told = AuditFilter { session_id: Some(session.id), ..AuditFilter::default() };
    let told = f.store.entries_after(0, 10, &told).await.unwrap();
    let actions: Vec<_> = told.iter().map(|entry| entry.event.action.as_ref()).collect();
    assert_eq!(actions, ["session.forked"]);
    assert_eq!(told[0].event.data["parent_session_id"], Fact::Text(parent.id.to_string()));
    assert_eq!(told[0].event.data["fork_at_message"], Fact::Number(4));
}

pub async fn a_fork_goes_on_and_can_be_forked_again<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (parent, key) = parent(&f).await;
    let first = fork_of(&f, &parent, 4);
    let cut = TranscriptPlace { conversation: key.conversation, position: 3 };
    let fork = NewFork { session: first.clone(), parent: parent.id, cut: Some(cut) };
    f.store.fork(&fork, &Origin::system()).await.unwrap();
    let begun = f.begin(first.id).await;
    let page = PageRequest::first(10);
    let messages = f.store.messages(first.id, &page).await.unwrap();
    let numbers: Vec<_> = messages.items.iter().map(|message| message.sequence_number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert_eq!(messages.items[4].id, begun.prompt_message_id);
    assert_eq!(f.reload(first.id).await.counters.messages, 5);

    let (entries, numbers) = (
        f.store.entries_before(first.id, 4, 10).await.unwrap(),
        f.store.entries_before(first.id, 5, 2).await.unwrap(),
    );
    assert_eq!(entries.iter().map(|entry| entry.sequence_number).collect::<Vec<_>>(), [4, 2, 1]);
    assert_eq!(numbers.iter().map(|entry| entry.sequence_number).collect::<Vec<_>>(), [5, 4]);
    assert!(numbers[0].is_prompt() && numbers[0].entry == Some(begun.prompt_message_id.0));

    let second = fork_of(&f, &first, 2);
    let cut = TranscriptPlace { conversation: first.id.0, position: 2 };
    let fork = NewFork { session: second.clone(), parent: first.id, cut: Some(cut) };
    f.store.fork(&fork, &Origin::system()).await.unwrap();
    let ours = TranscriptKey { session_id: second.id, conversation: second.id.0, subpath: None };
    let expected: Vec<_> = ["1", "2"].map(|uuid| entry(&ours, uuid).text).into();
    assert_eq!(texts(&f.store, &ours).await, expected);
    let again = f.store.fork(&fork, &Origin::system()).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    assert_eq!(
        f.store.messages(second.id, &page).await.unwrap().items.len(),
        2,
        "nothing of it is there twice"
    );
}

/// More messages than one statement copies.
pub async fn a_fork_of_a_long_conversation_is_whole<S: AnyStore>(store: S) {
    const MESSAGES: u64 = 2_500;
    let f = Fixture::new(store).await;
    let parent = f.session().await;
    let message = |number: u64| Entry::Message(Box::new(fixture::message(json!(number))));
    f.store
        .record(parent.id, Generation::FIRST, None, (1..=MESSAGES).map(message).collect(), f.tick())
        .await
        .unwrap();
    let session = Session { agent: None, ..fork_of(&f, &parent, MESSAGES - 1) };
    let fork = NewFork { session: session.clone(), parent: parent.id, cut: None };
    f.store.fork(&fork, &Origin::system()).await.unwrap();
    let page = PageRequest { skip: 2_490, ..PageRequest::first(100) };
    let messages = f.store.messages(session.id, &page).await.unwrap();
    let contents: Vec<_> = messages.items.iter().map(|message| message.content.clone()).collect();
    assert_eq!(contents, (2_491..MESSAGES).map(|number| json!(number)).collect::<Vec<_>>());
    let again = Entry::PromptedAgain { message: messages.items[0].id, entry_uuid: MessageId::new().0 };
    let told = f.store.record(parent.id, Generation::FIRST, None, vec![again], f.tick()).await.unwrap();
    assert_eq!(told, [], "what journals nothing tells nobody");
}

pub async fn a_family_is_shown_as_far_as_it_is_the_callers<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let stranger = f.another_user("eve").await.id;
    let root = f.session().await;
    let fork = async |parent: &Session, owner| {
        let session = Session { user_id: owner, agent: None, ..fork_of(&f, parent, 0) };
        let fork = NewFork { session: session.clone(), parent: parent.id, cut: None };
        f.store.fork(&fork, &Origin::system()).await.unwrap();
        session
    };
    let a = fork(&root, f.user.id).await;
    let b = fork(&root, f.user.id).await;
    let theirs = fork(&a, stranger).await;
    let below = fork(&theirs, f.user.id).await;
    let aa = fork(&a, f.user.id).await;
    f.session().await;
    let family = async |scope, id: SessionId, limit| {
        let family = f.store.family(scope, id, limit).await.unwrap();
        family.into_iter().map(|relative| relative.id).collect::<Vec<_>>()
    };
    let own = Scope::Owner(f.user.id);
    for member in [&root, &a, &b, &aa] {
        assert_eq!(family(own, member.id, 100).await, [root.id, a.id, b.id, aa.id]);
    }
    assert_eq!(family(own, below.id, 100).await, [below.id], "a stranger's session is a wall");
    assert_eq!(family(Scope::Owner(stranger), theirs.id, 100).await, [theirs.id]);
    assert_eq!(family(own, theirs.id, 100).await, []);
    assert_eq!(family(Scope::All, aa.id, 100).await, [root.id, a.id, b.id, theirs.id, aa.id, below.id]);
    assert_eq!(family(Scope::All, root.id, 3).await, [root.id, a.id, b.id]);
    let shown = &f.store.family(own, a.id, 100).await.unwrap()[1];
    assert_eq!(
        (shown.parent_session_id, shown.fork_at_message, shown.created_at),
        (Some(root.id), Some(0), a.created_at)
    );
}
