//! Custom policies and all their versions.

use super::{AnyStore, Fixture};
use domain::{
    CustomPolicy, Origin, PageRequest, PolicyContent,
    policy::{NewPolicyVersion, PolicyInForce, Revision},
    ports::StoreError,
};
use futures::future::join_all;

pub async fn a_policy_comes_back_as_it_was_stored<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let new = version(&f, "no-push", "forbid(é);\n");
    let stored = f.store.create_policy(&new, &Origin::system()).await.unwrap();
    let expected = CustomPolicy {
        id: stored.id,
        name: "no-push".into(),
        version: 1,
        content: new.content.clone(),
        changed_by: f.user.id,
        changed_at: new.at,
        created_at: new.at,
    };
    assert_eq!(stored, expected);
    assert_eq!(f.store.policy("no-push").await.unwrap(), Some(expected.clone()));
    assert_eq!(f.store.policy_version("no-push", 1).await.unwrap(), Some(expected));
    for other in ["No-push", "no-pus", "no-push ", "%"] {
        assert_eq!(f.store.policy(other).await.unwrap(), None, "{other}");
    }
    assert_eq!(f.store.policy_version("no-push", 2).await.unwrap(), None);

    match f.store.create_policy(&version(&f, "no-push", "other"), &Origin::system()).await {
        Err(StoreError::Conflict { what }) => assert_eq!(what, "a policy of this name"),
        other => panic!("stored a second policy of one name: {other:?}"),
    }
    assert_eq!(f.store.policy("no-push").await.unwrap().unwrap().content, new.content);
}

pub async fn a_policy_changes_only_from_its_newest_version<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let first = f.store.create_policy(&version(&f, "p", "one"), &Origin::system()).await.unwrap();
    let mut next = version(&f, "p", "two");
    next.content.is_mandatory = true;
    let Revision::Stored(second) = f.store.revise_policy(&next, 1, &Origin::system()).await.unwrap() else {
        panic!("the second version was not stored")
    };
    let expected =
        CustomPolicy { version: 2, content: next.content.clone(), changed_at: next.at, ..first.clone() };
    assert_eq!(*second, expected);
    assert_eq!(f.store.policy("p").await.unwrap(), Some(expected.clone()));
    assert_eq!(f.store.policy_version("p", 1).await.unwrap(), Some(first));

    let third = version(&f, "p", "three");
    for stale in [0, 1, 3] {
        assert_eq!(
            f.store.revise_policy(&third, stale, &Origin::system()).await.unwrap(),
            Revision::Stale(2)
        );
    }
    assert_eq!(f.store.policy("p").await.unwrap(), Some(expected));
    let unknown = version(&f, "q", "three");
    assert_eq!(f.store.revise_policy(&unknown, 1, &Origin::system()).await.unwrap(), Revision::NoPolicy);
}

pub async fn of_many_changes_at_once_exactly_one_is_stored<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    f.store.create_policy(&version(&f, "p", "one"), &Origin::system()).await.unwrap();
    let changes: Vec<_> = (0..8).map(|n| version(&f, "p", &n.to_string())).collect();
    let nobody = Origin::system();
    let changed = join_all(changes.iter().map(|change| f.store.revise_policy(change, 1, &nobody))).await;
    let stored = changed.iter().filter(|change| matches!(change, Ok(Revision::Stored(_)))).count();
    let stale = changed.iter().filter(|change| matches!(change, Ok(Revision::Stale(2)))).count();
    assert_eq!((stored, stale), (1, 7));
}

