//! What hooks did, endpoints, and what is on its way to them.

use super::fixture::first;
use super::{AnyStore, Fixture, fixture};
use domain::{
    EventKind, Expected, FailMode, HookDelivery, HookDeliveryId, HookDeliveryStatus, HookEndpoint,
    HookEndpointId, HookEndpointKind, HookRun, HookRunId, HookRunStatus, Origin, PageRequest, Scope,
    SessionId, UserId,
    hook::{DeliveryAttempt, HookEndpointPatch, HookRunFilter, SealedSecret, SecretRotation},
    ports::StoreError,
};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

pub async fn hook_runs_are_counted_and_the_notable_ones_journalled<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (one, other) = (f.session().await, f.session().await);
    let turn = f.begin(one.id).await.turn_id;
    let before = f.journal(one.id).await.len();
    let noted = HookRun { turn_id: Some(turn), is_notable: true, ..run(one.id, "PreToolUse", f.tick()) };
    let runs = vec![
        run(other.id, "Stop", f.tick()),
        noted.clone(),
        run(one.id, "Stop", f.tick()),
        run(SessionId::new(), "Stop", f.tick()),
    ];
    let at = f.tick();
    let events = f.store.record_hook_runs(first(&runs), vec![], at).await.unwrap();

    assert_eq!(f.reload(one.id).await.counters.hook_executions, 2);
    assert_eq!(f.reload(other.id).await.counters.hook_executions, 1);
    let journal = f.journal(one.id).await;
    assert_eq!(journal[before..], events, "what is answered is what is on record");
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.kind, event.turn_id, event.at), (EventKind::HookExecuted, Some(turn), at));
    assert_eq!(fixture::data(event)["hook_run_id"], json!(noted.id));

    let all = PageRequest::first(10);
    let listed = f.store.hook_runs(one.id, &HookRunFilter::default(), &all).await.unwrap();
    assert_eq!(listed.items, [runs[2].clone(), noted.clone()], "newest first, as they were stored");
    let only = HookRunFilter { hook_type: Some("PreToolUse".into()), tool_use_id: noted.tool_use_id.clone() };
    let listed = f.store.hook_runs(one.id, &only, &all).await.unwrap();
    assert_eq!(listed.items, [noted]);
    let first = f.store.hook_runs(one.id, &HookRunFilter::default(), &PageRequest::first(1)).await.unwrap();
    let rest = PageRequest { limit: 1, cursor: first.next_cursor, skip: 0 };
    let rest = f.store.hook_runs(one.id, &HookRunFilter::default(), &rest).await.unwrap();
    assert_eq!((rest.items.len(), rest.next_cursor), (1, None));
}

pub async fn a_hook_endpoint_is_its_owners<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let stranger = f.another_user("eve").await;
    let mine = endpoint(f.user.id, "guard", f.tick());
    let theirs = HookEndpoint { is_global: true, ..endpoint(stranger.id, "guard", f.tick()) };
    let hidden = endpoint(stranger.id, "hidden", f.tick());
    for one in [&mine, &theirs, &hidden] {
        f.store.create_endpoint(one, u32::MAX, &Origin::system()).await.unwrap();
    }
    let again =
        f.store.create_endpoint(&endpoint(f.user.id, "guard", f.tick()), u32::MAX, &Origin::system()).await;
    assert!(matches!(again, Err(StoreError::Conflict { what: "a hook of this name" })), "{again:?}");

    let (own, all) = (Scope::Owner(f.user.id), PageRequest::first(10));
    assert_eq!(f.store.endpoint(own, mine.id).await.unwrap(), Some(mine.clone()));
    assert_eq!(f.store.endpoint(own, theirs.id).await.unwrap(), None);
    assert_eq!(f.store.endpoints(own, &all).await.unwrap().items, std::slice::from_ref(&mine));
    let everybodys = f.store.endpoints(Scope::All, &all).await.unwrap().items;
    assert_eq!(everybodys, [hidden.clone(), theirs.clone(), mine.clone()]);
    assert_eq!(f.store.endpoints_for(f.user.id).await.unwrap(), [mine.clone(), theirs.clone()]);
    assert!(
        !f.store
            .delete_endpoint(own, theirs.id, &domain::Expected::ANY, f.tick(), &Origin::system())
            .await
            .unwrap()
    );

    let patch = HookEndpointPatch {
        is_enabled: Some(false),
        tool_matcher: Some(None),
        event_types: Some(vec!["Stop".into()]),
        ..HookEndpointPatch::default()
    };
    let at = f.tick();
    assert_eq!(
        f.store
            .patch_endpoint(own, theirs.id, &patch, &domain::Expected::ANY, at, &Origin::system())
            .await
            .unwrap(),
        None
    );
    let patched = f
        .store
        .patch_endpoint(own, mine.id, &patch, &domain::Expected::ANY, at, &Origin::system())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(patched, patch.apply(mine.clone(), at));
    assert_eq!(f.store.endpoint(own, mine.id).await.unwrap(), Some(patched));
    let taken = HookEndpointPatch { name: Some("hidden".into()), ..HookEndpointPatch::default() };
    let taken = f
        .store
        .patch_endpoint(Scope::All, theirs.id, &taken, &domain::Expected::ANY, at, &Origin::system())
        .await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");

    assert!(
        f.store
            .delete_endpoint(own, mine.id, &domain::Expected::ANY, f.tick(), &Origin::system())
            .await
            .unwrap()
    );
    assert!(
        !f.store
            .delete_endpoint(own, mine.id, &domain::Expected::ANY, f.tick(), &Origin::system())
            .await
            .unwrap()
    );
}

