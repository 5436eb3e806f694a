//! Units keep their promise however their statements travel, and whoever goes away in the middle.

use super::Batch;
use crate::{
    Database, DatabaseOptions, Store,
    entity::user::{self, Column as C},
};
use domain::{
    NewUser, ServerId, UserId,
    ports::{Accounts, Servers, StoreError},
};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor, PgConnection};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, LockType},
};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use testkit::{PostgresDatabase, TestClock, conformance::Fixture};

const BOTH: [Way; 2] = [Way::Sqlite, Way::Stepwise];

/// How statements travel, which is to say: on which database.
#[derive(Debug, Clone, Copy)]
enum Way {
    Sqlite,
    Stepwise,
}

/// A database, the store whose units are tried, another one as a second process has it, and one user, named "Ada".
struct World {
    store: Store,
    stranger: Store,
    ada: NewUser,
    _place: (Option<TempDir>, Option<PostgresDatabase>),
}

impl Way {
    async fn world(self) -> World {
        let (url, place) = match self {
            Self::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                (format!("sqlite://{}/steward.db", folder.path().display()), (Some(folder), None))
            }
            Self::Stepwise => {
                let own = PostgresDatabase::create().await;
                (own.url().to_owned(), (None, Some(own)))
            }
        };
        let open = async || {
            let options = DatabaseOptions::new(url.clone());
            Database::open(&options, migration::up).await.unwrap().store()
        };
        let (store, stranger) = (open().await, open().await);
        let user = Fixture::new(store.clone()).await.user;
        store.write_whole(renaming(&store, "Ada")).await.unwrap();
        World { store, stranger, ada: NewUser { user, password_hash: "x".into() }, _place: place }
    }
}

impl World {
    /// Another process finds whatever a unit held free.
    async fn is_free(&self) {
        let (_, unit) = self.stranger.open(locking(&self.stranger)).await.unwrap();
        unit.commit(self.stranger.batch()).await.unwrap();
    }
}

fn locking(store: &Store) -> Batch {
    let mut reads = store.batch();
    reads.select(user::Entity::find().lock(LockType::NoKeyUpdate));
    reads
}

fn renaming(store: &Store, name: &str) -> Batch {
    let mut writes = store.batch();
    writes.run(user::Entity::update_many().col_expr(C::FullName, Expr::value(name)));
    writes
}

async fn names(store: &Store) -> Vec<String> {
    let rows = user::Entity::find().order_by_asc(C::Id).all(&store.read).await.unwrap();
    rows.into_iter().filter_map(|row| row.full_name).collect()
}

#[tokio::test]
async fn every_statement_has_its_own_answer() {
    for way in BOTH {
        let w = way.world().await;
        let store = &w.store;
        let mut reads = store.batch();
        let nobody = reads.select(user::Entity::find().filter(C::FullName.eq("Bob")));
        let somebody = reads.select(user::Entity::find().filter(C::FullName.eq("Ada")));
        let everybody = reads.select(user::Entity::find());
        let (mut read, unit) = store.open(reads).await.unwrap();
        assert_eq!(read.first(nobody).unwrap(), None, "{way:?}");
        assert_eq!(read.first(somebody).unwrap().unwrap().full_name.as_deref(), Some("Ada"), "{way:?}");
        assert_eq!(read.all(everybody).unwrap().len(), 1, "{way:?}");

        let mut writes = renaming(store, "Bob");
        let before = writes.select(user::Entity::find().filter(C::FullName.eq("Bob")));
        let after = writes.update_returning(
            user::Entity::update_many()
                .col_expr(C::FullName, Expr::value("Cyd"))
                .filter(C::FullName.eq("Bob")),
        );
        let mut written = unit.commit(writes).await.unwrap();
        assert_eq!(written.first(before).unwrap().unwrap().full_name.as_deref(), Some("Bob"), "{way:?}");
        assert_eq!(written.first(after).unwrap().unwrap().full_name.as_deref(), Some("Cyd"), "{way:?}");
        assert_eq!(names(store).await, ["Cyd"], "{way:?}");
    }
}

#[tokio::test]
async fn a_lease_waits_for_one_unit_and_not_for_those_behind_it() {
    let w = Way::Sqlite.world().await;
    let (store, first) = (&w.store, Mutex::new(None));
    let (_, unit) = store.open(locking(store)).await.unwrap();
    let write = async |name| {
        store.write_whole(renaming(store, name)).await.unwrap();
        first.lock().unwrap().get_or_insert(name);
    };
    let lease = async {
        store.renew(ServerId::new(), Duration::from_secs(60)).await.unwrap();
        first.lock().unwrap().get_or_insert("the lease");
    };
    let end = async { drop(unit) };
    tokio::join!(write("one"), write("two"), lease, end);
    assert_eq!(*first.lock().unwrap(), Some("the lease"));
    assert_eq!(names(store).await, ["two"], "and those behind it in their order");
}

#[tokio::test]
async fn a_unit_that_is_not_committed_leaves_nothing_behind() {
    for way in BOTH {
        let w = way.world().await;
        let store = &w.store;
        let (_, unit) = store.open(renaming(store, "Bob")).await.unwrap();
        drop(unit);
        // Though nobody has used this connection again.
        w.is_free().await;
        let (_, unit) = store.open(store.batch()).await.unwrap();
        unit.commit(store.batch()).await.unwrap();
        assert_eq!(names(store).await, ["Ada"], "{way:?}");
    }
}

