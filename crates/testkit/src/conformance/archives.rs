//! Archives: one at a time, under one attempt at a time, and nothing else meanwhile.

use super::{
    AnyStore, Fixture,
    fixture::{data, kinds},
};
use domain::{
    Archive, ArchivePlace, ArchiveStatus, Compression, EventKind, Generation, Operation, Origin, Session,
    SessionId, SessionStatus,
    archive::ArchiveContent,
    ports::{ArchiveOpened, Moved},
    turn::Begin,
};
use futures::future::join_all;
use jiff::SignedDuration;
use serde_json::json;

/// Asks for an archive, which must be opened.
pub(super) async fn open<S: AnyStore>(f: &Fixture<S>, session: &Session) -> Archive {
    let archive = Archive::pending(session, ArchivePlace::Local, Compression::Zstd, f.tick());
    match f.store.open_archive(&archive, &Origin::system()).await.unwrap() {
        ArchiveOpened::Opened(archive, _) => *archive,
        other => panic!("the archive was not opened: {other:?}"),
    }
}

/// Asks for an archive and begins with it.
pub(super) async fn claim<S: AnyStore>(f: &Fixture<S>, session: &Session) -> Archive {
    let archive = open(f, session).await;
    f.store.claim_archive(&archive, f.home, f.tick()).await.unwrap().unwrap()
}

/// Archives the session.
pub(super) async fn archive<S: AnyStore>(f: &Fixture<S>, session: &Session) -> Archive {
    let claimed = claim(f, session).await;
    f.store.complete_archive(&claimed, &content(), f.tick()).await.unwrap().unwrap().0
}

pub(super) fn content() -> ArchiveContent {
    ArchiveContent {
        size_bytes: 4096,
        sha256: [7; 32],
        manifest_sha256: [8; 32],
        file_count: 3,
        unpacked_bytes: 12_000,
        excluded_count: 1,
    }
}

pub async fn an_archive_holds_its_session_until_it_is_completed<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let turn = f.begin(session.id).await;
    f.store.end(turn.turn_id, Generation::FIRST, &f.well()).await.unwrap();
    let before = f.reload(session.id).await;
    let archive = open(&f, &session).await;
    assert_eq!((archive.status, archive.at_message, archive.attempt), (ArchiveStatus::Pending, 1, 0));
    assert!(archive.key.ends_with(&format!("{}/{}.tar.zst", session.id, archive.id)), "{}", archive.key);

    let held = f.reload(session.id).await;
    assert_eq!((held.status, held.archive_id), (before.status, None));
    assert_eq!(held.operation, Some(Operation::Archiving));
    let begun = f.store.begin(&f.prompt(session.id), SessionStatus::Processing, f.home).await.unwrap();
    assert_eq!(begun, Begin::Held(Operation::Archiving));
    for status in [SessionStatus::Paused, SessionStatus::Terminated] {
        let moved = f.store.move_to(session.id, Generation::FIRST, status, f.tick()).await.unwrap();
        assert_eq!(moved, Moved::Held(Operation::Archiving));
    }
    f.store.enqueue(&f.prompt(session.id), 3).await.unwrap().unwrap();
    assert_eq!(f.store.sessions_with_queue(f.home).await.unwrap(), []);
    let begun = f.store.begin_queued(session.id, SessionStatus::Processing, f.tick(), f.home).await.unwrap();
    assert_eq!(begun, Some(Begin::Held(Operation::Archiving)));

    let claimed = f.store.claim_archive(&archive, f.home, f.tick()).await.unwrap().unwrap();
    let at = f.tick();
    let (completed, event) = f.store.complete_archive(&claimed, &content(), at).await.unwrap().unwrap();
    assert_eq!(completed.status, ArchiveStatus::Completed);
    assert_eq!((&completed.content, completed.archived_at), (&Some(content()), Some(at)));
    assert_eq!(f.store.archive(archive.id).await.unwrap(), Some(completed.clone()));
    assert_eq!(f.store.latest_archive(session.id).await.unwrap(), Some(completed));
    assert_eq!(event.kind, EventKind::StatusChange);
    assert_eq!(data(&event), &json!({ "from": "active", "to": "archived" }));
    let archived = f.reload(session.id).await;
    assert_eq!((archived.status, archived.operation), (SessionStatus::Archived, None));
    assert_eq!(archived.archive_id, Some(archive.id));
    let journal = f.journal(session.id).await;
    let kinds = kinds(&journal);
    assert_eq!(kinds[kinds.len() - 3..], ["notice", "notice", "status_change"]);
    let opened = data(&journal[journal.len() - 3]);
    assert_eq!(opened, &json!({ "what": "archive_opened", "archive_id": archive.id }));
}

