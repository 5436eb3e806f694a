//! Archives where there are several servers: who has a session's files packs and removes them, and whoever restores a
//! session is its home.

use super::{
    AnyStore, Fixture,
    archives::{archive, claim, content, open},
};
use domain::{
    Archive, ArchivePlace, Compression, Generation, Origin, ServerId, Session, SessionId, SessionStatus,
    ports::{ArchiveObject, RestoreOpened, StoreError},
};
use std::time::Duration;

/// Longer than any test.
const LEASE: Duration = Duration::from_secs(600);

/// A session of the fixture's server, which lives.
async fn at_home<S: AnyStore>(f: &Fixture<S>) -> Session {
    f.store.renew(f.home, LEASE).await.unwrap();
    let session = f.session().await;
    let turn = f.begin(session.id).await.turn_id;
    f.store.end(turn, Generation::FIRST, &f.well()).await.unwrap();
    f.reload(session.id).await
}

async fn restore<S: AnyStore>(
    f: &Fixture<S>,
    session: SessionId,
    from: &Archive,
    at: ServerId,
) -> RestoreOpened {
    f.store.open_restore(session, from.id, at, f.tick(), &Origin::system()).await.unwrap()
}

pub async fn a_session_is_packed_by_its_home_or_by_anybody<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, other) = (at_home(&f).await, ServerId::new());
    let idle = async |server| {
        let idle = f.store.idle_sessions(server, f.tick(), 10).await.unwrap();
        idle.into_iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!((idle(f.home).await, idle(other).await), (vec![session.id], vec![]));
    let archive = open(&f, &session).await;
    assert_eq!(f.store.open_archives(other, f.tick(), 10).await.unwrap(), []);
    assert_eq!(f.store.claim_archive(&archive, other, f.tick()).await.unwrap(), None);
    assert_eq!(f.store.open_archives(f.home, f.tick(), 10).await.unwrap(), std::slice::from_ref(&archive));
    let claimed = f.store.claim_archive(&archive, f.home, f.tick()).await.unwrap().unwrap();
    assert_eq!(claimed.server_id, Some(f.home));
    assert_eq!(f.store.archive(archive.id).await.unwrap(), Some(claimed.clone()));

    f.store.resign(f.home).await.unwrap();
    assert_eq!(f.store.open_archives(other, f.tick(), 10).await.unwrap(), std::slice::from_ref(&claimed));
    let taken = f.store.claim_archive(&claimed, other, f.tick()).await.unwrap().unwrap();
    assert_eq!((taken.server_id, taken.attempt), (Some(other), 2));
    f.store.fail_archive(&taken, "not here", f.tick()).await.unwrap().unwrap();
    assert_eq!(idle(other).await, [session.id]);
}

pub async fn of_those_that_a_home_leaves_behind_one_packs<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, one, two) = (at_home(&f).await, ServerId::new(), ServerId::new());
    let found = async |server| f.store.open_archives(server, f.tick(), 10).await.unwrap();
    for server in [one, two] {
        f.store.renew(server, LEASE).await.unwrap();
    }
    let archive = open(&f, &session).await;
    f.store.resign(f.home).await.unwrap();
    assert_eq!((found(one).await, found(two).await), (vec![archive.clone()], vec![archive.clone()]));
    let first = f.store.claim_archive(&archive, one, f.tick()).await.unwrap().unwrap();
    assert_eq!(found(two).await, [], "it is at work");
    assert_eq!(f.store.claim_archive(&first, two, f.tick()).await.unwrap(), None);
    // Its own next attempt.
    assert_eq!(found(one).await, std::slice::from_ref(&first));
    let second = f.store.claim_archive(&first, one, f.tick()).await.unwrap().unwrap();

    // One that waits is anybody's, and one whose server is gone is too.
    let due_at = f.tick();
    assert!(f.store.postpone_archive(&second, "down", due_at, due_at).await.unwrap());
    let [waits] = &found(two).await[..] else { panic!("it is not found") };
    let third = f.store.claim_archive(waits, one, f.tick()).await.unwrap().unwrap();
    assert_eq!(found(two).await, []);
    f.store.resign(one).await.unwrap();
    assert_eq!(found(two).await, std::slice::from_ref(&third));
    let fourth = f.store.claim_archive(&third, two, f.tick()).await.unwrap().unwrap();

    // The home is back, and has the files.
    f.store.renew(f.home, LEASE).await.unwrap();
    assert_eq!((found(two).await, found(f.home).await), (vec![], vec![fourth.clone()]));
    assert!(f.store.claim_archive(&fourth, f.home, f.tick()).await.unwrap().is_some());
}

