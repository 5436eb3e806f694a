//! Sessions: storing, finding, listing, changing, moving.

use super::{AnyStore, Fixture, fixture};
use domain::{
    Counters, Generation, MicroUsd, Origin, PageRequest, Scope, Session, SessionId, SessionMode,
    SessionStatus, TokenUsage,
    ports::{Moved, Sessions, StoreError},
    session::{AgentConversation, SessionFilter, SessionPatch, SessionSort},
};
use futures::future::join;
use jiff::SignedDuration;
use serde_json::json;
use std::collections::BTreeSet;

pub async fn a_session_comes_back_as_it_was_stored<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let parent = f.session().await;
    let mut session = fixture::session(f.user.id, f.tick() + SignedDuration::from_micros(123_457));
    session.description = Some("Überblick, \"quoted\", 日本語, \u{1F980}".into());
    session.mode = SessionMode::Forked;
    session.parent_session_id = Some(parent.id);
    session.fork_at_message = Some(4);
    session.agent = Some(AgentConversation { id: SessionId::new().0, last_entry: Some(SessionId::new().0) });
    session.counters = Counters {
        messages: 4,
        tool_calls: 2,
        hook_executions: 5,
        permission_checks: 6,
        errors: 7,
        retries: 8,
        cost: MicroUsd(9_007_199_254_740_993),
        tokens: TokenUsage { input: 1, output: 2, cache_write_5m: 3, cache_write_1h: 4, cache_read: 5 },
    };
    session.error_message = Some("it broke".into());
    session.started_at = Some(f.tick());
    session.completed_at = Some(f.tick());
    f.store.create(&session, &Origin::system()).await.unwrap();
    assert_eq!(f.reload(session.id).await, session);
    assert_eq!(f.reload(parent.id).await, parent);
}

pub async fn a_session_is_stored_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let again = Session { name: Some("another".into()), ..session.clone() };
    assert!(matches!(f.store.create(&again, &Origin::system()).await, Err(StoreError::Conflict { .. })));
    assert_eq!(f.reload(session.id).await, session);
}

pub async fn a_strangers_session_is_not_there<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let stranger = Scope::Owner(f.another_user("eve").await.id);
    let (all, page) = (SessionFilter::default(), PageRequest::first(10));
    let rename = SessionPatch { name: Some(Some("mine".into())), ..SessionPatch::default() };
    for scope in [Scope::All, Scope::Owner(f.user.id)] {
        assert_eq!(Sessions::get(&f.store, scope, session.id).await.unwrap().as_ref(), Some(&session));
        let list = Sessions::list(&f.store, scope, &all, &page).await.unwrap();
        assert_eq!((list.items.len(), list.total), (1, Some(domain::Total::exactly(1))));
    }
    assert_eq!(Sessions::get(&f.store, stranger, session.id).await.unwrap(), None);
    let list = Sessions::list(&f.store, stranger, &all, &page).await.unwrap();
    assert_eq!((list.items.len(), list.total), (0, Some(domain::Total::exactly(0))));
    assert_eq!(
        f.store
            .patch(stranger, session.id, &rename, &domain::Expected::ANY, f.tick(), &Origin::system())
            .await
            .unwrap(),
        None
    );
    assert_eq!(f.reload(session.id).await, session);
}

pub async fn a_list_shows_what_passes_the_filter<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let first = f.session().await;
    let mut fork = fixture::session(f.user.id, f.tick());
    (fork.mode, fork.parent_session_id) = (SessionMode::Forked, Some(first.id));
    f.store.create(&fork, &Origin::system()).await.unwrap();
    let paused = f.session().await;
    f.store.move_to(paused.id, Generation::FIRST, SessionStatus::Paused, f.tick()).await.unwrap();

    let all = SessionFilter::default;
    let cases = [
        (all(), vec![paused.id, fork.id, first.id]),
        (SessionFilter { status: Some(SessionStatus::Paused), ..all() }, vec![paused.id]),
        (SessionFilter { mode: Some(SessionMode::Forked), ..all() }, vec![fork.id]),
        (SessionFilter { parent_session_id: Some(first.id), ..all() }, vec![fork.id]),
        (SessionFilter { created_after: Some(first.created_at), ..all() }, vec![paused.id, fork.id]),
        (SessionFilter { created_before: Some(paused.created_at), ..all() }, vec![fork.id, first.id]),
        (SessionFilter { sort: SessionSort::CreatedAscending, ..all() }, vec![first.id, fork.id, paused.id]),
        (SessionFilter { status: Some(SessionStatus::Failed), ..all() }, vec![]),
    ];
    for (filter, expected) in cases {
        let page = PageRequest::first(10);
        let list = Sessions::list(&f.store, Scope::Owner(f.user.id), &filter, &page).await.unwrap();
        let found: Vec<_> = list.items.iter().map(|session| session.id).collect();
        assert_eq!(found, expected, "{filter:?}");
        assert_eq!(list.total, Some(domain::Total::exactly(expected.len() as u64)), "{filter:?}");
        assert_eq!(list.next_cursor, None, "{filter:?}");
    }
}