pub async fn of_many_archives_asked_for_at_once_one_is_opened<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let asked: Vec<Archive> =
        (0..8).map(|_| Archive::pending(&session, ArchivePlace::S3, Compression::Gzip, f.tick())).collect();
    let origin = Origin::system();
    let outcomes = join_all(asked.iter().map(|archive| f.store.open_archive(archive, &origin))).await;
    let (mut opened, mut found) = (vec![], vec![]);
    for outcome in outcomes {
        match outcome.unwrap() {
            ArchiveOpened::Opened(archive, _) => opened.push(archive.id),
            ArchiveOpened::Open(archive) => found.push(archive.id),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(opened.len(), 1);
    assert_eq!(found, vec![opened[0]; 7], "everybody is told of the one that is open");
    assert_eq!(f.journal(session.id).await.len(), 1);
}

pub async fn only_a_session_at_rest_is_archived<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let asked = async |session: &Session| {
        let archive = Archive::pending(session, ArchivePlace::Local, Compression::None, f.tick());
        f.store.open_archive(&archive, &Origin::system()).await.unwrap()
    };
    let session = f.session().await;
    f.begin(session.id).await;
    assert_eq!(asked(&session).await, ArchiveOpened::Refused(SessionStatus::Processing));
    // Paused while its turn runs on.
    f.store.move_to(session.id, Generation::FIRST, SessionStatus::Paused, f.tick()).await.unwrap();
    assert_eq!(asked(&session).await, ArchiveOpened::Refused(SessionStatus::Paused));
    let archived = f.session().await;
    archive(&f, &archived).await;
    assert_eq!(asked(&archived).await, ArchiveOpened::Refused(SessionStatus::Archived));
    let nobodys = Session { id: SessionId::new(), ..session };
    assert_eq!(asked(&nobodys).await, ArchiveOpened::NoSession);
    for status in [SessionStatus::Paused, SessionStatus::Failed, SessionStatus::Terminated] {
        let session = f.session().await;
        f.store.move_to(session.id, Generation::FIRST, status, f.tick()).await.unwrap();
        assert!(matches!(asked(&session).await, ArchiveOpened::Opened(..)), "{status:?}");
    }
}

pub async fn an_attempt_is_claimed_once_and_a_later_one_voids_it<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let archive = open(&f, &session).await;
    let at = f.tick();
    let claims = join_all((0..8).map(|_| f.store.claim_archive(&archive, f.home, at))).await;
    let claims: Vec<Archive> = claims.into_iter().filter_map(Result::unwrap).collect();
    let [first] = claims.as_slice() else { panic!("{claims:?}") };
    assert_eq!((first.status, first.attempt), (ArchiveStatus::InProgress, 1));

    // Taken for lost: whoever began it died, or so it seems.
    let found = f.store.open_archives(f.home, f.tick(), 10).await.unwrap();
    assert_eq!(found, std::slice::from_ref(first));
    let second = f.store.claim_archive(first, f.home, f.tick()).await.unwrap().unwrap();
    assert_eq!(second.attempt, 2);
    assert_eq!(f.store.complete_archive(first, &content(), f.tick()).await.unwrap(), None);
    assert_eq!(f.store.fail_archive(first, "too late", f.tick()).await.unwrap(), None);
    assert!(!f.store.postpone_archive(first, "too late", f.tick(), f.tick()).await.unwrap());
    assert_eq!(f.reload(session.id).await.operation, Some(Operation::Archiving));

    assert!(f.store.complete_archive(&second, &content(), f.tick()).await.unwrap().is_some());
    assert_eq!(f.store.complete_archive(&second, &content(), f.tick()).await.unwrap(), None);
    assert_eq!(f.store.claim_archive(&second, f.home, f.tick()).await.unwrap(), None);
    assert_eq!(f.store.open_archives(f.home, f.tick(), 10).await.unwrap(), []);
}

pub async fn an_attempt_that_is_put_off_is_due_again_later<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let claimed = claim(&f, &session).await;
    let now = f.tick();
    let due_at = now + SignedDuration::from_mins(5);
    assert!(f.store.postpone_archive(&claimed, "the store is down", due_at, now).await.unwrap());
    let archive = f.store.latest_archive(session.id).await.unwrap().unwrap();
    assert_eq!((archive.status, archive.due_at, archive.attempt), (ArchiveStatus::Pending, due_at, 1));
    assert_eq!(archive.error_message.as_deref(), Some("the store is down"));
    assert_eq!(f.reload(session.id).await.operation, Some(Operation::Archiving));
    assert_eq!(f.store.open_archives(f.home, now, 10).await.unwrap(), []);
    assert_eq!(f.store.open_archives(f.home, due_at, 10).await.unwrap(), std::slice::from_ref(&archive));
    let claimed = f.store.claim_archive(&archive, f.home, due_at).await.unwrap().unwrap();
    assert_eq!(claimed.attempt, 2);
    let (completed, _) = f.store.complete_archive(&claimed, &content(), due_at).await.unwrap().unwrap();
    assert_eq!(completed.error_message, None);
}

pub async fn an_archive_that_is_given_up_lets_its_session_go<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    f.store.move_to(session.id, Generation::FIRST, SessionStatus::Paused, f.tick()).await.unwrap();
    let claimed = claim(&f, &session).await;
    let (failed, event) = f.store.fail_archive(&claimed, "too large", f.tick()).await.unwrap().unwrap();
    assert_eq!((failed.status, failed.error_message.as_deref()), (ArchiveStatus::Failed, Some("too large")));
    let told = json!({ "what": "archive_failed", "archive_id": claimed.id, "error_message": "too large" });
    assert_eq!(data(&event), &told);
    let let_go = f.reload(session.id).await;
    assert_eq!((let_go.status, let_go.operation, let_go.archive_id), (SessionStatus::Paused, None, None));
    f.store.move_to(session.id, Generation::FIRST, SessionStatus::Active, f.tick()).await.unwrap();
    let begun = f.store.begin(&f.prompt(session.id), SessionStatus::Processing, f.home).await.unwrap();
    assert!(matches!(begun, Begin::Begun(_)), "{begun:?}");
}
