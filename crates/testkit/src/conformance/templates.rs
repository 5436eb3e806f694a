//! Session templates: who sees them, who writes them, and how often they were used.

use super::{
    AnyStore, Fixture,
    audit::{log, told},
    fixture::session,
};
use domain::{
    Origin, PageRequest, Scope, SdkOptions, Session, SessionTemplate, TemplateId, UserId,
    audit::Fact,
    session::SessionFilter,
    template::{Shared, TemplateContent, TemplateFilter, TemplateSettings, TemplateSharing},
};
use jiff::Timestamp;
use serde_json::json;

pub async fn a_template_comes_back_as_it_was_stored<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let mut stored = template(f.user.id, "review", f.tick());
    f.store.create_template(&stored, u32::MAX, &Origin::system()).await.unwrap();
    let own = Scope::Owner(f.user.id);
    assert_eq!(f.store.template(own, stored.id).await.unwrap(), Some(stored.clone()));
    assert_eq!(f.store.template(own, TemplateId::new()).await.unwrap(), None);

    let at = f.tick();
    stored.content = TemplateContent {
        name: "other".into(),
        description: None,
        category: None,
        tags: vec![],
        settings: TemplateSettings::default(),
    };
    stored.sharing.is_public = true;
    stored.updated_at = at;
    let content = stored.content.clone();
    let replaced = f.store.replace_template(own, stored.id, &content, true, at, &Origin::system()).await;
    assert_eq!(replaced.unwrap(), Some(stored.clone()));
    assert_eq!(f.store.template(own, stored.id).await.unwrap(), Some(stored));
}

pub async fn a_template_is_seen_by_those_it_is_shared_with<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (friend, stranger) = (f.another_user("eve").await.id, f.another_user("mallory").await.id);
    let private = template(f.user.id, "private", f.tick());
    let public = SessionTemplate {
        sharing: TemplateSharing { is_public: true, shared_with: vec![] },
        ..template(f.user.id, "public", f.tick())
    };
    for one in [&private, &public] {
        f.store.create_template(one, u32::MAX, &Origin::system()).await.unwrap();
    }
    let seen = async |user: UserId| {
        let (filter, page) = (TemplateFilter::default(), PageRequest::first(10));
        let listed = f.store.templates(Scope::Owner(user), &filter, &page).await.unwrap();
        assert_eq!(listed.total.unwrap().count, listed.items.len() as u64);
        let popular = f.store.popular_templates(Scope::Owner(user), 10).await.unwrap();
        assert_eq!(names(&popular), names(&listed.items), "unused ones are popular by their age");
        for id in [private.id, public.id] {
            let one = f.store.template(Scope::Owner(user), id).await.unwrap();
            assert_eq!(one.is_some(), listed.items.iter().any(|listed| listed.id == id));
        }
        names(&listed.items).join(" ")
    };
    assert_eq!(seen(f.user.id).await, "public private");
    assert_eq!(seen(friend).await, "public");

    let sharing = TemplateSharing { is_public: false, shared_with: vec![friend] };
    let share = async |owner, sharing: &TemplateSharing| {
        f.store.share_template(owner, private.id, sharing, f.tick(), &Origin::system()).await.unwrap()
    };
    assert_eq!(share(Scope::Owner(friend), &sharing).await, Shared::NoTemplate, "only its owner shares it");
    let nobody = UserId::new();
    let with_nobody = TemplateSharing { is_public: true, shared_with: vec![friend, nobody] };
    assert_eq!(share(Scope::All, &with_nobody).await, Shared::NoUsers(vec![nobody]));
    assert_eq!(seen(friend).await, "public", "nothing was changed");

    let Shared::Shared(shared) = share(Scope::Owner(f.user.id), &sharing).await else { panic!("not shared") };
    assert_eq!(shared.sharing, sharing);
    assert_eq!(f.store.template(Scope::Owner(friend), private.id).await.unwrap(), Some(*shared));
    assert_eq!((seen(friend).await.as_str(), seen(stranger).await.as_str()), ("public private", "public"));
    // Whoever sees it does not own it.
    let (theirs, at) = (Scope::Owner(friend), f.tick());
    let content = public.content.clone();
    let replaced = f.store.replace_template(theirs, private.id, &content, true, at, &Origin::system()).await;
    assert_eq!(replaced.unwrap(), None);
    assert!(!f.store.delete_template(theirs, private.id, at, &Origin::system()).await.unwrap());

    let Shared::Shared(_) = share(Scope::All, &TemplateSharing::default()).await else {
        panic!("not shared")
    };
    assert_eq!(seen(friend).await, "public", "it was taken back");

    assert!(
        f.store.delete_template(Scope::Owner(f.user.id), public.id, at, &Origin::system()).await.unwrap()
    );
    assert_eq!((seen(f.user.id).await.as_str(), seen(friend).await.as_str()), ("private", ""));
    assert!(!f.store.delete_template(Scope::All, public.id, at, &Origin::system()).await.unwrap());
    let replaced =
        f.store.replace_template(Scope::All, public.id, &content, true, at, &Origin::system()).await;
    assert_eq!(replaced.unwrap(), None, "what was deleted is not there");
}