pub async fn a_search_takes_wildcards_as_they_are_and_ignores_case<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    for (name, description) in [
        ("100% done", None),
        ("1000 done", Some("snake_case \\ back")),
        ("ÄRGER mit Straße", Some("SnakeXcase")),
    ] {
        let mut session = fixture::session(f.user.id, f.tick());
        (session.name, session.description) = (Some(name.into()), description.map(str::to_owned));
        f.store.create(&session, &Origin::system()).await.unwrap();
    }
    let cases: [(&str, &[&str]); 8] = [
        ("0% D", &["100% done"]),
        ("snake_case", &["1000 done"]),
        ("snakexcase", &["ÄRGER mit Straße"]),
        ("\\", &["1000 done"]),
        ("ärger", &["ÄRGER mit Straße"]),
        ("DONE", &["1000 done", "100% done"]),
        ("%", &["100% done"]),
        ("nothing", &[]),
    ];
    for (q, expected) in cases {
        let filter = SessionFilter { q: Some(q.into()), ..SessionFilter::default() };
        let list = Sessions::list(&f.store, Scope::All, &filter, &PageRequest::first(10)).await.unwrap();
        let names: Vec<_> = list.items.iter().filter_map(|session| session.name.as_deref()).collect();
        assert_eq!(names, expected, "{q}");
        assert_eq!(list.total, Some(domain::Total::exactly(expected.len() as u64)), "{q}");
    }
}

/// Among the rows are some of the same instant, whose order the id decides.
pub async fn pages_neither_skip_nor_repeat_while_sessions_are_created<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    for sort in [
        SessionSort::CreatedDescending,
        SessionSort::CreatedAscending,
        SessionSort::UpdatedDescending,
        SessionSort::UpdatedAscending,
    ] {
        let owner = f.another_user(&format!("{sort:?}")).await.id;
        let at = f.tick();
        let later = at + SignedDuration::from_secs(1);
        let mut there_from_the_start = BTreeSet::new();
        for n in 0..10 {
            let session = fixture::session(owner, if n < 6 { at } else { later });
            f.store.create(&session, &Origin::system()).await.unwrap();
            there_from_the_start.insert(session.id);
        }
        let filter = SessionFilter { sort, ..SessionFilter::default() };
        let mut seen = Vec::new();
        let mut page = PageRequest::first(3);
        loop {
            let found = Sessions::list(&f.store, Scope::Owner(owner), &filter, &page).await.unwrap();
            assert!(found.items.len() <= 3);
            seen.extend(found.items.iter().map(|session| session.id));
            let Some(cursor) = found.next_cursor else { break };
            page.cursor = Some(cursor);
            if seen.len() < 10 {
                for between in [at, later] {
                    f.store.create(&fixture::session(owner, between), &Origin::system()).await.unwrap();
                }
            }
        }
        let distinct: BTreeSet<_> = seen.iter().copied().collect();
        assert_eq!(distinct.len(), seen.len(), "{sort:?}: a session was repeated");
        assert!(distinct.is_superset(&there_from_the_start), "{sort:?}: a session was skipped");
    }
}

pub async fn a_page_may_skip_rows<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, f.session().await.id);
    }
    let filter = SessionFilter::default();
    let skipped = PageRequest { skip: 3, ..PageRequest::first(10) };
    let list = Sessions::list(&f.store, Scope::All, &filter, &skipped).await.unwrap();
    let found: Vec<_> = list.items.iter().map(|session| session.id).collect();
    assert_eq!((found.as_slice(), list.total), (&ids[3..], Some(domain::Total::exactly(5))));

    let first = Sessions::list(&f.store, Scope::All, &filter, &PageRequest::first(2)).await.unwrap();
    let beside_a_cursor = PageRequest { limit: 10, cursor: first.next_cursor, skip: 3 };
    let list = Sessions::list(&f.store, Scope::All, &filter, &beside_a_cursor).await.unwrap();
    let found: Vec<_> = list.items.iter().map(|session| session.id).collect();
    assert_eq!(found.as_slice(), &ids[2..], "skip must be ignored beside a cursor");
}

