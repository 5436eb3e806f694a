//! Sums over the ledger.

use super::{
    AnyStore, Fixture,
    fixture::{message, user},
    ledger::usage,
};
use domain::{
    Entry, Generation, MicroUsd, NewUser, Origin, RequestUsage, RequestUsageId, SessionId, TokenUsage,
    ToolCallId, UserId,
    cost::{Activity, CostKey, CostQuery, CostScope, CostSum},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

const QUARTER: SignedDuration = SignedDuration::from_mins(15);

/// The beginning of a quarter of an hour.
fn quarter() -> Timestamp {
    "2026-11-03T10:15:00Z".parse().unwrap()
}

struct Booked {
    session: SessionId,
    user: UserId,
    model: &'static str,
    tools: &'static [&'static str],
    cost: i64,
    at: Timestamp,
}

async fn book<S: AnyStore>(f: &Fixture<S>, booked: Booked) -> RequestUsage {
    let usage = RequestUsage {
        id: RequestUsageId::new(),
        user_id: booked.user,
        model: booked.model.into(),
        tools: booked.tools.iter().map(|tool| (*tool).to_owned()).collect(),
        cost: MicroUsd(booked.cost),
        thinking_tokens: 1,
        started_at: booked.at,
        ..usage(f, booked.session, None)
    };
    f.store.settle(&usage).await.unwrap();
    usage
}

fn whole(scope: CostScope) -> CostQuery {
    CostQuery { scope, from: Timestamp::MIN, until: Timestamp::MAX }
}

/// Keys with requests and cost.
fn short(sums: &[(String, CostSum)]) -> Vec<(&str, u64, i64)> {
    sums.iter().map(|(key, sum)| (key.as_str(), sum.requests, sum.cost.0)).collect()
}

/// A store with requests of two users in one team.
async fn world<S: AnyStore>(store: S) -> (Fixture<S>, UserId, [SessionId; 3]) {
    let f = Fixture::new(store).await;
    let NewUser { user: bob, password_hash } = user("bob", f.tick());
    let bob = domain::User { team: Some("blue".into()), ..bob };
    let id = bob.id;
    f.store.create_user(&NewUser { user: bob, password_hash }, &Origin::system()).await.unwrap();
    let (one, two, his) = (f.session().await.id, f.session().await.id, f.session().await.id);
    let at = quarter();
    let ada = f.user.id;
    let last = at + QUARTER - SignedDuration::from_micros(1);
    for booked in [
        Booked { session: one, user: ada, model: "a", tools: &["Read", "Bash"], cost: 11, at },
        Booked { session: one, user: ada, model: "b", tools: &["Bash"], cost: 20, at: last },
        Booked { session: two, user: ada, model: "a", tools: &[], cost: 5, at: at + QUARTER },
        Booked { session: his, user: id, model: "a", tools: &["Read", "Bash"], cost: 100, at },
    ] {
        book(&f, booked).await;
    }
    (f, id, [one, two, his])
}

pub async fn costs_are_summed_up_for_whom_is_asked<S: AnyStore>(store: S) {
    let (f, bob, [one, ..]) = world(store).await;
    let cost = async |query: CostQuery| f.store.cost(&query).await.unwrap();
    let all = cost(whole(CostScope::All)).await;
    let tokens = TokenUsage { input: 4, output: 8, cache_write_5m: 12, cache_write_1h: 16, cache_read: 20 };
    assert_eq!((all.requests, all.cost, all.tokens, all.thinking_tokens), (4, MicroUsd(136), tokens, 4));
    assert_eq!(cost(whole(CostScope::User(f.user.id))).await.cost, MicroUsd(36));
    assert_eq!(cost(whole(CostScope::User(bob))).await.cost, MicroUsd(100));
    assert_eq!(cost(whole(CostScope::Session(one))).await.cost, MicroUsd(31));
    assert_eq!(cost(whole(CostScope::Team("blue".into()))).await.cost, MicroUsd(100));
    for nobody in [CostScope::User(UserId::new()), CostScope::Team("Blue".into())] {
        assert_eq!(cost(whole(nobody)).await, CostSum::default());
    }
    let between = |from, until| CostQuery { scope: CostScope::All, from, until };
    let at = quarter();
    assert_eq!(
        cost(between(at, at + QUARTER)).await.cost,
        MicroUsd(131),
        "from the first instant to the last"
    );
    assert_eq!(cost(between(at + QUARTER, Timestamp::MAX)).await.cost, MicroUsd(5));
    assert_eq!(cost(between(at, at)).await, CostSum::default());

    let odd = RequestUsage { is_estimated: true, is_priced: false, started_at: at, ..usage(&f, one, None) };
    f.store.settle(&odd).await.unwrap();
    let all = cost(whole(CostScope::All)).await;
    assert_eq!((all.cost, all.estimated_cost, all.unpriced_cost), (MicroUsd(148), odd.cost, odd.cost));
}

