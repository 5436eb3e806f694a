//! What becomes of archives: sessions come back from them, time ends them, and what is left over is found.

use super::{
    AnyStore, Fixture,
    archives::{archive, claim, content, open},
    audit::log,
    fixture::data,
    queue::queued,
};
use domain::{
    ArchiveId, Generation, Operation, Origin, Session, SessionId, SessionStatus,
    ports::{ArchiveObject, Moved, RestoreOpened},
    turn::Begin,
};
use serde_json::json;

async fn hold<S: AnyStore>(f: &Fixture<S>, session: SessionId, from: ArchiveId) -> RestoreOpened {
    f.store.open_restore(session, from, f.home, f.tick(), &Origin::system()).await.unwrap()
}

pub async fn a_session_is_restored_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let from = archive(&f, &session).await.id;
    assert_eq!(
        f.store.finish_restore(session.id, from, Generation::FIRST, None, f.tick()).await.unwrap(),
        None
    );
    let RestoreOpened::Opened(held, event) = hold(&f, session.id, from).await else { panic!("not held") };
    assert_eq!((held.status, held.operation), (SessionStatus::Archived, Some(Operation::Restoring)));
    assert_eq!(*held, f.reload(session.id).await);
    assert_eq!(data(&event), &json!({ "what": "restore_opened", "archive_id": from }));
    assert_eq!(hold(&f, session.id, from).await, RestoreOpened::Open(held.clone()));
    assert_eq!(f.store.open_restores(f.home, 10).await.unwrap(), [*held]);
    let moved =
        f.store.move_to(session.id, Generation::FIRST, SessionStatus::Active, f.tick()).await.unwrap();
    assert_eq!(moved, Moved::Held(Operation::Restoring));
    // What is needed just now does not expire.
    assert_eq!(f.store.expire_archive(from, f.tick()).await.unwrap(), None);

    let (restored, events) = f
        .store
        .finish_restore(session.id, from, Generation::FIRST, Some("/elsewhere"), f.tick())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(restored.spec.working_directory, "/elsewhere");
    assert_eq!(restored, f.reload(session.id).await);
    assert_eq!((restored.status, restored.operation), (SessionStatus::Active, None));
    assert_eq!(restored.archive_id, Some(from));
    assert_eq!(data(&events[0]), &json!({ "what": "restored", "archive_id": from }));
    assert_eq!(data(&events[1]), &json!({ "from": "archived", "to": "active" }));
    assert_eq!(
        f.store.finish_restore(session.id, from, Generation::FIRST, None, f.tick()).await.unwrap(),
        None
    );
    assert_eq!(
        f.store.fail_restore(session.id, from, Generation::FIRST, "late", f.tick()).await.unwrap(),
        None
    );
    assert_eq!(f.store.open_restores(f.home, 10).await.unwrap(), []);
    let begun = f.store.begin(&f.prompt(session.id), SessionStatus::Processing, f.home).await.unwrap();
    assert!(matches!(begun, Begin::Begun(_)), "{begun:?}");
}

pub async fn a_restore_that_failed_leaves_the_session_as_it_was<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let from = archive(&f, &session).await.id;
    hold(&f, session.id, from).await;
    let event = f
        .store
        .fail_restore(session.id, from, Generation::FIRST, "it is gone", f.tick())
        .await
        .unwrap()
        .unwrap();
    let told = json!({ "what": "restore_failed", "archive_id": from, "error_message": "it is gone" });
    assert_eq!(data(&event), &told);
    let let_go = f.reload(session.id).await;
    assert_eq!((let_go.status, let_go.operation), (SessionStatus::Archived, None));
    assert!(matches!(hold(&f, session.id, from).await, RestoreOpened::Opened(..)));
}