pub async fn a_deleted_policy_leaves_its_versions_and_its_numbers<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let first = f.store.create_policy(&version(&f, "p", "one"), &Origin::system()).await.unwrap();
    f.store.create_policy(&version(&f, "q", "other"), &Origin::system()).await.unwrap();
    assert!(f.store.delete_policy("p", &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap());
    assert!(!f.store.delete_policy("p", &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap());
    assert!(!f.store.delete_policy("r", &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap());

    assert_eq!(f.store.policy("p").await.unwrap(), None);
    assert_eq!(names(&f).await, ["q"]);
    assert_eq!(
        f.store.revise_policy(&version(&f, "p", "x"), 1, &Origin::system()).await.unwrap(),
        Revision::NoPolicy
    );
    assert_eq!(f.store.policy_version("p", 1).await.unwrap(), Some(first.clone()));

    let again = f.store.create_policy(&version(&f, "p", "again"), &Origin::system()).await.unwrap();
    assert_eq!((again.id, again.version, again.created_at), (first.id, 2, first.created_at));
    assert_eq!(f.store.policy("p").await.unwrap(), Some(again));
    let versions = f.store.policy_versions("p", &PageRequest::first(10)).await.unwrap();
    assert_eq!(versions.items.iter().map(|policy| policy.version).collect::<Vec<_>>(), [2, 1]);
}

pub async fn policies_and_their_versions_are_listed_newest_first<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    for name in ["a", "c", "b"] {
        f.store.create_policy(&version(&f, name, "one"), &Origin::system()).await.unwrap();
    }
    for expected in 1..=3 {
        let next = version(&f, "c", &format!("after {expected}"));
        assert!(matches!(
            f.store.revise_policy(&next, expected, &Origin::system()).await.unwrap(),
            Revision::Stored(_)
        ));
    }
    assert_eq!(names(&f).await, ["b", "c", "a"]);

    let mut page = PageRequest::first(3);
    let found = f.store.policy_versions("c", &page).await.unwrap();
    assert_eq!(found.total, Some(domain::Total::exactly(4)));
    let texts: Vec<_> = found.items.iter().map(|policy| policy.content.text.as_str()).collect();
    assert_eq!(texts, ["after 3", "after 2", "after 1"]);
    page.cursor = found.next_cursor;
    let found = f.store.policy_versions("c", &page).await.unwrap();
    assert_eq!((found.items[0].version, found.next_cursor), (1, None));
    assert_eq!(
        f.store.policy_versions("d", &PageRequest::first(3)).await.unwrap().total,
        Some(domain::Total::exactly(0))
    );
}

pub async fn policies_in_force_are_known_by_name_and_version<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    assert_eq!(f.store.policies_in_force().await.unwrap(), []);
    for name in ["b", "a", "gone"] {
        f.store.create_policy(&version(&f, name, "one"), &Origin::system()).await.unwrap();
    }
    let mut next = version(&f, "a", "two");
    next.content.is_mandatory = true;
    f.store.revise_policy(&next, 1, &Origin::system()).await.unwrap();
    f.store.delete_policy("gone", &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    let in_force =
        |name: &str, version, is_mandatory| PolicyInForce { name: name.into(), version, is_mandatory };
    let expected = [in_force("a", 2, true), in_force("b", 1, false)];
    assert_eq!(f.store.policies_in_force().await.unwrap(), expected);
}

/// The names of all policies, read in pages of two; each must come with its newest version.
async fn names<S: AnyStore>(f: &Fixture<S>) -> Vec<String> {
    let mut names = vec![];
    let mut page = PageRequest::first(2);
    loop {
        let found = f.store.policies(&page).await.unwrap();
        for policy in found.items {
            assert_eq!(f.store.policy(&policy.name).await.unwrap().as_ref(), Some(&policy));
            names.push(policy.name);
        }
        let Some(cursor) = found.next_cursor else { return names };
        page.cursor = Some(cursor);
    }
}

pub(super) fn version<S: AnyStore>(f: &Fixture<S>, name: &str, text: &str) -> NewPolicyVersion {
    let content = PolicyContent { text: text.into(), description: Some("why".into()), is_mandatory: false };
    NewPolicyVersion { name: name.into(), content, by: f.user.id, at: f.tick() }
}