#[tokio::test]
async fn a_unit_that_fails_in_the_middle_leaves_nothing_behind() {
    for way in BOTH {
        let w = way.world().await;
        let (store, ada) = (&w.store, &w.ada);
        let (_, unit) = store.open(store.batch()).await.unwrap();
        let mut writes = renaming(store, "Bob");
        writes.insert::<user::ActiveModel>(user::Model::from(ada).into());
        let failed = unit.commit(writes).await;
        assert!(matches!(failed, Err(StoreError::Conflict { .. })), "{way:?}: {failed:?}");
        w.is_free().await;
        assert_eq!(names(store).await, ["Ada"], "{way:?}");
        store.write_whole(renaming(store, "Cyd")).await.unwrap();
        assert_eq!(names(store).await, ["Cyd"], "{way:?}");
    }
}

#[tokio::test]
async fn a_unit_whose_caller_goes_away_at_any_moment_happens_whole_or_not_at_all() {
    for way in BOTH {
        let w = way.world().await;
        let store = &w.store;
        let mut cut_off = 0;
        for polls in 0..40 {
            let name = format!("Bob {polls}");
            let work = async {
                let (_, unit) = store.open(renaming(store, "half")).await?;
                unit.commit(renaming(store, &name)).await
            };
            let mut work = Box::pin(work);
            let mut is_done = false;
            for _ in 0..polls {
                if futures::poll!(work.as_mut()).is_ready() {
                    is_done = true;
                    break;
                }
                tokio::task::yield_now().await;
            }
            cut_off += usize::from(!is_done);
            drop(work);
            // Waits for the connection or the row, so whatever was under way is over.
            let (_, unit) = store.open(locking(store)).await.unwrap();
            assert_ne!(names(store).await, ["half"], "{way:?}");
            unit.commit(store.batch()).await.unwrap();
            if is_done {
                assert_eq!(names(store).await, [name], "{way:?}");
            }
        }
        assert!(cut_off > 0, "{way:?}: nobody ever went away, so this showed nothing");
        assert!(store.any_user().await.unwrap());
    }
}

/// On one thread: whoever slept on it would sleep until the patience is over.
#[tokio::test]
async fn nobody_is_kept_from_working_while_another_process_has_the_file() {
    let w = Way::Sqlite.world().await;
    for is_quick in [true, false] {
        let (_, theirs) = w.stranger.open(locking(&w.stranger)).await.unwrap();
        let began = Instant::now();
        let ours = async {
            let mut reads = locking(&w.store);
            reads.is_quick = is_quick;
            let (_, unit) = w.store.open(reads).await.unwrap();
            unit.commit(renaming(&w.store, "ours")).await.unwrap();
        };
        let theirs = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(began.elapsed() < DatabaseOptions::new("").busy_timeout, "quick: {is_quick}");
            theirs.commit(renaming(&w.stranger, "theirs")).await.unwrap();
        };
        futures::future::join(ours, theirs).await;
        assert_eq!(names(&w.store).await, ["ours"], "quick: {is_quick}");
    }
}

/// The only thread for what may take long is taken, so that nothing but what runs on the spot comes to an end.
#[test]
fn what_is_quick_runs_on_the_spot_and_nothing_else_does() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let w = Way::Sqlite.world().await;
        let long = "x".repeat(1024 * 1024);
        for (name, is_quick, is_on_the_spot) in
            [("quick", true, true), ("slow", false, false), (long.as_str(), true, false)]
        {
            let (release, released) = std::sync::mpsc::channel::<()>();
            let taken = tokio::task::spawn_blocking(move || released.recv().unwrap());
            let mut writes = renaming(&w.store, name);
            writes.is_quick = is_quick;
            let mut writing = Box::pin(w.store.write_whole(writes));
            let mut is_done = false;
            for _ in 0..100 {
                is_done = is_done || futures::poll!(writing.as_mut()).is_ready();
                tokio::task::yield_now().await;
            }
            assert_eq!(is_done, is_on_the_spot, "{} bytes", name.len());
            release.send(()).unwrap();
            taken.await.unwrap();
            if !is_done {
                writing.await.unwrap();
            }
            let row = user::Entity::find().one(&w.store.read).await.unwrap().unwrap();
            assert_eq!(row.full_name.as_deref(), Some(name));
        }
    });
}

/// The unit and a stranger each have what the other wants. The unit looks first what keeps it, so it is rolled back.
#[tokio::test]
async fn a_whole_unit_that_fell_to_a_deadlock_is_done_again() {
    let w = Way::Stepwise.world().await;
    let bob = Fixture {
        home: domain::ServerId::new(),
        store: w.store.clone(),
        user: w.ada.user.clone(),
        clock: TestClock::default(),
    };
    let bob = bob.another_user("bob").await;
    let rename = |writes: &mut Batch, id: UserId, name: &str| {
        let update = user::Entity::update_many().col_expr(C::FullName, Expr::value(name));
        writes.run(update.filter(C::Id.eq(id.0)));
    };
    let url = w._place.1.as_ref().unwrap().url();
    let mut stranger = PgConnection::connect(url).await.unwrap();
    let theirs = format!(
        "SET deadlock_timeout = '1h'; BEGIN; UPDATE users SET full_name = 'theirs' WHERE id = '{}'",
        bob.id
    );
    stranger.execute(AssertSqlSafe(theirs)).await.unwrap();

    let mut writes = w.store.batch();
    rename(&mut writes, w.ada.user.id, "ours");
    rename(&mut writes, bob.id, "ours");
    let ours = w.store.write_whole(writes);
    let theirs = async {
        let mut looking = PgConnection::connect(url).await.unwrap();
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut looking).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        let want = format!("UPDATE users SET full_name = 'theirs' WHERE id = '{}'; COMMIT", w.ada.user.id);
        stranger.execute(AssertSqlSafe(want)).await.unwrap();
    };
    let (ours, ()) = futures::future::join(ours, theirs).await;
    ours.unwrap();
    assert_eq!(names(&w.store).await, ["ours", "ours"]);
}