pub async fn a_rotated_secret_keeps_the_one_before<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let mine = endpoint(f.user.id, "guard", f.tick());
    f.store.create_endpoint(&mine, u32::MAX, &Origin::system()).await.unwrap();
    let stranger = Scope::Owner(f.another_user("eve").await.id);
    let (fresh, at, any, by) = (SealedSecret(vec![9; 40]), f.tick(), Expected::ANY, Origin::system());
    let until = at + SignedDuration::from_hours(24);
    let rotation = SecretRotation { secret: fresh.clone(), old_until: until };
    assert!(!f.store.rotate_secret(stranger, mine.id, &rotation, &any, at, &by).await.unwrap());
    assert!(f.store.rotate_secret(Scope::All, mine.id, &rotation, &any, at, &by).await.unwrap());
    let rotated = f.store.endpoint(Scope::All, mine.id).await.unwrap().unwrap();
    assert_eq!((rotated.secret, rotated.old_secret), (fresh, Some((mine.secret, until))));
}

pub async fn a_delivery_is_taken_by_one_until_it_is_settled<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (one, other) = (endpoint(f.user.id, "one", f.tick()), endpoint(f.user.id, "other", f.tick()));
    for endpoint in [&one, &other] {
        f.store.create_endpoint(endpoint, u32::MAX, &Origin::system()).await.unwrap();
    }
    let first = delivery(one.id, f.tick());
    let second = delivery(other.id, f.tick());
    let nowhere = delivery(HookEndpointId::new(), f.tick());
    let sent = vec![second.clone(), first.clone(), nowhere];
    f.store.record_hook_runs(vec![], sent, f.tick()).await.unwrap();

    let now = f.tick();
    let lease = now + SignedDuration::from_secs(30);
    let take = async |at, except: &[HookEndpointId]| {
        let taken = f.store.take_due_delivery(at, lease, except).await.unwrap();
        taken.map(|(delivery, endpoint)| {
            assert_eq!((delivery.endpoint_id, delivery.next_attempt_at), (endpoint.id, Some(lease)));
            delivery.id
        })
    };
    assert_eq!(take(first.created_at - SignedDuration::from_secs(1), &[]).await, None, "not due yet");
    assert_eq!(take(now, &[]).await, Some(first.id), "due longest");
    assert_eq!(take(now, &[other.id]).await, None);
    assert_eq!(take(now, &[]).await, Some(second.id));
    assert_eq!(take(now, &[]).await, None, "both are taken");
    assert_eq!(take(lease, &[]).await, Some(first.id), "whoever took it has died");

    let again = lease + SignedDuration::from_secs(5);
    let refused = DeliveryAttempt {
        at: now,
        response_status: Some(503),
        error: Some("answered 503".into()),
        retry_at: Some(again),
    };
    f.store.settle_delivery(first.id, &refused).await.unwrap();
    let taken = DeliveryAttempt { at: now, response_status: Some(204), error: None, retry_at: None };
    f.store.settle_delivery(second.id, &taken).await.unwrap();
    f.store.settle_delivery(HookDeliveryId::new(), &taken).await.unwrap();
    let all = PageRequest::first(10);
    let listed = f.store.deliveries(one.id, &all).await.unwrap().items;
    assert_eq!(listed, [first.clone().after(&refused)]);
    let listed = f.store.deliveries(other.id, &all).await.unwrap().items;
    assert_eq!(listed, [second.clone().after(&taken)]);
    assert_eq!(take(again, &[]).await, Some(first.id));
    let given_up = DeliveryAttempt { retry_at: None, ..refused };
    f.store.settle_delivery(first.id, &given_up).await.unwrap();
    assert_eq!(take(again + SignedDuration::from_hours(999), &[]).await, None, "given up is over");
}

