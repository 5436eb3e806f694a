//! The audit log: one chain, and an entry for everything that has to have one.

use super::{AnyStore, Fixture, fixture};
use domain::{
    Access, Actor, ApiKey, ApiKeyId, AuditEntry, AuditEvent, AuditFilter, AuditHead, FamilyId, NewUser,
    Origin, RefreshToken, RefreshTokenId, Scope, SessionId, SessionStatus, Source, UserId,
    account::Rotation,
    audit::{Fact, Verifier},
    ports::{Audit, Moved},
    session::SessionPatch,
};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

pub(super) const LIMIT: u32 = 10_000;

pub async fn an_audit_entry_comes_back_as_it_was_chained<S: AnyStore>(store: S) {
    assert_eq!(Audit::head(&store).await.unwrap(), AuditHead::EMPTY);
    let (user_id, api_key_id, session) = (UserId::new(), ApiKeyId::new(), SessionId::new());
    let at = Timestamp::from_microsecond(1_767_225_600_123_456).unwrap();
    let actors = [
        Actor::System,
        Actor::Anonymous,
        Actor::User { user_id },
        Actor::ApiKey { api_key_id, user_id },
        Actor::Agent,
    ];
    let mut events: Vec<AuditEvent> = actors
        .into_iter()
        .map(|actor| AuditEvent::new("a.b", &Origin { actor, source: Source::default() }, at))
        .collect();
    events.push(AuditEvent {
        source: Source {
            ip_address: Some("2001:db8::7".parse().unwrap()),
            request_id: Some("r-1".to_owned()),
        },
        ..AuditEvent::new("decision.deny", &origin(user_id), at)
            .about("decision", "x \" \\ \n \u{7f} \u{2028} é 🦀")
            .in_session(session)
            .with("b", Fact::Number(u32::MAX))
            .with("a", Fact::Flag(true))
            .with("c", Fact::List(vec!["z".into(), String::new()]))
            .with_sha256("input_sha256", b"rm -rf /")
    });
    let first = Audit::append(&store, &events[..2]).await.unwrap();
    let last = Audit::append(&store, &events[2..]).await.unwrap();
    assert_eq!((first.seq, last.seq), (2, 6));
    assert_eq!(Audit::head(&store).await.unwrap(), last);
    assert_eq!(Audit::append(&store, &[]).await.unwrap(), last);

    let entries = log(&store).await;
    let found: Vec<AuditEvent> = entries.iter().map(|entry| entry.event.clone()).collect();
    assert_eq!(found, events);
    assert_eq!(entries[5].head(), last);
    for entry in &entries {
        assert_eq!(&AuditEntry::parse(&entry.line().unwrap()).unwrap(), entry);
    }
    assert_eq!(store.entries_after(4, 1, &AuditFilter::default()).await.unwrap(), entries[4..5]);
    assert_eq!(store.entries_after(6, 1, &AuditFilter::default()).await.unwrap(), []);
    assert_eq!(store.entries_after(u64::MAX, 1, &AuditFilter::default()).await.unwrap(), []);
}

pub async fn concurrent_appends_make_one_chain<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let before = log(&f.store).await.len();
    let at = f.tick();
    let pair = [event("one", at), event("two", at)];
    let appends = (0..25).map(|_| async {
        let session = fixture::session(f.user.id, at);
        f.store.create(&session, &origin(f.user.id)).await.unwrap();
        f.store.append(&pair).await.unwrap();
    });
    join_all(appends).await;
    let entries = log(&f.store).await;
    assert_eq!(entries.len(), before + 75);
    // What was appended together stands together.
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.event.action == "one") {
        assert_eq!(entries[index + 1].event.action, "two", "after {}", entry.seq);
    }
}