pub async fn a_session_is_restored_from_its_own_archive_and_at_rest<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let from = archive(&f, &session).await.id;
    let other = archive(&f, &f.session().await).await.id;
    assert_eq!(hold(&f, session.id, other).await, RestoreOpened::NoArchive);
    assert_eq!(hold(&f, session.id, ArchiveId::new()).await, RestoreOpened::NoArchive);
    assert_eq!(hold(&f, SessionId::new(), from).await, RestoreOpened::NoSession);
    hold(&f, session.id, from).await;
    f.store.finish_restore(session.id, from, Generation::FIRST, None, f.tick()).await.unwrap().unwrap();

    // What it had on disk was lost while it was paused: it is paused afterwards, too.
    f.store.move_to(session.id, Generation::FIRST, SessionStatus::Paused, f.tick()).await.unwrap();
    assert!(matches!(hold(&f, session.id, from).await, RestoreOpened::Opened(..)));
    let (restored, events) =
        f.store.finish_restore(session.id, from, Generation::FIRST, None, f.tick()).await.unwrap().unwrap();
    assert_eq!((restored.status, events.len()), (SessionStatus::Paused, 1));

    f.store.move_to(session.id, Generation::FIRST, SessionStatus::Active, f.tick()).await.unwrap();
    let begun = f.begin(session.id).await;
    assert_eq!(hold(&f, session.id, from).await, RestoreOpened::Refused(SessionStatus::Processing));
    f.store.end(begun.turn_id, Generation::FIRST, &f.well()).await.unwrap();
    let session = f.reload(session.id).await;
    let second = claim(&f, &session).await;
    assert_eq!(hold(&f, session.id, from).await, RestoreOpened::Held(Operation::Archiving));
    f.store.fail_archive(&second, "no", f.tick()).await.unwrap();
    f.store.move_to(session.id, Generation::FIRST, SessionStatus::Terminated, f.tick()).await.unwrap();
    assert_eq!(hold(&f, session.id, from).await, RestoreOpened::Refused(SessionStatus::Terminated));
}

pub async fn a_second_archive_takes_the_place_of_the_first<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let first = archive(&f, &session).await;
    hold(&f, session.id, first.id).await;
    f.store.finish_restore(session.id, first.id, Generation::FIRST, None, f.tick()).await.unwrap().unwrap();
    let claimed = claim(&f, &session).await;
    let known = f.store.archive(first.id).await.unwrap().unwrap();
    assert!(known.is_restorable(), "the first is there until the second is");
    f.store.complete_archive(&claimed, &content(), f.tick()).await.unwrap().unwrap();
    assert!(!f.store.archive(first.id).await.unwrap().unwrap().is_restorable());
    assert_eq!(f.reload(session.id).await.archive_id, Some(claimed.id));
    assert_eq!(hold(&f, session.id, first.id).await, RestoreOpened::NoArchive);
    let object = ArchiveObject { archive: first.id, place: first.place, keys: first.keys() };
    assert_eq!(f.store.objects_to_delete(f.home, None, 10).await.unwrap(), [object]);
}

pub async fn an_archive_that_expires_takes_along_the_session_that_had_nothing_else<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (archived, restored) = (f.session().await, f.session().await);
    let first = archive(&f, &archived).await;
    let second = archive(&f, &restored).await;
    hold(&f, restored.id, second.id).await;
    f.store.finish_restore(restored.id, second.id, Generation::FIRST, None, f.tick()).await.unwrap().unwrap();

    let between = first.archived_at.unwrap();
    assert_eq!(f.store.expired_archives(between, 10).await.unwrap(), std::slice::from_ref(&first));
    let events = f.store.expire_archive(first.id, f.tick()).await.unwrap().unwrap();
    assert_eq!(data(&events[0]), &json!({ "what": "archive_expired", "archive_id": first.id }));
    assert_eq!(data(&events[1]), &json!({ "from": "archived", "to": "terminated" }));
    let ended = f.reload(archived.id).await;
    assert_eq!((ended.status, ended.archive_id), (SessionStatus::Terminated, None));
    assert_eq!(f.store.expire_archive(first.id, f.tick()).await.unwrap(), None);
    let removed = f.store.latest_archive(archived.id).await.unwrap().unwrap();
    assert!(removed.removed_at.is_some());

    assert_eq!(f.store.expired_archives(f.tick(), 10).await.unwrap().len(), 1);
    let events = f.store.expire_archive(second.id, f.tick()).await.unwrap().unwrap();
    assert_eq!(events.len(), 1);
    let goes_on = f.reload(restored.id).await;
    assert_eq!((goes_on.status, goes_on.archive_id), (SessionStatus::Active, None));
    assert_eq!(f.store.expired_archives(f.tick(), 10).await.unwrap(), []);
}