pub async fn templates_are_found_by_what_they_are<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let mut made = vec![];
    for (name, category, tags) in [
        ("Review 100%", Some("code"), vec!["ci", "rust"]),
        ("write", Some("prose"), vec!["rust"]),
        ("rest", None, vec!["rus", "t"]),
    ] {
        let mut one = template(f.user.id, name, f.tick());
        one.content.category = category.map(str::to_owned);
        one.content.tags = tags.into_iter().map(str::to_owned).collect();
        one.content.description = Some("In Words".into());
        one.sharing.is_public = name == "write";
        f.store.create_template(&one, u32::MAX, &Origin::system()).await.unwrap();
        made.push(one);
    }
    let found = async |filter: TemplateFilter| {
        let page = PageRequest::first(10);
        names(&f.store.templates(Scope::All, &filter, &page).await.unwrap().items).join(", ")
    };
    let any = TemplateFilter::default;
    let q = |q: &str| TemplateFilter { q: Some(q.into()), ..any() };
    let tags =
        |tags: &[&str]| TemplateFilter { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..any() };
    assert_eq!(found(any()).await, "rest, write, Review 100%");
    assert_eq!(found(TemplateFilter { category: Some("code".into()), ..any() }).await, "Review 100%");
    assert_eq!(found(TemplateFilter { category: Some("cod".into()), ..any() }).await, "");
    assert_eq!(found(TemplateFilter { is_public: Some(true), ..any() }).await, "write");
    assert_eq!(found(TemplateFilter { is_public: Some(false), ..any() }).await, "rest, Review 100%");
    assert_eq!(found(q("REV")).await, "Review 100%");
    assert_eq!(found(q("0%")).await, "Review 100%");
    assert_eq!(found(q("%e")).await, "");
    assert_eq!(found(q("words")).await, "rest, write, Review 100%");
    assert_eq!(found(tags(&["rust"])).await, "write, Review 100%");
    assert_eq!(found(tags(&["ci", "rust"])).await, "Review 100%");
    assert_eq!(found(tags(&["rus"])).await, "rest");
    assert_eq!(found(tags(&["_us"])).await, "");

    let first = f.store.templates(Scope::All, &any(), &PageRequest::first(2)).await.unwrap();
    let rest = PageRequest { limit: 2, cursor: first.next_cursor, skip: 0 };
    let rest = f.store.templates(Scope::All, &any(), &rest).await.unwrap();
    assert_eq!((names(&rest.items), rest.next_cursor), (vec!["Review 100%"], None));
}

pub async fn the_use_of_a_template_is_counted_with_the_session<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (one, other) = (template(f.user.id, "one", f.tick()), template(f.user.id, "other", f.tick()));
    for template in [&one, &other] {
        f.store.create_template(template, u32::MAX, &Origin::system()).await.unwrap();
    }
    let make = async |template_id| {
        let session = Session { template_id, ..session(f.user.id, f.tick()) };
        f.store.create(&session, &Origin::system()).await.unwrap();
        assert_eq!(f.reload(session.id).await, session);
        session
    };
    let (first, second) = (make(Some(one.id)).await, make(Some(one.id)).await);
    make(None).await;
    assert!(f.store.create(&first, &Origin::system()).await.is_err());
    let popular = f.store.popular_templates(Scope::All, 5).await.unwrap();
    let counted: Vec<_> = popular.iter().map(|one| (one.content.name.as_str(), one.usage_count)).collect();
    assert_eq!(counted, [("one", 2), ("other", 0)], "a session that was not stored is not counted");
    assert_eq!(f.store.popular_templates(Scope::All, 1).await.unwrap().len(), 1);

    let of_one = SessionFilter { template_id: Some(one.id), ..SessionFilter::default() };
    let listed =
        domain::ports::Sessions::list(&f.store, Scope::All, &of_one, &PageRequest::first(10)).await.unwrap();
    assert_eq!(listed.items, [second, first.clone()]);
    f.store.delete_template(Scope::All, one.id, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(f.reload(first.id).await.template_id, Some(one.id), "it stays known");
}