pub async fn an_audit_log_shows_what_passes_the_filter<S: AnyStore>(store: S) {
    let (one, two, key, session) = (UserId::new(), UserId::new(), ApiKeyId::new(), SessionId::new());
    let start = Timestamp::from_second(1_767_225_600).unwrap();
    let second = |n| start + SignedDuration::from_secs(n);
    let by_key = Origin { actor: Actor::ApiKey { api_key_id: key, user_id: two }, source: Source::default() };
    let events = [
        AuditEvent::new("login.failed", &origin(one), second(1)),
        AuditEvent::new("login.succeeded", &origin(two), second(2)).in_session(session),
        AuditEvent::new("logout", &by_key, second(3)),
        AuditEvent::new("log_in", &Origin::system(), second(4)),
    ];
    store.append(&events).await.unwrap();
    let all = AuditFilter::default();
    let cases = [
        (all.clone(), vec![1, 2, 3, 4]),
        (AuditFilter { action: Some("log".into()), ..all.clone() }, vec![1, 2, 3, 4]),
        (AuditFilter { action: Some("login.".into()), ..all.clone() }, vec![1, 2]),
        (AuditFilter { action: Some("log_in".into()), ..all.clone() }, vec![4]),
        (AuditFilter { action: Some("%".into()), ..all.clone() }, vec![]),
        (AuditFilter { actor: Some(one.0), ..all.clone() }, vec![1]),
        (AuditFilter { actor: Some(two.0), ..all.clone() }, vec![2, 3]),
        (AuditFilter { actor: Some(key.0), ..all.clone() }, vec![3]),
        (AuditFilter { session_id: Some(session), ..all.clone() }, vec![2]),
        (AuditFilter { session_id: Some(SessionId::new()), ..all.clone() }, vec![]),
        (AuditFilter { from: Some(second(2)), before: Some(second(4)), ..all.clone() }, vec![2, 3]),
        (AuditFilter { action: Some("login".into()), from: Some(second(2)), ..all.clone() }, vec![2]),
    ];
    for (filter, expected) in cases {
        let found = store.entries_after(0, LIMIT, &filter).await.unwrap();
        assert_eq!(found.iter().map(|entry| entry.seq).collect::<Vec<_>>(), expected, "{filter:?}");
    }
    let page = store.entries_after(1, 2, &all).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 3]);
}

pub async fn coming_and_going_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let at = f.tick();
    let (by, from) = (origin(f.user.id), source());
    let key = key(f.user.id, at);
    f.store.create_api_key(&key, u32::MAX, &by).await.unwrap();
    assert!(f.store.delete_api_key(f.user.id, key.id, at, &by).await.unwrap());
    let (stolen, other) = (token(f.user.id, 1, at), token(f.user.id, 2, at));
    f.store.begin_login(&stolen, &from).await.unwrap();
    f.store.begin_login(&other, &from).await.unwrap();
    f.store.rotate([1; 32], &token(f.user.id, 3, at), at, &from).await.unwrap();
    let reused = Rotation::Reused { user_id: f.user.id };
    assert_eq!(f.store.rotate([1; 32], &token(f.user.id, 4, at), at, &from).await.unwrap(), reused);
    f.store.revoke_login(other.family_id, at, &by).await.unwrap();
    f.store.begin_login(&token(f.user.id, 5, at), &from).await.unwrap();
    f.store.revoke_logins(f.user.id, at, &by).await.unwrap();

    let entries = log(&f.store).await;
    let told: Vec<(&str, &str, String)> = entries.iter().map(|entry| told(&entry.event)).collect();
    let (user, api_key) = (f.user.id.to_string(), key.id.to_string());
    let expected = [
        ("user.registered", "user", user.clone()),
        ("api_key.created", "api_key", api_key.clone()),
        ("api_key.deleted", "api_key", api_key),
        ("login.succeeded", "login", stolen.family_id.to_string()),
        ("login.succeeded", "login", other.family_id.to_string()),
        ("login.refresh_reused", "login", stolen.family_id.to_string()),
        ("logout", "login", other.family_id.to_string()),
        ("login.succeeded", "login", told[7].2.clone()),
        ("logout.all", "user", user.clone()),
    ];
    assert_eq!(told, expected);
    assert_eq!(entries[1].event.actor, by.actor);
    assert_eq!(entries[3].event.actor, Actor::User { user_id: f.user.id });
    assert_eq!(entries[5].event.actor, Actor::Anonymous);
    assert_eq!(entries[5].event.data["user_id"], Fact::Text(user));
    assert!(entries[1..].iter().all(|entry| entry.event.source == source()));
}

pub async fn what_did_not_happen_is_not_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let at = f.tick();
    let by = origin(f.user.id);
    let login = token(f.user.id, 1, at);
    f.store.begin_login(&login, &source()).await.unwrap();
    f.store.rotate([1; 32], &token(f.user.id, 2, at), at, &source()).await.unwrap();
    f.store.rotate([1; 32], &token(f.user.id, 3, at), at, &source()).await.unwrap();
    let session = f.session().await;
    f.store.terminate(session.id, &domain::Expected::ANY, at, &by).await.unwrap();
    let before = log(&f.store).await.len();

    // Its login ended with the first reuse; showing it again tells nothing new.
    assert_eq!(
        f.store.rotate([1; 32], &token(f.user.id, 4, at), at, &source()).await.unwrap(),
        Rotation::Reused { user_id: f.user.id }
    );
    assert_eq!(
        f.store.rotate([9; 32], &token(f.user.id, 5, at), at, &source()).await.unwrap(),
        Rotation::Refused
    );
    f.store.revoke_login(login.family_id, at, &by).await.unwrap();
    f.store.revoke_logins(f.user.id, at, &by).await.unwrap();
    assert!(!f.store.delete_api_key(f.user.id, ApiKeyId::new(), at, &by).await.unwrap());
    let same = NewUser { user: f.user.clone(), password_hash: String::new() };
    assert!(f.store.create_user(&same, &by).await.is_err());
    assert!(f.store.create(&session, &by).await.is_err());
    let patch = SessionPatch::default();
    assert!(
        f.store
            .patch(Scope::Owner(UserId::new()), session.id, &patch, &domain::Expected::ANY, at, &by)
            .await
            .unwrap()
            .is_none()
    );
    assert!(matches!(
        f.store.terminate(session.id, &domain::Expected::ANY, at, &by).await.unwrap(),
        Moved::Refused(_)
    ));
    assert_eq!(
        f.store.terminate(SessionId::new(), &domain::Expected::ANY, at, &by).await.unwrap(),
        Moved::NoSession
    );
    assert_eq!(log(&f.store).await.len(), before);
}