pub async fn sessions_in_which_nothing_happens_are_found<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let idle = f.session().await;
    let (terminated, waiting, held, busy) =
        (f.session().await, f.session().await, f.session().await, f.session().await);
    f.store.move_to(terminated.id, Generation::FIRST, SessionStatus::Terminated, f.tick()).await.unwrap();
    queued(&f, &f.prompt(waiting.id)).await;
    open(&f, &held).await;
    f.begin(busy.id).await;
    archive(&f, &f.session().await).await;
    let before = f.tick();
    let later = f.session().await;
    let ids = |sessions: Vec<Session>| sessions.into_iter().map(|session| session.id).collect::<Vec<_>>();
    assert_eq!(ids(f.store.idle_sessions(f.home, before, 10).await.unwrap()), [idle.id]);
    let after = f.tick();
    assert_eq!(ids(f.store.idle_sessions(f.home, after, 10).await.unwrap()), [idle.id, later.id]);
    assert_eq!(ids(f.store.idle_sessions(f.home, after, 1).await.unwrap()), [idle.id]);
}

pub async fn what_archives_leave_over_is_found_until_it_is_gone<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    assert_eq!(f.store.local_archive_bytes(f.home).await.unwrap(), 0);
    let (given_up, archived) = (f.session().await, f.session().await);
    let failed = claim(&f, &given_up).await;
    assert_eq!(f.store.objects_to_delete(f.home, None, 10).await.unwrap(), [], "it is being stored");
    f.store.fail_archive(&failed, "no", f.tick()).await.unwrap().unwrap();
    let object = ArchiveObject { archive: failed.id, place: failed.place, keys: failed.keys() };
    assert_eq!(f.store.objects_to_delete(f.home, None, 10).await.unwrap(), [object]);
    assert_eq!(f.store.objects_to_delete(f.home, Some(failed.id), 10).await.unwrap(), [], "after the last");
    f.store.object_deleted(failed.id).await.unwrap();
    assert_eq!(f.store.objects_to_delete(f.home, None, 10).await.unwrap(), []);

    let kept = archive(&f, &archived).await;
    assert_eq!(f.store.objects_to_delete(f.home, None, 10).await.unwrap(), []);
    assert_eq!(f.store.local_archive_bytes(f.home).await.unwrap(), content().size_bytes);
    let unclean = f.store.sessions_to_clean(f.home, 10).await.unwrap();
    assert_eq!(unclean, [f.reload(archived.id).await]);
    f.store.session_cleaned(kept.id).await.unwrap();
    assert_eq!(f.store.sessions_to_clean(f.home, 10).await.unwrap(), []);
    f.store.expire_archive(kept.id, f.tick()).await.unwrap().unwrap();
    f.store.object_deleted(kept.id).await.unwrap();
    assert_eq!(f.store.local_archive_bytes(f.home).await.unwrap(), 0);
}

pub async fn the_life_of_an_archive_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let before = log(&f.store).await.len();
    let failed = claim(&f, &session).await;
    f.store.fail_archive(&failed, "not a word of this", f.tick()).await.unwrap().unwrap();
    let kept = archive(&f, &session).await;
    hold(&f, session.id, kept.id).await;
    f.store.finish_restore(session.id, kept.id, Generation::FIRST, None, f.tick()).await.unwrap().unwrap();
    f.store.expire_archive(kept.id, f.tick()).await.unwrap().unwrap();
    let entries = log(&f.store).await.split_off(before);
    let actions: Vec<_> = entries.iter().map(|entry| entry.event.action.as_ref()).collect();
    assert_eq!(
        actions,
        [
            "archive.requested",
            "archive.failed",
            "archive.requested",
            "archive.completed",
            "session.restore_requested",
            "session.restored",
            "archive.expired",
        ]
    );
    assert!(entries.iter().all(|entry| entry.event.session_id == Some(session.id)));
    assert!(!format!("{entries:?}").contains("not a word"));
}