pub async fn whoever_restores_a_session_is_its_home<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, other) = (at_home(&f).await, ServerId::new());
    f.store.renew(other, LEASE).await.unwrap();
    let from = archive(&f, &session).await;
    // Its home lives and has nothing of it that would count.
    let RestoreOpened::Opened(held, _) = restore(&f, session.id, &from, other).await else {
        panic!("not held")
    };
    let (stale, present) = (Generation::FIRST, Generation::FIRST.next());
    assert_eq!((held.server_id, held.generation), (Some(other), present));
    assert_eq!(f.store.open_restores(f.home, 10).await.unwrap(), []);
    assert_eq!(f.store.open_restores(other, 10).await.unwrap(), [*held]);
    let late = f.store.finish_restore(session.id, from.id, stale, Some("/there"), f.tick()).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let late = f.store.fail_restore(session.id, from.id, stale, "late", f.tick()).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let restored = f.store.finish_restore(session.id, from.id, present, Some("/here"), f.tick()).await;
    let (restored, _) = restored.unwrap().unwrap();
    assert_eq!((restored.status, restored.server_id), (SessionStatus::Active, Some(other)));
    let whereabouts = &restored.spec.whereabouts;
    assert!(whereabouts.is_at(other) && !whereabouts.is_at(f.home));

    // It is at work there now, and what it has on disk is there.
    assert_eq!(restore(&f, session.id, &from, f.home).await, RestoreOpened::Elsewhere);
    f.store.resign(other).await.unwrap();
    let opened = restore(&f, session.id, &from, f.home).await;
    let RestoreOpened::Opened(held, _) = opened else { panic!("{opened:?}") };
    assert_eq!((held.server_id, held.generation), (Some(f.home), present.next()));
}

pub async fn what_is_on_another_servers_disk_is_left_to_it<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, other) = (at_home(&f).await, ServerId::new());
    let failed = claim(&f, &session).await;
    f.store.fail_archive(&failed, "no", f.tick()).await.unwrap().unwrap();
    let local = ArchiveObject { archive: failed.id, place: failed.place, keys: failed.keys() };
    let in_s3 = Archive::pending(&session, ArchivePlace::S3, Compression::Zstd, f.tick());
    f.store.open_archive(&in_s3, &Origin::system()).await.unwrap();
    let in_s3 = f.store.claim_archive(&in_s3, f.home, f.tick()).await.unwrap().unwrap();
    f.store.fail_archive(&in_s3, "no", f.tick()).await.unwrap().unwrap();
    let in_s3 = ArchiveObject { archive: in_s3.id, place: in_s3.place, keys: in_s3.keys() };
    assert_eq!(f.store.objects_to_delete(other, None, 10).await.unwrap(), std::slice::from_ref(&in_s3));
    let mut ours = f.store.objects_to_delete(f.home, None, 10).await.unwrap();
    let begin = f.store.objects_to_delete(f.home, None, 1).await.unwrap();
    assert_eq!(begin, ours[..1]);
    let rest = f.store.objects_to_delete(f.home, Some(ours[0].archive), 10).await.unwrap();
    assert_eq!(rest, ours[1..]);
    ours.sort_by_key(|object| object.place != ArchivePlace::Local);
    assert_eq!(ours, [local, in_s3]);

    archive(&f, &session).await;
    assert_eq!(f.store.local_archive_bytes(f.home).await.unwrap(), content().size_bytes);
    assert_eq!(f.store.local_archive_bytes(other).await.unwrap(), 0);
    // Also when it is gone: nobody else can say that nothing is left.
    f.store.resign(f.home).await.unwrap();
    assert_eq!(f.store.sessions_to_clean(other, 10).await.unwrap(), []);
    assert_eq!(f.store.sessions_to_clean(f.home, 10).await.unwrap(), [f.reload(session.id).await]);
}