pub async fn deliveries_due_at_once_are_each_taken_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let one = endpoint(f.user.id, "one", f.tick());
    f.store.create_endpoint(&one, u32::MAX, &Origin::system()).await.unwrap();
    let sent: Vec<_> = (0..4).map(|_| delivery(one.id, f.tick())).collect();
    f.store.record_hook_runs(vec![], sent.clone(), f.tick()).await.unwrap();
    let now = f.tick();
    let lease = now + SignedDuration::from_secs(30);
    let race = (0..8).map(|_| f.store.take_due_delivery(now, lease, &[]));
    let taken = join_all(race).await.into_iter().filter_map(|taken| taken.unwrap());
    let mut taken: Vec<_> = taken.map(|(delivery, _)| delivery.id).collect();
    taken.sort_unstable();
    let mut sent: Vec<_> = sent.iter().map(|delivery| delivery.id).collect();
    sent.sort_unstable();
    assert_eq!(taken, sent);
}

pub async fn a_delivery_can_be_sent_again_and_goes_with_its_endpoint<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let one = endpoint(f.user.id, "one", f.tick());
    f.store.create_endpoint(&one, u32::MAX, &Origin::system()).await.unwrap();
    let sent = delivery(one.id, f.tick());
    f.store.record_hook_runs(vec![], vec![sent.clone()], f.tick()).await.unwrap();
    let at = f.tick();
    let failed = DeliveryAttempt { at, response_status: None, error: Some("refused".into()), retry_at: None };
    f.store.settle_delivery(sent.id, &failed).await.unwrap();
    assert_eq!(f.store.redeliver(HookEndpointId::new(), sent.id, at).await.unwrap(), None);
    let again = f.store.redeliver(one.id, sent.id, at).await.unwrap().unwrap();
    assert_eq!((again.status, again.attempts), (HookDeliveryStatus::Pending, 0));
    assert_eq!((again.id, &again.payload), (sent.id, &sent.payload), "the same message");

    let disabled = HookEndpointPatch { is_enabled: Some(false), ..HookEndpointPatch::default() };
    f.store
        .patch_endpoint(Scope::All, one.id, &disabled, &domain::Expected::ANY, at, &Origin::system())
        .await
        .unwrap();
    assert_eq!(f.store.take_due_delivery(at, at, &[]).await.unwrap(), None, "a disabled endpoint gets none");
    let enabled = HookEndpointPatch { is_enabled: Some(true), ..HookEndpointPatch::default() };
    f.store
        .patch_endpoint(Scope::All, one.id, &enabled, &domain::Expected::ANY, at, &Origin::system())
        .await
        .unwrap();
    assert!(f.store.take_due_delivery(at, at, &[]).await.unwrap().is_some());
    assert!(
        f.store
            .delete_endpoint(Scope::All, one.id, &domain::Expected::ANY, f.tick(), &Origin::system())
            .await
            .unwrap()
    );
    assert_eq!(f.store.take_due_delivery(at, at, &[]).await.unwrap(), None);
    assert_eq!(f.store.deliveries(one.id, &PageRequest::first(1)).await.unwrap().items, []);
}

pub(super) fn run(session: SessionId, hook_type: &str, at: Timestamp) -> HookRun {
    HookRun {
        id: HookRunId::new(),
        session_id: session,
        turn_id: None,
        hook_type: hook_type.into(),
        hook_name: "guard".into(),
        tool_use_id: Some("toolu_1".into()),
        tool_name: Some("Bash".into()),
        input: json!({ "tool_input": { "command": "ls\u{0}" } }),
        output: Some(json!({})),
        continued: true,
        status: HookRunStatus::Completed,
        error: None,
        duration_us: 1_500,
        is_notable: false,
        executed_at: at,
    }
}

pub fn endpoint(owner: UserId, name: &str, at: Timestamp) -> HookEndpoint {
    HookEndpoint {
        id: HookEndpointId::new(),
        user_id: owner,
        name: name.into(),
        url: "https://hooks.example.org/in".into(),
        kind: HookEndpointKind::Decision,
        event_types: vec!["PreToolUse".into()],
        tool_matcher: Some("Bash|Write".into()),
        timeout_ms: 2_000,
        order: -3,
        fail_mode: FailMode::Closed,
        is_enabled: true,
        is_global: false,
        secret: SealedSecret(vec![1, 2, 3]),
        old_secret: None,
        created_at: at,
        updated_at: at,
    }
}

fn delivery(endpoint: HookEndpointId, at: Timestamp) -> HookDelivery {
    HookDelivery {
        id: HookDeliveryId::new(),
        endpoint_id: endpoint,
        session_id: Some(SessionId::new()),
        event_type: "Stop".into(),
        payload: r#"{"b": 1,  "a": 2}"#.into(),
        status: HookDeliveryStatus::Pending,
        attempts: 0,
        next_attempt_at: Some(at),
        last_attempt_at: None,
        response_status: None,
        error: None,
        created_at: at,
    }
}