pub async fn costs_are_told_apart_by_what_is_asked<S: AnyStore>(store: S) {
    let (f, _, [one, two, his]) = world(store).await;
    let by = async |key, limit| f.store.costs_by(&whole(CostScope::All), key, limit).await.unwrap();
    assert_eq!(short(&by(CostKey::Model, 10).await), [("a", 3, 116), ("b", 1, 20)]);
    assert_eq!(short(&by(CostKey::Model, 1).await), [("a", 3, 116)]);
    let [one, two, his] = [one, two, his].map(|id| id.to_string());
    let expected = [(his.as_str(), 1, 100), (one.as_str(), 2, 31), (two.as_str(), 1, 5)];
    assert_eq!(short(&by(CostKey::Session, 10).await), expected);
    // 111 in halves for Read and Bash, the odd one to the first; 20 for Bash alone.
    let tools = by(CostKey::Tool, 10).await;
    assert_eq!(short(&tools), [("Bash", 3, 75), ("Read", 2, 56), ("", 1, 5)]);
    let (together, all) = (
        tools.iter().fold(CostSum::default(), |sum, (_, share)| sum.plus(*share)),
        f.store.cost(&whole(CostScope::All)).await.unwrap(),
    );
    assert_eq!((together.cost, together.tokens), (all.cost, all.tokens));
    assert_eq!(short(&by(CostKey::Tool, 1).await), [("Bash", 3, 75)]);
    let quarter = quarter().as_second() / (15 * 60);
    let quarters = [quarter, quarter + 1].map(|quarter| quarter.to_string());
    let expected = [(quarters[0].as_str(), 3, 131), (quarters[1].as_str(), 1, 5)];
    assert_eq!(short(&by(CostKey::QuarterHour, 1).await), expected, "all of them, whatever the limit");

    let session = one.parse().unwrap();
    f.store.terminate(session, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    f.store.purge(session, f.tick(), &Origin::system()).await.unwrap();
    let expected = [(his.as_str(), 1, 100), ("", 2, 31), (two.as_str(), 1, 5)];
    assert_eq!(short(&by(CostKey::Session, 10).await), expected, "what it cost stays");
    assert_eq!(f.store.cost(&whole(CostScope::Session(session))).await.unwrap(), CostSum::default());
}

pub async fn what_happened_is_counted_in_the_same_time<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, idle) = (f.session().await.id, f.session().await.id);
    let before = f.tick();
    let turn = f.begin(session).await.turn_id;
    let call = Entry::ToolCallStarted {
        id: ToolCallId::new(),
        tool_use_id: "t".into(),
        tool_name: "Bash".into(),
        tool_input: json!({}),
    };
    let at = f.tick();
    let entries = vec![Entry::Message(Box::new(message(json!("hi")))), call];
    f.store.record(session, Generation::FIRST, Some(turn), entries, at).await.unwrap();
    f.store.settle(&RequestUsage { started_at: at, ..usage(&f, session, Some(turn)) }).await.unwrap();
    let after = f.tick();
    let activity = async |scope: CostScope, from, until| {
        f.store.activity(&CostQuery { scope, from, until }).await.unwrap()
    };
    let all = Activity { sessions: 1, messages: 2, tool_calls: 1 };
    let user = CostScope::User(f.user.id);
    for scope in [CostScope::All, user.clone(), CostScope::Session(session)] {
        assert_eq!(activity(scope, before, after).await, all);
    }
    for scope in [CostScope::Session(idle), CostScope::User(UserId::new()), CostScope::Team("x".into())] {
        assert_eq!(activity(scope, before, after).await, Activity::default());
    }
    assert_eq!(activity(user.clone(), before, before).await, Activity::default());
    assert_eq!(activity(user, after, Timestamp::MAX).await, Activity::default());
}
