//! Units keep their promise however their statements travel, and whoever goes away in the middle.

use super::{Answers, Batch, Unit};
use crate::{
    Database, DatabaseOptions, Store,
    entity::user::{self, Column as C},
};
use domain::{
    NewUser,
    ports::{Accounts, StoreError, StoreResult},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::Expr};
use tempfile::TempDir;
use testkit::conformance::Fixture;

const BOTH: [Way; 2] = [Way::Joined, Way::Stepwise];

#[derive(Debug, Clone, Copy)]
enum Way {
    Joined,
    Stepwise,
}

impl Way {
    async fn open(self, store: &Store, reads: Batch) -> StoreResult<(Answers, Unit)> {
        match self {
            Self::Joined => store.open_joined(reads).await,
            Self::Stepwise => store.open_stepwise(reads).await,
        }
    }
}

/// A store with one user, named "Ada".
async fn world() -> (TempDir, Store, NewUser) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/steward.db", folder.path().display());
    let database = Database::open(&DatabaseOptions::new(url), migration::up).await.unwrap();
    let store = database.store();
    let user = Fixture::new(store.clone()).await.user;
    store.write_whole(renaming(&store, "Ada")).await.unwrap();
    (folder, store, NewUser { user, password_hash: "x".into() })
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
        let (_folder, store, _) = world().await;
        let mut reads = store.batch();
        let nobody = reads.select(user::Entity::find().filter(C::FullName.eq("Bob")));
        let somebody = reads.select(user::Entity::find().filter(C::FullName.eq("Ada")));
        let everybody = reads.select(user::Entity::find());
        let (mut read, unit) = way.open(&store, reads).await.unwrap();
        assert_eq!(read.first(nobody).unwrap(), None, "{way:?}");
        assert_eq!(read.first(somebody).unwrap().unwrap().full_name.as_deref(), Some("Ada"), "{way:?}");
        assert_eq!(read.all(everybody).unwrap().len(), 1, "{way:?}");

        let mut writes = renaming(&store, "Bob");
        let before = writes.select(user::Entity::find().filter(C::FullName.eq("Bob")));
        let after = writes.update_returning(
            user::Entity::update_many()
                .col_expr(C::FullName, Expr::value("Cyd"))
                .filter(C::FullName.eq("Bob")),
        );
        let mut written = unit.commit(writes).await.unwrap();
        assert_eq!(written.first(before).unwrap().unwrap().full_name.as_deref(), Some("Bob"), "{way:?}");
        assert_eq!(written.first(after).unwrap().unwrap().full_name.as_deref(), Some("Cyd"), "{way:?}");
        assert_eq!(names(&store).await, ["Cyd"], "{way:?}");
    }
}

#[tokio::test]
async fn a_unit_that_is_not_committed_leaves_nothing_behind() {
    for way in BOTH {
        let (_folder, store, _) = world().await;
        let (_, unit) = way.open(&store, renaming(&store, "Bob")).await.unwrap();
        drop(unit);
        // Another connection finds the file free, though nobody has used this one again.
        store.begin_writing().await.unwrap().commit().await.unwrap();
        let (_, unit) = way.open(&store, store.batch()).await.unwrap();
        unit.commit(store.batch()).await.unwrap();
        assert_eq!(names(&store).await, ["Ada"], "{way:?}");
    }
}

#[tokio::test]
async fn a_unit_that_fails_in_the_middle_leaves_nothing_behind() {
    for way in BOTH {
        let (_folder, store, ada) = world().await;
        let (_, unit) = way.open(&store, store.batch()).await.unwrap();
        let mut writes = renaming(&store, "Bob");
        writes.insert::<user::ActiveModel>(user::Model::from(&ada).into());
        let failed = unit.commit(writes).await;
        assert!(matches!(failed, Err(StoreError::Conflict { .. })), "{way:?}: {failed:?}");
        store.begin_writing().await.unwrap().commit().await.unwrap();
        assert_eq!(names(&store).await, ["Ada"], "{way:?}");
        store.write_whole(renaming(&store, "Cyd")).await.unwrap();
        assert_eq!(names(&store).await, ["Cyd"], "{way:?}");
    }
}

#[tokio::test]
async fn a_unit_whose_caller_goes_away_at_any_moment_happens_whole_or_not_at_all() {
    for way in BOTH {
        let (_folder, store, _) = world().await;
        let mut cut_off = 0;
        for polls in 0..40 {
            let name = format!("Bob {polls}");
            let work = async {
                let (_, unit) = way.open(&store, renaming(&store, "half")).await?;
                unit.commit(renaming(&store, &name)).await
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
            // Waits for the connection, so whatever was under way is over.
            let (_, unit) = way.open(&store, store.batch()).await.unwrap();
            assert_ne!(names(&store).await, ["half"], "{way:?}");
            unit.commit(store.batch()).await.unwrap();
            if is_done {
                assert_eq!(names(&store).await, [name], "{way:?}");
            }
        }
        assert!(cut_off > 0, "{way:?}: nobody ever went away, so this showed nothing");
        assert!(store.any_user().await.unwrap());
    }
}