pub async fn the_life_of_a_session_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let by = origin(f.user.id);
    let session = fixture::session(f.user.id, f.tick());
    f.store.create(&session, &by).await.unwrap();
    let patch = SessionPatch {
        permission_mode: Some("plan".into()),
        name: Some(Some("secret plans".into())),
        ..SessionPatch::default()
    };
    f.store.patch(Scope::All, session.id, &patch, &domain::Expected::ANY, f.tick(), &by).await.unwrap();
    let moved = f.store.terminate(session.id, &domain::Expected::ANY, f.tick(), &by).await.unwrap();
    let Moved::Moved(ended, journalled) = moved else { panic!("it did not end: {moved:?}") };
    assert_eq!(ended.status, SessionStatus::Terminated);
    assert_eq!(f.journal(session.id).await, [journalled]);

    let filter = AuditFilter { session_id: Some(session.id), ..AuditFilter::default() };
    let entries = f.store.entries_after(0, LIMIT, &filter).await.unwrap();
    let id = session.id.to_string();
    let told: Vec<(&str, &str, String)> = entries.iter().map(|entry| told(&entry.event)).collect();
    let actions = ["session.created", "session.changed", "session.terminated"];
    assert_eq!(told, actions.map(|action| (action, "session", id.clone())));
    assert_eq!(entries[0].event.data["permission_mode"], Fact::from("default"));
    assert_eq!(entries[0].event.data["hooks_enabled"], Fact::List(vec!["audit".into()]));
    assert_eq!(entries[1].event.data["permission_mode"], Fact::from("plan"));
    assert_eq!(entries[1].event.data["fields"], Fact::List(vec!["name".into(), "permission_mode".into()]));
    assert!(entries.iter().all(|entry| entry.event.actor == by.actor && entry.event.source == source()));
    assert!(entries.iter().all(|entry| !entry.line().unwrap().contains("secret plans")));
}

/// The whole log, which must be a chain that ends where the store says.
pub(super) async fn log<S: AnyStore>(store: &S) -> Vec<AuditEntry> {
    let head = Audit::head(store).await.unwrap();
    let entries = store.entries_after(0, LIMIT, &AuditFilter::default()).await.unwrap();
    let mut verifier = Verifier::from(1).reaching(head);
    for entry in &entries {
        verifier.take(entry).unwrap();
    }
    assert_eq!(verifier.finish().unwrap().head, head);
    entries
}

pub(super) fn told(event: &AuditEvent) -> (&str, &str, String) {
    let subject = event.subject.as_ref().unwrap();
    (event.action.as_ref(), subject.kind.as_ref(), subject.id.clone())
}

pub(super) fn source() -> Source {
    Source { ip_address: Some("203.0.113.9".parse().unwrap()), request_id: Some("r-9".into()) }
}

pub(super) fn origin(user_id: UserId) -> Origin {
    Origin { actor: Actor::User { user_id }, source: source() }
}

fn event(action: &'static str, at: Timestamp) -> AuditEvent {
    AuditEvent::new(action, &Origin::system(), at)
}

fn token(user: UserId, n: u8, at: Timestamp) -> RefreshToken {
    RefreshToken {
        id: RefreshTokenId::new(),
        family_id: FamilyId::new(),
        user_id: user,
        secret_sha256: [n; 32],
        expires_at: at + SignedDuration::from_hours(24),
        created_at: at,
    }
}

fn key(user: UserId, at: Timestamp) -> ApiKey {
    ApiKey {
        id: ApiKeyId::new(),
        user_id: user,
        name: "ci".into(),
        prefix: "stw_1".into(),
        secret_sha256: [1; 32],
        access: Access::READ,
        expires_at: None,
        created_at: at,
        last_used_at: None,
    }
}
