//! How much there is of everything.

use super::{AnyStore, Fixture, ledger::usage};
use domain::{MicroUsd, Origin, SessionStatus, ports::ServerStats};

pub async fn what_there_is_is_counted_and_what_came_today<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let gone = f.another_user("bob").await;
    let off = f.another_user("eve").await;
    f.store.erase_user(gone.id, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    let disabled = domain::UserPatch { is_active: Some(false), ..domain::UserPatch::default() };
    f.store.patch_user(off.id, &disabled, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();

    let old = f.session().await;
    f.store.settle(&usage(&f, old.id, None)).await.unwrap();
    let ended = f.session().await;
    f.store.terminate(ended.id, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    let since = f.tick();
    let running = f.session().await;
    let turn = f.begin(running.id).await.turn_id;
    assert_eq!(f.reload(running.id).await.status, SessionStatus::Processing);
    let spent = [usage(&f, running.id, Some(turn)), usage(&f, old.id, None)];
    for usage in &spent {
        f.store.settle(usage).await.unwrap();
    }
    let at = f.tick();
    let expected = ServerStats {
        users: 2,
        active_users: 1,
        sessions: 3,
        active_sessions: 1,
        running_sessions: 1,
        sessions_since: 1,
        requests_since: 2,
        cost_since: spent.iter().map(|usage| usage.cost).sum(),
        since,
        at,
    };
    assert_eq!(f.store.stats(since, at).await.unwrap(), expected);
    let later = f.store.stats(at, at).await.unwrap();
    assert_eq!((later.sessions_since, later.requests_since, later.cost_since), (0, 0, MicroUsd::ZERO));
}
