//! Sessions and users that are removed: what goes, and what stays.

use super::{AnyStore, Fixture, audit::log, fixture::message, ledger::usage};
use domain::{
    Entry, Generation, Origin, PageRequest, Scope, SessionStatus, Total, UserId, account::UserErased,
    ports::Purged, session::SessionFilter,
};
use serde_json::json;

pub async fn a_purged_session_leaves_nothing_but_what_it_cost<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, other) = (f.session().await.id, f.session().await.id);
    for id in [session, other] {
        let turn = f.begin(id).await.turn_id;
        let entries =
            vec![Entry::Message(Box::new(message(json!("secret plans")))), Entry::Notice(json!({}))];
        f.store.record(id, Generation::FIRST, Some(turn), entries, f.tick()).await.unwrap();
        f.store.settle(&usage(&f, id, Some(turn))).await.unwrap();
        let approval = f.question(id, turn);
        f.store.open(&approval, Generation::FIRST).await.unwrap();
        f.store.end(turn, Generation::FIRST, &f.well()).await.unwrap();
    }
    let kept = f.journal(other).await;
    let purge = async |id| f.store.purge(id, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(purge(session).await, Purged::Refused(SessionStatus::Active), "it must be ended first");
    f.store.terminate(session, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(purge(session).await, Purged::Purged);
    assert_eq!(purge(session).await, Purged::NoSession);

    let page = PageRequest::first(10);
    assert_eq!(domain::ports::Sessions::get(&f.store, Scope::All, session).await.unwrap(), None);
    assert_eq!(f.store.read_after(session, 0, 10).await.unwrap(), []);
    assert_eq!(f.store.messages(session, &page).await.unwrap().items, []);
    assert_eq!(domain::ports::Turns::list(&f.store, session, &page).await.unwrap().items, []);
    assert_eq!(domain::ports::Approvals::list(&f.store, session, None, &page).await.unwrap().items, []);
    let left =
        domain::ports::Sessions::list(&f.store, Scope::All, &SessionFilter::default(), &page).await.unwrap();
    assert_eq!((left.items.len(), left.total), (1, Some(Total::exactly(1))));
    assert_eq!(f.journal(other).await, kept, "another session's history is as it was");
    assert_eq!(f.store.requests(other, &page).await.unwrap().items.len(), 1);
    let told = log(&f.store).await.pop().unwrap().event;
    assert_eq!((told.action.as_ref(), told.session_id), ("session.purged", Some(session)));
    // A request that was under way is booked although its session is gone.
    f.store.settle(&usage(&f, session, None)).await.unwrap();
}

pub async fn what_a_purged_session_leaves_on_a_disk_is_known_to_that_server_until_it_is_gone<S: AnyStore>(
    store: S,
) {
    let f = Fixture::new(store).await;
    let (homeless, left, here) = (f.session().await.id, f.session().await.id, f.session().await.id);
    for id in [left, here] {
        let turn = f.begin(id).await.turn_id;
        f.store.end(turn, Generation::FIRST, &f.well()).await.unwrap();
    }
    let home = f.reload(here).await.server_id.unwrap();
    f.store.leave(left, Generation::FIRST).await.unwrap();
    for id in [homeless, left, here] {
        f.store.terminate(id, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
        assert_eq!(f.store.purge(id, f.tick(), &Origin::system()).await.unwrap(), Purged::Purged);
    }
    assert_eq!(f.store.leftovers(home, 10).await.unwrap(), [(here, f.user.id)]);
    assert_eq!(f.store.leftovers(home, 0).await.unwrap(), []);
    assert_eq!(f.store.leftovers(domain::ServerId::new(), 10).await.unwrap(), []);
    for _ in 0..2 {
        f.store.forget_leftover(here).await.unwrap();
    }
    assert_eq!(f.store.leftovers(home, 10).await.unwrap(), []);
}

pub async fn an_erased_user_is_nobody_and_cannot_come_in<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let gone = f.another_user("bob").await;
    let session = f.session().await.id;
    for _ in 0..2 {
        assert_eq!(f.erase(gone.id).await, UserErased::Erased);
    }
    assert_eq!(f.erase(UserId::new()).await, UserErased::NoUser);
    assert_eq!(f.store.login("bob@example.org").await.unwrap(), None);
    let row = f.store.user(gone.id).await.unwrap().unwrap();
    assert!(!row.is_active);
    assert_eq!((row.full_name.as_deref(), row.last_login_at), (None, None));
    assert!(!row.username.contains("bob") && !row.email.contains("bob"));
    let erased = log(&f.store).await.into_iter().filter(|entry| entry.event.action == "user.erased");
    assert_eq!(erased.count(), 1, "what changed nothing is not told");
    // The name and the address are free again, and nobody else is touched.
    f.another_user("bob").await;
    assert_eq!(f.reload(session).await.user_id, f.user.id);
}