pub async fn templates_of_an_erased_user_are_gone<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let friend = f.another_user("eve").await.id;
    let mine = template(f.user.id, "mine", f.tick());
    let theirs = template(friend, "theirs", f.tick());
    for one in [&mine, &theirs] {
        f.store.create_template(one, u32::MAX, &Origin::system()).await.unwrap();
    }
    for (owner, with, one) in [(f.user.id, friend, &mine), (friend, f.user.id, &theirs)] {
        let sharing = TemplateSharing { is_public: false, shared_with: vec![with] };
        f.store
            .share_template(Scope::Owner(owner), one.id, &sharing, f.tick(), &Origin::system())
            .await
            .unwrap();
    }
    f.store.erase_user(f.user.id, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(f.store.template(Scope::All, mine.id).await.unwrap(), None);
    let theirs = f.store.template(Scope::All, theirs.id).await.unwrap().unwrap();
    assert_eq!(theirs.sharing.shared_with, []);
}

pub async fn the_life_of_a_template_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let friend = f.another_user("eve").await.id;
    let one = template(f.user.id, "one", f.tick());
    let before = log(&f.store).await.len();
    f.store.create_template(&one, u32::MAX, &Origin::system()).await.unwrap();
    let at = f.tick();
    f.store.replace_template(Scope::All, one.id, &one.content, true, at, &Origin::system()).await.unwrap();
    let sharing = TemplateSharing { is_public: true, shared_with: vec![friend] };
    f.store.share_template(Scope::All, one.id, &sharing, at, &Origin::system()).await.unwrap();
    let made = Session { template_id: Some(one.id), ..session(f.user.id, f.tick()) };
    f.store.create(&made, &Origin::system()).await.unwrap();
    f.store.delete_template(Scope::All, one.id, at, &Origin::system()).await.unwrap();
    let entries = log(&f.store).await.split_off(before);
    let actions: Vec<_> = entries.iter().map(|entry| told(&entry.event).0).collect();
    assert_eq!(
        actions,
        ["template.created", "template.changed", "template.shared", "session.created", "template.deleted"]
    );
    assert_eq!(entries[1].event.data["is_public"], Fact::Flag(true));
    assert_eq!(entries[2].event.data["shared_with"], Fact::List(vec![friend.to_string()]));
    assert_eq!(entries[3].event.data["template_id"], Fact::Text(one.id.to_string()));
    for entry in &entries {
        assert!(!entry.line().unwrap().contains("be brief"), "what people wrote is not in it");
    }
}

fn names(templates: &[SessionTemplate]) -> Vec<&str> {
    templates.iter().map(|template| template.content.name.as_str()).collect()
}

pub(super) fn template(owner: UserId, name: &str, at: Timestamp) -> SessionTemplate {
    let sdk_options = SdkOptions { model: Some("claude-a".into()), ..SdkOptions::default() };
    SessionTemplate {
        id: TemplateId::new(),
        user_id: owner,
        content: TemplateContent {
            name: name.into(),
            description: Some("for é".into()),
            category: Some("code".into()),
            tags: vec!["ci".into(), "rust".into()],
            settings: TemplateSettings {
                working_directory: Some("here".into()),
                allowed_tools: Some(vec![]),
                system_prompt: Some("be brief".into()),
                sdk_options: Some(sdk_options),
                permission_mode: Some("plan".into()),
                hooks_enabled: None,
                custom_policies: Some(vec!["house".into()]),
                metadata: Some(json!({ "a": [1, null] })),
            },
        },
        sharing: TemplateSharing::default(),
        usage_count: 0,
        created_at: at,
        updated_at: at,
    }
}