pub async fn a_cursor_from_elsewhere_is_refused<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    for _ in 0..3 {
        f.session().await;
    }
    let list = |cursor: String, sort| {
        let filter = SessionFilter { sort, ..SessionFilter::default() };
        let page = PageRequest { cursor: Some(cursor), ..PageRequest::first(1) };
        let store = &f.store;
        async move { Sessions::list(store, Scope::All, &filter, &page).await }
    };
    let newest_first = SessionSort::CreatedDescending;
    for garbage in ["", "x", "'; DROP TABLE sessions", "AAAA", "////", "ü"] {
        let answer = list(garbage.to_owned(), newest_first).await;
        assert!(matches!(answer, Err(StoreError::BadCursor)), "{garbage}: {answer:?}");
    }
    let page = PageRequest::first(1);
    let page = Sessions::list(&f.store, Scope::All, &SessionFilter::default(), &page).await.unwrap();
    let cursor = page.next_cursor.unwrap();
    assert!(list(cursor.clone(), newest_first).await.is_ok());
    let other_order = list(cursor.clone(), SessionSort::UpdatedAscending).await;
    assert!(matches!(other_order, Err(StoreError::BadCursor)), "{other_order:?}");
    let page = PageRequest { cursor: Some(cursor), ..PageRequest::first(1) };
    let other_list = f.store.api_keys(f.user.id, &page).await;
    assert!(matches!(other_list, Err(StoreError::BadCursor)), "{other_list:?}");
}

pub async fn a_patch_changes_what_it_names_and_nothing_else<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let at = f.tick();
    let patch = SessionPatch { name: Some(None), ..SessionPatch::default() };
    let patched = f
        .store
        .patch(Scope::All, session.id, &patch, &domain::Expected::ANY, at, &Origin::system())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(patched, Session { name: None, updated_at: at, ..session.clone() });
    assert_eq!(f.reload(session.id).await, patched);

    let at = f.tick();
    let patch = SessionPatch {
        name: Some(Some("Neu".into())),
        description: Some(Some("what it is for".into())),
        metadata: Some(json!({})),
        permission_mode: Some("plan".into()),
        model: Some("claude-b".into()),
        allowed_tools: Some(vec![]),
        custom_policies: Some(vec!["house".into()]),
    };
    let patched = f
        .store
        .patch(Scope::Owner(f.user.id), session.id, &patch, &domain::Expected::ANY, at, &Origin::system())
        .await
        .unwrap()
        .unwrap();
    let mut expected = session.clone();
    (expected.name, expected.description) = (Some("Neu".into()), Some("what it is for".into()));
    expected.metadata = json!({});
    expected.spec.permission_mode = "plan".into();
    expected.spec.sdk_options.model = Some("claude-b".into());
    expected.spec.allowed_tools.clear();
    expected.spec.custom_policies = vec!["house".into()];
    expected.updated_at = at;
    assert_eq!(patched, expected);
    assert_eq!(f.reload(session.id).await, expected);
    let filter = SessionFilter { q: Some("for".into()), ..SessionFilter::default() };
    let list = Sessions::list(&f.store, Scope::All, &filter, &PageRequest::first(1)).await.unwrap();
    assert_eq!(list.items, [expected], "the search must know the new description");
    assert_eq!(
        f.store
            .patch(Scope::All, SessionId::new(), &patch, &domain::Expected::ANY, at, &Origin::system())
            .await
            .unwrap(),
        None
    );
}

pub async fn a_session_moves_only_where_its_state_leads<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let at = f.tick();
    match f.store.move_to(session.id, Generation::FIRST, SessionStatus::Paused, at).await.unwrap() {
        Moved::Moved(moved, event) => {
            let expected = Session { status: SessionStatus::Paused, updated_at: at, ..session.clone() };
            assert_eq!(*moved, expected);
            assert_eq!(fixture::data(&event), &json!({ "from": "created", "to": "paused" }));
            assert_eq!(f.journal(session.id).await, [event]);
        }
        other => panic!("not moved: {other:?}"),
    }
    for refused in [SessionStatus::Paused, SessionStatus::Processing, SessionStatus::Completed] {
        let answer = f.store.move_to(session.id, Generation::FIRST, refused, f.tick()).await.unwrap();
        assert_eq!(answer, Moved::Refused(SessionStatus::Paused), "{refused:?}");
    }
    let at = f.tick();
    f.store.move_to(session.id, Generation::FIRST, SessionStatus::Terminated, at).await.unwrap();
    assert_eq!(f.reload(session.id).await.completed_at, Some(at));
    assert_eq!(f.journal(session.id).await.len(), 2);
    let nobody =
        f.store.move_to(SessionId::new(), Generation::FIRST, SessionStatus::Paused, at).await.unwrap();
    assert_eq!(nobody, Moved::NoSession);
}

pub async fn of_two_moves_at_once_one_is_refused<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let at = f.tick();
    let pause = || f.store.move_to(session.id, Generation::FIRST, SessionStatus::Paused, at);
    let (a, b) = join(pause(), pause()).await;
    let outcomes = [a.unwrap(), b.unwrap()];
    let moved = outcomes.iter().filter(|outcome| matches!(outcome, Moved::Moved(..))).count();
    assert_eq!(moved, 1, "{outcomes:?}");
    assert_eq!(f.journal(session.id).await.len(), 1);
}
